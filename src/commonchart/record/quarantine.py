"""Results in quarantine as rows, and what clinicians decided about them; both lie with the patient.

The worker keeps the open verdicts as a whole for a patient: what no longer stands against a result is gone. An answer is
about one version of a result: the newest one on the current version counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from commonchart.record.connection import Asked
from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.record.database import Connection

Decision = Literal["released", "rejected", "corrected", "asked", "undone"]
TYPES = ("Observation", "DiagnosticReport")
COLUMNS = "rtype, id, analyte, kind, reason, label, vid, also"
ANSWER = "rtype, id, n, vid, decision, reason, comment, actor, at"
_WHERE = "pk = %s AND tenant = %s AND patient = %s"


class Doubt(Struct, frozen=True):
    """One verdict on a version of a result; `also` are references of the same result from other sources."""

    rtype: str
    id: str
    analyte: str
    kind: str
    reason: str
    label: str
    vid: int
    also: list[str] = []


class Answer(Struct, frozen=True):
    """What somebody decided about a version of a result; `actor` is a user id, `reason` what spoke against the result then."""

    rtype: str
    id: str
    n: int
    vid: int
    decision: Decision
    reason: str
    comment: str
    actor: str
    at: datetime


class Settled(Struct, frozen=True):
    """References of results as clinicians settled them, in their current versions."""

    released: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()


async def keep(conn: Connection, tenant: int, patient: str, found: Sequence[Doubt], now: datetime) -> None:
    """The open verdicts of a patient become these; one that was there for this version keeps since when."""
    key = (patient_key(patient), tenant, patient)
    gone = f"DELETE FROM quarantine WHERE {_WHERE}"
    if not found:
        await conn.together([(gone, key)])
        return
    columns: list[list[object]] = [[getattr(one, name) for one in found] for name in COLUMNS.split(", ")[:-1]]
    also = [" ".join(one.also) for one in found]
    asked: list[Asked] = [
        (f"{gone} AND (rtype, id, analyte) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))", (*key, *columns[:3])),
        (
            f"INSERT INTO quarantine AS q (pk, tenant, patient, {COLUMNS}, since) SELECT %s, %s, %s, k.rtype, k.id, k.analyte, "
            "k.kind, k.reason, k.label, k.vid, string_to_array(k.also, ' '), %s FROM unnest(%s::text[], %s::text[], %s::text[], "
            "%s::text[], %s::text[], %s::text[], %s::int[], %s::text[]) k(rtype, id, analyte, kind, reason, label, vid, also) "
            "ON CONFLICT (pk, tenant, patient, rtype, id, analyte) DO UPDATE SET kind = excluded.kind, reason = excluded.reason, "
            "label = excluded.label, vid = excluded.vid, also = excluded.also, "
            "since = CASE WHEN q.vid = excluded.vid THEN q.since ELSE excluded.since END "
            "WHERE (q.kind, q.reason, q.label, q.vid, q.also) IS DISTINCT FROM "
            "(excluded.kind, excluded.reason, excluded.label, excluded.vid, excluded.also)",
            (*key, now, *columns, also),
        ),
    ]  # fmt: skip
    await conn.together(asked)


async def of_patients(conn: Connection, tenant: int, patients: Collection[str]) -> list[Doubt]:
    """The open verdicts on these patients' results."""
    rows = await conn.fetch(
        f"SELECT {COLUMNS} FROM quarantine WHERE pk = ANY(%s) AND tenant = %s AND patient = ANY(%s) ORDER BY since, rtype, id, analyte",
        ([patient_key(one) for one in patients], tenant, list(patients)),
    )
    return [Doubt(*row) for row in rows]


async def answer(conn: Connection, tenant: int, patient: str, new: Answer) -> None:
    """Keep a decision after those that are there; its `n` is not looked at."""
    pk = patient_key(patient)
    await conn.execute(
        f"INSERT INTO quarantine_answer (pk, tenant, patient, {ANSWER}) SELECT %s, %s, %s, %s, %s, coalesce(max(n), 0) + 1, "
        f"%s, %s, %s, %s, %s, %s FROM quarantine_answer WHERE {_WHERE} AND rtype = %s AND id = %s",
        (pk, tenant, patient, new.rtype, new.id, new.vid, new.decision, new.reason, new.comment, new.actor, new.at,
         pk, tenant, patient, new.rtype, new.id),
    )  # fmt: skip


async def answers(conn: Connection, tenant: int, patients: Collection[str], id: str = "") -> list[Answer]:
    """What was decided about these patients' results (about one of them), oldest first."""
    rows = await conn.fetch(
        f"SELECT {ANSWER} FROM quarantine_answer WHERE pk = ANY(%s) AND tenant = %s AND patient = ANY(%s) AND (%s = '' OR id = %s) "
        "ORDER BY rtype, id, n",
        ([patient_key(one) for one in patients], tenant, list(patients), id, id),
    )
    return [Answer(*row) for row in rows]


async def settled(
    conn: Connection, tenant: int, patients: Collection[str], versions: Mapping[str, int]
) -> Settled:
    """What stands of the decisions, for results in these versions ("Observation/1" -> 3)."""
    return standing(await answers(conn, tenant, patients), versions)


def standing(answers: Sequence[Answer], versions: Mapping[str, int]) -> Settled:
    """The newest decision on the current version of each result; a question to somebody decides nothing."""
    last: dict[str, str] = {}
    for one in answers:
        ref = f"{one.rtype}/{one.id}"
        if one.decision != "asked" and versions.get(ref) == one.vid:
            last[ref] = one.decision
    return Settled(
        frozenset(ref for ref, said in last.items() if said == "released"),
        frozenset(ref for ref, said in last.items() if said == "rejected"),
    )
