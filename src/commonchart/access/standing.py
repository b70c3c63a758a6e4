"""What somebody may do now who asked for something earlier: work that outlives a request decides again at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from commonchart.access.actors import Actor, Role
from commonchart.access.credentials import LIVING, SHARING
from commonchart.fhir.outcome import Forbidden

if TYPE_CHECKING:
    from commonchart.record.database import Connection

OVER = "The access of whoever asked for this has ended"
ENDED = "What the app that asked for this was allowed has ended"
# the program's own acts, which no user of the table stands behind
OURS = frozenset({"cli", "commonchart"})

_FIND = (
    "SELECT u.name, u.role, u.org, u.patient, u.practitioner, u.active, "
    "EXISTS (SELECT 1 FROM credential c WHERE c.actor = u.id AND c.revoked IS NULL), "
    "EXISTS (SELECT 1 FROM credential c WHERE c.actor = u.id), " + SHARING + " "
    "FROM app_user u WHERE u.id = %s AND u.tenant = %s"
)


async def standing(conn: Connection, actor: Actor) -> Actor:
    """The actor with the role, organisation and patient of today.

    Raises Forbidden for one who was shut out, or all of whose sessions and tokens were revoked (an expired one is not:
    a subscription outlives the access token it was made with).
    """
    row = await (await conn.execute(_FIND, (actor.user, actor.tenant))).fetchone()
    if row is None:
        if actor.role == "system" and actor.client in OURS:
            return actor
        raise Forbidden("Whoever asked for this is not known any more")
    name, role, org, patient, practitioner, active, living, any_at_all, network, refused = row
    if not active or (any_at_all and not living):
        raise Forbidden(OVER)
    if actor.app:
        await _app_stands(conn, actor.app)
    now: Role = role
    return replace(
        actor, name=name, role=now, org=org, patient=patient, practitioner=practitioner, network=network, refused=refused
    )  # fmt: skip


async def _app_stands(conn: Connection, grant: str) -> None:
    cursor = await conn.execute(f"SELECT 1 FROM app_grant g WHERE g.id = %s AND {LIVING}", (grant,))
    if await cursor.fetchone() is None:
        raise Forbidden(ENDED)
