"""`commonchart check`: published suites and one's own files against the installed program."""

from __future__ import annotations

import json as plain_json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

from commonchart.exchange.load import files
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.validate import validate

Result = tuple[str, bool, str]


class Options(NamedTuple):
    """What a suite may be told besides its files."""

    inputs: Path | None
    pack: str


LATER = {"measures": 5, "care": 5}


def _valid(paths: tuple[Path, ...], options: Options) -> Iterator[Result]:
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


def _fhirpath(paths: tuple[Path, ...], options: Options) -> Iterator[Result]:
    """The tests of FHIRPath suites in the format of tests-fhir-r4.xml."""
    from commonchart.cli.check_fhirpath import results

    return results(paths, options.inputs)


def _immunizations(paths: tuple[Path, ...], options: Options) -> Iterator[Result]:
    """CDC's immunization test cases as JSON lines."""
    from commonchart.cli.check_immunizations import results

    return results(paths, options.pack)


SUITES: dict[str, Callable[[tuple[Path, ...], Options], Iterator[Result]]] = {
    "fhirpath": _fhirpath,
    "immunizations": _immunizations,
    "validate": _valid,
}


@click.command()
@click.argument("suite")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--inputs", type=click.Path(path_type=Path), help="Where the suite's input files are (fhirpath)."
)
@click.option("--pack", default="", help="The schedule pack to check, by name or folder (immunizations).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line per case.")
def check(suite: str, paths: tuple[Path, ...], inputs: Path | None, pack: str, as_json: bool) -> None:
    """Run SUITE on PATHS and print how many passed.

    Suites: fhirpath (a file in the format of tests-fhir-r4.xml, with --inputs), immunizations (CDC's cases as JSON lines, with --pack), validate (are these files valid FHIR R4?).
    """
    if suite in LATER:
        click.echo(f"commonchart: the suite {suite} is not built yet", err=True)
        sys.exit(2)
    if suite not in SUITES:
        click.echo(f"commonchart: there is no suite {suite}; known: {', '.join(SUITES)}", err=True)
        sys.exit(2)
    passed = failed = 0
    for name, good, why in SUITES[suite](paths, Options(inputs, pack)):
        passed, failed = passed + good, failed + (not good)
        if as_json:
            click.echo(plain_json.dumps({"case": name, "passed": good, "why": why}))
        elif not good:
            click.echo(f"{name}: {why}")
    click.echo(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
