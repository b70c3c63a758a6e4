"""What of a person's record an actor may not see, and whether its being there may be told.

The one place that tells checks apart from reading: a check has to know that something is hidden, a reader must not. Labels
and consent extend `policy.visible` and `may_be_told`; nothing else here needs to know of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import emergency, policy
from commonchart.access.actors import Actor
from commonchart.fhir import json
from commonchart.record import people
from commonchart.record.bounds import Bounds
from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

Body = dict[str, Any]


class Split(Struct, frozen=True):
    """Resources that the actor may see, and those hidden from them. `hint`: whether a hidden one may be hinted at."""

    seen: tuple[Body, ...]
    hidden: tuple[Body, ...] = ()
    hint: bool = False


async def withheld(
    conn: Connection,
    actor: Actor,
    now: datetime,
    patients: Sequence[str],
    rtypes: Sequence[str],
    tokens: Sequence[int],
) -> Split:
    """Everything of these types in the records of these patients, apart; Observations only with one of the code tokens.

    Read past the second wall, as nothing else is for a reader: what it hid would be missed in silence.
    """
    predicate, args = policy.visible(actor, now).predicate("r")
    async with conn.within(Bounds(actor.tenant)):
        found = await conn.fetch(
            f"SELECT r.body, ({predicate}) AS seen FROM resource r WHERE {_OF_THEM} AND {_READ} ORDER BY r.rtype, r.id",
            [*args, *_of_them(actor, patients, rtypes), list(tokens)],
        )
    rows = [(json.decode(body.encode()), seen) for body, seen in found]
    hidden = tuple(body for body, seen in rows if not seen)
    return Split(tuple(body for body, seen in rows if seen), hidden, may_be_told(actor, hidden))


async def nothing_hidden(
    conn: Connection,
    actor: Actor,
    now: datetime,
    patients: Sequence[str],
    rtypes: Sequence[str],
    tokens: Sequence[int],
) -> bool:
    """Whether the actor sees every one of these, so that what was worked out from all of them may be shown as it is."""
    visible = policy.visible(actor, now)
    seen, seen_args = visible.predicate("r")
    doubtful, doubtful_args = visible.doubtful("r")
    settled, settled_args = visible.all_settled(patients)
    these = _of_them(actor, patients, rtypes)
    hidden = f"SELECT 1 FROM resource r WHERE {_OF_THEM} AND {_READ} AND ({seen}) IS NOT TRUE"
    hidden_args = [*these, list(tokens), *seen_args]
    async with conn.within(Bounds(actor.tenant)):
        rows = await conn.fetch(
            f"SELECT EXISTS (SELECT 1 FROM resource r WHERE {_OF_THEM}) AND NOT EXISTS ({hidden} AND {doubtful}) "
            f"AND ({settled} OR NOT EXISTS ({hidden}))",
            [*these, *hidden_args, *doubtful_args, *settled_args, *hidden_args],
        )
    return bool(rows[0][0])


_OF_THEM = "r.pk = ANY(%s) AND r.tenant = %s AND r.patient = ANY(%s) AND NOT r.deleted AND r.rtype = ANY(%s)"
_READ = "(r.rtype <> 'Observation' OR r.tokens && %s::bigint[])"


def _of_them(actor: Actor, patients: Sequence[str], rtypes: Sequence[str]) -> list[Any]:
    return [[patient_key(one) for one in patients], actor.tenant, list(patients), list(rtypes)]


def may_be_told(actor: Actor, hidden: Sequence[Body]) -> bool:
    """Whether this actor may learn that a hidden entry conflicts: those who order, and so could ask or break the glass."""
    return bool(hidden) and policy.allowed(actor, "create", "MedicationRequest")


def sees_everything(actor: Actor) -> bool:
    """Whether nothing of a person can be hidden from this actor, so that stored answers over whole records may be shown."""
    return policy.visible(actor).whole


async def hinted(records: Records, patient: str, rtypes: Sequence[str] = ()) -> bool:
    """Whether to say that something of a patient (of these types; none: of any) is not shown: never what, nor how much.

    Said to those who treat, so that nobody takes what they see for all there is; never of anything that is labelled, whose
    being there may not be told (42 CFR 2.13(c)), and not to somebody whom a patient has shut out.
    """
    actor, now = records.actor, records.clock()
    if actor.role not in emergency.ROLES or actor.app or actor.refused or actor.network is False:
        return False
    same = await people.linked(records.database, actor.tenant, patient)
    visible = policy.visible(actor, now)
    settled, settled_args = visible.settled("p")
    predicate, args = visible.predicate("r")
    narrowed, types = (" AND r.rtype = ANY(%s)", [list(rtypes)]) if rtypes else ("", [])
    async with records.whole.single() as conn:
        rows = await conn.fetch(
            f"SELECT p.patient FROM (SELECT %s::int AS tenant, unnest(%s::text[]) AS patient) p WHERE NOT {settled}",
            (actor.tenant, same, *settled_args),
        )
        open_ = [row[0] for row in rows]
        if not open_:
            return False
        found = await conn.fetch(
            "SELECT 1 FROM resource r WHERE r.pk = ANY(%s) AND r.tenant = %s AND r.patient = ANY(%s) AND NOT r.deleted "
            f"AND r.labels = 0{narrowed} AND NOT coalesce({predicate}, false) LIMIT 1",
            ([patient_key(one) for one in open_], actor.tenant, open_, *types, *args),
        )
    return bool(found)
