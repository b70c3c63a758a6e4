"""Open alerts of a person over everything recorded: found again after every change, closed when their cause goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from commonchart.access import audit, users, withheld
from commonchart.access.medications import events, reading
from commonchart.access.medications.approvals import approved
from commonchart.care.medications.answers import Alert, Checked, Source
from commonchart.care.medications.checking import review
from commonchart.care.medications.inputs import Record
from commonchart.care.medications.pack import built_in
from commonchart.fhir.outcome import Conflict, Invalid, NotFound
from commonchart.record.keys import hash64, patient_key

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

_SHOWN = (
    "key, rule, kind, tier, title, why, source, review, pack, facts, opened, answered, answered_by, reason"
)


class Standing(Struct, frozen=True):
    """One alert as it stands. `answered` is when, `answered_by` who decided that it goes on, `reason` why."""

    key: str
    alert: Alert
    opened: datetime | None = None
    answered: datetime | None = None
    answered_by: str = ""
    reason: str = ""

    @property
    def serious(self) -> bool:
        """Whether it may kill and nobody has decided on it."""
        return self.alert.tier == "interrupt" and self.answered is None


class Whole(Struct, frozen=True):
    """All alerts of a person as the actor may know them, what was covered, and when. None: not reviewed yet."""

    alerts: tuple[Standing, ...]
    lines: tuple[str, ...]
    reviewed_at: datetime | None

    @property
    def open(self) -> tuple[Standing, ...]:
        """Those that nobody has decided on."""
        return tuple(one for one in self.alerts if one.answered is None)


def key_of(alert: Alert) -> str:
    """What makes an alert the same one: its rule, what it says, and the records it rests on."""
    return sha256(
        "\x1f".join((alert.rule, alert.title, *sorted(f.ref for f in alert.facts))).encode()
    ).hexdigest()[:32]


def basis(allowed: frozenset[str]) -> str:
    """What the answers rest on beside the record: the pack and the approvals."""
    return sha256("\x1f".join((built_in().hash, *sorted(allowed))).encode()).hexdigest()[:16]


# ---- keeping them right -------------------------------------------------------------------------------------------


async def refresh(conn: Connection, tenant: int, patient: str, now: datetime) -> None:
    """Review a person's record and make the stored alerts what it says now, one at a time for a person."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_lock(tenant, patient),))
    await _review(conn, tenant, patient, now)


async def refreshed(records: Records, patient: str) -> None:
    """Review now what a user just recorded, so that the page that follows shows it; the worker would within seconds.

    Where the worker is at it already nobody waits for it: what it has not seen it is told of by the feed.
    """
    tenant = records.actor.tenant
    async with records.whole.connection() as conn:
        free = await conn.fetch("SELECT pg_try_advisory_xact_lock(%s)", (_lock(tenant, patient),))
        if free[0][0]:
            await _review(conn, tenant, patient, records.clock())


def _lock(tenant: int, patient: str) -> int:
    return hash64(f"{tenant}\x1fmedication-alerts {patient}")


async def _review(conn: Connection, tenant: int, patient: str, now: datetime) -> None:
    allowed = await approved(conn, tenant)
    known = await reading.known(conn, users.system(tenant, "medication-alerts"), now, patient, now.date())
    if known is None:
        await _close(conn, tenant, patient, [], now)
        await conn.execute(
            "DELETE FROM medication_review WHERE pk = %s AND tenant = %s AND patient = %s",
            _of(tenant, patient),
        )
        return
    found = review(known.record, built_in(), now.date(), allowed)
    await _open(conn, tenant, patient, found.alerts, now)
    await _close(conn, tenant, patient, [key_of(one) for one in found.alerts], now)
    await _reviewed(conn, tenant, patient, found, basis(allowed), _again(known.record, now.date()), now)


