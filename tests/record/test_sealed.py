"""Secrets at rest: they open where they were sealed and nowhere else, by every secret that is kept, and not when changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.outcome import Invalid
from commonchart.record import sealed
from commonchart.record.sealed import Keys

OLD, NEW = b"o" * 32, b"n" * 32
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXTS, TEXTS)
def test_what_is_sealed_opens_by_the_same_secret_in_the_same_place(text: str, about: str) -> None:
    kept = sealed.seal(OLD, b"use", text, about)
    assert sealed.opened(OLD, b"use", kept, about) == sealed.opened(NEW + OLD, b"use", kept, about) == text
    assert sealed.seal(OLD, b"use", text, about) != kept
    for secret, use, place in ((NEW, b"use", about), (OLD, b"other", about), (OLD, b"use", about + "x")):
        with pytest.raises(Invalid):
            sealed.opened(secret, use, kept, place)


@given(st.integers(0, 10_000))
def test_one_changed_byte_opens_nothing(at: int) -> None:
    kept = bytearray(sealed.seal(OLD, b"use", "a password", "here"))
    kept[at % len(kept)] ^= 1
    with pytest.raises(Invalid):
        sealed.opened(OLD, b"use", bytes(kept), "here")
    with pytest.raises(Invalid):
        sealed.opened(OLD, b"use", bytes(kept[: at % len(kept)]), "here")


def test_a_file_of_secrets_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(OLD.hex())
    keys = Keys(file)
    kept = keys.seal("use", "a password", "here")
    assert kept.startswith(sealed.MARK)
    assert "password" not in kept
    assert keys.seal("use", kept, "here") == keys.anew("use", kept, "here") == kept
    assert (keys.seal("use", "", "here"), keys.open("use", "clear", "here")) == ("", "clear")
    file.write_text(f"{NEW.hex()}\n{OLD.hex()}\n")
    os.utime(file, ns=(1, 1))
    assert keys.open("use", kept, "here") == "a password"
    new = keys.anew("use", kept, "here")
    file.write_text(NEW.hex())
    os.utime(file, ns=(2, 2))
    assert keys.open("use", new, "here") == "a password"
    with pytest.raises(Invalid, match="cannot be read"):
        keys.open("use", kept, "here")
    with pytest.raises(Invalid):
        keys.open("use", sealed.MARK + "no base 64!", "here")
    file.unlink()
    with pytest.raises(Invalid):
        keys.seal("use", "x", "here")
