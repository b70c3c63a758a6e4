"""The vaccine card as a PDF: tagged, complete, safe whatever stands in it."""

from __future__ import annotations

import re
import zlib
from datetime import UTC, date, datetime

import pytest

from commonchart.documents.vaccine_card import Card, CardDose, CardGroup, age, numbered, render

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
CARD = Card(
    "PEBBLEWICK, Otto", "02-Jul-2022", "004 502 118", "Alder Street", "18-Nov-2026", "CDC 4.64",
    (
        CardGroup(
            "MMR", "dose 2 from 02-Jul-2026",
            (
                CardDose("27-Jun-2023", "MMR", counts="given 5 days before the first birthday"),
                CardDose("12-Dec-2023", "MMR", "1", "A1", "Alder Street"),
            ),
        ),
    ),
    codes=("shc:/5676", "https://chart.example"), verify="Check it with a SMART Health Card reader.",
)  # fmt: skip


def streams(pdf: bytes) -> bytes:
    out = []
    for found in re.finditer(rb"stream\r?\n(.*?)endstream", pdf, re.S):
        try:
            out.append(zlib.decompressobj().decompress(found[1]))
        except zlib.error:
            out.append(found[1])
    return b"".join([pdf, *out])


def test_the_card_is_a_tagged_pdf_in_a_language() -> None:
    made = streams(render(CARD, NOW))
    assert made.startswith(b"%PDF-")
    assert b"/MarkInfo" in made
    assert b"/StructTreeRoot" in made
    assert b"pdfuaid:part" in made
    assert b"/Lang" in made


def test_the_same_card_is_the_same_file() -> None:
    assert render(CARD, NOW) == render(CARD, NOW)


@pytest.mark.parametrize(
    "text", ["#panic()", "*bold* $x$ @label <tag>", "\\u{1F4A9} \"'`", "李 Ζωή", '"]) #read("/etc/passwd")']
)
def test_nothing_typed_is_read_as_markup(text: str) -> None:
    dose = CardDose(text, text, text, text, text, text)
    card = Card(text, text, text, text, text, text, (CardGroup(text, text, (dose,)),), (text,), (text,), text)
    assert render(card, NOW).startswith(b"%PDF-")


def test_letters_that_cannot_be_shown_are_said() -> None:
    unshown = Card("\U0001f9ff\ue000", "", "", "", "", "", ())
    assert render(unshown, NOW).startswith(b"%PDF-")
    assert b"pdfuaid:part" not in streams(render(unshown, NOW))


def test_an_empty_card_says_so() -> None:
    assert render(Card("A", "", "", "", "", "", ()), NOW).startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("given", "said"),
    [("2022-07-02", "0 days"), ("2022-07-03", "1 day"), ("2022-09-06", "9 weeks"), ("2023-12-12", "17 months"),
     ("2026-07-02", "4 years"), ("2022-07-01", "")],
)  # fmt: skip
def test_the_age_at_a_dose_is_said_as_people_say_it(given: str, said: str) -> None:
    assert age(date(2022, 7, 2), date.fromisoformat(given)) == said


def test_only_doses_that_count_are_numbered() -> None:
    assert numbered([False, True, False, True]) == ["", "1", "", "2"]
