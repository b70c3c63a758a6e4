"""Keeping the due table right: patients are assessed again when a fact changed, a day came, or the pack is another."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, forecasts, users
from commonchart.care import assess, registries
from commonchart.care.assess import Due
from commonchart.care.chart import Chart
from commonchart.care.doubts import doubts
from commonchart.care.evidence import QUESTION_SYSTEM, moment_day
from commonchart.care.facts import evidence
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.person import person
from commonchart.care.quarantine import Verdict
from commonchart.care.rules import built_in
from commonchart.care.schema import Pack
from commonchart.jobs import immunizations, panel
from commonchart.record import changes, due, quarantine, rules, schedules
from commonchart.record import panel as kept_panel
from commonchart.record.due import DueRow, InUse, Run
from commonchart.record.keys import token
from commonchart.record.panel import Member, RegistryRow
from commonchart.record.people import linked_on
from commonchart.record.quarantine import Doubt
from commonchart.record.rows import Change
from commonchart.record.vaccine_codes import to_cvx

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

CURSOR = due.CURSOR
CHANGES = 2000
PATIENTS = 50
ROUNDS = 5

_SYSTEMS = {"loinc": "http://loinc.org", "sct": "http://snomed.info/sct", "question": QUESTION_SYSTEM}

_REFERENCE = re.compile(r"\b[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}")

Progress = Callable[[int], None]


_TOKENS: dict[str, tuple[int, ...]] = {}


def wanted_tokens(pack: Pack) -> tuple[int, ...]:
    """The code tokens of Observations that any rule of the pack looks at."""
    found = _TOKENS.get(pack.hash)
    if found is None:
        codes = {
            (system, code)
            for held in pack.sets.values()
            for system in _SYSTEMS
            for code in getattr(held, system)
        }
        if len(_TOKENS) > 32:
            _TOKENS.clear()
        found = _TOKENS[pack.hash] = tuple(
            token(param, f"{_SYSTEMS[system]}|{code}")
            for system, code in sorted(codes)
            for param in ("code", "component-code")
        )
    return found


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
            pack = (await rules.active(conn, tenant)).pack
            tokens = _wanted(await schedules.active(conn, tenant, moment_day(now)), pack)
            found |= {(tenant, one) for one in await due.telling(conn, tenant, asked, tokens)}
    return found


def _new(change: Change) -> bool:
    return change.rtype == "Observation" and change.op == "create"


def _wanted(schedule: Schedule, pack: Pack) -> tuple[int, ...]:
    """The code tokens of Observations that the rules or the schedule look at."""
    return (*wanted_tokens(pack), *forecasts.wanted_tokens(schedule))


async def pass_days(database: Database, now: datetime) -> int:
    """Assess some of those whose stored answers change by today; how many."""
    async with database.connection() as conn:
        found = await due.changing(conn, moment_day(now), PATIENTS)
        await _assess_all(conn, found, now)
        return len(found)


async def follow_pack(database: Database, now: datetime) -> bool:
    """Assess some of everybody when a pack is another than the stored rows rest on; whether some are left.

    How far it has come is kept with each batch, so that a worker that died is gone on from; the rows of a patient are
    replaced in one transaction, so that nobody's list is ever empty meanwhile.
    """
    async with database.connection() as conn:
        new = await _other_packs(conn, moment_day(now))
        if not new:
            return False
        run = await _run(conn, new, now)
    for _ in range(ROUNDS):
        async with database.connection() as conn:
            found = [one for one in await due.everybody(conn, run.after, PATIENTS) if one[0] <= run.last]
            await _assess_all(conn, found, now)
            if not found:
                for pack in new:
                    await due.activate_pack(conn, pack, now)
                await due.keep_run(conn, None)
                return False
            run = replace(run, after=found[-1], done=run.done + len(found))
            await due.keep_run(conn, run)
    return True


async def _run(conn: Connection, new: Sequence[InUse], now: datetime) -> Run:
    """The run to go on with, or a new one when the packs are others again."""
    wanted = sha256("\n".join(sorted(f"{one.id} {one.hash}" for one in new)).encode()).hexdigest()
    kept = await due.running(conn)
    if kept is not None and kept.wanted == wanted:
        return kept
    tenants = [int(one.id.partition(":")[2] or due.EVERY_TENANT) for one in new]
    total = await due.how_many(conn)
    if due.EVERY_TENANT in tenants:
        return Run(wanted, now, total)
    first, last = min(tenants), max(tenants)
    return Run(wanted, now, total, first, last, (first, ""))


async def _other_packs(conn: Connection, day: date) -> list[InUse]:
    """The packs that are to be used and are not what the stored rows rest on."""
    wanted = [_boxed(), panel.in_use(), *await immunizations.in_use(conn, day)]
    for tenant in await rules.choosing(conn):
        pack = (await rules.active(conn, tenant)).pack
        wanted.append(InUse(f"rules:{tenant}", pack.version, pack.hash, pack.authority))
    return [one for one in wanted if await due.active_pack(conn, one.id) != one.hash]


def _boxed() -> InUse:
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
        by_tenant.setdefault(tenant, []).append(patient)
    for tenant, some in by_tenant.items():
        pack = (await rules.active(conn, tenant)).pack
        for patient in some:
            await again(conn, tenant, patient, pack, now)
        await audit.note(conn, users.system(tenant, "due-worker"), now, "assess", patients=some)


async def again(conn: Connection, tenant: int, patient: str, pack: Pack, now: datetime) -> list[DueRow]:
    """Assess one patient and keep what came of it: the due rows, which are given back, the quarantine and the lists."""
    found = await weighed(conn, tenant, patient, pack, now)
    await due.replace(conn, tenant, patient, found.rows)
    await kept_panel.keep(conn, tenant, patient, found.member, found.registries, now)
    await quarantine.keep(conn, tenant, patient, found.doubts, now)
    return found.rows


class Weighed(Struct, frozen=True):
    """What one assessment gives: the due rows, the results that wait in quarantine, and what lists show of the patient.

    `member` None: nobody to list, dead, deleted or unknown.
    """

    rows: list[DueRow]
    doubts: list[Doubt]
    member: Member | None
    registries: list[RegistryRow]


async def assessed(
    conn: Connection, tenant: int, patient: str, pack: Pack, now: datetime, as_of: date | None = None
) -> list[DueRow]:
    """The rows of one patient, worked out from the record of the person; none for an unknown or deleted patient.

    A rule that is not about this person, and will not be by time alone, has no row.
    """
    return (await weighed(conn, tenant, patient, pack, now, as_of)).rows


async def weighed(
    conn: Connection,
    tenant: int,
    patient: str,
    pack: Pack,
    now: datetime,
    as_of: date | None = None,
    suppose: Collection[str] = (),
) -> Weighed:
    """As `assessed`, with what is in quarantine. `suppose`: results ("Observation/1") taken to be released, to see what that does."""
    day = as_of or moment_day(now)
    schedule = await schedules.active(conn, tenant, day)
    same = await linked_on(conn, tenant, patient)
    found = await due.resources(conn, tenant, same, _wanted(schedule, pack))
    own = next((r for r in found if r["resourceType"] == "Patient" and r.get("id") == patient), None)
    if own is None:
        return Weighed([], [], None, [])
    settled = await quarantine.settled(conn, tenant, same, versions(found))
    released, rejected = {*settled.released, *suppose}, settled.rejected - {*suppose}
    cvx = await to_cvx(conn)

    def answered(resources: list[dict[str, Any]]) -> tuple[Chart, list[Due], list[Due]]:
        chart = assess.charted(evidence(resources), person(own, day), pack, day, released, rejected)
        out = {*rejected, *(one.fact.ref for one in chart.verdicts)}
        sound = [one for one in resources if f"{one['resourceType']}/{one.get('id', '')}" not in out]
        vaccines = immunizations.assessed(own, sound, schedule, day, cvx)
        return chart, assess.answers(chart), vaccines

    chart, answers, vaccines = answered(found)
    lists = registries.rows(registries.built_in(), chart, answers)
    answers += vaccines
    origins = await due.origins(conn, tenant, patient, same)
    decided = _decided(found, answers, origins, lambda rest: [*(again := answered(rest))[1], *again[2]])
    rows = [_row(patient, one, day, now, *decided(one)) for one in answers if assess.kept(one)]
    member = None if chart.person.died else panel.member(own, rows)
    listed = [panel.registry_row(patient, one, day, pack.version) for one in lists]
    return Weighed(rows, _doubts(chart, found, patient), member, listed)


def versions(found: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The version of each result by its reference."""
    return {
        f"{one['resourceType']}/{one['id']}": int(one["meta"]["versionId"])
        for one in found if one["resourceType"] in quarantine.TYPES
    }  # fmt: skip


