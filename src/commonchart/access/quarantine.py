"""Quarantine as a work list: who may see it, what is decided about a result, and the trail of both.

Deciding changes no resource by itself: the answer is a row about one version of a result, and the patient is assessed
again with it (`jobs.quarantine`). A correction is a new version through the record's one door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit
from commonchart.care.quarantine import RELEASABLE
from commonchart.fhir.outcome import Conflict, Invalid, NotFound
from commonchart.record import quarantine, store
from commonchart.record.keys import patient_key
from commonchart.record.people import linked
from commonchart.record.quarantine import Answer, Decision, Doubt, standing
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS

if TYPE_CHECKING:
    from datetime import datetime

    from commonchart.access.records import Records, Transaction

MAX_COMMENT = 1000
NOT_ALLOWED = {
    "time": "A result cannot be believed at a time at which it cannot have happened: correct its date, or reject it",
    "unit": "A number without a known unit cannot be believed: enter it with its unit, or reject it",
}
EARLIER = 3
_V = VERSION_COLUMNS.split(", ")
_Q = ", ".join(f"q.{name}" for name in quarantine.COLUMNS.split(", "))


class Waiting(Struct, frozen=True):
    """One row of the work list: the verdict, since when, the patient, the result, and values of the same test before it."""

    doubt: Doubt
    since: datetime
    patient: Stored
    result: Stored
    earlier: tuple[Stored, ...] = ()


class Listing(Struct, frozen=True):
    """A page of the work list, oldest first; `kinds` counts all open ones by kind, `total` those that fit."""

    rows: tuple[Waiting, ...]
    total: int
    kinds: dict[str, int]


class Item(Struct, frozen=True):
    """One result: what stands against it now, since when, and what was decided, oldest first."""

    result: Stored
    doubts: tuple[Doubt, ...]
    since: datetime | None
    answers: tuple[Answer, ...]

    @property
    def decided(self) -> str:
        """released or rejected where that stands for the current version, else empty."""
        ref = f"{self.result.rtype}/{self.result.id}"
        found = standing(self.answers, {ref: self.result.vid})
        return "released" if ref in found.released else "rejected" if ref in found.rejected else ""


class Mark(Struct, frozen=True):
    """What a chart says beside a version of a result: in quarantine and why, or rejected."""

    vid: int
    reason: str
    rejected: bool = False


async def listed(records: Records, kind: str = "", *, limit: int = 25, offset: int = 0) -> Listing:
    """What waits, oldest first. Raises Forbidden; NotFound for patients, who have no work list."""
    await records.require("search", "Observation")
    await records.require("search", "Patient")
    if not records.visible.everything:
        raise NotFound("There is no such list here")
    where, args = _where(records)
    async with records.database.connection() as conn:
        counted = await conn.fetch(f"SELECT q.kind, count(*) {_FROM} WHERE {where} GROUP BY 1", args)
        kinds = {row[0]: int(row[1]) for row in counted}
        columns = ", ".join(f"{alias}.{name}" for alias in ("r", "o") for name in _V)
        found = await conn.fetch(
            f"SELECT {_Q}, q.since, {columns} {_FROM} WHERE {where} AND (%s = '' OR q.kind = %s) "
            "ORDER BY q.since, q.patient, q.id, q.analyte LIMIT %s OFFSET %s",
            (*args, kind, kind, limit, offset),
        )
        rows = [_waiting(row) for row in found]
        before = await _earlier(conn, records, rows)
        seen = sorted({one.patient.id for one in rows})
        await audit.note(
            conn, records.actor, records.clock(), "quarantine", patients=seen, query=f"kind={kind}"
        )
    shown = tuple(Waiting(o.doubt, o.since, o.patient, o.result, before[n]) for n, o in enumerate(rows))
    return Listing(shown, kinds.get(kind, 0) if kind else sum(kinds.values()), kinds)


_FROM = (
    "FROM quarantine q JOIN resource r ON r.pk = q.pk AND r.tenant = q.tenant AND r.rtype = 'Patient' AND r.id = q.patient "
    "JOIN resource o ON o.pk = q.pk AND o.tenant = q.tenant AND o.rtype = q.rtype AND o.id = q.id"
)


def _where(records: Records) -> tuple[str, list[Any]]:
    patients, first = records.visible.predicate("r")
    results, second = records.visible.predicate("o")
    text = f"q.tenant = %s AND NOT r.deleted AND NOT o.deleted AND {patients} AND {results}"
    return text, [records.actor.tenant, *first, *second]


def _waiting(row: Sequence[Any]) -> Waiting:
    n = len(quarantine.COLUMNS.split(", "))
    middle = n + 1 + len(_V)
    return Waiting(
        Doubt(*row[:n]), row[n], store.row_stored(row[n + 1 : middle]), store.row_stored(row[middle:])
    )


async def _earlier(conn: Any, records: Records, rows: Sequence[Waiting]) -> list[tuple[Stored, ...]]:
    """The newest results of the same test before each, through the index by patient, code and date."""
    predicate, args = records.visible.predicate("p")
    columns = ", ".join(f"p.{name}" for name in _V)
    found = await conn.fetch(
        f"SELECT k.n, x.* FROM unnest(%s::int[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::timestamptz[]) "
        "AS k(n, pk, patient, id, code, at) CROSS JOIN LATERAL ("
        f"SELECT {columns} FROM resource p WHERE p.pk = k.pk AND p.tenant = %s AND p.rtype = 'Observation' "
        "AND p.patient = k.patient AND p.code = k.code AND p.date_lo < k.at AND p.id <> k.id AND NOT p.deleted "
        f"AND {predicate} ORDER BY p.date_lo DESC LIMIT {EARLIER}) x ORDER BY k.n, x.date_lo DESC",
        (
            list(range(len(rows))),
            [patient_key(one.patient.id) for one in rows],
            [one.patient.id for one in rows],
            [one.result.id for one in rows],
            [one.result.code for one in rows],
            [one.result.date_lo for one in rows],
            records.actor.tenant,
            *args,
        ),
    )
    out: list[tuple[Stored, ...]] = [() for _ in rows]
    for row in found:
        out[row[0]] = (*out[row[0]], store.row_stored(row[1:]))
    return out


async def one(records: Records, patient: str, rtype: str, id: str) -> Item:
    """A result with what stands against it. Raises Forbidden, NotFound, Gone, as reading the result does."""
    result = await records.read(rtype, id)
    if result.patient != patient:
        raise NotFound("There is no such result in this chart")
    tenant = records.actor.tenant
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            f"SELECT {_Q}, q.since FROM quarantine q WHERE q.pk = %s AND q.tenant = %s AND q.patient = %s "
            "AND q.rtype = %s AND q.id = %s ORDER BY q.analyte",
            (patient_key(patient), tenant, patient, rtype, id),
        )
        said = await quarantine.answers(conn, tenant, [patient], id)
    doubts = tuple(Doubt(*row[:-1]) for row in rows if row[6] == result.vid)
    since = min((row[-1] for row in rows), default=None)
    return Item(result, doubts, since, tuple(one for one in said if one.rtype == rtype))


async def marks(records: Records, patient: str) -> Mapping[str, Mark]:
    """By "Type/id", what a chart says beside results of the person. Raises Forbidden, NotFound."""
    await records.require("read", "Observation")
    visible = records.visible
    if not visible.everything and patient not in visible.patients:
        raise NotFound("There is no Patient with this id")
    tenant = records.actor.tenant
    same = await linked(records.database, tenant, patient)
    async with records.database.connection() as conn:
        said = await quarantine.answers(conn, tenant, same)
        open_ = await quarantine.of_patients(conn, tenant, same)
        await audit.note(conn, records.actor, records.clock(), "read-quarantine", patients=[patient])
    last = {f"{one.rtype}/{one.id}": one for one in said if one.decision != "asked"}
    out = {ref: Mark(one.vid, one.reason, True) for ref, one in last.items() if one.decision == "rejected"}
    out |= {f"{one.rtype}/{one.id}": Mark(one.vid, one.reason) for one in open_}
    if visible.whole:
        return out
    shown = await records.named([(rtype, id) for rtype, _, id in (ref.partition("/") for ref in out)])
    return {ref: mark for ref, mark in out.items() if tuple(ref.split("/")) in shown}


# ---- deciding -----------------------------------------------------------------------------------------------------


class Choice(Struct, frozen=True):
    """What somebody decides about one version of a result, and why."""

    decision: Decision
    vid: int
    comment: str


async def decide(tx: Transaction, patient: str, rtype: str, id: str, choice: Choice) -> Answer:
    """Keep a decision with its audit row, in the transaction that assesses the patient again.

    Raises Forbidden, NotFound, Invalid (comment, what cannot be released), Conflict (another version, nothing to decide).
    """
    await tx.records.require("update", rtype)
    comment = checked(choice.comment)
    result = await tx.read(rtype, id)
    if result is None or result.deleted or result.patient != patient:
        raise NotFound("There is no such result in this chart")
    if choice.vid != result.vid:
        raise Conflict("The result has changed since you opened this page: look at it again")
    reason = await _against(tx, patient, result, choice.decision)
    return await keep(tx, patient, result, choice.decision, reason, comment)


async def _against(tx: Transaction, patient: str, result: Stored, decision: Decision) -> str:
    """What stands against a result, in words. Raises Conflict, Invalid."""
    tenant = tx.records.actor.tenant
    found = await quarantine.of_patients(tx.conn, tenant, [patient])
    mine = [one for one in found if (one.rtype, one.id, one.vid) == (result.rtype, result.id, result.vid)]
    if decision == "undone":
        return await _undone(tx, patient, result)
    if not mine:
        raise Conflict("This result is not in quarantine any more")
    stuck = [one.kind for one in mine if one.kind not in RELEASABLE]
    if decision == "released" and stuck:
        raise Invalid(NOT_ALLOWED[stuck[0]], at="decision")
    return "; ".join(dict.fromkeys(one.reason for one in mine))


async def _undone(tx: Transaction, patient: str, result: Stored) -> str:
    said = await quarantine.answers(tx.conn, tx.records.actor.tenant, [patient], result.id)
    held = [
        one for one in said if one.rtype == result.rtype and one.vid == result.vid and one.decision != "asked"
    ]
    if not held or held[-1].decision not in ("released", "rejected"):
        raise Conflict("There is no decision to undo")
    return held[-1].reason


async def keep(
    tx: Transaction, patient: str, result: Stored, decision: Decision, reason: str, comment: str
) -> Answer:
    """Write an answer and its audit row, without asking whether it fits."""
    actor, now = tx.records.actor, tx.records.clock()
    made = Answer(result.rtype, result.id, 0, result.vid, decision, reason, comment, actor.user, now)
    await quarantine.answer(tx.conn, actor.tenant, patient, made)
    await audit.note(
        tx.conn, actor, now, "settle-result", rtype=result.rtype, id=result.id, patients=[patient],
        detail=f"{decision} version {result.vid}",
    )  # fmt: skip
    return made


def checked(comment: str) -> str:
    """The comment of a decision. Raises Invalid."""
    text = comment.strip()
    if not 3 <= len(text) <= MAX_COMMENT:
        raise Invalid(f"Say why, in 3 to {MAX_COMMENT:,} characters", at="comment", code="required")
    return text
