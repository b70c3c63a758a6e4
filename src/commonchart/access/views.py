"""Saved filters of the registry: whose they are, who may use and change them, and how many rows fit.

The owner changes and deletes one; a shared one is used by everybody in the owner's organisation, and changed by its
administrators too. What is deleted can be brought back by whoever might delete it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from commonchart.access import audit, panels
from commonchart.access.due import Filters, how_many
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, TooCostly
from commonchart.record import views
from commonchart.record.views import View

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

MOST = 40
LONGEST = 60


async def listed(records: Records) -> tuple[list[View], str]:
    """The views that the actor may use, and the id of their default. Counts only where they count what the actor may see."""
    async with records.database.single() as conn:
        found = await views.listed(conn, records.actor.tenant, records.actor.user, records.actor.org)
        chosen = await views.default(conn, records.actor.tenant, records.actor.user)
    if not panels.whole(records.visible):
        found = [replace(one, counted=None, counted_at=None) for one in found]
    return found, chosen if chosen in {one.id for one in found} else ""


async def save(records: Records, name: str, filters: Filters, *, shared: bool) -> View:
    """Keep a filter under a name. Raises Invalid (name), TooCostly, Forbidden, NotFound."""
    await panels.allowed(records)
    actor, now = records.actor, records.clock()
    kept = replace(filters, picked=())
    async with records.whole.connection() as conn:
        mine = await views.listed(conn, actor.tenant, actor.user, actor.org)
        view = View(
            actor.tenant, uuid4().hex, actor.user, actor.org, shared, _name(name, mine), msgspec.json.encode(kept).decode(), now
        )  # fmt: skip
        if sum(one.owner == actor.user for one in mine) >= MOST:
            raise TooCostly(f"You have {MOST} saved filters: delete one first")
        view = replace(view, counted=await how_many(conn, records, kept, now.date()), counted_at=now)
        await views.put(conn, view)
        await audit.note(conn, actor, now, "save-filter", id=view.id)
    return view


async def rename(records: Records, id: str, name: str, *, shared: bool) -> View:
    """Another name, shared or not. Raises Invalid (name), Forbidden, NotFound."""
    async with records.database.connection() as conn:
        view = await _mine(conn, records, id)
        others = await views.listed(conn, records.actor.tenant, view.owner, view.org)
        view = replace(view, name=_name(name, [one for one in others if one.id != id]), shared=shared)
        await views.put(conn, view)
        await audit.note(conn, records.actor, records.clock(), "rename-filter", id=id)
    return view


async def delete(records: Records, id: str, *, back: bool = False) -> View:
    """Delete it, or bring it `back`. Raises Forbidden, NotFound."""
    now = records.clock()
    async with records.database.connection() as conn:
        view = replace(await _mine(conn, records, id), deleted_at=None if back else now)
        await views.put(conn, view)
        await audit.note(conn, records.actor, now, "restore-filter" if back else "delete-filter", id=id)
    return view


async def make_default(records: Records, id: str) -> None:
    """Open the registry with this one from now on, "" with none. Raises NotFound."""
    async with records.database.connection() as conn:
        if id:
            await _usable(conn, records, id)
        await views.set_default(conn, records.actor.tenant, records.actor.user, id)


async def filters_of(records: Records, id: str) -> Filters:
    """What a view narrows to. Raises NotFound."""
    async with records.database.single() as conn:
        view = await _usable(conn, records, id)
    return msgspec.json.decode(view.filters, type=Filters)


async def count_all(conn: Connection, records: Records) -> None:
    """Bring the counts of every view up to date, as `records` sees them: the worker, who sees everything."""
    now = records.clock()
    for view in await views.living(conn, records.actor.tenant):
        filters = msgspec.json.decode(view.filters, type=Filters)
        n = await how_many(conn, records, filters, now.date())
        await views.put(conn, replace(view, counted=n, counted_at=now))


def _name(name: str, others: list[View]) -> str:
    text = " ".join(name.split())
    if not text or len(text) > LONGEST or not text.isprintable():
        raise Invalid(f"Give the filter a name of at most {LONGEST} characters", at="view-name")
    if any(one.name.casefold() == text.casefold() for one in others):
        raise Invalid("There is a saved filter of this name already", at="view-name")
    return text


async def _usable(conn: Connection, records: Records, id: str) -> View:
    view = await views.one(conn, records.actor.tenant, id)
    actor = records.actor
    if view is None or view.deleted_at or not _theirs(view, actor):
        raise NotFound("There is no such saved filter")
    return view


def _theirs(view: View, actor: Actor) -> bool:
    return view.org == actor.org and (view.owner == actor.user or view.shared)


async def _mine(conn: Connection, records: Records, id: str) -> View:
    view = await views.one(conn, records.actor.tenant, id)
    actor = records.actor
    if view is None or not _theirs(view, actor):
        raise NotFound("There is no such saved filter")
    if view.owner != actor.user and actor.role != "administrator":
        raise Forbidden("Only its owner and administrators change a shared filter")
    return view
