"""The patients' consents as rows that every statement asks, kept in the transaction that writes the Consent.

A Consent counts when it was recorded by whoever keeps the patient's record, or by an organisation in a relationship of
treatment; any other is data, and the privacy officer is told. So is one that cannot be read, which denies.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit
from commonchart.access.consent import Read, Rule, read
from commonchart.fhir import json
from commonchart.fhir.outcome import NotFound
from commonchart.record.connection import Asked
from commonchart.record.rows import Stored, Written

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

EPOCH = "consent_epoch"

_COLUMNS = (
    "tenant, patient, consent, n, depth, permit, starts, ends, actors, people, keepers, purposes, rtypes, labels, opens, "
    "codes, hashes, data, data_from, data_until"
)
_COUNTS = (
    "EXISTS (SELECT 1 FROM relationship t WHERE t.tenant = %s AND t.patient = %s AND t.org = %s AND t.starts <= %s "
    "AND t.ends > %s)"
)
_FORGET = "DELETE FROM consent_rule WHERE tenant = %s AND consent = %s"
_TYPES = ("int4", "text", "text", "int4", "int4", "bool", "timestamptz", "timestamptz", "text[]", "text[]", "text[]", "text[]",
          "text[]", "int8[]", "int8", "text[]", "int8[]", "text[]", "timestamptz", "timestamptz")  # fmt: skip
_KEEP = (
    f"INSERT INTO consent_rule ({_COLUMNS}) SELECT {', '.join(f'%s::{name}' for name in _TYPES)} WHERE {_COUNTS} "
    "ON CONFLICT DO NOTHING"
)
_TELL = "INSERT INTO privacy_notice (tenant, at, kind, org, patient, source, words) SELECT %s, %s, %s, %s, %s, %s, %s"
_NEXT = (
    "INSERT INTO site_setting (tenant, key, value) VALUES (%s, %s, '1') ON CONFLICT (tenant, key) "
    "DO UPDATE SET value = (site_setting.value::bigint + 1)::text"
)


class Notice(Struct, frozen=True):
    """Something that a privacy officer should look at."""

    id: int
    at: datetime
    kind: str
    org: str
    patient: str | None
    source: str
    words: str


class Given(Struct, frozen=True):
    """One provision in force of a patient's consents: who (None: anybody), what, for what, until when."""

    consent: str
    permit: bool
    depth: int
    starts: datetime
    ends: datetime
    actors: list[str] | None
    purposes: list[str] | None
    types: list[str] | None
    labels: list[int] | None


def keeping(tenant: int, written: Sequence[Written], now: datetime) -> list[Asked]:
    """The statements that keep the rules true to the Consents that were written."""
    stored = [one.stored for one in written if one.stored.rtype == "Consent" and one.state != "unchanged"]
    return [asked for one in stored for asked in of_version(tenant, one, now)]


def of_version(tenant: int, stored: Stored, now: datetime) -> list[Asked]:
    """The statements for one current version of a Consent."""
    asked: list[Asked] = [(_FORGET, (tenant, stored.id)), (_NEXT, (tenant, EPOCH))]
    if stored.body is None:
        return asked
    found = read(json.decode(stored.body))
    counts = (tenant, found.patient, stored.org, now, now)
    for n, rule in enumerate(found.rules):
        asked.append((_KEEP, (*_row(tenant, found.patient, stored.id, n, rule), *counts)))
    return [*asked, *_notices(tenant, stored, found, counts, now)]


def _row(tenant: int, patient: str, consent: str, n: int, rule: Rule) -> tuple[Any, ...]:
    since, until = rule.data_period or (None, None)
    return (
        tenant, patient, consent, n, rule.depth, rule.permit, rule.starts, rule.ends, _lists(rule.actors), rule.people,
        _list(rule.keepers), _lists(rule.purposes), _list(rule.rtypes), _list(rule.labels), rule.opens, _list(rule.codes),
        _list(rule.hashes), _list(rule.data), since, until,
    )  # fmt: skip


def _list(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)


def _lists(lists: Sequence[Sequence[str]] | None) -> list[str] | None:
    """Each list as one text, its entries between bars."""
    return None if lists is None else [f"|{'|'.join(one)}|" for one in lists]


def _notices(tenant: int, stored: Stored, found: Read, counts: tuple[Any, ...], now: datetime) -> list[Asked]:
    asked: list[Asked] = []
    source = f"Consent/{stored.id}"
    if found.problem:
        words = f"This consent cannot be read, so nothing is shared beyond who recorded it: {found.problem}"
        asked.append((_TELL, (tenant, now, "consent-unreadable", stored.org, found.patient, source, words)))
    if found.rules:
        words = "This consent does not count: who recorded it neither keeps the patient's record nor treats the patient"
        told = (tenant, now, "consent-foreign", stored.org, found.patient, source, words)
        asked.append((f"{_TELL} WHERE NOT {_COUNTS}", (*told, *counts)))
    return asked


