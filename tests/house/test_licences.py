"""Everything we run on is permissively licensed; the exceptions are named in DESIGN 7 and used unmodified."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXCEPTIONS = {"psycopg", "psycopg-binary", "certifi"}
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|GNU|Mozilla)\b")


def _locked_runtime() -> set[str]:
    packages = {p["name"]: p for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    seen: set[str] = set()
    todo = ["commonchart"]
    while todo:
        name = todo.pop()
        if name not in seen and name in packages:
            seen.add(name)
            entry = packages[name]
            todo += [d["name"] for d in entry.get("dependencies", [])]
            todo += [d["name"] for extra in entry.get("optional-dependencies", {}).values() for d in extra]
    return seen - {"commonchart"}


def _licence(dist: Distribution) -> str:
    meta = dist.metadata
    classifiers = [c for c in meta.get_all("Classifier") or [] if c.startswith("License")]
    return " ".join([meta.get("License-Expression") or "", (meta.get("License") or "")[:60], *classifiers])


def test_every_runtime_dependency_is_permissive() -> None:
    found: dict[str, str] = {}
    for name in sorted(_locked_runtime() - EXCEPTIONS):
        try:
            licence = _licence(distribution(name))
        except ModuleNotFoundError:  # for another platform
            continue
        if COPYLEFT.search(licence):
            found[name] = licence
    assert found == {}


def test_the_lock_file_carries_hashes_and_the_public_index_only() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    sources = {p["source"].get("registry") for p in lock["package"]} - {None}
    assert sources == {"https://pypi.org/simple"}
    assert all("hash" in wheel for package in lock["package"] for wheel in package.get("wheels", []))
