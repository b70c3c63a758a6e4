"""`commonchart check`: published suites and one's own files against the installed program."""

from __future__ import annotations

import json as plain_json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from msgspec import Struct

from commonchart.exchange.load import files
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.validate import validate

Result = tuple[str, bool, str]
LATER = {"immunizations": 4}


class Aids(Struct, frozen=True):
    """Files a suite needs beside its cases."""

    inputs: Path | None = None
    valuesets: Path | None = None


class Note(Struct, frozen=True):
    """A line that a suite wants printed as it is, such as a row of its table."""

    text: str


Suite = Callable[[tuple[Path, ...], Aids], Iterator[Result | Note]]


def _valid(paths: tuple[Path, ...], aids: Aids) -> Iterator[Result | Note]:
    """Every resource in the files is valid FHIR R4 as far as this program checks."""
    for path in files.found(paths):
        for unit in files.units(path):
            for entry in unit.entries:
                name = f"{entry.file} {entry.place}"
                if entry.resource is None:
                    yield name, False, entry.problem
                    continue
                try:
                    validate(entry.resource)
                except Invalid as bad:
                    yield name, False, "; ".join(f"{i.at} {i.message}" for i in bad.issues[:5])
                else:
                    yield name, True, ""


def _fhirpath(paths: tuple[Path, ...], aids: Aids) -> Iterator[Result | Note]:
    """The tests of FHIRPath suites in the format of tests-fhir-r4.xml."""
    from commonchart.cli.check_fhirpath import results

    return results(paths, aids.inputs)


def _measures(paths: tuple[Path, ...], aids: Aids) -> Iterator[Result | Note]:
    """Published patients of CMS measures: every population as expected. Then a table, and what was skipped."""
    from commonchart.cli.check_measures import Tally, results

    tally = Tally()
    yield from results(paths, aids.valuesets, tally)
    yield from map(Note, (*tally.left_out(), *tally.table()))


def _care(paths: tuple[Path, ...], aids: Aids) -> Iterator[Result | Note]:
    """The rules of care against published patients of CMS measures. Then a table, and what was left out."""
    from commonchart.cli.check_care import Tally, results

    tally = Tally()
    yield from results(paths, aids.valuesets, tally)
    yield from map(Note, tally.table())


SUITES: dict[str, Suite] = {
    "care": _care,
    "fhirpath": _fhirpath,
    "measures": _measures,
    "validate": _valid,
}


@click.command()
@click.argument("suite")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--inputs", type=click.Path(path_type=Path), help="Where the suite's input files are (fhirpath)."
)
@click.option(
    "--valuesets",
    type=click.Path(path_type=Path),
    help="The file of value sets, one JSON object a line (measures, care).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line per case.")
def check(
    suite: str, paths: tuple[Path, ...], inputs: Path | None, valuesets: Path | None, as_json: bool
) -> None:
    """Run SUITE on PATHS and print how many passed.

    Suites: care (the patients of measures, against the rules of care), fhirpath (a file in the format of tests-fhir-r4.xml, with
    --inputs), measures (patients of CMS measures with their expected populations, one JSON object a line, with --valuesets), validate (are these files valid FHIR R4?).
    """
    if suite in LATER:
        click.echo(f"commonchart: the suite {suite} is not built yet", err=True)
        sys.exit(2)
    if suite not in SUITES:
        click.echo(f"commonchart: there is no suite {suite}; known: {', '.join(SUITES)}", err=True)
        sys.exit(2)
    passed = failed = 0
    for one in SUITES[suite](paths, Aids(inputs, valuesets)):
        if not isinstance(one, Note):
            passed, failed = passed + one[1], failed + (not one[1])
        _show(one, as_json)
    click.echo(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def _show(one: Result | Note, as_json: bool) -> None:
    if isinstance(one, Note):
        click.echo(plain_json.dumps({"note": one.text}) if as_json else one.text)
        return
    name, good, why = one
    if as_json:
        click.echo(plain_json.dumps({"case": name, "passed": good, "why": why}))
    elif not good:
        click.echo(f"{name}: {why}")
