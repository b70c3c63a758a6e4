"""The one shape of every list in the chart, so that one macro draws them all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct


class Fact(Struct, frozen=True):
    """One stored version, decoded: the resource and who recorded it, for which organisation, when."""

    rtype: str
    id: str
    body: dict[str, Any]
    vid: int = 1
    recorded: datetime | None = None
    org: str = ""
    actor: str = ""
    patient: str | None = None

    @property
    def key(self) -> str:
        """`Type/id`, as references write it."""
        return f"{self.rtype}/{self.id}"


class Cell(Struct, frozen=True):
    """One cell: words, and how loud they are. `quiet` for what supports, `narrow` is dropped on a phone."""

    text: str
    quiet: bool = False
    narrow: bool = False
    nowrap: bool = False


class Row(Struct, frozen=True):
    """One fact in a list. `lead` stands before the title (a date), `href` opens more, `struck` says why it does not count."""

    fact: Fact
    title: str
    cells: tuple[Cell, ...] = ()
    lead: str = ""
    sub: str = ""
    warn: str = ""
    struck: str = ""
    href: str = ""


class Table(Struct, frozen=True):
    """A headed list: `empty` is said when there is no row, `kind` is a CSS class, `edit` allows a column to correct rows."""

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    quiet: str = ""
    empty: str = "None recorded."
    lead: bool = False
    narrow: frozenset[int] = frozenset()
    kind: str = ""
    edit: bool = True


def errors_last(rows: list[Row]) -> tuple[Row, ...]:
    """The rows in their order, those entered in error after the others."""
    return tuple(sorted(rows, key=lambda row: bool(row.struck)))


def entered_in_error(body: dict[str, Any]) -> str:
    """`entered in error` for a retracted resource, else empty."""
    verification = (
        {c.get("code") for c in (body.get("verificationStatus") or {}).get("coding") or ()}
        if isinstance(body.get("verificationStatus"), dict)
        else set()
    )
    return (
        "entered in error"
        if body.get("status") == "entered-in-error" or "entered-in-error" in verification
        else ""
    )


def notes(body: dict[str, Any]) -> str:
    """The free-text annotations of a resource, one after another."""
    return " · ".join(
        str(note["text"]) for note in body.get("note") or () if isinstance(note, dict) and note.get("text")
    )
