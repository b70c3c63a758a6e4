"""The list of breached passwords, and the passwords that are refused without one."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.access import passwords
from commonchart.access.people import breached
from commonchart.fhir.outcome import Invalid


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12)))
def test_the_list_holds_exactly_what_was_written(words: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "breached.bin")
        assert breached.write([word.encode() + b"\n" for word in words], path) == len(set(words))
        assert all(breached.holds(path, word) for word in words)
        assert not breached.holds(path, "what nobody of them wrote\n")


def test_sums_with_counts_are_read_as_they_are_published(tmp_path: Path) -> None:
    lines = [
        sha1(word).hexdigest().upper().encode() + b":17\r\n" for word in (b"tulip garden", b"blue bicycle")
    ]
    assert breached.write(sorted(lines), tmp_path / "b.bin") == 2
    assert breached.holds(tmp_path / "b.bin", "tulip garden")
    with pytest.raises(Invalid, match="breach"):
        passwords.judged("blue bicycle", (), tmp_path / "b.bin")
    assert not breached.holds(tmp_path / "none.bin", "blue bicycle")


@pytest.mark.parametrize(
    "password",
    ["short", "password1!", "P@ssw0rd2026", "12345678", "qwertyuiop", "aaaaaaaaaa", "sage.wrenfield", "Wrenfield99", "Alder Street", "x" * 201],
)  # fmt: skip
def test_what_guessers_try_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        passwords.judged(password, ("sage.wrenfield", "Sage Wrenfield", "Alder Street"))


@pytest.mark.parametrize(
    "password", ["a long enough password", "x7 " * 21 + "z", "nur kleine worte", "correct alder horse"]
)
def test_length_is_the_only_rule_of_composition(password: str) -> None:
    assert passwords.judged(password, ("sage", "Sage Wrenfield", "Alder Street")) == password
