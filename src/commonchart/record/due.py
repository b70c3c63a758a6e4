"""The due table: one row per patient and rule, replaced as a whole for a patient, read by charts and registries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.care.facts import TYPES
from commonchart.care.labels import UNDECISIVE, mask
from commonchart.care.review import Approval
from commonchart.fhir import json
from commonchart.record import site
from commonchart.record.connection import Asked
from commonchart.record.keys import patient_key, resource_key
from commonchart.record.rows import Change

if TYPE_CHECKING:
    from commonchart.record.database import Connection

CURSOR = "due"
"""The name of the place in the change feed up to which due lists were worked out."""
READ = frozenset({*TYPES, "Patient", "AllergyIntolerance"})
"""The types that rules and schedules look at: a change of any other changes no answer."""
COLUMNS = (
    "patient, rule, kind, title, status, due_on, overdue_on, until, next_change_on, why, pack, version, assessed_on, assessed_at, "
    "within, last_on, labels, orgs"
)
_NAMES = COLUMNS.split(", ")
_TYPES = (
    ("text",) * 5 + ("date",) * 4 + ("text",) * 3 + ("date", "timestamptz", "text", "date", "int8", "text")
)
_DROP = "DELETE FROM due WHERE pk = %s AND tenant = %s AND patient = %s AND rule = ANY(%s)"
_KEEP = (
    f"INSERT INTO due (pk, tenant, {COLUMNS}) SELECT %s, %s, k.* "
    f"FROM unnest({', '.join(f'%s::{name}[]' for name in _TYPES)}) k "
    "ON CONFLICT (pk, tenant, patient, rule) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _NAMES if name not in ("patient", "rule"))
)

RUN = "assess.pack"
EVERY_TENANT = 0

Part = tuple[int, int]
"""(number, of how many): people are dealt out by a hash of their id."""


class DueRow(Struct, frozen=True):
    """A row of the due table; `why` is the explanation as JSON text.

    `approved` is no column: the approval by which a rule that was not reviewed stands now (see `access.approvals`).
    `within` is in, out or alert for a measurement, none for one without a value that counts, "" for anything else; `last_on` is
    the day of the newest evidence that counts.
    `labels` and `orgs` (one a line) are those of the facts that decided: who may not see one of them does not see the row.
    """

    patient: str
    rule: str
    kind: str
    title: str
    status: str
    due_on: date | None
    overdue_on: date | None
    until: date | None
    next_change_on: date | None
    why: str
    pack: str
    version: str
    assessed_on: date
    assessed_at: datetime
    within: str = ""
    last_on: date | None = None
    labels: int = 0
    orgs: str = ""
    approved: Approval | None = None

    @property
    def rule_version(self) -> str:
        """The version of the rule, without that of its pack."""
        return self.version.rpartition("/")[2]


class InUse(Struct, frozen=True):
    """A content pack that the stored rows are, or are to be, worked out with.

    `body` as JSON, "" where it is kept elsewhere; `replaces` are ids of packs that it takes the place of.
    """

    id: str
    version: str
    hash: str
    authority: str
    body: str = ""
    replaces: tuple[str, ...] = ()


class Run(Struct, frozen=True):
    """Everybody being assessed again because a pack is another: which packs, how far, of how many.

    `first` and `last` are the tenants whom it concerns.
    """

    wanted: str
    began: datetime
    total: int
    first: int = 0
    last: int = 2**31 - 1
    after: tuple[int, str] = (-1, "")
    done: int = 0


async def running(conn: Connection) -> Run | None:
    """How far the run has come that assesses everybody again; None when there is none."""
    said = await site.get(conn, EVERY_TENANT, RUN)
    return msgspec.json.decode(said, type=Run) if said else None


async def keep_run(conn: Connection, run: Run | None) -> None:
    """Keep how far the run has come; None when it is done."""
    await site.put(conn, EVERY_TENANT, RUN, msgspec.json.encode(run).decode() if run else "")


async def replace(conn: Connection, tenant: int, patient: str, rows: Sequence[DueRow]) -> None:
    """All rows of a patient become these, in the transaction of the connection; what stays the same is not written.

    One row is written in any case: the newest `assessed_at` of a patient says when the list was last worked out.
    """
    held = {row.rule: row for row in await of_patient(conn, tenant, patient)}
    changed = [row for row in rows if not _same(held.pop(row.rule, None), row)] or rows[:1]
    pk = patient_key(patient)
    asked: list[Asked] = []
    if held:
        asked.append((_DROP, (pk, tenant, patient, list(held))))
    if changed:
        columns = [[getattr(row, name) for row in changed] for name in _NAMES]
        asked.append((_KEEP, (pk, tenant, *columns)))
    if asked:
        await conn.together(asked)


def _same(old: DueRow | None, new: DueRow) -> bool:
    """Whether the answer is the stored one, whenever that was worked out."""
    return old is not None and new == msgspec.structs.replace(
        old, assessed_on=new.assessed_on, assessed_at=new.assessed_at
    )


async def of_patient(
    conn: Connection, tenant: int, patient: str, seen: tuple[str, Sequence[Any]] = ("true", ())
) -> list[DueRow]:
    """The stored rows of a patient; `seen` is the reader's visibility on the alias d."""
    rows = await conn.fetch(
        f"SELECT {COLUMNS} FROM due d WHERE pk = %s AND tenant = %s AND patient = %s AND {seen[0]} ORDER BY rule",
        (patient_key(patient), tenant, patient, *seen[1]),
    )
    return [DueRow(*row) for row in rows]


