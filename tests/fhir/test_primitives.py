"""What each primitive type lets through, beside the published patterns, and in linear time."""

from __future__ import annotations

import re
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.fhir.definitions import r4
from commonchart.fhir.primitives import CHECKS, MAX_STRING

TIMED = ("date", "dateTime", "instant", "time")
PUBLISHED = sorted(set(r4().patterns) & set(CHECKS))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("string", " "),
        ("string", "a\tb\r\nc"),
        ("string", "x" * MAX_STRING),
        ("boolean", False),
        ("integer", -(2**31)),
        ("integer", 2**31 - 1),
        ("positiveInt", 1),
        ("unsignedInt", 0),
        ("decimal", Decimal("-0.0")),
        ("decimal", 7),
        ("uri", "urn:isbn:0451450523"),
        ("uri", "#fragment"),
        ("oid", "urn:oid:2.16.840.1.113883"),
        ("uuid", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        ("id", "a" * 64),
        ("code", "two words"),
        ("code", "über"),
        ("date", "2024-02-29"),
        ("dateTime", "2024"),
        ("dateTime", "2024-02-29T00:00:00+14:00"),
        ("dateTime", "2024-02-29T23:59:60.5-00:00"),
        ("instant", "2015-02-07T13:28:17.239+02:00"),
        ("time", "23:59:59.999"),
        ("base64Binary", "aGVs bG8="),
        ("xhtml", ' <div xmlns="http://www.w3.org/1999/xhtml">x</div> '),
    ],
)
def test_what_is_well_written_passes(name: str, value: Any) -> None:
    assert CHECKS[name](value) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("string", ""),
        ("string", "a\x00"),
        ("string", "a\x1b[31m"),
        ("string", "x" * (MAX_STRING + 1)),
        ("string", "a\ud800"),
        ("uri", "urn:\udc00"),
        ("code", "\ud800"),
        ("markdown", ""),
        ("boolean", 0),
        ("boolean", "false"),
        ("integer", True),
        ("integer", Decimal("1.0")),
        ("integer", -(2**31) - 1),
        ("positiveInt", 0),
        ("unsignedInt", -1),
        ("unsignedInt", 2**31),
        ("decimal", "1"),
        ("decimal", True),
        ("decimal", None),
        ("uri", ""),
        ("uri", "http://example.org/a b"),
        ("url", "\thttp://example.org"),
        ("canonical", "http://example.org|1 "),
        ("oid", "2.16.840"),
        ("oid", "urn:oid:3.1"),
        ("oid", "urn:oid:1.02"),
        ("uuid", "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        ("uuid", "urn:uuid:0c3151bd"),
        ("id", ""),
        ("id", "a" * 65),
        ("id", "a_b"),
        ("id", "a\n"),
        ("code", "a  b"),
        ("code", "a\tb"),
        ("code", "a "),
        ("date", "2023-02-29"),
        ("date", "2024-02-29T00:00:00Z"),
        ("date", "2024-1-1"),
        ("date", "２０２４"),
        ("dateTime", "2024-02-29T10:00Z"),
        ("dateTime", "2024-02-29T10:00:00"),
        ("dateTime", "2024-02T10:00:00Z"),
        ("dateTime", "2024-02-29T24:00:00Z"),
        ("dateTime", "2024-02-29T10:00:00+15:00"),
        ("instant", "2024-02-29"),
        ("instant", "2024-02-30T10:00:00Z"),
        ("time", "24:00:00"),
        ("time", "10:00"),
        ("time", "10:00:00Z"),
        ("base64Binary", ""),
        ("base64Binary", "a==="),
        ("base64Binary", "aGVsbG8"),
        ("base64Binary", "data:text/plain;base64,aGVsbG8="),
        ("xhtml", "<p>x</p>"),
        ("xhtml", ""),
    ],
)
def test_what_is_badly_written_is_told(name: str, value: Any) -> None:
    words = CHECKS[name](value)
    assert words is not None
    assert words.startswith("must ")


def test_every_primitive_type_has_a_check() -> None:
    names = {name for name in r4()._table["primitives"] if r4().is_primitive(name)}
    assert names <= set(CHECKS)


@pytest.mark.parametrize("name", PUBLISHED)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_passes_meets_the_published_pattern(name: str, data: st.DataObject) -> None:
    pattern = re.compile(r4().patterns[name].pattern, re.ASCII)
    if name in ("boolean", "decimal", "integer", "positiveInt", "unsignedInt", "base64Binary", "xhtml"):
        value: Any = {"boolean": True, "base64Binary": "aGVsbG8=", "xhtml": "<div/>"}.get(name, 1)
    else:
        value = data.draw(st.from_regex(pattern, fullmatch=True) | st.text(max_size=20))
    if CHECKS[name](value) is None:
        text = str(value).lower() if value is True else str(value)
        assert pattern.fullmatch(text) or name == "xhtml"


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_long_values_are_judged_in_linear_time(name: str) -> None:
    nasty = ["a" * 1_000_000, "a " * 500_000, " " * 1_000_000, "=" * 1_000_000, "0" * 999_999 + "\n"]
    nasty += ["urn:oid:1" + ".1" * 400_000 + "x", "2024-01-01T00:00:00." + "1" * 1_000_000]
    started = time.process_time()
    for value in nasty:
        CHECKS[name](value)
    assert time.process_time() - started < 2
