"""The browser files: locked by hash, and addressed by a digest of everything."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from commonchart.web import assets

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "packaging"))
import assets as fetching  # noqa: E402


def test_the_lock_names_one_exact_version_and_its_hash() -> None:
    wanted = json.loads((ROOT / "packaging/assets/package.json").read_text())["dependencies"]
    locked = json.loads((ROOT / "packaging/assets/package-lock.json").read_text())["packages"]
    assert wanted == {"htmx.org": "4.0.1"}
    assert {path.removeprefix("node_modules/") for path in locked if path} == set(wanted)
    assert all(
        package["integrity"].startswith("sha512-") and "resolved" not in package
        for path, package in locked.items()
        if path
    )


def test_a_lock_without_hashes_is_refused() -> None:
    with pytest.raises(SystemExit, match="no sha512 for node_modules/x"):
        fetching._refuse_unhashed(json.dumps({"packages": {"": {}, "node_modules/x": {"version": "1.0.0"}}}))


def test_an_address_names_a_file_that_is_there() -> None:
    assert assets.url("css/app.css") == f"/static/{assets.digest()}/css/app.css"
    with pytest.raises(KeyError):
        assets.url("css/nope.css")


DOOR = {"idle", "leaving", "passkey", "portal", "strength"}
"""What guards a session and who comes in: passkeys and the warning before a time-out cannot be done without a script."""


def test_our_scripts_stay_small() -> None:
    lines = {
        Path(name).stem: len(path.read_text().splitlines())
        for name, path in assets.files().items()
        if name.startswith("js/")
    }
    assert lines.keys() > DOOR
    assert sum(n for name, n in lines.items() if name not in DOOR) <= 400
    assert sum(lines[name] for name in DOOR) <= 230
