"""From the change feed to the outbox: what fires, for whom, numbered in the transaction that moves the cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from commonchart.access import subscribed
from commonchart.access.actors import Actor
from commonchart.exchange.subscriptions import accept, match, state
from commonchart.exchange.subscriptions.headers import sealed_plan
from commonchart.exchange.subscriptions.plan import Plan, plan_of
from commonchart.exchange.subscriptions.state import State
from commonchart.exchange.subscriptions.topics import BY_URL
from commonchart.fhir import json
from commonchart.fhir.outcome import Busy, Refused
from commonchart.record import changes
from commonchart.record.rows import Change, Stored

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

log = structlog.get_logger("commonchart.subscriptions")

CURSOR = "subscriptions"
WORKER = "subscriptions-worker"
CHANGES = 1000

Keeper = dict[tuple[int, str], tuple[State, Plan]]


class Ended(Struct, frozen=True):
    """A Subscription whose status is to be written into the record."""

    tenant: int
    id: str
    status: str
    error: str


async def follow(database: Database, clock: Callable[[], datetime]) -> tuple[int, list[Ended]]:
    """Take one batch of the feed: how many changes, and which Subscriptions were refused on the way."""
    async with database.connection() as conn:
        batch = await changes.take(conn, CURSOR, CHANGES)
        if not batch.changes:
            return 0, []
        held = {(one.tenant, one.id): (one, one.how) for one in await state.listening(conn)}
        actors: dict[tuple[int, str, str, str], Actor | None] = {}
        refused: list[Ended] = []
        for change in batch.changes:
            if change.rtype == "Subscription":
                refused += await _subscription(conn, change, held, clock())
            else:
                await _told(conn, change, held, actors, clock())
        await changes.advance(conn, CURSOR, batch)
        return len(batch.changes), refused


# ---- subscriptions that come, change and go --------------------------------------------------------------------


async def _subscription(conn: Connection, change: Change, held: Keeper, now: datetime) -> Iterable[Ended]:
    key = (change.tenant, change.id)
    if change.op == "delete":
        await state.forget(conn, *key)
        held.pop(key, None)
        return ()
    found = await subscribed.versions(conn, change.tenant, [("Subscription", change.id, change.vid)])
    stored = found.get(("Subscription", change.id, change.vid))
    if stored is None or stored.actor == WORKER:
        return ()
    resource = json.decode(stored.body or b"{}")
    if resource.get("status") == "requested":
        return await _begun(conn, change, stored, held, now)
    if resource.get("status") == "off":
        await state.ended(conn, *key, "off", "", now)
        held.pop(key, None)
    return ()


async def _begun(
    conn: Connection, change: Change, stored: Stored, held: Keeper, now: datetime
) -> Iterable[Ended]:
    """Looked at again as when it was written: a Subscription may have come by another door."""
    key = (change.tenant, change.id)
    try:
        plan = plan_of(json.decode(stored.body or b"{}"))
        actor = await subscribed.subscriber(conn, change.tenant, stored.actor, stored.org, change.id)
        await accept.check(conn, actor, plan, now, looked_up=False)
    except Busy:
        raise
    except Refused as refusal:
        await state.ended(conn, *key, "error", str(refusal), now)
        held.pop(key, None)
        return [Ended(*key, "error", str(refusal))]
    kept = sealed_plan(conn.keys, change.tenant, plan)
    await state.begin(conn, *key, change.vid, (stored.actor, stored.org), kept, now)
    begun = await state.one(conn, *key)
    if begun is not None:
        held[key] = (begun, plan)
    return ()


async def subscriber(conn: Connection, one: State) -> Actor:
    """Whoever subscribed, as of now. Raises Forbidden."""
    return await subscribed.subscriber(conn, one.tenant, one.user, one.org, one.id)


# ---- events ----------------------------------------------------------------------------------------------------


async def _told(
    conn: Connection,
    change: Change,
    held: Keeper,
    actors: dict[tuple[int, str, str, str], Actor | None],
    now: datetime,
) -> None:
    listeners = [
        (one, plan)
        for one, plan in held.values()
        if one.tenant == change.tenant and any(t.rtype == change.rtype for t in BY_URL[plan.topic].triggers)
    ]
    if not listeners:
        return
    facts = await _facts(conn, change)
    for one, plan in listeners:
        if _fits(plan, facts) and await _may(conn, change, one, actors, now):
            await state.add(conn, one.tenant, one.id, change)


def _fits(plan: Plan, facts: match.Facts | None) -> bool:
    """Whether a plan is to be told; where that cannot be worked out it is, since silence would pass for safety."""
    try:
        return facts is None or (match.fires(BY_URL[plan.topic], facts) and match.wanted(plan, facts))
    except Exception as error:
        log.error("subscription not decided", kind=type(error).__name__, topic=plan.topic)
        return True


async def _facts(conn: Connection, change: Change) -> match.Facts | None:
    keys = [(change.rtype, change.id, vid) for vid in (change.vid, change.vid - 1) if vid > 0]
    found = await subscribed.versions(conn, change.tenant, keys)
    bodies = [found[key].body if key in found else None for key in keys] + [None]
    try:
        now, before = (json.decode(body) if body is not None else None for body in bodies[:2])
        return match.facts(change.rtype, change.id, change.op, now, before)
    except Exception as error:
        log.error("change not understood", kind=type(error).__name__, rtype=change.rtype)
        return None


async def _may(
    conn: Connection,
    change: Change,
    one: State,
    actors: dict[tuple[int, str, str, str], Actor | None],
    now: datetime,
) -> bool:
    key = (one.tenant, one.user, one.org, one.id)
    if key not in actors:
        try:
            actors[key] = await subscriber(conn, one)
        except Busy:
            raise
        except Refused:
            actors[key] = None
    actor = actors[key]
    if actor is None:
        return False
    return bool(await subscribed.seen(conn, actor, change.rtype, change.id, change.vid, now))
