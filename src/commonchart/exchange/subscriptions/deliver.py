"""Telling subscribers: each by itself and in order, so that a slow or dead endpoint holds up nobody else.

At least once: what was sent and not acknowledged is sent again. Rights are decided again when it is sent, as the subscriber.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from commonchart.access import subscribed, users
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.exchange.egress import Guard, Unanswered, header
from commonchart.exchange.rules import guard_of
from commonchart.exchange.subscriptions import email, notification, state
from commonchart.exchange.subscriptions.feed import WORKER, Ended, subscriber
from commonchart.exchange.subscriptions.headers import opened
from commonchart.exchange.subscriptions.notification import Told
from commonchart.exchange.subscriptions.plan import Plan
from commonchart.exchange.subscriptions.state import Event, State
from commonchart.fhir import json
from commonchart.fhir.outcome import Busy, Refused, Stale
from commonchart.fhir.validate import validate

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

log = structlog.get_logger("commonchart.subscriptions")

AT_ONCE = 256
HELD_SECONDS = 30
FHIR = "application/fhir+json"


class Post(Struct, frozen=True):
    """What sending needs: the database, the time, our address, and a guard for tests."""

    database: Database
    clock: Callable[[], datetime]
    base: str
    guard: Guard | None = None


_running: dict[tuple[int, int, str], asyncio.Task[None]] = {}


async def begin(post: Post) -> int:
    """Start what is due and is not being sent already; how many were started. It goes on by itself."""
    async with post.database.single() as conn:
        found = await state.due(conn, post.clock())
    started = 0
    for one in found:
        key = (id(post.database), one.tenant, one.id)
        if key not in _running and len(_running) < AT_ONCE:
            task = asyncio.create_task(_tended(post, one))
            _running[key] = task
            task.add_done_callback(lambda _, key=key: _running.pop(key, None))  # type: ignore[misc]
            started += 1
    return started


async def settled() -> None:
    """Wait for everything that is being sent."""
    while _running:
        await asyncio.wait(list(_running.values()))


async def _tended(post: Post, due: State) -> None:
    """One subscription until nothing is left to tell, or something fails."""
    seconds = due.how.timeout + HELD_SECONDS
    try:
        async with post.database.single() as conn:
            one = await state.hold(conn, due, post.clock(), seconds)
        while one is not None and await _step(post, one):
            async with post.database.single() as conn:
                await state.release(conn, one.tenant, one.id)
                one = await state.hold(conn, one, post.clock(), seconds)
    except Busy:
        return
    except Exception as error:
        log.error("subscription failed", kind=type(error).__name__)
    finally:
        if not asyncio.get_running_loop().is_closed():
            await _let_go(post, due)


async def _let_go(post: Post, one: State) -> None:
    try:
        async with post.database.single() as conn:
            await state.release(conn, one.tenant, one.id)
    except Busy:
        return


async def _step(post: Post, one: State) -> bool:
    """Whatever is next for this subscription; whether there may be more."""
    now = post.clock()
    try:
        async with post.database.single() as conn:
            actor = await subscriber(conn, one)
    except Busy:
        raise
    except Refused as refusal:
        await over(post, Ended(one.tenant, one.id, "error", str(refusal)))
        return False
    if one.ends is not None and one.ends <= now:
        await over(post, Ended(one.tenant, one.id, "off", one.error))
        return False
    try:
        return await _next(post, one, actor, now)
    except Unanswered as error:
        await _again_later(post, one, str(error))
    except Busy:
        raise
    except Refused as refusal:
        await over(post, Ended(one.tenant, one.id, "error", str(refusal)))
    except Exception as error:
        log.error("notification failed", kind=type(error).__name__)
        await _again_later(post, one, f"Something went wrong here ({type(error).__name__})")
    return False


async def _next(post: Post, one: State, actor: Actor, now: datetime) -> bool:
    plan = one.how
    if one.state == "requested":
        if plan.channel == "rest-hook":
            await _send(post, one, plan, notification.bundle(post.base, one, "handshake", now))
        async with post.database.connection() as conn:
            begun = await state.active(conn, one.tenant, one.id, one.vid, now)
        if begun:
            await say_status(post, one.tenant, one.id, "active", "")
        return plan.channel != "websocket"
    if one.state != "active":
        return False
    async with post.database.single() as conn:
        found = await state.events(conn, one.tenant, one.id, one.delivered, limit=plan.max_count)
    if found:
        await _events(post, one, plan, actor, found)
        return True
    if plan.heartbeat and (one.sent_at is None or (now - one.sent_at).total_seconds() >= plan.heartbeat):
        await _send(post, one, plan, notification.bundle(post.base, one, "heartbeat", now))
        async with post.database.single() as conn:
            await state.delivered(conn, one.tenant, one.id, one.delivered, now)
    return False


async def _events(post: Post, one: State, plan: Plan, actor: Actor, found: list[Event]) -> None:
    async with post.database.single() as conn:
        told = await looked_up(conn, actor, found, post.clock())
    bundle = notification.bundle(post.base, one, "event-notification", post.clock(), told, plan.content)
    await _send(post, one, plan, bundle)
    await arrived(post.database, actor, one, told, post.clock(), plan.content)


async def looked_up(conn: Connection, actor: Actor, found: list[Event], now: datetime) -> tuple[Told, ...]:
    """The events with what this actor may see of them now."""
    return tuple(
        [Told(one, await subscribed.seen(conn, actor, one.rtype, one.id, one.vid, now)) for one in found]
    )


async def arrived(
    database: Database, actor: Actor, one: State, told: tuple[Told, ...], now: datetime, content: str
) -> None:
    """Note that these were told, and about whom."""
    whom = [
        t.stored.patient for t in told if t.stored is not None and t.stored.patient and content != "empty"
    ]
    async with database.connection() as conn:
        await state.delivered(conn, one.tenant, one.id, told[-1].event.n, now)
        await subscribed.told(conn, actor, now, one.id, whom)


async def noted(records: Records, one: State, told: tuple[Told, ...], content: str) -> None:
    """Leave a row of events that somebody asked for."""
    whom = [
        t.stored.patient for t in told if t.stored is not None and t.stored.patient and content != "empty"
    ]
    async with records.database.single() as conn:
        await subscribed.told(conn, records.actor, records.clock(), one.id, whom)


async def _send(post: Post, one: State, plan: Plan, bundle: dict[str, object]) -> None:
    """By the plan's channel. Raises Unanswered, Forbidden (an endpoint that may not be called any more)."""
    async with post.database.single() as conn:
        if plan.channel == "email":
            how = await email.set_up(conn, one.tenant)
        guard = post.guard or await guard_of(conn, one.tenant)
    if plan.channel == "email":
        await email.send(how, plan, bundle)
        return
    given = [opened(post.database.keys, one.tenant, plan.endpoint, text) for text in plan.headers]
    reply = await guard.send(
        "POST", plan.endpoint, headers={**dict(header(text) for text in given), "content-type": FHIR},
        content=json.encode(bundle), seconds=float(plan.timeout), max_bytes=65_536,
    )  # fmt: skip
    if not 200 <= reply.status < 300:
        raise Unanswered(f"The endpoint answers {reply.status}")


