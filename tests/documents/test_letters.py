"""Letters as a PDF: tagged, one page a person, safe whatever stands in them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from commonchart.documents.letters import Letter, render
from tests.documents.test_vaccine_card import streams

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
ADA = Letter(
    ("Ada Hallow", "4 Mill Lane", "Alder, OH 44001"),
    "Dear Ada,\n\nIt is time for:\n\n- Mammogram\n- Eye check\n\nCall us.",
    "en",
)
EVA = Letter(("Eva Hallow", "5 Mill Lane", "Alder, OH 44001"), "Hola, Eva:\n\nLlámenos.", "es")


def pages(pdf: bytes) -> int:
    return max(
        int(n) for n in re.findall(rb"/Type /Pages[^>]*?/Count (\d+)|/Count (\d+)", streams(pdf))[0] if n
    )


def test_letters_are_tagged_and_one_page_a_person() -> None:
    made = render([ADA, EVA, ADA], ["Alder Street Practice", "12 Alder Street"], "18-Nov-2026", NOW)
    assert b"pdfuaid:part" in streams(made)
    assert b"/StructTreeRoot" in streams(made)
    assert pages(made) == 3


def test_the_language_of_each_letter_is_marked() -> None:
    assert b"(es)" in streams(render([ADA, EVA], [], "18-Nov-2026", NOW))


@pytest.mark.parametrize(
    "text", ["#panic()", "*bold* $x$ @label <tag>", '"]) #read("/etc/passwd")', "李 Ζωή", "- #panic()"]
)
def test_nothing_in_a_letter_is_read_as_markup(text: str) -> None:
    assert render([Letter((text, text), text, "en")], [text], text, NOW).startswith(b"%PDF-")
