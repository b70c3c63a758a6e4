"""What a value of each FHIR R4 primitive type looks like: a check per type that returns the broken rule, or None.

http://hl7.org/fhir/R4/datatypes.html#primitive. The checks are linear in the length of the value; where the published
regular expression backtracks (base64Binary) or says less than the text (control characters), the text is checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid

Check = Callable[[Any], str | None]

MAX_STRING = 1_048_576

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_BASE64 = re.compile(r"[0-9A-Za-z+/]*={0,2}")
_SPACE = re.compile(r"\s")

_DATE = r"(\d(\d(\d[1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
_ZONE = r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))"
_DAY = r"(\d(\d(\d[1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"


def _string(value: Any) -> str | None:
    if type(value) is str and value and value.isprintable() and len(value) <= MAX_STRING:
        return None
    if type(value) is not str:
        return "must be a string"
    if not value:
        return "must not be empty"
    if len(value) > MAX_STRING:
        return f"must have at most {MAX_STRING} characters"
    return "must not hold control characters or halves of characters" if _CONTROL.search(value) else None


def _boolean(value: Any) -> str | None:
    return None if value is True or value is False else "must be true or false, without quotes"


def _whole(low: int, high: int, words: str) -> Check:
    def check(value: Any) -> str | None:
        return None if type(value) is int and low <= value <= high else words

    return check


def _decimal(value: Any) -> str | None:
    if type(value) is int or isinstance(value, Decimal):
        return None
    return "must be a number, without quotes"


def _shaped(pattern: str, words: str) -> Check:
    match = re.compile(pattern, re.ASCII).fullmatch

    def check(value: Any) -> str | None:
        if type(value) is not str:
            return "must be a string"
        return None if match(value) else words

    return check


def _dated(pattern: str, words: str) -> Check:
    match = re.compile(pattern, re.ASCII).fullmatch

    @lru_cache(maxsize=16384)
    def wrong(value: str) -> str | None:
        if not match(value):
            return words
        try:
            dates.bounds(value)
        except Invalid:
            return "must be a day that exists in the calendar"
        return None

    def check(value: Any) -> str | None:
        return wrong(value) if type(value) is str else "must be a string"

    return check


def _base64(value: Any) -> str | None:
    if type(value) is not str:
        return "must be a string"
    bare = _SPACE.sub("", value)
    fits = bare and len(bare) % 4 == 0 and _BASE64.fullmatch(bare)
    return None if fits else "must be base64 (RFC 4648)"


def _xhtml(value: Any) -> str | None:
    if type(value) is not str:
        return "must be a string"
    text = value.strip()
    fits = text.startswith("<div") and text.endswith(("</div>", "/>"))
    return None if fits else "must be one XHTML div"


_URI = r"(?u:[^\s\ud800-\udfff]+)"
_INT = 2**31 - 1

CHECKS: dict[str, Check] = {
    "string": _string,
    "markdown": _string,
    "boolean": _boolean,
    "integer": _whole(-(2**31), _INT, "must be a whole number of 32 bits, without quotes"),
    "positiveInt": _whole(1, _INT, "must be a whole number from 1, without quotes"),
    "unsignedInt": _whole(0, _INT, "must be a whole number from 0, without quotes"),
    "decimal": _decimal,
    "uri": _shaped(_URI, "must be a URI without spaces"),
    "url": _shaped(_URI, "must be a URL without spaces"),
    "canonical": _shaped(_URI, "must be a canonical URL without spaces"),
    "oid": _shaped(r"urn:oid:[0-2](\.(0|[1-9]\d*))+", "must be an OID such as urn:oid:1.2.3"),
    "uuid": _shaped(
        r"urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "must be urn:uuid: and a UUID"
    ),
    "id": _shaped(r"[A-Za-z0-9\-.]{1,64}", "must be 1 to 64 letters, digits, - or ."),
    "code": _shaped(
        r"(?u:[^\s\x00-\x1f\ud800-\udfff]+( [^\s\x00-\x1f\ud800-\udfff]+)*)",
        "must be a code without spaces at its ends or in a row",
    ),
    "date": _dated(_DATE, "must be a date: YYYY, YYYY-MM or YYYY-MM-DD"),
    "dateTime": _dated(
        rf"{_DATE}|{_DAY}T{_TIME}{_ZONE}",
        "must be a date, or a date and time with seconds and zone: YYYY-MM-DDThh:mm:ssZ",
    ),
    "instant": _dated(
        rf"{_DAY}T{_TIME}{_ZONE}", "must be a moment with seconds and zone: YYYY-MM-DDThh:mm:ssZ"
    ),
    "time": _shaped(_TIME, "must be a time: hh:mm:ss"),
    "base64Binary": _base64,
    "xhtml": _xhtml,
    "http://hl7.org/fhirpath/System.String": _string,
}
