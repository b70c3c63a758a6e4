"""The signing key lies outside the database, and a change of keys leaves what the old one signed valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonchart.access.sealing import keys
from commonchart.fhir.outcome import Invalid


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = keys.signer(tmp_path / "keys")
    assert keys.signer(tmp_path / "keys").name == first.name
    assert (tmp_path / "keys" / keys.PRIVATE).stat().st_mode & 0o077 == 0


def test_rotation_keeps_the_public_key_and_destroys_the_private_one(tmp_path: Path) -> None:
    old = keys.signer(tmp_path)
    signature = old.sign(b"said")
    new = keys.rotate(tmp_path)
    assert new.name != old.name
    assert keys.signer(tmp_path).name == new.name
    assert set(keys.known(tmp_path)) == {old.name, new.name}
    assert keys.signed(keys.known(tmp_path)[old.name], signature, b"said")
    kept = "".join(path.read_text() for path in tmp_path.iterdir())
    assert old.private.private_bytes_raw().hex() not in kept


def test_a_signature_is_of_one_statement_by_one_key(tmp_path: Path) -> None:
    one, other = keys.signer(tmp_path / "a"), keys.signer(tmp_path / "b")
    public = keys.known(tmp_path / "a")[one.name]
    assert keys.signed(public, one.sign(b"said"), b"said")
    assert not keys.signed(public, one.sign(b"said"), b"otherwise")
    assert not keys.signed(public, other.sign(b"said"), b"said")
    assert not keys.signed(b"short", one.sign(b"said"), b"said")


def test_a_public_key_under_another_name_is_nobodys(tmp_path: Path) -> None:
    made = keys.signer(tmp_path)
    (tmp_path / f"{'0' * 16}.pub").write_text((tmp_path / f"{made.name}.pub").read_text())
    (tmp_path / "junk.pub").write_text("not hex")
    assert set(keys.known(tmp_path)) == {made.name}


def test_a_damaged_key_is_said(tmp_path: Path) -> None:
    (tmp_path / keys.PRIVATE).write_text("zz")
    with pytest.raises(Invalid, match="damaged"):
        keys.signer(tmp_path)
