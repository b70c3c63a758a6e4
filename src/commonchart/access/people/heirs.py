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
    from commonchart.record.database import Connection

Key = tuple[str, str]


async def seen(
    conn: Connection, actor: Actor, now: datetime, who: Colleague, held: Sequence[Item | Alert]
) -> set[Key]:
    """(patient, item) of those whose result this colleague may see where they work; the connection is bound to the tenant only.

    Decided by what decides when they look: labels, relationships, consents. An emergency access counts for nothing here. What is not
    in the record is hidden from nobody.
    """
    visible = policy.visible(await _as_they_ask(conn, actor, who), now)
    if visible.beyond is not None:
        visible = replace(visible, beyond=replace(visible.beyond, user=""))  # whose emergency it would be
    predicate, args = visible.predicate("r")
    rows = await conn.fetch(
        "SELECT k.patient, k.item FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS k(pk, patient, item) "
        "LEFT JOIN resource r ON r.pk = k.pk AND r.tenant = %s AND r.rtype = split_part(k.item, '/', 1) "
        f"AND r.id = split_part(k.item, '/', 2) WHERE r.id IS NULL OR ({predicate})",
        (
            [patient_key(one.patient) for one in held], [one.patient for one in held], [one.item for one in held],
            actor.tenant, *args,
        ),
    )  # fmt: skip
    return {(row[0], row[1]) for row in rows}


async def _as_they_ask(conn: Connection, actor: Actor, who: Colleague) -> Actor:
    rows = await conn.fetch(
        "SELECT EXISTS (SELECT 1 FROM consent_rule WHERE NOT permit AND tenant = %s AND people @> ARRAY[%s::text])",
        (actor.tenant, f"Practitioner/{who.practitioner}"),
    )
    role: Role = who.role  # type: ignore[assignment]
    return Actor(
        actor.tenant, who.id, who.name, role, who.org, "hand-over", practitioner=who.practitioner or None,
        network=actor.network, refused=bool(who.practitioner) and rows[0][0],
    )  # fmt: skip
