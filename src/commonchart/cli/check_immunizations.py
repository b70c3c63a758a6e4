"""`commonchart check immunizations`: published cases of CDC's workbook on a schedule pack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from commonchart.care.immunizations import cases
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.pack import BUILT_IN, opened
from commonchart.fhir.outcome import NotFound

Result = tuple[str, bool, str]


def results(paths: tuple[Path, ...], pack: str) -> Iterator[Result]:
    """Every case of the files: passed only if status, number, all days and every dose's status are as expected."""
    schedule = opened(pack or BUILT_IN)
    for path in paths:
        if not path.is_file():
            raise NotFound(f"There is no file {path}")
        yield from on(path, schedule)


def on(path: Path, schedule: Schedule) -> Iterator[Result]:
    """The cases of one file on a schedule."""
    with path.open("rb") as lines:
        for case in cases.read(lines):
            found = cases.differences(case, schedule)
            yield f"{case.suite} {case.id} {case.vaccine_group}", not found, "; ".join(found)
