"""Names that people read before they allow something: what cannot be seen, what looks like another, what speaks for the site."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.access.oauth import names

PLAIN = ["Growth charts", "Journal d’Inés", "Диабет", "血圧日記", "Health 2.0", "C++ & co", "Ελένη"]


@pytest.mark.parametrize("name", PLAIN)
def test_ordinary_names_are_taken(name: str) -> None:
    assert names.wrong(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", " ", "x" * 101, "a\u202eb", "a\u2066b", "a\u200bb", "a\u200db", "a\u00adb", "a\nb", "a\tb", "a\0b", "a\x1b[1m", "a\u2028b", "a\u3164b", "a\u2800b", "a\u00a0b",
     "a\ufeffb", "a\ue000b", "a\U000e0041b", "Z" + "\u0301" * 3, "see www.evil.example", "evil.example", "a@b", "https://x", "ｅｖｉｌ．ｅｘａｍｐｌｅ", "---",
     "P\u0430ypal", "\u0391pp"],
)  # fmt: skip
def test_what_deceives_is_refused(name: str) -> None:
    assert names.wrong(name)


@pytest.mark.parametrize(
    "other",
    ["growth charts", "GROWTH  CHARTS", "Growth-Charts", "Grówth charts", "Gr0wth charts", "Ｇｒｏｗｔｈ charts", "Grow\u0442h charts", "Growth cha\u0433ts", "Gr\u03bfwth charts",
     "𝐆𝐫𝐨𝐰𝐭𝐡 charts", "Growth charts!"],
)  # fmt: skip
def test_names_that_look_alike_are_alike(other: str) -> None:
    assert names.alike(other, ["Growth charts"])


def test_names_that_differ_are_not() -> None:
    assert not names.alike("Growth chart maker", ["Growth charts", "Pressure diary"])
    assert names.alike("Modern lilies", ["Modem liIies"])


def test_nobody_speaks_for_the_site() -> None:
    for name in (
        "Alder Street",
        "alder  street app",
        "The Alder-Street portal",
        "Commonchart",
        "C0mmonchart login",
    ):
        assert names.speaks_for(name, "Alder Street", "commonchart"), name
    for name in ("Alderstreet diary", "Alder diary", "Hopeful"):
        assert not names.speaks_for(name, "Alder Street", "Hope", ""), name


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_a_name_is_like_itself_and_folding_twice_is_folding_once(name: str) -> None:
    assert names.alike(name, [name])
    assert names.folded(name.upper()) == names.folded(name.lower()) or not name.isascii()
    if name.isascii() and "rn" not in names.folded(name) and "cl" not in names.folded(name):
        assert names.folded(names.folded(name)) == names.folded(name) or "v" in name
