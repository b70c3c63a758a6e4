"""Published test patients of quality measures: one JSON object a line, with the populations that CMS expects of each.

A line has `year` (the yearly set of eCQM content), `measure` (its library's name), `id`, `period` {start, end}, `resources`
and `expected`: a list of {population: count}. `description` is never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from commonchart.fhir import json
from commonchart.fhir.outcome import Malformed, Refused
from commonchart.measures.period import Period, period

MAX_CASE = 16_000_000


class Case(Struct, frozen=True):
    """One patient. `number` is its line in the file, from 1; `expected` counts the populations of each group of the measure."""

    number: int
    id: str
    measure: str
    year: int
    period: Period
    expected: list[dict[str, int]]
    resources: list[dict[str, Any]]


class _Span(Struct):
    start: str
    end: str


class _Line(Struct):
    year: int
    measure: str
    id: str
    period: _Span
    resources: list[dict[str, Any]]
    expected: list[dict[str, int]]


def cases(lines: Iterable[bytes]) -> Iterator[Case]:
    """The cases of a file's lines, in order. Raises Malformed, naming the line, for what is not a case."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _case(number, line)


def _case(number: int, line: bytes) -> Case:
    try:
        one = msgspec.convert(json.decode(line, max_bytes=MAX_CASE), _Line)
        if not one.expected:
            raise Malformed("`expected` is empty")
        span = period(one.period.start, one.period.end)
    except (msgspec.ValidationError, Refused) as error:
        raise Malformed(f"Line {number} is no measure case: {error}") from None
    return Case(number, one.id, one.measure, one.year, span, one.expected, one.resources)
