"""What an administrator may see and do about the subscriptions of a site."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from commonchart.access import audit
from commonchart.exchange.subscriptions import state
from commonchart.exchange.subscriptions.state import State
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.record.changes import CHANNEL

if TYPE_CHECKING:
    from commonchart.access.records import Records


async def everyone(records: Records) -> list[State]:
    """The subscriptions of the site, those in trouble first. Raises Forbidden."""
    _require(records)
    async with records.database.single() as conn:
        return await state.everyone(conn, records.actor.tenant)


async def try_again(records: Records, id: str) -> None:
    """Send at once what is waiting, to one that was given up too. Raises Forbidden, NotFound."""
    _require(records)
    if not re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", id):
        raise NotFound("There is no such subscription at work")
    now = records.clock()
    async with records.database.connection() as conn:
        if await state.one(conn, records.actor.tenant, id) is None:
            raise NotFound("There is no such subscription at work")
        await state.again(conn, records.actor.tenant, [id], now)
        await audit.note(conn, records.actor, now, "retry", rtype="Subscription", id=id)
        await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


def _require(records: Records) -> None:
    if records.actor.role != "administrator":
        raise Forbidden("Only administrators look after subscriptions")
