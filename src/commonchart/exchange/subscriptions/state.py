"""Subscriptions at work and their outbox, as rows: numbered events, delivered in order, each number once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.exchange.subscriptions.plan import Plan
from commonchart.record.rows import Change

if TYPE_CHECKING:
    from commonchart.record.database import Connection

BACKOFF_SECONDS = (5, 15, 60, 300, 900, 3600, 10_800, 21_600)
KEPT_EVENTS = 10_000

_COLUMNS = "tenant, id, vid, user_id, org, plan, state, events, delivered, failures, retry_at, sent_at, ends, error, changed"


class State(Struct, frozen=True):
    """One subscription at work. `plan` is JSON; `events` have happened, `delivered` of them have arrived."""

    tenant: int
    id: str
    vid: int
    user: str
    org: str
    plan: str
    state: str
    events: int
    delivered: int
    failures: int
    retry_at: datetime | None
    sent_at: datetime | None
    ends: datetime | None
    error: str
    changed: datetime

    @property
    def how(self) -> Plan:
        """What to tell whom, and how."""
        return msgspec.json.decode(self.plan, type=Plan)


class Event(Struct, frozen=True):
    """One event of one subscription: its number, and which version it is about."""

    n: int
    at: datetime
    rtype: str
    id: str
    vid: int
    op: str


async def begin(
    conn: Connection, tenant: int, id: str, vid: int, who: tuple[str, str], plan: Plan, now: datetime
) -> None:
    """A Subscription was asked for, or asked for again, by `who` (user, organisation): its numbers go on, its failures are forgotten."""
    await conn.execute(
        "INSERT INTO subscription_state (tenant, id, vid, user_id, org, topic, plan, state, ends, changed) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, 'requested', %s, %s) ON CONFLICT (tenant, id) DO UPDATE SET vid = excluded.vid, "
        "user_id = excluded.user_id, org = excluded.org, topic = excluded.topic, plan = excluded.plan, state = 'requested', failures = 0, "
        "retry_at = NULL, held_until = NULL, ends = excluded.ends, error = '', changed = excluded.changed",
        (tenant, id, vid, *who, plan.topic, msgspec.json.encode(plan).decode(), plan.ends, now),
    )


async def ended(conn: Connection, tenant: int, id: str, state: str, error: str, now: datetime) -> bool:
    """It is off, or in error; whether it was not before."""
    cursor = await conn.execute(
        "UPDATE subscription_state SET state = %s, error = %s, changed = %s, held_until = NULL, "
        "ends = CASE WHEN ends > %s THEN ends END WHERE tenant = %s AND id = %s AND state <> %s",
        (state, error, now, now, tenant, id, state),
    )
    return cursor.rowcount == 1


async def active(conn: Connection, tenant: int, id: str, vid: int, now: datetime) -> bool:
    """The handshake was answered; whether that handshake was still the one wanted."""
    cursor = await conn.execute(
        "UPDATE subscription_state SET state = 'active', failures = 0, retry_at = NULL, sent_at = %s, changed = %s, "
        "error = '', held_until = NULL WHERE tenant = %s AND id = %s AND vid = %s AND state = 'requested'",
        (now, now, tenant, id, vid),
    )
    return cursor.rowcount == 1


async def forget(conn: Connection, tenant: int, id: str) -> None:
    """The Subscription was deleted: nothing more is told, nothing is kept."""
    await conn.execute("DELETE FROM subscription_state WHERE tenant = %s AND id = %s", (tenant, id))
    await conn.execute("DELETE FROM subscription_event WHERE tenant = %s AND subscription = %s", (tenant, id))
    await conn.execute(
        "DELETE FROM subscription_ticket WHERE tenant = %s AND %s = ANY(subscriptions)", (tenant, id)
    )


async def add(conn: Connection, tenant: int, id: str, change: Change) -> None:
    """Give the change the next number; the row stays locked until the transaction ends, so no number is left out."""
    cursor = await conn.execute(
        "UPDATE subscription_state SET events = events + 1 WHERE tenant = %s AND id = %s RETURNING events",
        (tenant, id),
    )
    row = await cursor.fetchone()
    if row is None:
        return
    await conn.execute(
        "INSERT INTO subscription_event (tenant, subscription, n, at, rtype, id, vid, op) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (tenant, id, row[0], change.recorded, change.rtype, change.id, change.vid, change.op),
    )
    await conn.execute(
        "DELETE FROM subscription_event WHERE tenant = %s AND subscription = %s AND n <= %s",
        (tenant, id, row[0] - KEPT_EVENTS),
    )


async def listening(conn: Connection) -> list[State]:
    """Every subscription that events are kept for."""
    cursor = await conn.execute(f"SELECT {_COLUMNS} FROM subscription_state WHERE state <> 'off'")
    return [State(*row) for row in await cursor.fetchall()]


async def one(conn: Connection, tenant: int, id: str) -> State | None:
    """A subscription at work, if there is one."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM subscription_state WHERE tenant = %s AND id = %s", (tenant, id)
    )
    row = await cursor.fetchone()
    return State(*row) if row else None


