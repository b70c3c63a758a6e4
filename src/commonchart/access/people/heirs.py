"""Which results a colleague may see, so that what waits for somebody who leaves goes to nobody who could not open it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from commonchart.access import policy
from commonchart.access.actors import Actor, Role
from commonchart.record.inbox.alerts import Alert
from commonchart.record.inbox.covers import Colleague
from commonchart.record.inbox.items import Item
from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.record.connection import Asked
    from commonchart.record.database import Connection

Key = tuple[str, str]
TOGETHER = 50
"""So many colleagues are asked of in one round trip."""


async def seen(
    conn: Connection, actor: Actor, now: datetime, who: Colleague, held: Sequence[Item | Alert]
) -> set[Key]:
    """(patient, item) of those whose result this colleague may see where they work; the connection is bound to the tenant only."""
    return (await seen_by(conn, actor, now, [who], held))[0]


async def seen_by(
    conn: Connection, actor: Actor, now: datetime, people: Sequence[Colleague], held: Sequence[Item | Alert]
) -> list[set[Key]]:
    """The same of several colleagues, in their order, with few round trips.

    Decided by what decides when they look: labels, relationships, consents. An emergency access counts for nothing here. What is not
    in the record is hidden from nobody.
    """
    out = await _refused(conn, actor, people)
    asked = [_asked(_as_they_ask(actor, one, refused=one.practitioner in out), now, held) for one in people]
    found: list[set[Key]] = []
    for at in range(0, len(asked), TOGETHER):
        found += [
            {(row[0], row[1]) for row in rows} for rows in await conn.together(asked[at : at + TOGETHER])
        ]
    return found


def _asked(who: Actor, now: datetime, held: Sequence[Item | Alert]) -> Asked:
    visible = policy.visible(who, now)
    if visible.beyond is not None:
        visible = replace(visible, beyond=replace(visible.beyond, user=""))  # whose emergency it would be
    predicate, args = visible.predicate("r")
    return (
        "SELECT k.patient, k.item FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS k(pk, patient, item) "
        "LEFT JOIN resource r ON r.pk = k.pk AND r.tenant = %s AND r.rtype = split_part(k.item, '/', 1) "
        f"AND r.id = split_part(k.item, '/', 2) WHERE r.id IS NULL OR ({predicate})",
        (
            [patient_key(one.patient) for one in held], [one.patient for one in held], [one.item for one in held],
            who.tenant, *args,
        ),
    )  # fmt: skip


async def _refused(conn: Connection, actor: Actor, people: Sequence[Colleague]) -> set[str]:
    """The Practitioners of these whom some patient has shut out by name."""
    rows = await conn.fetch(
        "SELECT p FROM unnest(%s::text[]) p WHERE p <> '' AND EXISTS (SELECT 1 FROM consent_rule k WHERE NOT k.permit "
        "AND k.tenant = %s AND k.people @> ARRAY['Practitioner/' || p])",
        (sorted({one.practitioner for one in people}), actor.tenant),
    )
    return {row[0] for row in rows}


def _as_they_ask(actor: Actor, who: Colleague, *, refused: bool) -> Actor:
    role: Role = who.role  # type: ignore[assignment]
    return Actor(
        actor.tenant, who.id, who.name, role, who.org, "hand-over", practitioner=who.practitioner or None,
        network=actor.network, refused=refused,
    )  # fmt: skip