async def unseen(
    conn: Connection, tenant: int, rows: Sequence[DueRow], seen: tuple[str, Sequence[Any]]
) -> set[str]:
    """The rules of those rows, stored or not, that the reader may not see; `seen` as for `of_patient`."""
    held = [[getattr(one, name) for one in rows] for name in ("patient", "rule", "labels", "orgs", "why")]
    found = await conn.fetch(
        "SELECT d.rule FROM (SELECT %s::int AS tenant, k.* FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[]) "
        f"AS k(patient, rule, labels, orgs, why)) d WHERE ({seen[0]}) IS NOT TRUE",
        (tenant, *held, *seen[1]),
    )
    return {rule for (rule,) in found}


async def changing(conn: Connection, as_of: date, limit: int) -> list[tuple[int, str]]:
    """(tenant, patient) of those whose stored answers say that they change by this day."""
    cursor = await conn.execute(
        "SELECT DISTINCT tenant, patient FROM due WHERE next_change_on <= %s LIMIT %s", (as_of, limit)
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def resources(
    conn: Connection, tenant: int, patients: Sequence[str], tokens: Sequence[int]
) -> list[dict[str, Any]]:
    """What rules look at in these patients' records: Observations only with one of these code tokens."""
    keys = [patient_key(patient) for patient in patients]
    rows = await conn.fetch(
        "SELECT r.body FROM resource r WHERE r.pk = ANY(%s) AND r.tenant = %s AND r.patient = ANY(%s) AND NOT r.deleted "
        "AND r.labels & %s = 0 "
        f"AND r.rtype = ANY(%s) AND (r.rtype <> 'Observation' OR {among(tuple(tokens))})",
        (keys, tenant, list(patients), mask(*UNDECISIVE), list(READ)),
    )
    found = [json.decode(row[0].encode()) for row in rows]
    return found + await referenced_medications(conn, tenant, found)


Origins = tuple[str, dict[str, tuple[int, str]]]


async def origins(conn: Connection, tenant: int, patient: str, patients: Sequence[str]) -> Origins:
    """Who keeps the patient's record; and by reference the labels and organisation of facts that have others.

    `patients` are the records of the person.
    """
    rows = await conn.fetch(
        "SELECT r.rtype || '/' || r.id, r.labels, r.org, r.rtype = 'Patient' AND r.id = %s FROM resource r "
        "WHERE r.pk = ANY(%s) AND r.tenant = %s AND r.patient = ANY(%s) AND NOT r.deleted AND r.rtype = ANY(%s) "
        "AND (r.labels <> 0 OR r.rtype = 'Patient' OR r.org <> (SELECT p.org FROM resource p WHERE p.pk = %s "
        "AND p.tenant = %s AND p.rtype = 'Patient' AND p.id = %s))",
        (
            patient, [patient_key(one) for one in patients], tenant, list(patients), list(READ), patient_key(patient),
            tenant, patient,
        ),
    )  # fmt: skip
    keeper = next((row[2] for row in rows if row[3]), "")
    return keeper, {row[0]: (row[1], row[2]) for row in rows if not row[0].startswith("Patient/")}


async def telling(conn: Connection, tenant: int, new: Sequence[Change], tokens: Sequence[int]) -> list[str]:
    """The patients of these new Observations that `resources` would give, or that are no longer as they were created."""
    rows = await conn.fetch(
        "SELECT DISTINCT k.patient FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS k(pk, id, patient) "
        "LEFT JOIN resource r ON r.pk = k.pk AND r.tenant = %s AND r.rtype = 'Observation' AND r.id = k.id AND r.vid = 1 "
        f"WHERE r.id IS NULL OR {among(tuple(tokens))}",
        (
            [one.pk for one in new],
            [one.id for one in new],
            [one.patient for one in new],
            tenant,
        ),
    )
    return [row[0] for row in rows]


@lru_cache(maxsize=32)
def among(tokens: tuple[int, ...]) -> str:
    """SQL: whether the row r carries one of many tokens. They are part of the text: only of constants is a hash table made.

    With a thousand of them `&&` compares each with each: 8 times the time on a record of a hundred Observations.
    """
    listed = ",".join(str(int(one)) for one in sorted(set(tokens)))
    return (
        f"EXISTS (SELECT 1 FROM unnest(r.tokens) AS t(token) WHERE t.token = ANY ('{{{listed}}}'::bigint[]))"
    )


async def referenced_medications(
    conn: Connection, tenant: int, found: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The Medications that orders refer to: they are about no patient, and say which drug it is."""
    references = {str((one.get("medicationReference") or {}).get("reference", "")) for one in found}
    ids = sorted(ref.removeprefix("Medication/") for ref in references if ref.startswith("Medication/"))
    if not ids:
        return []
    cursor = await conn.execute(
        "SELECT body FROM resource WHERE pk = ANY(%s) AND tenant = %s AND rtype = 'Medication' AND id = ANY(%s) AND NOT deleted",
        ([resource_key("Medication", id) for id in ids], tenant, ids),
    )
    return [json.decode(row[0].encode()) for row in await cursor.fetchall()]


async def everybody(
    conn: Connection, after: tuple[int, str], limit: int, part: Part = (0, 1)
) -> list[tuple[int, str]]:
    """(tenant, id) of the next Patients in order, for working through all of them, or through one part of so many."""
    number, parts = part
    cursor = await conn.execute(
        "SELECT tenant, id FROM resource_loc WHERE rtype = 'Patient' AND (tenant, id) > (%s, %s) "
        "AND mod(hashtext(id)::bigint + 2147483648, %s) = %s ORDER BY tenant, id LIMIT %s",
        (*after, parts, number, limit),
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def how_many(conn: Connection) -> int:
    """How many Patients there are."""
    row = await (await conn.execute("SELECT count(*) FROM resource_loc WHERE rtype = 'Patient'")).fetchone()
    return int(row[0]) if row else 0


async def active_pack(conn: Connection, pack: str) -> str:
    """The hash of the version of a pack that the stored rows were worked out with, "" before the first."""
    cursor = await conn.execute("SELECT hash FROM content_pack WHERE id = %s AND retired IS NULL", (pack,))
    row = await cursor.fetchone()
    return row[0] if row else ""


async def activate_pack(conn: Connection, one: InUse, now: datetime) -> None:
    """From now on this version of the pack is the one; the one before, and packs that it takes the place of, are kept."""
    await conn.execute(
        "UPDATE content_pack SET retired = %s WHERE id = ANY(%s) AND retired IS NULL",
        (now, [one.id, *one.replaces]),
    )
    await conn.execute(
        "INSERT INTO content_pack (id, version, hash, authority, activated, body) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (id, version, hash) DO UPDATE SET activated = excluded.activated, retired = NULL",
        (one.id, one.version, one.hash, one.authority, now, one.body),
    )
