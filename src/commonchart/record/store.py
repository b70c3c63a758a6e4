"""The record store: versions in, versions out. No policy and no audit here: `access.records` is the only caller.

`resource` holds the current version of everything, `history` the superseded ones (docs/decisions/0003). A write locks
its ids in a fixed order, decides, and moves rows; all of it is the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from commonchart.care import labels_by_hand
from commonchart.fhir import json
from commonchart.fhir.dates import instant
from commonchart.fhir.outcome import Conflict, Gone, NotFound, Stale
from commonchart.record.connection import COMMIT, Asked
from commonchart.record.keys import patient_key, resource_key
from commonchart.record.rows import Index, Stamp, Stored, Write, Written
from commonchart.record.schema import SEARCH_ROWS, VERSION_COLUMNS

if TYPE_CHECKING:
    from commonchart.record.database import Connection

Key = tuple[str, str]

# rows of a table from which they are sent by COPY: versions, and what search keeps of them
COPY_FROM = (24, 200)
FEW = 4
TICK = timedelta(milliseconds=1)

_COLUMNS = VERSION_COLUMNS.split(", ")
_R = ", ".join(f"r.{name}" for name in _COLUMNS)
_LOCATED = "FROM resource_loc l JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id"
READ = f"SELECT {_R} {_LOCATED} WHERE l.tenant = %s AND l.rtype = %s AND l.id = %s"
_KEYS = "unnest(%s::text[], %s::text[]) AS k(rtype, id)"
READ_MANY = (
    f"SELECT {_R} FROM {_KEYS} JOIN resource_loc l ON l.tenant = %s AND l.rtype = k.rtype AND l.id = k.id "
    "JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id"
)


def row_stored(row: Sequence[Any]) -> Stored:
    """A row of `VERSION_COLUMNS` (and `superseded`, if selected after them) as Stored."""
    values = list(row)
    if isinstance(values[8], str):
        values[8] = values[8].encode()
    return Stored(*values)


async def read(conn: Connection, tenant: int, rtype: str, id: str) -> Stored | None:
    """The current version, deleted or not; None if there never was one."""
    rows = await conn.fetch(READ, (tenant, rtype, id))
    return row_stored(rows[0]) if rows else None


async def read_many(conn: Connection, tenant: int, keys: Sequence[Key]) -> dict[Key, Stored]:
    """The current versions of those keys that exist, deleted ones included."""
    if not keys:
        return {}
    rows = await conn.fetch(READ_MANY, ([rtype for rtype, _ in keys], [id for _, id in keys], tenant))
    found = [row_stored(row) for row in rows]
    return {(one.rtype, one.id): one for one in found}


_VERSION = "WHERE l.tenant = %s AND l.rtype = %s AND l.id = %s AND r.vid = %s"
VREAD_NOW = f"SELECT {_R}, NULL::timestamptz AS superseded {_LOCATED} {_VERSION}"
VREAD_THEN = (
    f"SELECT {_R}, r.superseded FROM resource_loc l JOIN history r ON r.pk = ANY(l.pk || l.former) "
    f"AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id {_VERSION}"
)


async def vread(conn: Connection, tenant: int, rtype: str, id: str, vid: int) -> Stored | None:
    """One version, None if it is unknown."""
    rows = await conn.fetch(f"{VREAD_NOW} UNION ALL {VREAD_THEN}", (tenant, rtype, id, vid) * 2)
    return row_stored(rows[0]) if rows else None


# ---- writing ---------------------------------------------------------------------------------------------------


Over = Callable[[Stored, Write], Write]
Also = Callable[[Sequence[Written]], Sequence[Asked]]


async def write(
    conn: Connection,
    stamp: Stamp,
    writes: Sequence[Write],
    over: Over = lambda old, new: new,
    also: Also = lambda written: (),
    *,
    last: bool = False,
) -> list[Written]:
    """Store one batch in the connection's transaction, in order; what each Write became, in order.

    `over` is asked about every Write that replaces a version, or comes after a deletion (then it gets the version before
    that, with `deleted` set): what shall be stored instead, or it refuses.
    `also` gives what else is told the database of what was written, in the same round trip. With `last` the transaction
    is committed in it too, where all of it is one round trip; else whoever opened it commits as ever.
    Raises Stale (if_match), Conflict (must_be_new, or an id that another source holds), NotFound and Gone for
    deletions. After a raise the transaction must be rolled back.
    """
    out: dict[int, Written] = {}
    rounds = _rounds(writes)
    for batch in rounds:
        ending = last and len(rounds) == 1
        done = await _write(conn, stamp, [writes[n] for n in batch], over, also, ending)
        out |= zip(batch, done, strict=True)
    return [out[n] for n in range(len(writes))]


def _rounds(writes: Sequence[Write]) -> list[list[int]]:
    """Positions in rounds within which no id occurs twice."""
    rounds: list[list[int]] = []
    times: dict[Key, int] = {}
    for n, one in enumerate(writes):
        turn = times.get((one.rtype, one.id), 0)
        times[one.rtype, one.id] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(n)
    return rounds


async def _write(
    conn: Connection, stamp: Stamp, writes: Sequence[Write], over: Over, also: Also, last: bool
) -> list[Written]:
    ours = [w for w in writes if w.ours]
    claimed = await _claim(conn, stamp, [w for w in writes if not w.ours])
    claimed |= {(w.rtype, w.id) for w in ours}
    held = [(w.rtype, w.id) for w in writes if (w.rtype, w.id) not in claimed]
    sources = await _lock(conn, stamp.tenant, held)
    current = await read_many(conn, stamp.tenant, held)
    earlier = await _before_deletion(conn, stamp.tenant, current, writes)
    writes = [over(earlier[w.rtype, w.id], w) if (w.rtype, w.id) in earlier else w for w in writes]
    writes = [w if w.body is not None else _ended(w, current.get((w.rtype, w.id))) for w in writes]
    written = [
        _decide(stamp, w, current.get((w.rtype, w.id)), sources.get((w.rtype, w.id), "")) for w in writes
    ]
    moving = [(w, done.stored) for w, done in zip(writes, written, strict=True) if done.state != "unchanged"]
    replaced = {(s.rtype, s.id): current[s.rtype, s.id] for _, s in moving if (s.rtype, s.id) in current}
    if moving:
        before = [*_claiming(stamp, ours), *_superseding(stamp.tenant, replaced, [s for _, s in moving])]
        before += _labelling(stamp.tenant, [w for w, s in moving if (s.rtype, s.id) in replaced])
        await _fill(conn, before, _rows(stamp.tenant, moving), also(written), last)
    return written


async def _before_deletion(
    conn: Connection, tenant: int, current: Mapping[Key, Stored], writes: Sequence[Write]
) -> dict[Key, Stored]:
    """The version that each write comes after: the living one, or the one that was deleted."""
    found = {key: one for key, one in current.items() if not one.deleted}
    for one in writes:
        now = current.get((one.rtype, one.id))
        if now is not None and now.deleted and one.body is not None:
            before = await vread(conn, tenant, one.rtype, one.id, now.vid - 1)
            if before is not None:
                found[one.rtype, one.id] = replace(before, deleted=True)
    return found


_CLAIM = "INSERT INTO resource_loc (tenant, rtype, id, pk, source) VALUES (%s, %s, %s, %s, %s)"
_CLAIM_MANY = (
    "INSERT INTO resource_loc (tenant, rtype, id, pk, source) "
    "SELECT %s, k.rtype, k.id, k.pk, %s FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS k(rtype, id, pk)"
)
_IF_FREE = " ON CONFLICT DO NOTHING RETURNING rtype, id"


async def _claim(conn: Connection, stamp: Stamp, writes: Sequence[Write]) -> set[Key]:
    """Take the ids that nobody has yet; a concurrent claim of the same id is waited for."""
    asked = [(text + _IF_FREE, args) for text, args in _claiming(stamp, writes)]
    rows = (await conn.together(asked))[0] if asked else []
    return {(row[0], row[1]) for row in rows}


def _claiming(stamp: Stamp, writes: Sequence[Write]) -> Iterator[Asked]:
    """The statement that takes these ids, if there are any: in order, so that no two wait for each other."""
    fresh = sorted(
        ((w.rtype, w.id), _pk(w.rtype, w.id, w.index.patient)) for w in writes if w.body is not None
    )
    if len(fresh) == 1:
        ((rtype, id), pk) = fresh[0]
        yield _CLAIM, (stamp.tenant, rtype, id, pk, stamp.source)
    elif fresh:
        rtypes, ids = [k[0] for k, _ in fresh], [k[1] for k, _ in fresh]
        yield _CLAIM_MANY, (stamp.tenant, stamp.source, rtypes, ids, [pk for _, pk in fresh])


async def _lock(conn: Connection, tenant: int, keys: Sequence[Key]) -> dict[Key, str]:
    """Lock known ids in order and say which source holds each. The rows are read after this, in a newer snapshot."""
    if not keys:
        return {}
    rows = await conn.fetch(
        f"SELECT l.rtype, l.id, l.source FROM resource_loc l JOIN {_KEYS} ON l.rtype = k.rtype AND l.id = k.id "
        "WHERE l.tenant = %s ORDER BY l.rtype, l.id FOR UPDATE OF l",
        ([rtype for rtype, _ in keys], [id for _, id in keys], tenant),
    )
    return {(row[0], row[1]): row[2] for row in rows}


def _pk(rtype: str, id: str, patient: str | None) -> int:
    return patient_key(patient) if patient else resource_key(rtype, id)


def _decide(stamp: Stamp, write: Write, now: Stored | None, source: str) -> Written:
    _check(stamp, write, now, source)
    if write.body is None:
        assert now is not None
        return _deleted(stamp, write, now)
    if now is not None and write.skip_unchanged and not now.deleted and _same(write.body, now):
        return Written("unchanged", now)
    vid = now.vid + 1 if now else 1
    recorded = _after(stamp.recorded, now)
    body = stamped(write.body, write.id, vid, recorded)
    return Written(
        "created" if now is None or now.deleted else "updated", _version(stamp, write, vid, recorded, body)
    )


def _check(stamp: Stamp, write: Write, now: Stored | None, source: str) -> None:
    if write.if_match is not None and (now is None or now.deleted or now.vid != write.if_match):
        raise Stale("If-Match names a version that is not the current one")
    if now is None:
        if write.body is None:
            raise NotFound(f"There is no {write.rtype} with this id")
        return
    if write.must_be_new:
        raise Conflict(f"A {write.rtype} with this id is already here")
    if stamp.source and source != stamp.source:
        raise Conflict(f"This id belongs to a {write.rtype} of another source", code="duplicate")


def _ended(write: Write, now: Stored | None) -> Write:
    """A deletion with the labels of what it ends: that there was something is as sensitive as what it was."""
    labels = labels_by_hand.kept(json.decode(now.body)) if now is not None and now.body else 0
    return replace(write, index=Index(labels=labels))


def _deleted(stamp: Stamp, write: Write, now: Stored) -> Written:
    if now.deleted:
        raise Gone(f"This {write.rtype} is deleted already")
    kept = Write(write.rtype, write.id, None, index=Index(patient=now.patient))
    return Written("deleted", _version(stamp, kept, now.vid + 1, _after(stamp.recorded, now), None))


def _after(recorded: datetime, now: Stored | None) -> datetime:
    moment = recorded.astimezone(UTC)
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return moment if now is None or moment > now.recorded else now.recorded + TICK


def _version(stamp: Stamp, write: Write, vid: int, recorded: datetime, body: bytes | None) -> Stored:
    index = write.index
    return Stored(
        write.rtype, write.id, vid, recorded, stamp.org, write.author or stamp.actor, stamp.source, body is None, body,
        index.patient, index.status, index.code, index.category, index.date_lo, index.date_hi,
    )  # fmt: skip


def stamped(body: Mapping[str, Any], id: str, vid: int, recorded: datetime) -> bytes:
    """Canonical bytes of a version: resourceType, id and meta first; versionId and lastUpdated are ours."""
    meta = {"versionId": str(vid), "lastUpdated": instant(recorded)}
    meta |= {name: value for name, value in (body.get("meta") or {}).items() if name not in meta}
    rest = {name: value for name, value in body.items() if name not in ("resourceType", "id", "meta")}
    return json.encode({"resourceType": body["resourceType"], "id": id, "meta": meta, **rest})


def _same(body: Mapping[str, Any], now: Stored) -> bool:
    """Equal but for what the server stamps."""
    blank = datetime(1, 1, 1, tzinfo=UTC)
    old = json.decode(now.body or b"{}")
    return stamped(body, now.id, 0, blank) == stamped(old, now.id, 0, blank)


# ---- rows ------------------------------------------------------------------------------------------------------


_MOVED = ", ".join(name for name in _COLUMNS if name != "body")
_TO_HISTORY = (
    "WITH k AS (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[]) AS k(pk, rtype, id, at)), "
    "gone AS (DELETE FROM resource r USING k WHERE r.pk = k.pk AND r.tenant = %s AND r.rtype = k.rtype AND r.id = k.id "
    "RETURNING r.*, k.at) "
    f"INSERT INTO history (pk, tenant, superseded, body, labels, {_MOVED}) "
    f"SELECT pk, tenant, at, body, labels, {_MOVED} FROM gone"
)
# a label that comes later is true of what was known before
_LABELLED = (
    "UPDATE history h SET labels = h.labels | %s FROM resource_loc l WHERE l.tenant = %s AND l.rtype = %s AND l.id = %s "
    "AND h.pk = ANY(l.pk || l.former) AND h.tenant = l.tenant AND h.rtype = l.rtype AND h.id = l.id "
    "AND h.labels <> h.labels | %s"
)
_DROPPED = {
    table: f"DELETE FROM {table} x USING unnest(%s::bigint[], %s::text[], %s::text[]) AS k(pk, rtype, id) "
    "WHERE x.pk = k.pk AND x.tenant = %s AND x.rtype = k.rtype AND x.id = k.id"
    for table in SEARCH_ROWS
}
_RELOCATED = (
    "UPDATE resource_loc SET pk = %s, former = array_remove(former, %s) || %s::bigint "
    "WHERE tenant = %s AND rtype = %s AND id = %s"
)


def _superseding(tenant: int, replaced: Mapping[Key, Stored], new: Sequence[Stored]) -> Iterator[Asked]:
    """Move the replaced rows to history and drop their search rows."""
    if not replaced:
        return
    recorded = {(s.rtype, s.id): s.recorded for s in new}
    keys = sorted(replaced)
    arrays = (
        [_pk(r, i, replaced[r, i].patient) for r, i in keys],
        [r for r, _ in keys],
        [i for _, i in keys],
    )
    yield _TO_HISTORY, (*arrays, [recorded[key] for key in keys], tenant)
    for dropped in _DROPPED.values():
        yield dropped, (*arrays, tenant)
    for now in new:
        old = replaced.get((now.rtype, now.id))
        if old is None:
            continue
        before, after = _pk(now.rtype, now.id, old.patient), _pk(now.rtype, now.id, now.patient)
        if before != after:
            yield _RELOCATED, (after, before, before, tenant, now.rtype, now.id)


def _labelling(tenant: int, writes: Sequence[Write]) -> list[Asked]:
    """Raise the labels of the versions before."""
    held = [(w.index.labels, tenant, w.rtype, w.id, w.index.labels) for w in writes if w.index.labels]
    return [(_LABELLED, args) for args in held]


_RESOURCE = (
    "pk", "tenant", "rtype", "id", "vid", "recorded", "org", "actor", "source", "deleted", "patient", "status", "code",
    "category", "date_lo", "date_hi", "labels", "tokens", "body",
)  # fmt: skip
_CHANGE = ("tenant", "pk", "rtype", "id", "vid", "patient", "org", "recorded", "op")


def _rows(tenant: int, moving: Sequence[tuple[Write, Stored]]) -> dict[str, list[tuple[Any, ...]]]:
    """The new rows by table."""
    tables: dict[str, list[tuple[Any, ...]]] = {"resource": [], "change": []}
    for write_, version in moving:
        pk = _pk(version.rtype, version.id, version.patient)
        tables["resource"].append(_resource_row(pk, tenant, write_, version))
        tables["change"].append(_change_row(pk, tenant, version))
        for table, rows in write_.index.rows.items() if write_.body is not None else ():
            held = tables.setdefault(table, [])
            head = (pk, tenant, version.rtype, version.id)
            held += [(*head, n, *row) for n, row in enumerate(rows)]
    return tables


def _resource_row(pk: int, tenant: int, write_: Write, s: Stored) -> tuple[Any, ...]:
    tokens = list(write_.index.tokens) if write_.body is not None else []
    body = s.body.decode() if s.body is not None else None
    return (
        pk, tenant, s.rtype, s.id, s.vid, s.recorded, s.org, s.actor, s.source, s.deleted, s.patient, s.status, s.code,
        s.category, s.date_lo, s.date_hi, write_.index.labels, tokens, body,
    )  # fmt: skip


def _change_row(pk: int, tenant: int, s: Stored) -> tuple[Any, ...]:
    op = "delete" if s.deleted else "create" if s.vid == 1 else "update"
    return tenant, pk, s.rtype, s.id, s.vid, s.patient, s.org, s.recorded, op


_NOTIFY: Asked = ("SELECT pg_notify('commonchart_change', '')", ())


async def _fill(
    conn: Connection,
    before: Sequence[Asked],
    tables: Mapping[str, Sequence[tuple[Any, ...]]],
    after: Sequence[Asked],
    last: bool,
) -> None:
    """Small sets in one round trip with what comes before and after, large ones by COPY.

    `last`: with the commit, unless something is left to be copied.
    """
    large = {table for table, rows in tables.items() if len(rows) >= COPY_FROM[table in SEARCH_ROWS]}
    small = [
        one
        for table, rows in tables.items()
        if rows and table not in large
        for one in _inserting(table, rows)
    ]
    ending = [COMMIT] if last and not large else []
    await conn.together([*before, *small, *after, _NOTIFY, *ending])
    for table in large:
        await _copy(conn, table, tables[table])


def _inserting(table: str, rows: Sequence[tuple[Any, ...]]) -> list[Asked]:
    if 1 < len(rows) <= FEW and table in SEARCH_ROWS:
        return [(_insert_few(table, len(rows)), [value for row in rows for value in row])]
    if len(rows) > 1 and table in _INSERT_MANY:
        return [(_INSERT_MANY[table], [list(column) for column in zip(*rows, strict=True)])]
    return [(_INSERT[table], row) for row in rows]


_TYPES = {
    "pk": "int8", "tenant": "int4", "rtype": "text", "id": "text", "n": "int4", "vid": "int4", "recorded": "timestamptz",
    "deleted": "bool", "code": "int8", "category": "int8", "date_lo": "timestamptz", "date_hi": "timestamptz",
    "tokens": "int8[]", "token": "int8", "unit": "int8", "labels": "int8",
}  # fmt: skip
_NUMERIC = {"quantity_row": "numeric", "composite_row": "numeric", "date_row": "timestamptz"}


def _columns(table: str) -> tuple[str, ...]:
    if table in SEARCH_ROWS:
        return ("pk", "tenant", "rtype", "id", "n", *SEARCH_ROWS[table])
    return _RESOURCE if table == "resource" else _CHANGE


def _types(table: str) -> list[str]:
    return [
        _TYPES.get(name) or (_NUMERIC.get(table, "text") if name in ("lo", "hi") else "text")
        for name in _columns(table)
    ]


_HEAD = {
    table: f"INSERT INTO {table} ({', '.join(_columns(table))})"
    for table in ("resource", "change", *SEARCH_ROWS)
}
_INSERT = {
    table: f"{head} VALUES ({', '.join('%s' for _ in _columns(table))})" for table, head in _HEAD.items()
}


@cache
def _insert_few(table: str, rows: int) -> str:
    """Arrays cost more than they save where there are only a few rows."""
    row = f"({', '.join('%s' for _ in _columns(table))})"
    return f"{_HEAD[table]} VALUES {', '.join([row] * rows)}"


# an array in a column would come apart: such rows are inserted one by one
_INSERT_MANY = {
    table: f"{_HEAD[table]} SELECT * FROM unnest({', '.join(f'%s::{name}[]' for name in _types(table))})"
    for table in SEARCH_ROWS
    if "tokens" not in SEARCH_ROWS[table]
}


async def _copy(conn: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """By way of a temporary table of the connection's, since nothing is copied into one that has policies."""
    columns, staged = (
        ", ".join(_columns(table)),
        f"{table}_for_{conn.bounds.role if conn.bounds else 'owner'}",
    )
    kinds = ", ".join(f"{name} {kind}" for name, kind in zip(_columns(table), _types(table), strict=True))
    made = f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} ({kinds}) ON COMMIT DELETE ROWS"
    await conn.together([("SET LOCAL client_min_messages = warning", ()), (made, ())])
    async with (
        conn.cursor() as cursor,
        cursor.copy(f"COPY {staged} FROM STDIN (FORMAT BINARY)".encode()) as copy,
    ):
        copy.set_types(_types(table))
        for row in rows:
            await copy.write_row(row)
    await conn.fetch(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {staged}")


# ---- history ---------------------------------------------------------------------------------------------------


async def history(
    conn: Connection,
    tenant: int,
    rtype: str | None,
    id: str | None,
    *,
    since: datetime | None = None,
    at: datetime | None = None,
    after: tuple[datetime, str, str, int] | None = None,
    limit: int = 51,
    predicate: tuple[str, Sequence[Any]] = ("true", ()),
) -> list[Stored]:
    """Versions newest first: of one resource, a type, or everything; `after` is the last version of the page before.

    `predicate` is the reader's visibility on the alias r, applied to every version. `at` keeps those current then.
    """
    own, args = _history_where(tenant, rtype, id, since, at, after)
    text, visible = predicate
    parts: list[str] = []
    every: list[Any] = []
    for table, superseded in (("resource", "NULL::timestamptz"), ("history", "r.superseded")):
        where = own.replace("SUPERSEDED", superseded)
        parts.append(f"(SELECT {_R}, {superseded} AS superseded FROM {table} r WHERE {where} AND {text})")
        every += [*args, *visible]
    order = "ORDER BY recorded DESC, rtype, id, vid DESC LIMIT %s"
    cursor = await conn.execute(" UNION ALL ".join(parts) + " " + order, (*every, limit))
    return [row_stored(row) for row in await cursor.fetchall()]


def _history_where(
    tenant: int,
    rtype: str | None,
    id: str | None,
    since: datetime | None,
    at: datetime | None,
    after: tuple[datetime, str, str, int] | None,
) -> tuple[str, list[Any]]:
    where: list[str] = ["r.tenant = %s"]
    args: list[Any] = [tenant]
    if rtype is not None:
        where.append("r.rtype = %s")
        args.append(rtype)
    if id is not None:
        located = "SELECT unnest(l.pk || l.former) FROM resource_loc l WHERE l.tenant = %s AND l.rtype = %s AND l.id = %s"
        where.append(f"r.id = %s AND r.pk IN ({located})")
        args += [id, tenant, rtype, id]
    if since is not None:
        where.append("r.recorded >= %s")
        args.append(since)
    if at is not None:
        where.append("r.recorded <= %s AND coalesce(SUPERSEDED, 'infinity') > %s")
        args += [at, at]
    if after is not None:
        where.append("(r.recorded < %s OR (r.recorded = %s AND (r.rtype, r.id, -r.vid) > (%s, %s, %s)))")
        args += [after[0], after[0], after[1], after[2], -after[3]]
    return " AND ".join(where), args
