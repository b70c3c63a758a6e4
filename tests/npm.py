"""Packages of npm for tests: one tarball by its hash, kept in `.tools`; skipped, with the reason, where npm is absent."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

KEPT = Path(__file__).resolve().parents[1] / ".tools" / "npm"


def packed(name: str, version: str, sha512: str) -> Path:
    """The folder of a package, its own files only."""
    folder = KEPT / f"{name}-{version}"
    if not (folder / "package" / "package.json").exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("no npm here: the clients of others cannot be fetched")
        KEPT.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [npm, "pack", f"{name}@{version}", "--silent", "--pack-destination", str(KEPT)], capture_output=True, check=False
        )  # fmt: skip
        tarball = KEPT / f"{name}-{version}.tgz"
        if done.returncode or not tarball.exists():
            pytest.skip(f"npm cannot fetch {name} here")
        assert base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode() == sha512
        with tarfile.open(tarball) as archive:
            archive.extractall(folder, filter="data")
    return folder / "package"
