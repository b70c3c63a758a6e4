"""Value sets by title, read from a file of the user's: they hold SNOMED CT and CPT, so none are kept here.

One JSON object a line: {"title", "oid", "version", "codes": [[system, code], ...]}. Titles repeat (a grouper may be older than
its leaves): a title means the union of all the sets that carry it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from commonchart.fhir import json
from commonchart.fhir.outcome import Malformed, NotFound, Refused

MAX_SET = 16_000_000

Coded = tuple[str, str]
"""A code as FHIR names it: (system URI, code)."""


class ValueSets(Struct, frozen=True):
    """The codes of each title."""

    titles: Mapping[str, frozenset[Coded]]

    def of(self, title: str) -> frozenset[Coded]:
        """The codes of this title. Raises NotFound: a missing value set is never an empty one."""
        if title not in self.titles:
            raise NotFound(f"The value sets hold none with the title {title}", at="valuesets")
        return self.titles[title]


class _Line(Struct):
    title: str
    codes: list[tuple[str, str]]


def value_sets(lines: Iterable[bytes]) -> ValueSets:
    """The value sets of a file's lines. Raises Malformed, naming the line, for what is not a value set."""
    found: dict[str, set[Coded]] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            one = _line(number, line)
            found.setdefault(one.title, set()).update(one.codes)
    return ValueSets({title: frozenset(codes) for title, codes in found.items()})


def _line(number: int, line: bytes) -> _Line:
    try:
        return msgspec.convert(json.decode(line, max_bytes=MAX_SET), _Line)
    except (msgspec.ValidationError, Refused) as error:
        raise Malformed(f"Line {number} is no value set: {error}") from None
