"""Condition registries: who belongs to one, and what its table says of each, worked out with the due list and then only read.

A registry is data beside the rule pack (`registries.toml`). A cell is the newest value that counts with its flag, the few
before it, and what the rules of its column say; what is newer and does not count stands there as a doubt, never as a value.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from commonchart.care import rules
from commonchart.care.accuracy import Measured
from commonchart.care.assess import Due, last_done, measured_within
from commonchart.care.calendar import add_months
from commonchart.care.chart import Chart
from commonchart.care.explain import shown_day
from commonchart.care.monitoring import Limits, limits_of, measurements, shown, unusable
from commonchart.care.results import within
from commonchart.care.rules import BUILT_IN, PACKS
from commonchart.care.schema import Pack
from commonchart.care.trends import control
from commonchart.care.verdict import Question
from commonchart.fhir.outcome import Invalid

POINTS = 8
MONTHS = 12
HOLDS_MONTHS = 6
_WORST = ("alert", "out", "none", "in")
_OPEN = ("overdue", "due", "cannot-tell", "due-soon")
_SHOWN = (*_OPEN, "deferred", "declined", "up-to-date")


class Column(Struct, frozen=True, forbid_unknown_fields=True):
    """A parameter: analytes of the pack (none: something that is done), and the rules that ask for it."""

    id: str
    label: str
    unit: str = ""
    analytes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


class Registry(Struct, frozen=True, forbid_unknown_fields=True):
    """A condition registry: any of these problems, or of these medicines in use, makes somebody a member."""

    title: str
    columns: tuple[Column, ...]
    conditions: tuple[str, ...] = ()
    drugs: tuple[str, ...] = ()
    control: str = ""


class Registries(Struct, frozen=True):
    """All registries of a pack by name, and the hash of the file they stand in."""

    by_name: Mapping[str, Registry]
    hash: str


class Cell(Struct, frozen=True, omit_defaults=True):
    """One parameter of one person. `text` is the newest value that counts, "" where there is none or it is something done.

    `within` is in, out, alert, none or "" as in the due table; `way` is H or L where the value lies beyond a limit. `status` and `due_on`
    are the rule's. `doubt` says what is newer and does not count. `points` are days and values, oldest first; `low` and `high` the target.
    """

    text: str = ""
    day: date | None = None
    within: str = ""
    way: str = ""
    rule: str = ""
    status: str = ""
    due_on: date | None = None
    doubt: str = ""
    ref: str = ""
    points: tuple[tuple[date, Decimal], ...] = ()
    low: Decimal | None = None
    high: Decimal | None = None


class Row(Struct, frozen=True):
    """One member of a registry: its cells by column, and what the table is sorted and counted by.

    `inside` of `known` months of the last twelve were in range, by the column whose control is reported; `main` is its `within`.
    """

    registry: str
    urgency: int
    status: str
    within: str
    main: str
    due_on: date | None
    inside: int
    known: int
    numbers: tuple[Decimal | None, ...]
    days: tuple[date | None, ...]
    cells: dict[str, Cell]


@cache
def built_in() -> Registries:
    """The registries in the box, checked against the pack in the box."""
    found = read(PACKS / BUILT_IN / "registries.toml")
    check(found, rules.built_in())
    return found


def read(path: Path) -> Registries:
    """Registries from their file. Raises Invalid naming the registry and the field."""
    text = path.read_bytes()
    try:
        found = msgspec.convert(tomllib.loads(text.decode()), dict[str, Registry])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"{path.name} cannot be read: {error}", at=path.name) from None
    return Registries(found, hashlib.sha256(text).hexdigest())


def check(registries: Registries, pack: Pack) -> None:
    """Raises Invalid where a registry names what the pack does not have, or has two columns of one id."""
    problems = [
        f"{name} names the unknown {what} {one}"
        for name, held in registries.by_name.items()
        for what, names, known in (
            ("code set", (*held.conditions, *held.drugs), pack.sets),
            ("analyte", [a for c in held.columns for a in c.analytes], pack.analytes),
            ("rule", [r for c in held.columns for r in c.rules], pack.by_id),
            ("column", [held.control] if held.control else [], {c.id for c in held.columns}),
        )
        for one in names
        if one not in known
    ]
    for name, held in registries.by_name.items():
        ids = [column.id for column in held.columns]
        problems += [f"{name} has two columns {one}" for one in {one for one in ids if ids.count(one) > 1}]
    if problems:
        raise Invalid("; ".join(sorted(problems)), at="registries.toml")


def rows(registries: Registries, chart: Chart, answers: Iterable[Due]) -> list[Row]:
    """The rows of one person, one for each registry that they belong to; `answers` are those of the same chart."""
    if chart.person.died:
        return []
    mine = [(name, one) for name, one in registries.by_name.items() if belongs(one, chart)]
    if not mine:
        return []
    by_rule = {one.rule: one for one in answers if one.status != "not-applicable"}
    return [_row(name, one, chart, by_rule) for name, one in mine]


def belongs(registry: Registry, chart: Chart) -> bool:
    """Whether the person has one of the problems, or takes one of the medicines, on the day of the chart."""
    for name in registry.conditions:
        if any(f.active_on(chart.as_of) for f in chart.held(name, "condition")):
            return True
        if any(not chart.unusable(f) for f in chart.answers.get(name, ())):
            return True
    return any(f.active_on(chart.as_of) for name in registry.drugs for f in chart.held(name, "medication"))


def _row(name: str, registry: Registry, chart: Chart, by_rule: Mapping[str, Due]) -> Row:
    cells, control_of = {}, (0, 0)
    for column in registry.columns:
        cell, usable, limits = _cell(column, chart, by_rule)
        cells[column.id] = cell
        if column.id == registry.control and len(limits) == 1 and _targeted(limits):
            control_of = _control(usable, limits[0], chart.as_of)
    statuses = [one.status for one in cells.values() if one.status]
    status = min(statuses, key=_SHOWN.index, default="")
    placed = [one.within for one in cells.values() if one.within]
    worst = min(placed, key=_WORST.index, default="")
    return Row(
        name, _urgency(worst, status), status, worst, cells[registry.control].within if registry.control else "",
        min((c.due_on for c in cells.values() if c.due_on and c.status in _OPEN), default=None), *control_of,
        tuple(cell.points[-1][1] if cell.points else None for cell in cells.values()),
        tuple(cell.day for cell in cells.values()), cells,
    )  # fmt: skip


def _urgency(worst: str, status: str) -> int:
    if worst in ("alert", "out"):
        return 0 if worst == "alert" else 1
    return {"overdue": 2, "due": 3, "cannot-tell": 4, "due-soon": 5}.get(status, 6)


def _cell(
    column: Column, chart: Chart, by_rule: Mapping[str, Due]
) -> tuple[Cell, list[Measured], tuple[Limits, ...]]:
    asked = [by_rule[id] for id in column.rules if id in by_rule]
    answer = next((one for one in asked if one.status != "excluded"), None)
    said = (
        {"rule": answer.rule, "status": answer.status, "due_on": answer.due_on, "within": measured_within(answer)}
        if answer
        else {}
    )  # fmt: skip
    if not column.analytes:
        return Cell(day=last_done(answer) if answer else None, **said), [], ()  # type: ignore[arg-type]
    limits = _limits(chart, answer, len(column.analytes))
    found, doubt = _values(column, chart)
    if not found:
        return Cell(doubt=doubt, **said), [], limits  # type: ignore[arg-type]
    newest, first = found[0], [pair[0] for pair in found]
    value = Cell(
        "/".join(shown(one) for one in newest), first[0].fact.day, way=_way(newest, limits), doubt=doubt, ref=first[0].fact.ref,
        points=_points(first), low=limits[0].at_least, high=limits[0].below or limits[0].at_most, **said,  # type: ignore[arg-type]
    )  # fmt: skip
    return value, first, limits


def _limits(chart: Chart, answer: Due | None, n: int) -> tuple[Limits, ...]:
    rule = chart.pack.by_id.get(answer.rule) if answer else None
    if rule is None or rule.monitor is None or len(rule.monitor.analytes) != n:
        return (Limits(),) * n
    asked = Question(chart, rule)
    return tuple(limits_of(asked, rule.monitor, at) for at in range(n))


def _targeted(limits: Sequence[Limits]) -> bool:
    return any(x is not None for one in limits for x in (one.at_least, one.below, one.at_most))


def _values(column: Column, chart: Chart) -> tuple[list[tuple[Measured, ...]], str]:
    """The occasions whose values all count, newest first, and why what is newer than them does not."""
    series = [
        [m for m in measurements(chart, name) if m.fact.kind == "observation"] for name in column.analytes
    ]
    partners = [{m.fact.ref: m for m in one} for one in series[1:]]
    found: list[tuple[Measured, ...]] = []
    doubt = ""
    for first in series[0]:
        others = [p[first.fact.ref] for p in partners if first.fact.ref in p]
        reason = _wrong(chart, first, others, len(partners))
        if not reason:
            found.append((first, *others))
        elif not found and not doubt and not _retracted(first):
            doubt = f"{_said(first)}: {reason}"
        if len(found) >= 24:
            break
    return found, doubt


def _wrong(chart: Chart, first: Measured, others: Sequence[Measured], wanted: int) -> str:
    if len(others) != wanted:
        return unusable(chart, first) or "one half of a pair"
    return next((why for one in (first, *others) if (why := unusable(chart, one) or one.problem)), "")


def _retracted(one: Measured) -> bool:
    return one.fact.unusable in ("entered in error", "cancelled")


def _said(one: Measured) -> str:
    value = one.raw if one.raw is not None else one.fact.value
    text = f"{value:f}" if value is not None else one.fact.words[:20] or "no number"
    return f"{text} on {shown_day(one.fact)}"


def _points(found: Sequence[Measured]) -> tuple[tuple[date, Decimal], ...]:
    """The newest values for a small trend, oldest first."""
    newest = [(m.fact.day, m.value) for m in found[:POINTS] if m.fact.day and m.value is not None]
    return tuple(reversed(newest))


def _way(newest: Sequence[Measured], limits: Sequence[Limits]) -> str:
    for one, limit in zip(newest, limits, strict=True):
        if within(one, None, limit.below, limit.at_most) is False:
            return "H"
        if within(one, limit.at_least, None) is False:
            return "L"
    return ""


def _control(found: Sequence[Measured], limits: Limits, as_of: date) -> tuple[int, int]:
    made = control(found, limits, add_months(as_of, -MONTHS), MONTHS, holds=HOLDS_MONTHS)
    return made.inside, made.inside + made.outside
