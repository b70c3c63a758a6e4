"""`commonchart check measures`: published patients of quality measures, every population compared with what is expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from commonchart.exchange.load.files import lines
from commonchart.fhir.outcome import Invalid, Refused
from commonchart.fhir.validate import validate
from commonchart.measures.cases import Case, cases
from commonchart.measures.catalogue import measure_id, measure_of, vocabulary
from commonchart.measures.chart import Chart, Vocabulary
from commonchart.measures.measure import POPULATIONS, Measure, populations
from commonchart.measures.value_sets import ValueSets, value_sets


class Compared(Struct, frozen=True):
    """One population of one case: what was expected and what came out."""

    measure: Measure
    case: Case
    population: str
    expected: int
    got: int | None

    @property
    def agrees(self) -> bool:
        """Whether they are the same."""
        return self.expected == self.got


class Tally:
    """Counts per measure, year and population, and of the cases that no definition covers."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int, str, bool]] = Counter()
        self.skipped: Counter[str] = Counter()

    def add(self, compared: list[Compared]) -> None:
        """Count the populations of one case, and the case itself under "all"."""
        for one in compared:
            self.counts[one.measure.id, one.measure.year, one.population, one.agrees] += 1
        first = compared[0].measure
        self.counts[first.id, first.year, "all", all(one.agrees for one in compared)] += 1

    def table(self) -> list[str]:
        """The lines of the table: a row per measure and year, agreeing of compared in each population, then whole cases."""
        heads = ("measure", "year", *POPULATIONS, "all agree")
        found = sorted(
            {(name, year) for name, year, _, _ in self.counts}, key=lambda row: (int(row[0][3:]), row[1])
        )
        rows = [
            (name, str(year), *(self._cell(name, year, one) for one in (*POPULATIONS, "all")))
            for name, year in found
        ]
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (heads, *rows)
        ]

    def _cell(self, name: str, year: int, population: str) -> str:
        good = self.counts[name, year, population, True]
        total = good + self.counts[name, year, population, False]
        return f"{good}/{total}" if total else "-"

    def left_out(self) -> list[str]:
        """The lines that name what was skipped."""
        return [
            f"skipped, no definition: {name} ({count} cases)" for name, count in sorted(self.skipped.items())
        ]


def read_value_sets(path: Path | None) -> ValueSets:
    """The value sets of a file of the user's. Raises Invalid where none is named."""
    if path is None:
        raise Invalid(
            "This suite needs the measures' value sets: name their file with --valuesets", at="valuesets"
        )
    return value_sets(lines(path))


def read_cases(paths: tuple[Path, ...]) -> Iterator[Case]:
    """The cases of all files, one after the other."""
    return (case for path in paths for case in cases(lines(path)))


def compared(measure: Measure, case: Case, words: Vocabulary) -> list[Compared]:
    """Every population that is expected of a case, beside what the definition gives; a definition has one group."""
    got = populations(measure, Chart(case.resources, case.period, words))
    return [
        Compared(measure, case, name, count, got.get(name) if group == 0 else None)
        for group, expected in enumerate(case.expected)
        for name, count in expected.items()
    ]


def results(paths: tuple[Path, ...], valuesets: Path | None, tally: Tally) -> Iterator[tuple[str, bool, str]]:
    """One result a case that a definition covers; the tally is filled on the way."""
    sets = read_value_sets(valuesets)
    words: dict[tuple[str, int], Vocabulary] = {}
    for case in read_cases(paths):
        measure = measure_of(case.measure, case.year)
        if measure is None:
            tally.skipped[f"{measure_id(case.measure)} {case.year}"] += 1
            continue
        key = measure.id, measure.year
        words[key] = words.get(key) or vocabulary(sets, [measure])
        name = f"{measure.id} {case.year} case {case.number} ({case.id})"
        try:
            found = compared(measure, case, words[key])
        except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError):
            why = _misshapen(case)
            if not why:
                raise
            yield name, False, why
            continue
        tally.add(found)
        wrong = [
            f"{one.population}: expected {one.expected}, got {one.got}" for one in found if not one.agrees
        ]
        yield name, not wrong, "; ".join(wrong)


def _misshapen(case: Case) -> str:
    """Which resource cannot be read, and why; "" where all are valid FHIR, so that the fault is ours."""
    for number, resource in enumerate(case.resources):
        try:
            validate(resource)
        except Refused as refusal:
            return f"NOT CHECKED: resources[{number}] is no valid FHIR: {refusal}"[:500]
    return ""