async def _again_later(post: Post, one: State, words: str) -> None:
    if one.state == "requested":
        await over(post, Ended(one.tenant, one.id, "error", words))
        return
    async with post.database.connection() as conn:
        given_up = await state.failed(conn, one, words, post.clock())
    if given_up:
        await say_status(post, one.tenant, one.id, "error", words)


async def over(post: Post, ended: Ended) -> None:
    """End a subscription: in the outbox, and in its resource."""
    async with post.database.connection() as conn:
        await state.ended(conn, ended.tenant, ended.id, ended.status, ended.error, post.clock())
    await say_status(post, ended.tenant, ended.id, ended.status, ended.error)


async def say_status(post: Post, tenant: int, id: str, status: str, error: str) -> None:
    """Write the status into the Subscription, unless it is there already, the resource is gone, or a newer one has come."""
    records = Records(post.database, users.system(tenant, WORKER), post.clock)
    async with records.transaction() as tx:
        stored = await tx.read("Subscription", id)
        if stored is None or stored.deleted or stored.body is None:
            return
        resource = json.decode(stored.body)
        if resource.get("status") == status and resource.get("error", "") == error:
            return
        resource = {**{k: v for k, v in resource.items() if k != "error"}, "status": status}
        if error:
            resource["error"] = error
        with suppress(Stale):
            await tx.write([Put(validate(resource), id, stored.vid)])
