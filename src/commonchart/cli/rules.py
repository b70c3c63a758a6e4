"""`commonchart rules`: the rules of the site listed, shown, checked, brought in, tried on everybody, used, gone back from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from commonchart.access import rule_previews, rules, users
from commonchart.access.records import Records
from commonchart.access.rules import Sheet
from commonchart.care.editions import Edition, body_of, differences, parsed, text_of
from commonchart.care.rule_words import words
from commonchart.cli.open import awaited, data_option, opened
from commonchart.fhir.outcome import Invalid
from commonchart.jobs import due, worker
from commonchart.jobs import rule_previews as working
from commonchart.record import due as due_table
from commonchart.record import rules as record
from commonchart.record.database import Database
from commonchart.record.rule_previews import Preview
from commonchart.record.rules import BOX, OFF, SITE, Choice
from commonchart.settings import TENANT

why_option = click.option("--why", required=True, help="Why, in a sentence; kept for good.")


@click.group("rules")
def rules_() -> None:
    """Rules of care: what the site watches for, in its own versions where it changed them."""


@rules_.command("list")
@click.option(
    "--changed", is_flag=True, help="Only those that the site changed, switched off or has drafts of."
)
@click.option(
    "--review",
    type=click.Choice(["reviewed", "approved", "needed"]),
    help="Only those with this review state.",
)
@data_option
@awaited
async def list_(changed: bool, review: str | None, data: Path | None) -> None:
    """Every rule: who says so, whether it is reviewed, how it is used, how many people are due."""
    async with opened(data) as database:
        found = await rules.library(_system(database))
    table = Table("Rule", "Title", "Authority", "Review", "Use", "Due")
    for one in found:
        mine = one.state != BOX or bool(one.draft)
        if (mine or not changed) and review in (None, one.standing):
            used = one.state if one.state != SITE else one.rule.version
            note = f" (draft {one.draft})" if one.draft else ""
            n = one.counts.get("due", 0) + one.counts.get("overdue", 0)
            table.add_row(
                one.rule.id, one.rule.title, one.rule.authority, one.standing, used + note, f"{n:,}"
            )
    Console(width=None if Console().is_terminal else 200).print(table)


@rules_.command()
@click.argument("rule")
@click.option("--text", "as_text", is_flag=True, help="The rule as TOML, to be changed and brought in again.")
@click.option("--version", help="A version: site.3 or box. Default: what is used.")
@data_option
@awaited
async def show(rule: str, as_text: bool, version: str | None, data: Path | None) -> None:
    """One rule in plain words, with its versions; or as a text."""
    async with opened(data) as database:
        sheet = await rules.sheet(_system(database), rule)
    edition = _version(sheet, version)
    if as_text:
        click.echo(text_of(edition), nl=False)
        return
    click.echo(f"{edition.rule.title} ({edition.rule.id}, {edition.rule.version}): {edition.rule.states}")
    said = words(edition.rule, sheet.pack)
    for heading, lines in (
        ("For", said.who), ("Satisfied by", said.satisfied), ("When", said.windows), ("Left out", said.excluded), ("Needs", said.needs),
    ):  # fmt: skip
        click.echo(f"{heading}:")
        for line in lines:
            click.echo(f"  {line}")
    click.echo(f"Authority: {edition.rule.authority}; {edition.rule.source}; {sheet.entry.standing}")
    for one in sheet.versions:
        click.echo(f"{one.name}\t{one.at:%d-%b-%Y}\t{one.author_name}\t{one.why}")
    for use in sheet.uses:
        click.echo(
            f"used from {use.at:%d-%b-%Y %H:%M}\t{use.version or use.state}\t{use.actor_name}\t{use.why}"
        )


def _version(sheet: Sheet, name: str | None) -> Edition:
    if name is None:
        return sheet.edition
    choice = choice_of(name)
    if choice.state == SITE:
        return sheet.version(choice.n).edition
    if choice.state == OFF or sheet.boxed is None:
        raise Invalid("Say site.3 or box", at="--version")
    return Edition(sheet.boxed)


def choice_of(text: str) -> Choice:
    """A choice from `site.3`, `box` or `off`. Raises Invalid."""
    number = text.removeprefix("site.")
    if text in (BOX, OFF):
        return Choice(text)
    if text == number or not (number.isascii() and number.isdigit()):
        raise Invalid("Say a version such as site.3, or box, or off", at="VERSION")
    return Choice(SITE, int(number))


@rules_.command()
@click.argument("file", type=click.Path(path_type=Path))
@data_option
@awaited
async def check(file: Path, data: Path | None) -> None:
    """Say everything that is wrong with the rule in FILE, and what it changes; nothing is kept."""
    edition = _read(file)
    async with opened(data) as database, database.connection() as conn:
        await record.with_edition(conn, TENANT, edition)
        now = (await record.active(conn, TENANT)).pack.by_id.get(edition.rule.id)
    if now is None:
        click.echo(f"{edition.rule.id}: good, a new rule")
        return
    found = differences(body_of(Edition(now)), body_of(edition))
    click.echo(f"{edition.rule.id}: good, {len(found)} fields differ from what is used now")
    for one in found:
        click.echo(f"  {one.field}: {one.before or 'nothing'} -> {one.after or 'nothing'}")


@rules_.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@why_option
@data_option
@awaited
async def import_(file: Path, why: str, data: Path | None) -> None:
    """Keep the rule in FILE as a draft that nobody uses yet."""
    edition = _read(file)
    async with opened(data) as database:
        records = _system(database)
        async with database.connection() as conn:
            known = await record.versions(conn, TENANT, edition.rule.id)
        made = await rules.draft(records, edition, why, f"file {file.name}", known[0].n if known else 0)
    click.echo(
        f"{made.rule}: kept as {made.name}; it is not used before `commonchart rules activate {made.rule} {made.name}`"
    )


def _read(file: Path) -> Edition:
    try:
        return parsed(file.read_text("utf-8"))
    except UnicodeDecodeError:
        raise Invalid(f"{file.name} is not UTF-8 text", at="FILE") from None


@rules_.command()
@click.argument("rule")
@click.argument("version")
@data_option
@awaited
async def preview(rule: str, version: str, data: Path | None) -> None:
    """What VERSION (site.3, box or off) of RULE would change for everybody; nothing is used."""
    async with opened(data) as database:
        records = _system(database)
        one = await rule_previews.begin(records, rule, choice_of(version))
        with _bar("Trying on everybody", one.total) as moved:
            while one.run == "running":
                if not await working.lane(database, _now):
                    break
                one = await rule_previews.of_rule(records, rule)
                moved(one.done)
        _say(await rule_previews.of_rule(records, rule), await rule_previews.dates(records, one))


def _say(one: Preview, dates: int) -> None:
    if one.run != "done":
        raise Invalid(
            f"The preview was not finished: {one.error or 'another program works on it: look at the page'}"
        )
    found = rule_previews.summary(one, dates)
    click.echo(
        f"{found.more:,} more become due or overdue, {found.fewer:,} fewer, {found.unknown:,} become cannot tell, "
        f"{found.known:,} can be told now, {found.dates:,} from another day on"
    )
    for status in sorted({*found.before, *found.after}):
        click.echo(
            f"  {status or 'not asked'}: {found.before.get(status, 0):,} -> {found.after.get(status, 0):,}"
        )


@rules_.command()
@click.argument("rule")
@click.argument("version")
@why_option
@click.option("--anyway", is_flag=True, help="Without a preview that says how things are now.")
@data_option
@awaited
async def activate(rule: str, version: str, why: str, anyway: bool, data: Path | None) -> None:
    """From now on use VERSION (site.3, box or off) of RULE; everybody is worked out again."""
    async with opened(data) as database:
        records = _system(database)
        seen = (await rules.sheet(records, rule)).seq
        await rules.activate(records, rule, choice_of(version), why, seen, anyway=anyway)
        click.echo(f"{rule}: {version} is used from now on.")
        await _everybody(database)


@rules_.command()
@click.argument("rule")
@why_option
@data_option
@awaited
async def rollback(rule: str, why: str, data: Path | None) -> None:
    """Go one step back to what was used of RULE before, at once."""
    async with opened(data) as database:
        records = _system(database)
        seen = (await rules.sheet(records, rule)).seq
        now = await rules.rollback(records, rule, why, seen)
        click.echo(f"{rule}: {now.state if now.state != SITE else f'site.{now.n}'} is used from now on.")
        await _everybody(database)


async def _everybody(database: Database) -> None:
    """Work everybody out again; a run that is interrupted here is gone on with by the server's worker."""
    async with database.connection() as conn:
        total = await due_table.how_many(conn)
    with _bar("Working out everybody", total) as moved:
        while await due.follow_pack(database, _now()):
            async with database.connection() as conn:
                run = await due_table.running(conn)
            moved(run.done if run else total)
        moved(total)
    await worker.drain(database, _now)


@contextmanager
def _bar(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar: `with _bar(words, total) as moved: moved(done)`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(words, total=max(1, total))
        yield lambda done: bar.update(task, completed=done)


def _system(database: Database) -> Records:
    return Records(database, users.system(TENANT, "rules-command"), _now)


def _now() -> datetime:
    return datetime.now(UTC)
