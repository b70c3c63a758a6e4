"""Labels that follow the data: what is made of labelled resources, or is about them, carries their labels as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from commonchart.access import audit
from commonchart.care import labels_by_hand
from commonchart.care.labels import UNREAD, attached, labels, members
from commonchart.fhir import json
from commonchart.record import store
from commonchart.record.connection import Asked
from commonchart.record.keys import token
from commonchart.record.rows import Write

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

ROUNDS = 4
# search parameters by which a resource refers to what it is made of (`care.labels.MEMBERS`)
REFERRING = (
    "result", "has-member", "derived-from", "entry", "item", "target", "diagnosis", "condition", "reason-reference",
    "related", "medication", "indication", "based-on", "report",
)  # fmt: skip

Key = tuple[str, str]


async def raised(conn: Connection, tenant: int, writes: Sequence[Write]) -> list[Write]:
    """The writes with the labels of what they are made of, among themselves and as stored already."""
    made_of = {n: members(one.body) for n, one in enumerate(writes) if one.body is not None}
    shown = await _attaching(conn, tenant, writes)
    made_of = {n: [*keys, *shown.get(n, [])] for n, keys in made_of.items() if keys or n in shown}
    if not made_of:
        return list(writes)
    own = {(one.rtype, one.id): one.index.labels for one in writes if one.body is not None}
    own |= await _lifted(
        conn, tenant, writes, {key for keys in made_of.values() for key in keys if own.get(key)}
    )
    wanted = sorted({key for keys in made_of.values() for key in keys} - set(own))
    masks = own | await stored(conn, tenant, wanted)
    kept = [(w.rtype, w.id) for n, w in enumerate(writes) if n in shown and not (w.ours or w.relabels)]
    for key, mask in (await stored(conn, tenant, kept)).items():
        masks[key] |= mask
    for _ in range(ROUNDS):
        if not _spread(writes, made_of, masks):
            break
    return [
        _with(one, masks[one.rtype, one.id], taken(masks, made_of[n])) if n in made_of else one
        for n, one in enumerate(writes)
    ]


async def _attaching(conn: Connection, tenant: int, writes: Sequence[Write]) -> dict[int, list[Key]]:
    """What shows each Binary among the writes as its content, among themselves and as stored already."""
    binaries = {one.id: n for n, one in enumerate(writes) if one.rtype == "Binary" and one.body is not None}
    if not binaries:
        return {}
    found: dict[int, list[Key]] = {n: [] for n in binaries.values()}
    for one in writes:
        for id in attached(one.body) & binaries.keys():
            found[binaries[id]].append((one.rtype, one.id))
    rows = await conn.fetch(
        "SELECT x.value, x.id FROM uri_row x WHERE x.tenant = %s AND x.rtype = 'DocumentReference' AND x.param = 'location' "
        "AND x.value = ANY(%s)",
        (tenant, [f"Binary/{id}" for id in binaries]),
    )
    for address, id in rows:
        found[binaries[address.removeprefix("Binary/")]].append(("DocumentReference", id))
    return found


async def _lifted(
    conn: Connection, tenant: int, writes: Sequence[Write], keys: Iterable[Key]
) -> dict[Key, int]:
    """The labels of those that something else is made of in the same batch, less what was lifted of them."""
    current = await store.read_many(conn, tenant, sorted(keys))
    lifts = {key: labels_by_hand.lifts(json.decode(one.body or b"{}")) for key, one in current.items()}
    bodies = {(one.rtype, one.id): one.body or {} for one in writes if not one.judged}
    return {
        key: labels_by_hand.kept(bodies[key], held) for key, held in lifts.items() if held and key in bodies
    }


def _spread(writes: Sequence[Write], made_of: Mapping[int, list[Key]], masks: dict[Key, int]) -> bool:
    """One step further; whether anything became labelled."""
    grown = False
    for n, keys in made_of.items():
        key = (writes[n].rtype, writes[n].id)
        mask = masks[key]
        for one in keys:
            mask |= masks.get(one, 0)
        grown = grown or mask != masks[key]
        masks[key] = mask
    return grown


def _with(write: Write, mask: int, taken: int) -> Write:
    if not taken and mask == write.index.labels:
        return write
    return replace(write, index=replace(write.index, labels=write.index.labels | mask), taken=taken)


def taken(masks: Mapping[Key, int], keys: Iterable[Key]) -> int:
    """The labels of these together."""
    found = 0
    for key in keys:
        found |= masks.get(key, 0)
    return found


async def stored(conn: Connection, tenant: int, keys: Sequence[Key]) -> dict[Key, int]:
    """The labels of those that have any."""
    if not keys:
        return {}
    rows = await conn.fetch(
        "SELECT r.rtype, r.id, r.labels FROM unnest(%s::text[], %s::text[]) AS k(rtype, id) "
        "JOIN resource_loc l ON l.tenant = %s AND l.rtype = k.rtype AND l.id = k.id "
        "JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id WHERE r.labels <> 0",
        ([rtype for rtype, _ in keys], [id for _, id in keys], tenant),
    )
    return {(row[0], row[1]): row[2] & ~UNREAD for row in rows}


_RAISE = (
    "UPDATE resource r SET labels = r.labels | %s WHERE r.tenant = %s AND r.tokens && %s::bigint[] "
    "AND r.labels & %s::bigint <> %s"
)


_RAISE_ATTACHED = tuple(
    f"UPDATE {table} r SET labels = r.labels | %s FROM resource_loc l WHERE l.tenant = %s AND l.rtype = 'Binary' "
    f"AND l.id = ANY(%s) AND r.pk = ANY({pks}) AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id"
    for table, pks in (("resource", "ARRAY[l.pk]"), ("history", "l.pk || l.former"))
)


def raising(tenant: int, writes: Sequence[Write]) -> list[Asked]:
    """The statements that label what was stored before and refers to what is written now."""
    asked: list[Asked] = []
    for one in writes:
        mask = one.index.labels
        if mask and one.body is not None:
            hashes = [token(param, f"{one.rtype}/{one.id}") for param in REFERRING]
            asked.append((_RAISE, (mask, tenant, hashes, mask, mask)))
            binaries = sorted(attached(one.body))
            asked += [(text, (mask, tenant, binaries)) for text in _RAISE_ATTACHED if binaries]
    return asked


async def masks(records: Records, keys: Sequence[Key]) -> dict[Key, int]:
    """The labels of those of these resources that have any, of what may be seen: for showing them beside it."""
    if not keys:
        return {}
    predicate, args = records.visible.predicate("r")
    async with records.database.single() as conn:
        rows = await conn.fetch(
            "SELECT r.rtype, r.id, r.labels FROM unnest(%s::text[], %s::text[]) AS k(rtype, id) "
            "JOIN resource_loc l ON l.tenant = %s AND l.rtype = k.rtype AND l.id = k.id "
            "JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id "
            f"WHERE r.labels <> 0 AND {predicate}",
            ([rtype for rtype, _ in keys], [id for _, id in keys], records.actor.tenant, *args),
        )
    return {(row[0], row[1]): row[2] & ~UNREAD for row in rows}


async def counts(records: Records) -> dict[str, int]:
    """How many resources, of what may be seen, carry each label now: reads every labelled row."""
    predicate, args = records.visible.predicate("r")
    masks = [(name, label.mask) for name, label in labels().items()]
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "SELECT k.name, count(*) FROM resource r JOIN unnest(%s::text[], %s::bigint[]) AS k(name, mask) "
            f"ON r.labels & k.mask <> 0 WHERE r.labels <> 0 AND NOT r.deleted AND {predicate} GROUP BY k.name",
            ([name for name, _ in masks], [mask for _, mask in masks], *args),
        )
        await audit.note(conn, records.actor, records.clock(), "report", detail="labels")
    return dict(rows)
