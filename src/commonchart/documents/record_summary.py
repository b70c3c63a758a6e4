"""A patient's own record as a PDF to keep: the sections of their page, tagged for screen readers."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from commonchart.documents.pdf import pdf


class Entry(Struct, frozen=True):
    """One line of a section."""

    title: str
    text: str
    source: str


class Part(Struct, frozen=True):
    """One section; `empty` is said when it has no line."""

    title: str
    entries: tuple[Entry, ...]
    empty: str


class Summary(Struct, frozen=True):
    """The record of one person on one day."""

    name: str
    about: tuple[tuple[str, str], ...]
    site: str
    made: str
    parts: tuple[Part, ...]


def render(summary: Summary, now: datetime) -> bytes:
    """The record as a tagged PDF."""
    return pdf("record-summary", msgspec.to_builtins(summary), now)