async def everyone(conn: Connection, tenant: int, limit: int = 200) -> list[State]:
    """The subscriptions of a tenant, those in trouble first."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM subscription_state WHERE tenant = %s "
        "ORDER BY state <> 'error', failures = 0, changed DESC, id LIMIT %s",
        (tenant, limit),
    )
    return [State(*row) for row in await cursor.fetchall()]


async def due(conn: Connection, now: datetime) -> list[State]:
    """What is to be handshaken, told, kept alive or ended, and nobody is at."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM subscription_state WHERE (held_until IS NULL OR held_until <= %s) AND ("
        "(ends <= %s AND state IN ('requested', 'active', 'error')) "
        "OR (state = 'requested' AND (retry_at IS NULL OR retry_at <= %s)) "
        "OR (state = 'active' AND plan::json->>'channel' <> 'websocket' AND (retry_at IS NULL OR retry_at <= %s) "
        "AND (events > delivered OR ((plan::json->>'heartbeat')::int > 0 "
        "AND sent_at + make_interval(secs => (plan::json->>'heartbeat')::int) <= %s)))) LIMIT 500",
        (now, now, now, now, now),
    )
    return [State(*row) for row in await cursor.fetchall()]


async def hold(conn: Connection, state: State, now: datetime, seconds: int) -> State | None:
    """Take a subscription for a while, and read it as it now is; None if another sender has it."""
    cursor = await conn.execute(
        "UPDATE subscription_state SET held_until = %s WHERE tenant = %s AND id = %s "
        f"AND (held_until IS NULL OR held_until <= %s) RETURNING {_COLUMNS}",
        (now + timedelta(seconds=seconds), state.tenant, state.id, now),
    )
    row = await cursor.fetchone()
    return State(*row) if row else None


async def release(conn: Connection, tenant: int, id: str) -> None:
    """Let it go."""
    await conn.execute(
        "UPDATE subscription_state SET held_until = NULL WHERE tenant = %s AND id = %s", (tenant, id)
    )


async def delivered(conn: Connection, tenant: int, id: str, n: int, now: datetime) -> None:
    """Everything up to number `n` has arrived."""
    await conn.execute(
        "UPDATE subscription_state SET delivered = greatest(delivered, %s), failures = 0, retry_at = NULL, sent_at = %s, "
        "error = '' WHERE tenant = %s AND id = %s",
        (n, now, tenant, id),
    )


async def failed(conn: Connection, state: State, words: str, now: datetime) -> bool:
    """One more failure: when to try again, or that it is given up; whether it is."""
    if state.failures >= len(BACKOFF_SECONDS):
        return await ended(conn, state.tenant, state.id, "error", words, now)
    retry = now + timedelta(seconds=BACKOFF_SECONDS[state.failures])
    await conn.execute(
        "UPDATE subscription_state SET failures = failures + 1, retry_at = %s, error = %s WHERE tenant = %s AND id = %s",
        (retry, words, state.tenant, state.id),
    )
    return False


async def events(
    conn: Connection, tenant: int, id: str, after: int, until: int | None = None, limit: int = 100
) -> list[Event]:
    """The events after a number, in order."""
    args: list[Any] = [tenant, id, after, 2**62 if until is None else until, limit]
    cursor = await conn.execute(
        "SELECT n, at, rtype, id, vid, op FROM subscription_event WHERE tenant = %s AND subscription = %s AND n > %s "
        "AND n <= %s ORDER BY n LIMIT %s",
        args,
    )
    return [Event(*row) for row in await cursor.fetchall()]


async def again(conn: Connection, tenant: int, ids: Sequence[str], now: datetime) -> None:
    """Try again at once, those given up included: they are greeted anew."""
    await conn.execute(
        "UPDATE subscription_state SET failures = 0, retry_at = NULL, held_until = NULL, changed = %s, "
        "state = CASE WHEN state = 'error' THEN 'requested' ELSE state END "
        "WHERE tenant = %s AND id = ANY(%s) AND state <> 'off'",
        (now, tenant, list(ids)),
    )
