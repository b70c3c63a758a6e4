"""The vaccine card: what a person carries to a school, an employer or another clinic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec
import segno
from msgspec import Struct
from segno.consts import MODE_BYTE, MODE_NUMERIC

from commonchart.documents.pdf import pdf


class CardDose(Struct, frozen=True):
    """One dose as it is printed. `number` is "" for a dose that does not count, `counts` says why not ("" if it does)."""

    given: str
    vaccine: str
    number: str = ""
    lot: str = ""
    place: str = ""
    counts: str = ""


class CardGroup(Struct, frozen=True):
    """The doses of one vaccine group, oldest first, and where it stands ("complete", "next: dose 2 from 02-Jul-2026")."""

    name: str
    status: str
    doses: tuple[CardDose, ...]


class Card(Struct, frozen=True):
    """A vaccine card. `codes` are the texts of its QR codes, `checked` says by which schedule the doses were judged."""

    name: str
    born: str
    number: str
    site: str
    printed: str
    checked: str
    groups: tuple[CardGroup, ...]
    notes: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    verify: str = ""


def render(card: Card, now: datetime) -> bytes:
    """The card as a tagged PDF."""
    data = msgspec.to_builtins(card) | {"pictures": [qr(code) for code in card.codes]}
    return pdf("vaccine-card", data, now)


def qr(text: str) -> str:
    """A QR code as SVG. A SMART Health Card is set as its scheme and digits, which a code holds best."""
    scheme, slash, digits = text.partition("/")
    numeric = scheme == "shc:" and digits.isdigit()
    parts: Any = [(f"{scheme}{slash}", MODE_BYTE), (digits, MODE_NUMERIC)] if numeric else text
    made = segno.make(parts, error="l", micro=False, boost_error=False)
    return str(made.svg_inline(border=4, scale=4, omitsize=True, dark="#000", light="#fff"))


def age(born: date | None, given: date) -> str:
    """The age at a dose as it is said: days, weeks, months, years; "" without a birth date."""
    if born is None or given < born:
        return ""
    days = (given - born).days
    months = (given.year - born.year) * 12 + given.month - born.month - (given.day < born.day)
    for limit, value, word in ((28, days, "day"), (112, days // 7, "week"), (730, months, "month")):
        if days < limit:
            return f"{value} {word}{'' if value == 1 else 's'}"
    return f"{months // 12} years"


def numbered(valid: Sequence[bool]) -> list[str]:
    """The numbers of doses in order: only those that count have one."""
    out, n = [], 0
    for counts in valid:
        n += counts
        out.append(str(n) if counts else "")
    return out
