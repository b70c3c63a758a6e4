"""One alternative of a search term: its text, and what it means by the parameter's kind."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation

from msgspec import Struct

from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid, Malformed, TooCostly
from commonchart.search.parameters import Kind, Parameter

MAX_LENGTH = 2000
PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})


class Value(Struct, frozen=True):
    """One alternative: its text, and what it means for dates (`lo`, `hi`) and amounts (`number`, `half`, `unit`)."""

    text: str
    prefix: str = "eq"
    lo: datetime | None = None
    hi: datetime | None = None
    number: Decimal | None = None
    half: Decimal | None = None
    unit: str | None = None
    parts: tuple[Value, ...] = ()


def split(text: str, mark: str) -> list[str]:
    """Split at unescaped marks; escapes stay for the next level (http://hl7.org/fhir/R4/search.html#escaping)."""
    if "\\" not in text:
        return [part for part in text.split(mark) if part] or [""]
    out, now, escaped = [], "", False
    for char in text:
        if char == mark and not escaped:
            out.append(now)
            now = ""
        else:
            now += char
        escaped = char == "\\" and not escaped
    return [part for part in (*out, now) if part != ""] or [""]


def plain(text: str) -> str:
    """A value without its escapes."""
    return re.sub(r"\\([,|$\\])", r"\1", text) if "\\" in text else text


def value(parameter: Parameter, text: str, name: str) -> Value:
    """One alternative of a parameter, checked. Raises Malformed, TooCostly."""
    if len(text) > MAX_LENGTH:
        raise TooCostly(f"A value of {name} is longer than {MAX_LENGTH} characters", at=name)
    if "\x00" in text:
        raise Malformed(f"A value of {name} holds a NUL character", at=name)
    if parameter.kind == "composite":
        return _composite(parameter, text, name)
    return value_of(parameter.kind, text, name)


def value_of(kind: Kind, text: str, name: str) -> Value:
    """One alternative of a kind, checked. Raises Malformed."""
    if kind == "date":
        return _date(text, name)
    if kind in ("number", "quantity"):
        return _amount(kind, text, name)
    if kind == "token":
        return Value(text)  # its own escapes are resolved where system and code are told apart
    return Value(plain(text))


def _composite(parameter: Parameter, text: str, name: str) -> Value:
    texts = split(text, "$")
    if len(texts) != len(parameter.parts):
        raise Malformed(f"{name} needs {len(parameter.parts)} values joined by $", at=name)
    parts = (value_of(part.kind, piece, name) for part, piece in zip(parameter.parts, texts, strict=True))
    return Value(text, parts=tuple(parts))


def _prefixed(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


def _date(text: str, name: str) -> Value:
    prefix, bare = _prefixed(text)
    try:
        lo, hi = dates.bounds(bare.replace(" ", "+"))
    except Invalid:
        raise Malformed(
            f"{name} is a date such as 2021-05-12, with eq ne gt lt ge le sa eb or ap before it", at=name
        ) from None
    return Value(bare, prefix, lo, hi)


_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?")


def _amount(kind: str, text: str, name: str) -> Value:
    prefix, bare = _prefixed(text)
    pieces = [plain(piece) for piece in re.split(r"(?<!\\)\|", bare)]
    if not _NUMBER.fullmatch(pieces[0]) or len(pieces) not in ((1, 3) if kind == "quantity" else (1,)):
        shape = "a number, or number|system|code" if kind == "quantity" else "a number"
        raise Malformed(f"{name} is {shape}, with a prefix such as gt before it", at=name)
    try:
        number = Decimal(pieces[0])
    except InvalidOperation:
        raise Malformed(f"{name} is a number", at=name) from None
    exponent = number.as_tuple().exponent
    half = Decimal(5).scaleb(int(exponent) - 1)
    unit = f"{pieces[1]}|{pieces[2]}" if len(pieces) == 3 and pieces[2] else None
    return Value(pieces[0], prefix, number=number, half=half, unit=unit)
