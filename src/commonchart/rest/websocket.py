"""Notifications over a websocket (R4 backport): `bind-with-token TOKEN`, a handshake, then events as they come.

The token is the whole credential: single use, a few minutes, kept by its hash. Rights are decided again at each round, so
a socket of somebody who was shut out is closed within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from commonchart.access.actors import Actor
from commonchart.access.standing import standing
from commonchart.exchange.subscriptions import deliver, notification, state, tickets
from commonchart.exchange.subscriptions.state import State
from commonchart.exchange.subscriptions.tickets import Ticket
from commonchart.fhir import json
from commonchart.fhir.outcome import Busy, Refused

if TYPE_CHECKING:
    from commonchart.record.database import Database

log = structlog.get_logger("commonchart.websocket")

ROUND_SECONDS = 0.5
BIND_SECONDS = 10.0
LIVES_SECONDS = 12 * 3600.0
MOST = 200
MAX_TEXT = 1000
POLICY, AGAIN = 1008, 1013

_open: set[int] = set()


class Line(Struct, frozen=True):
    """One socket that is bound: where it is, and for whom."""

    socket: WebSocket
    database: Database
    clock: Callable[[], datetime]
    base: str
    ticket: Ticket


def routes() -> list[BaseRoute]:
    """The websocket's address."""
    return [WebSocketRoute("/fhir-websocket", listen)]


async def listen(socket: WebSocket) -> None:
    """One client, from its binding to its end."""
    if len(_open) >= MOST:
        await socket.close(AGAIN)
        return
    await socket.accept()
    _open.add(id(socket))
    try:
        async with asyncio.timeout(LIVES_SECONDS):
            await _bound(socket)
    except (WebSocketDisconnect, TimeoutError):
        return
    except Busy:
        await _close(socket, AGAIN)
    except Exception as error:
        log.error("websocket failed", kind=type(error).__name__)
        await _close(socket, 1011)
    finally:
        _open.discard(id(socket))


async def _bound(socket: WebSocket) -> None:
    app = socket.app.state
    ticket = await _ticket(socket, app.database, app.clock)
    if ticket is None:
        await _close(socket, POLICY)
        return
    settings = app.settings
    line = Line(socket, app.database, app.clock, f"{settings.address}/fhir", ticket)
    gone = asyncio.ensure_future(_gone(socket))
    try:
        await _tell(line, gone)
    finally:
        gone.cancel()


async def _ticket(socket: WebSocket, database: Database, clock: Callable[[], datetime]) -> Ticket | None:
    try:
        async with asyncio.timeout(BIND_SECONDS):
            text = await socket.receive_text()
    except (TimeoutError, KeyError):
        return None
    words, _, token = text[:MAX_TEXT].partition(" ")
    if words != "bind-with-token":
        return None
    async with database.single() as conn:
        return await tickets.redeem(conn, token.strip(), clock())


async def _gone(socket: WebSocket) -> None:
    """Wait for the client to go; what it says meanwhile is not listened to."""
    while True:
        if (await socket.receive())["type"] == "websocket.disconnect":
            return


async def _tell(line: Line, gone: asyncio.Future[None]) -> None:
    sent: dict[str, int] = {}
    last: dict[str, datetime] = {}
    while not gone.done():
        alive = False
        try:
            async with line.database.single() as conn:
                actor = await standing(conn, line.ticket.actor)
        except Busy:
            raise
        except Refused:
            break
        for id in line.ticket.subscriptions:
            alive |= await _one(line, actor, id, sent, last)
        if not alive:
            break
        await asyncio.wait([gone], timeout=ROUND_SECONDS)
    if not gone.done():
        await _close(line.socket, POLICY)


async def _one(line: Line, actor: Actor, id: str, sent: dict[str, int], last: dict[str, datetime]) -> bool:
    """Whatever is new for one subscription; whether it still is to be told anything."""
    async with line.database.single() as conn:
        found = await state.one(conn, actor.tenant, id)
    if found is None or found.state in ("off", "error"):
        return False
    now = line.clock()
    if id not in sent:
        sent[id], last[id] = found.delivered, now
        await _send(line, notification.bundle(line.base, found, "handshake", now))
    if found.state != "active":
        return True
    while found.events > sent[id]:
        n = await _events(line, actor, found, sent[id])
        if n == sent[id]:
            break
        sent[id], last[id] = n, now
    beat = found.how.heartbeat
    if beat and (now - last[id]).total_seconds() >= beat:
        last[id] = now
        await _send(line, notification.bundle(line.base, found, "heartbeat", now))
    return True


async def _events(line: Line, actor: Actor, found: State, after: int) -> int:
    """Tell the next few events; up to which number."""
    plan = found.how
    async with line.database.single() as conn:
        events = await state.events(conn, found.tenant, found.id, after, limit=plan.max_count)
        told = await deliver.looked_up(conn, actor, events, line.clock())
    if not told:
        return after
    await _send(
        line, notification.bundle(line.base, found, "event-notification", line.clock(), told, plan.content)
    )
    await deliver.arrived(line.database, actor, found, told, line.clock(), plan.content)
    return told[-1].event.n


async def _send(line: Line, bundle: dict[str, object]) -> None:
    async with asyncio.timeout(30):
        await line.socket.send_text(json.encode(bundle).decode())


async def _close(socket: WebSocket, code: int) -> None:
    try:
        await socket.close(code)
    except (RuntimeError, WebSocketDisconnect):
        return
