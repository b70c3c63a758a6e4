"""What an app may write: the version before and the one to come must both lie within the scopes it was given.

The policy has decided on the type already; here each resource is looked at, under its lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commonchart.access import scopes
from commonchart.access.actors import Actor
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.record.rows import Stored, Write, Written

if TYPE_CHECKING:
    from commonchart.record.database import Connection

STATES = {"created": "create", "updated": "update"}


def replaces(actor: Actor, old: Stored, new: Write) -> None:
    """Raises NotFound or Forbidden when the living version is not one that the app may change."""
    if not actor.app:
        return
    action = "delete" if new.body is None else "update"
    if _admitted(actor, action, old):
        return
    if action == "delete":
        raise NotFound(f"There is no {old.rtype} with this id")
    raise Forbidden(f"What this app was allowed does not cover this {old.rtype}")


def readable(actor: Actor, one: Stored) -> bool:
    """Whether the app, if one asks, may read this very resource, which it was found by a scope to change."""
    return not actor.app or _admitted(actor, "read", one)


def made(actor: Actor, written: Sequence[Written]) -> None:
    """Raises Forbidden when a version that was just written is not one that the app may make; nothing is stored then."""
    if not actor.app:
        return
    for one in written:
        action = STATES.get(one.state)
        if action is not None and not _admitted(actor, action, one.stored):
            raise Forbidden(f"What this app was allowed does not cover this {one.stored.rtype}")


def _admitted(actor: Actor, action: str, one: Stored) -> bool:
    body = json.decode(one.body or b"{}")
    return scopes.admits(actor.scopes, actor.context, action, one.rtype, one.patient, body)


async def remembered(conn: Connection, actor: Actor, written: Sequence[Written]) -> None:
    """Keep through which app a Subscription was last written: what it delivers stays within that app's scopes."""
    for one in written:
        if one.stored.rtype == "Subscription" and one.state != "unchanged":
            key = (actor.tenant, one.stored.id)
            await conn.execute("DELETE FROM app_subscription WHERE tenant = %s AND id = %s", key)
            if actor.app:
                await conn.execute(
                    "INSERT INTO app_subscription (tenant, id, app_grant, scopes, patient) VALUES (%s, %s, %s, %s, %s)",
                    (*key, actor.app, " ".join(sorted(actor.scopes)), actor.context),
                )