async def epoch(conn: Connection, tenant: int) -> str:
    """A number that is another after each change of any consent: for work that outlives a statement."""
    rows = await conn.fetch("SELECT value FROM site_setting WHERE tenant = %s AND key = %s", (tenant, EPOCH))
    return str(rows[0][0]) if rows else "0"


async def of_patient(records: Records, patient: str) -> list[Given]:
    """What a patient's consents say now, the deepest first. Raises Forbidden, NotFound."""
    await records.read("Patient", patient)
    now = records.clock()
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "SELECT consent, permit, depth, starts, ends, actors, purposes, rtypes, labels FROM consent_rule "
            "WHERE tenant = %s AND patient = %s AND starts <= %s AND ends > %s ORDER BY depth DESC, consent, n",
            (records.actor.tenant, patient, now, now),
        )
        await audit.note(conn, records.actor, now, "read-consents", patients=[patient])
    return [Given(*row) for row in rows]


async def notices(records: Records, limit: int = 100) -> list[Notice]:
    """What a privacy officer of this organisation has not seen yet, oldest first. Raises NotFound for anybody else."""
    _officer(records)
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "SELECT id, at, kind, org, patient, source, words FROM privacy_notice WHERE tenant = %s AND seen IS NULL "
            f"{_OF_ORG} ORDER BY at, id LIMIT %s",
            (records.actor.tenant, *_of_org(records), limit),
        )
        found = [Notice(*row) for row in rows]
        who = sorted({one.patient for one in found if one.patient})
        await audit.note(conn, records.actor, records.clock(), "read-notices", patients=who)
    return found


async def seen(records: Records, notice: int) -> None:
    """Say that a notice was looked at. Raises NotFound."""
    _officer(records)
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            f"UPDATE privacy_notice SET seen = %s, seen_by = %s WHERE id = %s AND tenant = %s AND seen IS NULL {_OF_ORG} "
            "RETURNING patient",
            (records.clock(), records.actor.user, notice, records.actor.tenant, *_of_org(records)),
        )
        if not rows:
            raise NotFound("There is no such notice")
        await audit.note(
            conn, records.actor, records.clock(), "notice-seen", patients=[rows[0][0]] if rows[0][0] else [], detail=str(notice)
        )  # fmt: skip


async def looked_at(records: Records, limit: int = 50) -> list[tuple[Notice, datetime, str]]:
    """(notice, when, who) of what was looked at last. Raises NotFound for anybody but a privacy officer."""
    _officer(records)
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "SELECT n.id, n.at, n.kind, n.org, n.patient, n.source, n.words, n.seen, coalesce(u.name, n.seen_by, '') "
            "FROM privacy_notice n LEFT JOIN app_user u ON u.id = n.seen_by WHERE n.tenant = %s AND n.seen IS NOT NULL "
            "AND (%s OR n.org = %s) ORDER BY n.seen DESC, n.id DESC LIMIT %s",
            (records.actor.tenant, *_of_org(records), limit),
        )
        found = [(Notice(*row[:7]), row[7], row[8]) for row in rows]
        who = sorted({one.patient for one, _, _ in found if one.patient})
        await audit.note(conn, records.actor, records.clock(), "read-notices", patients=who)
    return found


async def open_again(records: Records, notice: int) -> None:
    """Put a notice back among those to look at. Raises NotFound."""
    _officer(records)
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "UPDATE privacy_notice SET seen = NULL, seen_by = NULL WHERE id = %s AND tenant = %s AND seen IS NOT NULL "
            f"{_OF_ORG} RETURNING patient",
            (notice, records.actor.tenant, *_of_org(records)),
        )
        if not rows:
            raise NotFound("There is no such notice")
        await audit.note(
            conn, records.actor, records.clock(), "notice-open", patients=[rows[0][0]] if rows[0][0] else [], detail=str(notice)
        )  # fmt: skip


async def counting(records: Records, patients: Sequence[str]) -> set[str]:
    """The ids of these patients' Consents whose provisions count here; the caller has read the patients."""
    async with records.database.single() as conn:
        rows = await conn.fetch(
            "SELECT DISTINCT consent FROM consent_rule WHERE tenant = %s AND patient = ANY(%s)",
            (records.actor.tenant, list(patients)),
        )
    return {row[0] for row in rows}


_OF_ORG = "AND (%s OR org = %s)"


def _of_org(records: Records) -> tuple[bool, str]:
    return records.actor.network is False, records.actor.org


def _officer(records: Records) -> None:
    if records.actor.role not in ("privacy-officer", "administrator"):
        raise NotFound("There is nothing here")
