"""The search parameters of a tenant's own in this process: registered when written, known everywhere within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from commonchart.fhir.outcome import Invalid
from commonchart.record import reindex, terminology
from commonchart.record.reindex import Held
from commonchart.record.rows import Write
from commonchart.search import custom
from commonchart.search.index import extended
from commonchart.search.parameters import Offered

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database, Pool

FRESH_SECONDS = 5.0

_known: WeakKeyDictionary[Pool, dict[int, tuple[float, Offered]]] = WeakKeyDictionary()


async def offered(database: Database, tenant: int, conn: Connection | None = None) -> Offered:
    """What the tenant's clients may search by, at most some seconds old."""
    now = asyncio.get_running_loop().time()
    found = _known.get(database.pool, {}).get(tenant)
    if found is not None and now - found[0] < FRESH_SECONDS:
        return found[1]
    if conn is not None:
        made = await read(conn, tenant)
    else:
        async with database.single() as own:
            made = await read(own, tenant)
    _known.setdefault(database.pool, {})[tenant] = (now, made)
    return made


async def read(conn: Connection, tenant: int) -> Offered:
    """What is registered, and how far it is indexed."""
    runs = await reindex.runs(conn, tenant)
    waiting = {run.name: run.progress() for run in runs if run.tenant and run.state != reindex.DONE}
    behind = next((run.progress() for run in runs if not run.tenant and run.state != reindex.DONE), None)
    return custom.offered([_own(one) for one in await reindex.held(conn, tenant)], waiting, behind)


def _own(one: Held) -> custom.Own:
    return custom.Own(one.id, one.code, tuple(one.base), one.kind, one.expression, tuple(one.target), one.url)


async def register(
    database: Database, conn: Connection, tenant: int, writes: Iterable[Write], now: datetime
) -> None:
    """Follow what is written of SearchParameters. Raises Invalid for an active one that cannot be searched by."""
    for write in writes:
        if write.rtype != "SearchParameter":
            continue
        made = custom.own(write.body, write.id) if write.body is not None else None
        _known.pop(database.pool, None)
        if made is None:
            await reindex.drop(conn, tenant, write.id)
            continue
        held = await reindex.held(conn, tenant)
        kept = Held(
            made.id, made.code, list(made.base), made.kind, made.expression, list(made.target), made.url
        )
        if kept in held:
            continue
        _check(held, kept)
        await reindex.hold(conn, tenant, kept)
        await reindex.ask(conn, tenant, made.id, made.base, 0, now)


def _check(held: Sequence[Held], new: Held) -> None:
    others = [one for one in held if one.id != new.id]
    if len(others) >= custom.MAX_OWN:
        raise Invalid(
            f"A tenant has at most {custom.MAX_OWN} search parameters of its own", at="SearchParameter"
        )
    if any(one.code == new.code and set(one.base) & set(new.base) for one in others):
        raise Invalid("Another search parameter has this code for the same type", at="SearchParameter.code")


class Terminology:
    """What search asks of the code systems and value sets that the site has loaded (`search.resolve.Terminology`)."""

    def __init__(self, conn: Connection, tenant: int) -> None:
        self._conn = conn
        self._tenant = tenant

    async def members(self, url: str) -> Sequence[tuple[str, str]]:
        """Every (system, code) of a value set. Raises Malformed when not loaded, TooCostly."""
        return await terminology.members(self._conn, self._tenant, url)

    async def descendants(self, system: str, code: str) -> Sequence[str]:
        """The code and every one below it. Raises Malformed when not loaded, TooCostly."""
        return await terminology.descendants(self._conn, system, code, self._tenant)

    async def ancestors(self, system: str, code: str) -> Sequence[str]:
        """The code and every one above it. Raises Malformed when not loaded."""
        return await terminology.ancestors(self._conn, system, code, self._tenant)


def indexed(write: Write, known: Offered) -> Write:
    """The write with what the tenant's own parameters find in it."""
    own = known.custom.get(write.rtype)
    if not own or write.body is None:
        return write
    return replace(write, index=extended(write.index, write.body, own.values()))