async def _open(conn: Connection, tenant: int, patient: str, alerts: Sequence[Alert], now: datetime) -> None:
    """New ones are opened; one that had closed begins anew, undecided; what stays the same is not written."""
    for one in sorted(
        alerts, key=key_of
    ):  # in one order, so that two writers never wait for each other crosswise
        facts = msgspec.json.encode(one.facts).decode()
        await conn.execute(
            "INSERT INTO medication_alert AS a (pk, tenant, patient, key, rule, kind, tier, title, why, source, review, pack, "
            "facts, opened) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (pk, tenant, patient, key) DO UPDATE SET tier = excluded.tier, why = excluded.why, "
            "source = excluded.source, review = excluded.review, pack = excluded.pack, facts = excluded.facts, closed = NULL, "
            "opened = CASE WHEN a.closed IS NULL THEN a.opened ELSE excluded.opened END, "
            "answered = CASE WHEN a.closed IS NULL AND a.tier = excluded.tier THEN a.answered END "
            "WHERE a.closed IS NOT NULL OR (a.tier, a.why, a.review, a.pack, a.facts) IS DISTINCT FROM "
            "(excluded.tier, excluded.why, excluded.review, excluded.pack, excluded.facts)",
            (*_of(tenant, patient), key_of(one), one.rule, one.kind, one.tier, one.title, one.why, one.source, one.review,
             one.pack, facts, now),
        )  # fmt: skip


async def _close(conn: Connection, tenant: int, patient: str, keys: list[str], now: datetime) -> None:
    await conn.execute(
        "UPDATE medication_alert SET closed = %s WHERE pk = %s AND tenant = %s AND patient = %s AND closed IS NULL "
        "AND NOT key = ANY(%s)",
        (now, *_of(tenant, patient), keys),
    )


async def _reviewed(
    conn: Connection,
    tenant: int,
    patient: str,
    found: Checked,
    rests_on: str,
    again: date | None,
    now: datetime,
) -> None:
    lines = msgspec.json.encode(found.lines).decode()
    await conn.execute(
        "INSERT INTO medication_review (pk, tenant, patient, covered, lines, pack, basis, again, reviewed_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (pk, tenant, patient) DO UPDATE SET "
        "covered = excluded.covered, lines = excluded.lines, pack = excluded.pack, basis = excluded.basis, "
        "again = excluded.again, reviewed_at = excluded.reviewed_at",
        (*_of(tenant, patient), found.covered, lines, found.pack, rests_on, again, now),
    )


def _again(record: Record, today: date) -> date | None:
    """When time alone may change the answer: the day after while a washout runs, else within a week; never without medicines."""
    if not record.medications:
        return None
    return today + timedelta(days=1 if any(one.until for one in record.medications) else 7)


