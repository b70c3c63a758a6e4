"""`commonchart check`: published suites and one's own files against the installed program."""

from __future__ import annotations

import asyncio
import json as plain_json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from msgspec import Struct

from commonchart.cli.open import opened_by, settings_of
from commonchart.exchange.load import files
from commonchart.fhir.profiles.known import Known, boxed
from commonchart.fhir.validate import Report, examine
from commonchart.record import packages

Result = tuple[str, bool, str]


class Asked(Struct, frozen=True):
    """What a suite is run with: files beside its cases, profiles asked for and known, the schedule pack to check."""

    inputs: Path | None = None
    valuesets: Path | None = None
    profiles: tuple[str, ...] = ()
    known: Known | None = None
    pack: str = ""


class Note(Struct, frozen=True):
    """A line that a suite wants printed as it is, such as a row of its table."""

    text: str


Suite = Callable[[tuple[Path, ...], Asked], Iterator[Result | Note]]


def _valid(paths: tuple[Path, ...], asked: Asked) -> Iterator[Result | Note]:
    """Every resource in the files is valid FHIR R4, and fits the profiles it states and those asked for.

    A profile that is asked for and not loaded is a failure: NOT CHECKED is no pass.
    """
    for path in files.found(paths):
        for unit in files.units(path):
            for entry in unit.entries:
                name = f"{entry.file} {entry.place}"
                if entry.resource is None:
                    yield name, False, entry.problem
                else:
                    yield name, *_verdict(examine(entry.resource, asked.profiles, known=asked.known), asked)


def _verdict(report: Report, asked: Asked) -> tuple[bool, str]:
    errors = [f"{issue.at} {issue.message}" for issue in report.issues if issue.severity == "error"]
    unknown = [f"NOT CHECKED: {url} is not loaded" for url in report.not_checked if url in asked.profiles]
    told = errors or unknown
    return not told, "; ".join(told[:5])


def _fhirpath(paths: tuple[Path, ...], asked: Asked) -> Iterator[Result | Note]:
    """The tests of FHIRPath suites in the format of tests-fhir-r4.xml."""
    from commonchart.cli.check_fhirpath import results

    return results(paths, asked.inputs)


def _immunizations(paths: tuple[Path, ...], asked: Asked) -> Iterator[Result | Note]:
    """CDC's immunization test cases as JSON lines."""
    from commonchart.cli.check_immunizations import results

    return results(paths, asked.pack)


def _measures(paths: tuple[Path, ...], asked: Asked) -> Iterator[Result | Note]:
    """Published patients of CMS measures: every population as expected. Then a table, and what was skipped."""
    from commonchart.cli.check_measures import Tally, results

    tally = Tally()
    yield from results(paths, asked.valuesets, tally)
    yield from map(Note, (*tally.left_out(), *tally.table()))


def _care(paths: tuple[Path, ...], asked: Asked) -> Iterator[Result | Note]:
    """The rules of care against published patients of CMS measures. Then a table, and what was left out."""
    from commonchart.cli.check_care import Tally, results

    tally = Tally()
    yield from results(paths, asked.valuesets, tally)
    yield from map(Note, tally.table())


SUITES: dict[str, Suite] = {
    "care": _care,
    "fhirpath": _fhirpath,
    "immunizations": _immunizations,
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
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    help="Also against this profile, by its url (validate). May be repeated.",
)
@click.option("--pack", default="", help="The schedule pack to check, by name or folder (immunizations).")
@click.option("--data", type=click.Path(path_type=Path), envvar="COMMONCHART_DATA", help="The data folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line per case.")
def check(
    suite: str,
    paths: tuple[Path, ...],
    inputs: Path | None,
    valuesets: Path | None,
    profiles: tuple[str, ...],
    pack: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Run SUITE on PATHS and print how many passed.

    Suites: care (patients of CMS measures against the rules of care, with --valuesets), fhirpath (a file in the format of tests-fhir-r4.xml, with --inputs), immunizations (CDC's cases as JSON
    lines, with --pack), measures (patients of CMS measures with their expected populations, one JSON object a line,
    with --valuesets), validate (are these files valid FHIR R4, and do they fit the profiles they state, and
    --profile?).
    """
    if suite not in SUITES:
        click.echo(f"commonchart: there is no suite {suite}; known: {', '.join(SUITES)}", err=True)
        sys.exit(2)
    known = asyncio.run(_known(data, profiles)) if suite == "validate" else None
    passed = failed = 0
    for one in SUITES[suite](paths, Asked(inputs, valuesets, profiles, known, pack)):
        if not isinstance(one, Note):
            passed, failed = passed + one[1], failed + (not one[1])
        _show(one, as_json)
    click.echo(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


async def _known(data: Path | None, profiles: tuple[str, ...]) -> Known:
    """The box; and, where a profile is asked for that it does not have, the packages that the site loaded."""
    if all(boxed().profile(url) is not None for url in profiles):
        return boxed()
    settings = settings_of(data)
    async with opened_by(settings) as database, database.connection() as conn:
        return await packages.known(conn, settings.tenant)


def _show(one: Result | Note, as_json: bool) -> None:
    if isinstance(one, Note):
        click.echo(plain_json.dumps({"note": one.text}) if as_json else one.text)
        return
    name, good, why = one
    if as_json:
        click.echo(plain_json.dumps({"case": name, "passed": good, "why": why}))
    elif not good:
        click.echo(f"{name}: {why}")
