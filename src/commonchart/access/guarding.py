"""What may be written over: nothing that the actor cannot see, and of other organisations nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commonchart.access import policy
from commonchart.access.actors import Actor
from commonchart.care.labels import mask
from commonchart.care.labels_by_hand import kept
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden, NotFound, Stale
from commonchart.record.rows import Stored, Write
from commonchart.search.visible import Visible

if TYPE_CHECKING:
    from commonchart.record.database import Connection

# the pages make their ids themselves, from what the form was
PAGES = "web"


def brings_ids(actor: Actor, rtype: str) -> bool:
    """Whether an id that nobody has used may be the actor's choice wherever it is: only for programs that load.

    Whoever brings ids along finds out that one is taken; to anybody else an unknown id answers as a hidden one does.
    """
    return actor.role == "system" and _reaches(policy.visible(actor, letters="rsud"), rtype)


def _reaches(visible: Visible, rtype: str) -> bool:
    """Whether no scope of an app narrows this type to one patient, to certain codes or to nothing."""
    return visible.within is None or any(
        (part.types is None or rtype in part.types)
        and part.patient is None
        and part.id is None
        and not part.only
        for part in visible.within
    )


def changeable(actor: Actor, old: Stored, new: Write) -> None:
    """Raises, for a living version that is hidden from the actor by its labels, what an unknown id would; Forbidden for another's."""
    hidden = mask(*policy.HIDDEN.get(actor.role, ()))
    if hidden and old.actor != actor.user and kept(json.decode(old.body or b"{}")) & hidden:
        if new.if_match is not None:
            raise Stale("If-Match names a version that is not the current one")
        raise NotFound(f"There is no {old.rtype} with this id")
    beyond = policy.visible(actor).beyond
    if beyond is not None and beyond.org is not None and old.org != beyond.org:
        raise Forbidden("An organisation changes only what it recorded itself")


async def known(conn: Connection, visible: Visible, actor: Actor, writes: Sequence[Write]) -> None:
    """Raises NotFound for an id that the actor does not see, whether or not there is anything under it.

    So that nobody learns by writing what they may not read, only who sees everything of a type, or `brings_ids`, chooses
    ids of it; the pages make theirs themselves.
    """
    keys = sorted({(one.rtype, one.id) for one in writes if not one.ours})
    if not keys:
        return
    rtypes, ids = [rtype for rtype, _ in keys], [id for _, id in keys]
    predicate, args = visible.predicate("r")
    rows = await conn.fetch(
        f"SELECT k.rtype, k.id, l.id IS NOT NULL, coalesce({predicate}, false) "
        "FROM unnest(%s::text[], %s::text[]) AS k(rtype, id) "
        "LEFT JOIN resource_loc l ON l.tenant = %s AND l.rtype = k.rtype AND l.id = k.id LEFT JOIN resource r "
        "ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id",
        (*args, rtypes, ids, visible.tenant),
    )
    unseen = [(rtype, there) for rtype, _, there, seen in rows if not seen]
    if not unseen:
        return
    chosen = await _chosen(conn, visible, actor, sorted({rtype for rtype, _ in unseen}))
    for rtype, there in unseen:
        if there or rtype not in chosen:
            raise NotFound(f"There is no {rtype} with this id, and ids are made here: POST a new one")


async def _chosen(conn: Connection, visible: Visible, actor: Actor, rtypes: Sequence[str]) -> frozenset[str]:
    """Of these types those of which the actor may choose an id that nobody has used."""
    if actor.client == PAGES:
        return frozenset(rtypes)
    reached = [rtype for rtype in rtypes if _reaches(visible, rtype)]
    if actor.role == "system":
        return frozenset(reached)
    if visible.beyond is not None or not visible.everything or not reached:
        return frozenset()
    predicate, args = visible.predicate("r")
    rows = await conn.fetch(
        "SELECT k.rtype FROM unnest(%s::text[]) AS k(rtype) WHERE NOT EXISTS (SELECT 1 FROM resource r "
        f"WHERE r.tenant = %s AND r.rtype = k.rtype AND r.labels <> 0 AND NOT coalesce({predicate}, false))",
        (reached, visible.tenant, *args),
    )
    return frozenset(row[0] for row in rows)