async def changing(conn: Connection, today: date, limit: int) -> list[tuple[int, str]]:
    """(tenant, patient) of those whose review is due anew because of the day."""
    cursor = await conn.execute(
        "SELECT tenant, patient FROM medication_review WHERE again <= %s ORDER BY again LIMIT %s",
        (today, limit),
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def outdated(conn: Connection, limit: int) -> list[tuple[int, str]]:
    """(tenant, patient) of those who were reviewed with another pack, or before a rule was approved."""
    cursor = await conn.execute(_BASES)
    out: list[tuple[int, str]] = []
    for tenant, rests_on in await cursor.fetchall():
        if rests_on != basis(await approved(conn, tenant)):
            cursor = await conn.execute(
                "SELECT patient FROM medication_review WHERE tenant = %s AND basis = %s LIMIT %s",
                (tenant, rests_on, limit),
            )
            out += [(tenant, row[0]) for row in await cursor.fetchall()]
    return out[:limit]


# (tenant, basis) that there are, from one to the next along the index: asked in every round
_BASES = (
    "WITH RECURSIVE k AS ((SELECT tenant, basis FROM medication_review ORDER BY tenant, basis LIMIT 1) UNION ALL "
    "SELECT n.tenant, n.basis FROM k CROSS JOIN LATERAL (SELECT m.tenant, m.basis FROM medication_review m "
    "WHERE (m.tenant, m.basis) > (k.tenant, k.basis) ORDER BY m.tenant, m.basis LIMIT 1) n) SELECT tenant, basis FROM k"
)


# ---- reading and deciding -----------------------------------------------------------------------------------------


async def whole(records: Records, patient: str) -> Whole:
    """The alerts of a person as the actor may know them. Raises Forbidden.

    Who sees everything of this person is shown what is stored; for anybody else the record is reviewed as they see it.
    """
    await records.require("read", "MedicationRequest")
    await records.require("read", "AllergyIntolerance")
    async with records.database.connection() as conn:
        stored = await _stored(conn, records.actor.tenant, patient)
        if not await _sees_all(conn, records, patient, stored):
            stored = await _as_seen(conn, records, patient, stored)
        await audit.note(conn, records.actor, records.clock(), "read-alerts", patients=[patient])
    return stored


async def _sees_all(conn: Connection, records: Records, patient: str, stored: Whole) -> bool:
    if withheld.sees_everything(records.actor):
        return True
    known = stored.reviewed_at is not None
    return known and await reading.all_seen(conn, records.actor, records.clock(), patient)


async def _stored(conn: Connection, tenant: int, patient: str) -> Whole:
    rows = await conn.fetch(
        f"SELECT {_SHOWN} FROM medication_alert WHERE pk = %s AND tenant = %s AND patient = %s AND closed IS NULL "
        "ORDER BY tier <> 'interrupt', answered IS NOT NULL, kind, title",
        _of(tenant, patient),
    )
    held = await conn.fetch(
        "SELECT lines, reviewed_at FROM medication_review WHERE pk = %s AND tenant = %s AND patient = %s",
        _of(tenant, patient),
    )
    lines = msgspec.json.decode(held[0][0], type=tuple[str, ...]) if held else ()
    return Whole(tuple(_standing(row) for row in rows), lines, held[0][1] if held else None)


async def _as_seen(conn: Connection, records: Records, patient: str, stored: Whole) -> Whole:
    """The review of what this actor sees; what others decided on an alert that they see too is kept."""
    now = records.clock()
    known = await reading.known(conn, records.actor, now, patient, now.date())
    if known is None:
        raise NotFound("There is no Patient with this id")
    allowed = await approved(conn, records.actor.tenant)
    found = review(known.record, built_in(), now.date(), allowed, known.withheld)
    decided = {one.key: one for one in stored.alerts}
    alerts = (decided.get(key_of(one)) or Standing(key_of(one), one) for one in found.alerts)
    return Whole(tuple(alerts), found.lines, now)


def _standing(row: Sequence[object]) -> Standing:
    key, rule, kind, tier, title, why, source, review_, pack, facts, opened, answered, by, reason = row
    decoded = msgspec.json.decode(str(facts), type=tuple[Source, ...])
    alert = Alert(rule, kind, tier, title, why, source, review_, decoded, pack)  # type: ignore[arg-type]
    return Standing(key, alert, opened, answered, by, reason)  # type: ignore[arg-type]


async def accept(
    conn: Connection, actor: Actor, patient: str, alerts: Iterable[Alert], reason: str, now: datetime
) -> None:
    """What was overridden on an order is decided in the list too; a restricted conflict stays open for those who see it."""
    named = [one for one in alerts if one.kind != "restricted"]
    await _open(conn, actor.tenant, patient, named, now)
    await _answered(conn, actor, patient, [key_of(one) for one in named], reason, now)


async def answer(records: Records, patient: str, key: str, reason: str) -> None:
    """A clinician decides that it goes on, and why. Raises Forbidden, NotFound, Invalid (no reason), Conflict (decided)."""
    await records.require("create", "MedicationRequest")
    found = next((one for one in (await whole(records, patient)).alerts if one.key == key), None)
    if found is None:
        raise NotFound("There is no such alert any more: its cause has gone")
    if not reason.strip():
        raise Invalid("Say why it goes on as it is", at="reason", code="required")
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        if not await _answered(conn, actor, patient, [key], reason.strip()[: events.MOST_REASON], now):
            raise Conflict("Somebody else has decided on this alert: look again")
        await _reported(conn, actor, patient, found.alert, reason, now)
        await audit.note(conn, actor, now, "answer-alert", patients=[patient], detail=found.alert.rule)


async def _answered(
    conn: Connection, actor: Actor, patient: str, keys: list[str], reason: str, now: datetime
) -> int:
    cursor = await conn.execute(
        "UPDATE medication_alert SET answered = %s, answered_by = %s, reason = %s WHERE pk = %s AND tenant = %s "
        "AND patient = %s AND key = ANY(%s) AND closed IS NULL AND answered IS NULL",
        (now, actor.name, reason, *_of(actor.tenant, patient), keys),
    )
    return cursor.rowcount


async def _reported(
    conn: Connection, actor: Actor, patient: str, alert: Alert, reason: str, now: datetime
) -> None:
    """The decision counts in the report like one on an order."""
    digest = events.digest_of("review", patient, key_of(alert))
    stop = events.Stop(
        "review", patient, "Open alert", digest, (events.Shown(alert.rule, alert.title, alert.pack),)
    )
    await events.shown_now(conn, actor, stop, now)
    await events.decide(conn, actor, patient, digest, "overridden", now, reason.strip())


def _of(tenant: int, patient: str) -> tuple[int, int, str]:
    return patient_key(patient), tenant, patient
