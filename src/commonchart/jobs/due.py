"""Keeping the due table right: patients are assessed again when a fact changed, a day came, or the pack is another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from commonchart.access import audit, forecasts, users
from commonchart.care.assess import Due, assess, kept
from commonchart.care.evidence import QUESTION_SYSTEM, moment_day
from commonchart.care.facts import evidence
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.person import person
from commonchart.care.rules import built_in
from commonchart.care.schema import Pack
from commonchart.jobs import immunizations
from commonchart.record import changes, due, schedules
from commonchart.record.due import DueRow, InUse
from commonchart.record.keys import token
from commonchart.record.people import linked_on
from commonchart.record.rows import Change
from commonchart.record.vaccine_codes import to_cvx

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

CURSOR = "due"
CHANGES = 2000
PATIENTS = 50

_SYSTEMS = {"loinc": "http://loinc.org", "sct": "http://snomed.info/sct", "question": QUESTION_SYSTEM}

_REFERENCE = re.compile(r"\b[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}")

Progress = Callable[[int], None]


@cache
def wanted_tokens(pack_hash: str) -> tuple[int, ...]:
    """The code tokens of Observations that any rule of the built-in pack looks at."""
    pack = built_in()
    codes = {
        (system, code) for held in pack.sets.values() for system in _SYSTEMS for code in getattr(held, system)
    }
    return tuple(
        token(param, f"{_SYSTEMS[system]}|{code}")
        for system, code in sorted(codes)
        for param in ("code", "component-code")
    )


async def follow(database: Database, now: datetime) -> int:
    """Take one batch of the feed and assess the patients it is about; how many changes were taken."""
    async with database.connection() as conn:
        batch = await changes.take(conn, CURSOR, CHANGES)
        if not batch.changes:
            return 0
        await _assess_all(conn, sorted(await _touched(conn, batch.changes, now)), now)
        await changes.advance(conn, CURSOR, batch)
        return len(batch.changes)


async def _touched(conn: Connection, batch: Sequence[Change], now: datetime) -> set[tuple[int, str]]:
    """(tenant, patient) of those whose answers a change may change.

    A new Observation whose codes no pack in use names is not read by any rule, and was not there before. Whatever was
    updated or deleted may have been read as it was before.
    """
    read = [one for one in batch if one.patient and one.rtype in due.READ]
    new = [one for one in read if _new(one)]
    found = {(one.tenant, one.patient or "") for one in read if not _new(one)}
    for tenant in {one.tenant for one in new}:
        asked = [one for one in new if one.tenant == tenant and (tenant, one.patient) not in found]
        if asked:
            tokens = _wanted(await schedules.active(conn, tenant, moment_day(now)))
            found |= {(tenant, one) for one in await due.telling(conn, tenant, asked, tokens)}
    return found


def _new(change: Change) -> bool:
    return change.rtype == "Observation" and change.op == "create"


def _wanted(schedule: Schedule, pack: Pack | None = None) -> tuple[int, ...]:
    """The code tokens of Observations that the rules or the schedule look at."""
    return (*wanted_tokens((pack or built_in()).hash), *forecasts.wanted_tokens(schedule))


async def pass_days(database: Database, now: datetime) -> int:
    """Assess some of those whose stored answers change by today; how many."""
    async with database.connection() as conn:
        found = await due.changing(conn, moment_day(now), PATIENTS)
        await _assess_all(conn, found, now)
        return len(found)


async def follow_pack(database: Database, now: datetime, progress: Progress | None = None) -> bool:
    """Assess everybody when a pack is another than the stored ones; whether one was."""
    async with database.connection() as conn:
        wanted = [_rules(), *await immunizations.in_use(conn, moment_day(now))]
        new = [one for one in wanted if await due.active_pack(conn, one.id) != one.hash]
    if not new:
        return False
    await everyone(database, now, progress)
    async with database.connection() as conn:
        for one in new:
            await due.activate_pack(conn, one, now)
    return True


@cache
def _rules() -> InUse:
    pack = built_in()
    whole = {"rules": pack.rules, "sets": pack.sets, "analytes": pack.analytes, "risks": pack.risks}
    body = msgspec.json.encode(whole).decode()
    return InUse(pack.id, pack.version, pack.hash, pack.authority, body, tuple(pack.replaces))


async def everyone(
    database: Database, now: datetime, progress: Progress | None = None, part: due.Part = (0, 1)
) -> int:
    """Assess every patient, or one part of them; how many. `progress` is told how many so far."""
    after, done = (-1, ""), 0
    while True:
        async with database.connection() as conn:
            found = await due.everybody(conn, after, PATIENTS, part)
            await _assess_all(conn, found, now)
        if not found:
            return done
        after, done = found[-1], done + len(found)
        if progress is not None:
            progress(done)


async def _assess_all(conn: Connection, patients: Iterable[tuple[int, str]], now: datetime) -> None:
    by_tenant: dict[int, list[str]] = {}
    for tenant, patient in patients:
        rows = await assessed(conn, tenant, patient, built_in(), now)
        await due.replace(conn, tenant, patient, rows)
        by_tenant.setdefault(tenant, []).append(patient)
    for tenant, done in by_tenant.items():
        await audit.note(conn, users.system(tenant, "due-worker"), now, "assess", patients=done)


async def assessed(
    conn: Connection, tenant: int, patient: str, pack: Pack, now: datetime, as_of: date | None = None
) -> list[DueRow]:
    """The rows of one patient, worked out from the record of the person; none for an unknown or deleted patient.

    A rule that is not about this person, and will not be by time alone, has no row.
    """
    day = as_of or moment_day(now)
    schedule = await schedules.active(conn, tenant, day)
    same = await linked_on(conn, tenant, patient)
    found = await due.resources(conn, tenant, same, _wanted(schedule, pack))
    own = next((r for r in found if r["resourceType"] == "Patient" and r.get("id") == patient), None)
    if own is None:
        return []
    answers = assess(evidence(found), person(own, day), pack, day)
    answers += immunizations.assessed(own, found, schedule, day, await to_cvx(conn))
    keeper, origins = await due.origins(conn, tenant, patient, same)
    return [_row(patient, one, day, now, keeper, origins) for one in answers if kept(one)]


def _row(
    patient: str, one: Due, day: date, now: datetime, keeper: str, origins: Mapping[str, tuple[int, str]]
) -> DueRow:
    """The row, with the labels and organisations of every fact that its explanation refers to."""
    why = msgspec.json.encode(one.why).decode()
    labels, orgs = 0, {keeper}
    for reference in set(_REFERENCE.findall(why)) if origins else ():
        mask, org = origins.get(reference, (0, keeper))
        labels |= mask
        orgs.add(org)
    return DueRow(
        patient, one.rule, one.kind, one.title, one.status, one.due_on, one.overdue_on, one.until, one.next_change_on,
        why, one.pack, one.version, day, now, labels, "\n".join(sorted(orgs)),
    )  # fmt: skip
