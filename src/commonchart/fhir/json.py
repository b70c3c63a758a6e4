"""FHIR JSON in and out: decimals exact, and only what one reader can read in one way.

A decimal keeps its precision (`1.10` stays `1.10`, http://hl7.org/fhir/R4/datatypes.html#decimal). Duplicate keys, NUL,
lone surrogates, NaN, byte order marks, and anything larger or deeper than the bounds are refused (RFC 8259, I-JSON).
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from commonchart.fhir.outcome import Malformed, TooLarge

MAX_BYTES = 16_000_000
MAX_DEPTH = 64
MAX_DIGITS = 100
MAX_EXPONENT = 300
MAX_PROPERTIES = 1_000

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"([ \t\r\n]*:)?')
_BIG = 10**MAX_DIGITS
_SMALL = ("0.000000", "-0.000000")


class Written(Decimal):
    """A decimal that Python would spell otherwise than it was written, such as `1e3` or `0.00000001`."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Written:
        """The number, and the text it came as."""
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[Written], tuple[str]]:
        return Written, (self.text,)

    def __copy__(self) -> Written:
        return self

    def __deepcopy__(self, memo: object) -> Written:
        return self


def _exact(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} characters")
    if "e" not in text and "E" not in text:
        return Written(text) if text.startswith(_SMALL) else Decimal(text)
    number = Written(text)
    if not -MAX_EXPONENT <= number.adjusted() <= MAX_EXPONENT:
        raise ValueError(f"a number has an exponent beyond {MAX_EXPONENT}")
    return number


def _spelled(value: object) -> msgspec.Raw:
    if isinstance(value, Written):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} is no JSON value")


_decoder = msgspec.json.Decoder(float_hook=_exact)
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_spelled)


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The one JSON object in `data`: dicts, lists, str, int, Decimal, bool, None.

    Raises TooLarge beyond `max_bytes`, Malformed for anything that is not a single well-formed JSON object.
    """
    if len(data) > max_bytes:
        raise TooLarge(f"The body has {len(data)} bytes; at most {max_bytes} are read")
    if b"\x00" in data:
        raise Malformed("The body is not JSON in UTF-8, or holds NUL characters")
    if data.startswith(b"\xef\xbb\xbf"):
        raise Malformed("The body begins with a byte order mark: leave it out")
    if data.count(b",") > 10_000 + len(data) // 8:
        raise TooLarge("The body has far more values than its length explains")
    try:
        value = _read(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Malformed(f"The body is not JSON: {_reason(error)}") from None
    if not isinstance(value, dict):
        raise Malformed("The body is JSON, but not an object: a FHIR resource begins with {")
    _check(value, data, max_depth)
    return value


def encode(value: Any) -> bytes:
    """Canonical JSON: compact, keys in the order given, decimals with the very characters they came with."""
    return _encoder.encode(value)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error).removeprefix("JSON is malformed: ").partition(" - at `")[0]


def _read(data: bytes) -> Any:
    """Decode; a large body makes so many objects that the collector, which finds no garbage in them, costs the most."""
    if len(data) < 65_536 or not gc.isenabled():
        return _decoder.decode(data)
    gc.disable()
    try:
        return _decoder.decode(data)
    finally:
        gc.enable()


def _check(value: dict[str, Any], data: bytes, max_depth: int) -> None:
    keys = _survey(value, max_depth)
    if b"\\u0000" in data and _has_nul(value):
        raise Malformed("A string holds a NUL character")
    if keys != _names(data, keys):
        raise Malformed("An object names the same property twice")


def _survey(value: dict[str, Any], max_depth: int) -> int:
    """How many properties there are, in one walk without recursion. Raises Malformed for what is deep, wide or long."""
    keys = depth = 0
    level: list[Any] = [value]
    while level:
        depth += 1
        if depth > max_depth:
            raise Malformed(f"The body is nested more than {max_depth} deep")
        below: list[Any] = []
        for node in level:
            if type(node) is dict:
                keys += len(node)
                if len(node) > MAX_PROPERTIES:
                    raise Malformed(f"An object has more than {MAX_PROPERTIES} properties")
                _gather(node.values(), below)
            else:
                _gather(node, below)
        level = below
    return keys


def _gather(children: Iterable[Any], below: list[Any]) -> None:
    for child in children:
        kind = type(child)
        if kind is dict or kind is list:
            below.append(child)
        elif kind is int and not -_BIG < child < _BIG:
            raise Malformed(f"A number has more than {MAX_DIGITS} digits")


def _names(data: bytes, expected: int) -> int:
    """How many property names the text holds.

    If no space comes before any colon, every name ends in `":`, and text inside a string can only add to those: as
    many as expected then means neither. Otherwise every string is looked at.
    """
    if data.count(b'":') == expected and not any(space in data for space in (b" :", b"\t:", b"\n:", b"\r:")):
        return expected
    return sum(1 for found in _STRING.finditer(data) if found[1])


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\x00" in key or _has_nul(child) for key, child in value.items())
    if isinstance(value, list):
        return any(_has_nul(child) for child in value)
    return isinstance(value, str) and "\x00" in value
