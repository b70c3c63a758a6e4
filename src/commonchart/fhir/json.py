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

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"([ \t\r\n]*:)?')
_BIG = 10**MAX_DIGITS


def _exact(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} characters")
    return Decimal(text)


_decoder = msgspec.json.Decoder(float_hook=_exact)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The one JSON object in `data`: dicts, lists, str, int, Decimal, bool, None.

    Raises TooLarge beyond `max_bytes`, Malformed for anything that is not a single well-formed JSON object.
    """
    if len(data) > max_bytes:
        raise TooLarge(f"The body has {len(data)} bytes; at most {max_bytes} are read")
    if b"\x00" in data:
        raise Malformed("The body is not JSON in UTF-8, or holds NUL characters")
    try:
        value = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Malformed(f"The body is not JSON: {_reason(error)}") from None
    if not isinstance(value, dict):
        raise Malformed("The body is JSON, but not an object: a FHIR resource begins with {")
    _check(value, data, max_depth)
    return value


def encode(value: Any) -> bytes:
    """Canonical JSON: compact, keys in the order given, decimals with the digits they came with."""
    return _encoder.encode(value)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).removeprefix("JSON is malformed: ")


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
