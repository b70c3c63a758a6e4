"""FHIR JSON in and out: decimals exact, and only what one reader can read in one way.

A decimal keeps its precision (`1.10` stays `1.10`, http://hl7.org/fhir/R4/datatypes.html#decimal). Duplicate keys, NUL,
lone surrogates, NaN, byte order marks, and anything larger or deeper than the bounds are refused (RFC 8259, I-JSON).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from commonchart.fhir.outcome import Malformed, TooLarge

MAX_BYTES = 16_000_000
MAX_DEPTH = 64
MAX_DIGITS = 100
MAX_EXPONENT = 300

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
    try:
        value = _decoder.decode(data)
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


def _check(value: dict[str, Any], data: bytes, max_depth: int) -> None:
    keys, depth, odd = _survey(value)
    if depth > max_depth:
        raise Malformed(f"The body is nested {depth} deep; at most {max_depth} are read")
    if odd:
        raise Malformed(odd)
    if b"\\u0000" in data and _has_nul(value):
        raise Malformed("A string holds a NUL character")
    if keys != sum(1 for found in _STRING.finditer(data) if found[1]):
        raise Malformed("An object names the same property twice")


def _survey(value: dict[str, Any]) -> tuple[int, int, str]:
    """How many keys, how deep, and what is odd about a number, in one walk without recursion."""
    keys = depth = 0
    odd = ""
    level: list[Any] = [value]
    while level:
        depth += 1
        below: list[Any] = []
        for node in level:
            children: Any = node
            if type(node) is dict:
                keys += len(node)
                children = node.values()
            for child in children:
                kind = type(child)
                if kind is dict or kind is list:
                    below.append(child)
                elif kind is int and not -_BIG < child < _BIG:
                    odd = f"A number has more than {MAX_DIGITS} digits"
                elif kind is float:
                    odd = "A number is not a JSON number"
        level = below
    return keys, depth, odd


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\x00" in key or _has_nul(child) for key, child in value.items())
    if isinstance(value, list):
        return any(_has_nul(child) for child in value)
    return isinstance(value, str) and "\x00" in value
