"""Letters of a campaign as one PDF to print: one page a person, tagged, the address where a window envelope shows it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from commonchart.documents.pdf import pdf


class Letter(Struct, frozen=True):
    """One letter: the lines of the address (who it is for first), the text in paragraphs, and its language."""

    to: tuple[str, ...]
    text: str
    language: str


def render(letters: Sequence[Letter], sender: Sequence[str], day: str, now: datetime) -> bytes:
    """All letters in one tagged PDF, in order. A paragraph whose lines begin with "- " is a list."""
    pages = [{"to": list(one.to), "language": one.language, "parts": _parts(one.text)} for one in letters]
    return pdf("letters", {"pages": pages, "sender": list(sender), "day": day}, now)


def _parts(text: str) -> list[dict[str, Any]]:
    """The paragraphs: lines as they are, or the entries of a list."""
    out: list[dict[str, Any]] = []
    for paragraph in filter(None, (block.strip("\n") for block in text.split("\n\n"))):
        lines = paragraph.split("\n")
        listed = all(line.startswith("- ") for line in lines)
        out.append({"list": listed, "lines": [line.removeprefix("- ") if listed else line for line in lines]})
    return out
