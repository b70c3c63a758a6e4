"""What was shown to whom, and what they did: the store behind overrides and their report.

A reason counts only for what its giver was shown: an override names the digest of the alerts, and is taken only where
exactly these were shown to this user about this patient, and nothing has been decided on them yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from commonchart.access import audit
from commonchart.access.writes import new_id
from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

Origin = Literal["medication", "immunization", "review"]
State = Literal["shown", "overridden", "changed", "withdrawn"]
FRESH = timedelta(hours=24)
MOST_REASON = 400


class Shown(Struct, frozen=True):
    """One alert that stops: its rule, what it says, and the pack it is from."""

    rule: str
    title: str
    pack: str = ""


class Stop(Struct, frozen=True):
    """Alerts that stopped one act. `about` says what was to be done, `digest` is of all that was shown."""

    origin: Origin
    patient: str
    about: str
    digest: str
    alerts: tuple[Shown, ...]


def digest_of(*parts: str) -> str:
    """A short digest of what is shown: any other word gives another."""
    return sha256("\x1f".join(parts).encode()).hexdigest()[:32]


async def show(records: Records, stops: Sequence[Stop]) -> None:
    """Keep that these were shown, in a transaction of its own: the act that they stop is rolled back."""
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        for stop in stops:
            await shown_now(conn, actor, stop, now)
        who = sorted({stop.patient for stop in stops})
        await audit.note(conn, actor, now, "alert", outcome=audit.MINOR, patients=who)


async def shown_now(conn: Connection, actor: Actor, stop: Stop, now: datetime) -> None:
    """One row an alert; the same alerts sent again before anything is decided are still the same showing."""
    if await was_shown(conn, actor, stop.patient, stop.digest, now):
        return
    for one in stop.alerts:
        await conn.execute(
            "INSERT INTO alert_event (pk, tenant, patient, id, at, actor, org, origin, rule, title, pack, digest, about, state) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'shown')",
            (patient_key(stop.patient), actor.tenant, stop.patient, new_id(now), now, actor.user, actor.org, stop.origin, one.rule,
             one.title[:400], one.pack, stop.digest, stop.about[:200]),
        )  # fmt: skip


async def was_shown(conn: Connection, actor: Actor, patient: str, digest: str, now: datetime) -> bool:
    """Whether exactly this was shown to this user within a day, and nothing has been decided on it."""
    rows = await conn.fetch(
        f"SELECT 1 FROM alert_event WHERE {_MINE} AND digest = %s AND at > %s LIMIT 1",
        (*_mine(actor, patient), digest, now - FRESH),
    )
    return bool(rows)


async def decide(
    conn: Connection, actor: Actor, patient: str, digest: str, state: State, now: datetime, reason: str = ""
) -> None:
    """What the user did about what was shown under this digest."""
    await conn.execute(
        f"UPDATE alert_event SET state = %s, decided = %s, reason = %s WHERE {_MINE} AND digest = %s",
        (state, now, reason[:MOST_REASON], *_mine(actor, patient), digest),
    )


async def changed(conn: Connection, actor: Actor, patient: str, origin: Origin, now: datetime) -> None:
    """The user did something else instead: whatever was shown and not decided has led to a change."""
    await conn.execute(
        f"UPDATE alert_event SET state = 'changed', decided = %s WHERE {_MINE} AND origin = %s AND at > %s "
        "AND state = 'shown'",
        (now, *_mine(actor, patient), origin, now - FRESH),
    )


async def withdraw(records: Records, patient: str, digest: str) -> None:
    """The user does not do it: the alert was accepted."""
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        await decide(conn, actor, patient, digest, "withdrawn", now)
        await audit.note(conn, actor, now, "withdraw-order", patients=[patient])


# what led to another order meanwhile may still be overridden
_MINE = "pk = %s AND tenant = %s AND patient = %s AND actor = %s AND state IN ('shown', 'changed')"


def _mine(actor: Actor, patient: str) -> tuple[int, int, str, str]:
    return patient_key(patient), actor.tenant, patient, actor.user