def _doubts(chart: Chart, found: Iterable[dict[str, Any]], patient: str) -> list[Doubt]:
    """The open verdicts on this patient's own results; those of a linked record are kept with that one."""
    open_ = doubts(chart)
    if not open_:
        return []
    mine = [one for one in found if (one.get("subject") or {}).get("reference") == f"Patient/{patient}"]
    own = versions(mine)
    return [_doubt(chart, one, own[one.fact.ref]) for one in open_ if one.fact.ref in own]


def _doubt(chart: Chart, one: Verdict, vid: int) -> Doubt:
    rtype, _, id = one.fact.ref.partition("/")
    label = chart.pack.analytes[one.analyte].label if one.analyte else one.fact.text
    return Doubt(rtype, id, one.analyte, one.kind, one.reason, label, vid, list(one.also))


def _decided(
    found: Sequence[dict[str, Any]],
    answers: Sequence[Due],
    origins: due.Origins,
    answer: Callable[[list[dict[str, Any]]], list[Due]],
) -> Callable[[Due], tuple[int, str]]:
    """What each answer rests on: labels, and organisations (one a line).

    An explanation does not name every fact that made a rule apply. So whoever has labelled facts, or facts of others, is
    assessed once more without them: an answer that is then another rests on them, as does one that names one of them.
    """
    keeper, told = origins
    labelled = {ref for ref, (labels, _) in told.items() if labels}
    foreign = {ref for ref, (_, org) in told.items() if org != keeper}
    changed = [
        _without(found, answers, refs, answer) if refs else frozenset() for refs in (labelled, foreign)
    ]

    def decided(one: Due) -> tuple[int, str]:
        named = (
            set(_REFERENCE.findall(msgspec.json.encode(one.why).decode())) & told.keys() if told else set()
        )
        by_label = labelled if one.rule in changed[0] else labelled & named
        by_org = foreign if one.rule in changed[1] else foreign & named
        labels = 0
        for ref in by_label:
            labels |= told[ref][0]
        return labels, "\n".join(sorted({keeper, *(told[ref][1] for ref in by_org)}))

    return decided


def _without(
    found: Sequence[dict[str, Any]],
    answers: Sequence[Due],
    refs: Collection[str],
    answer: Callable[[list[dict[str, Any]]], list[Due]],
) -> frozenset[str]:
    """The rules whose answer is another without these facts."""
    rest = {
        one.rule: one
        for one in answer([one for one in found if f"{one['resourceType']}/{one.get('id', '')}" not in refs])
    }
    return frozenset(one.rule for one in answers if rest.get(one.rule) != one)


def _row(patient: str, one: Due, day: date, now: datetime, labels: int, orgs: str) -> DueRow:
    return DueRow(
        patient, one.rule, one.kind, one.title, one.status, one.due_on, one.overdue_on, one.until, one.next_change_on,
        msgspec.json.encode(one.why).decode(), one.pack, one.version, day, now, assess.measured_within(one), assess.last_done(one),
        labels, orgs,
    )  # fmt: skip
