"""What somebody may do now who asked for something earlier: work that outlives a request decides again at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from commonchart.access.actors import Actor, Role
from commonchart.access.credentials import IN_FORCE, LAST_USED, LIVING, SHARING
from commonchart.fhir.outcome import Forbidden

if TYPE_CHECKING:
    from commonchart.record.database import Connection

OVER = "The access of whoever asked for this has ended"
ENDED = "What the app that asked for this was allowed has ended"
# the program's own acts, which no user of the table stands behind
OURS = frozenset({"cli", "commonchart"})

_FIND = (
    "SELECT u.name, m.role, m.org, m.id, u.patient, u.practitioner, u.active, "
    "EXISTS (SELECT 1 FROM credential c WHERE c.membership = m.id AND c.revoked IS NULL), "
    "EXISTS (SELECT 1 FROM credential c WHERE c.membership = m.id), " + SHARING + " "
    f"FROM app_user u LEFT JOIN membership m ON m.actor = u.id AND {IN_FORCE} "
    "AND CASE WHEN %s <> '' THEN m.id = %s ELSE m.org = %s END WHERE u.id = %s AND u.tenant = %s"
)


async def standing(conn: Connection, actor: Actor) -> Actor:
    """The actor with the role and patient of today, for the organisation that they asked for.

    Raises Forbidden for one who was shut out or works for that organisation no more, or all of whose sessions and tokens were revoked (an expired one is not:
    a subscription outlives the access token it was made with).
    """
    args = (actor.membership, actor.membership, actor.org, actor.user, actor.tenant)
    row = await (await conn.execute(_FIND, args)).fetchone()
    if row is None:
        if actor.role == "system" and actor.client in OURS:
            return actor
        raise Forbidden("Whoever asked for this is not known any more")
    name, role, org, membership, patient, practitioner, active, living, any_at_all, network, refused = row
    if not active or membership is None or (any_at_all and not living):
        raise Forbidden(OVER)
    if actor.app:
        await _app_stands(conn, actor.app)
    now: Role = role
    return replace(
        actor, name=name, role=now, org=org, membership=membership, patient=patient, practitioner=practitioner,
        network=network, refused=refused,
    )  # fmt: skip


async def whichever(conn: Connection, actor: Actor) -> Actor:
    """The same for the organisation last acted for: for what is about a person and no organisation. Raises Forbidden."""
    cursor = await conn.execute(
        f"SELECT m.id FROM membership m WHERE m.actor = %s AND {IN_FORCE} ORDER BY {LAST_USED} LIMIT 1",
        (actor.user,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Forbidden(OVER)
    return await standing(conn, replace(actor, membership=row[0]))


async def _app_stands(conn: Connection, grant: str) -> None:
    cursor = await conn.execute(f"SELECT 1 FROM app_grant g WHERE g.id = %s AND {LIVING}", (grant,))
    if await cursor.fetchone() is None:
        raise Forbidden(ENDED)
