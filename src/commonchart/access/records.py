"""The only door to stored resources: policy decides, the predicate is applied, the trail is written, then you get it.

A hidden resource answers exactly like an unknown one. A read and its audit row are one statement; writes and theirs are
one transaction (docs/decisions/0009).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import (
    audit,
    charts,
    consents,
    guarding,
    labelled,
    own,
    parameters,
    permitted,
    policy,
    profiles,
    relationships,
)
from commonchart.access.actors import FOR_A_PATIENT, Actor
from commonchart.access.medications import gate
from commonchart.access.writes import Create, Delete, Put, Wanted, over, type_of, unjudged, write_of
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Forbidden, Gone, Issue, NotFound
from commonchart.record import store
from commonchart.record.bounds import Bounds
from commonchart.record.connection import Asked
from commonchart.record.keys import hash64, patient_key
from commonchart.record.reindex import Run, runs
from commonchart.record.rows import Stamp, Stored, Write, Written
from commonchart.record.schema import VERSION_COLUMNS
from commonchart.search import page, patients
from commonchart.search.compile import Statement, conditions
from commonchart.search.page import Page
from commonchart.search.parameters import Offered
from commonchart.search.query import Query
from commonchart.search.resolve import resolved
from commonchart.search.visible import Visible

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

__all__ = ["Create", "Delete", "HistoryPage", "Put", "Records", "Transaction"]

MAX_SHOWN = 1000
# what else is written when one of these is
LATE = frozenset({"SearchParameter", "Subscription"})
BEAT_SECONDS = 0.03

Key = tuple[str, str]
Cursor = tuple[datetime, str, str, int]


class HistoryPage(Struct, frozen=True):
    """Versions newest first, and where the next page begins (None at the end)."""

    matches: tuple[Stored, ...]
    next: Cursor | None = None


class Records:
    """What one actor may see and change, and `database` within those bounds. `clock` is the only source of time; `key` signs search cursors."""

    def __init__(
        self, database: Database, actor: Actor, clock: Callable[[], datetime], *, key: bytes = b"commonchart"
    ) -> None:
        self.database = database.bound(policy.bounds(actor))
        self.actor = actor
        self.clock = clock
        self.key = key
        self._visible: Visible | None = None

    @property
    def visible(self) -> Visible:
        """What the actor may see, as of now; or the plan that was set instead, which a narrower view may do."""
        return self._visible or policy.visible(self.actor, self.clock())

    @visible.setter
    def visible(self, narrower: Visible) -> None:
        self._visible = narrower

    @property
    def whole(self) -> Database:
        """The database within the actor's tenant only: for what is written, and for checks that must know what is hidden."""
        return self.database.bound(Bounds(self.actor.tenant))

    @property
    def readable(self) -> Visible:
        """What the actor may read by its id, as of now: through an app this is not what may be searched."""
        return policy.visible(self.actor, self.clock(), letters="r")

    async def offered(self) -> Offered:
        """What this actor's tenant may search by."""
        return await parameters.offered(self.database, self.actor.tenant)

    async def indexing(self) -> list[Run]:
        """What is being indexed for search, and how far it is. Raises Forbidden."""
        await self.require("search", "SearchParameter")
        async with self.database.single() as conn:
            return await runs(conn, self.actor.tenant)

    # ---- reading

    async def read(self, rtype: str, id: str) -> Stored:
        """The current version. Raises Forbidden (the whole type), NotFound, Gone."""
        await self.require("read", rtype)
        found = await self._one(read_statement(self.readable, rtype, id), "read", rtype, id)
        if found is None:
            raise NotFound(f"There is no {rtype} with this id")
        if found.deleted:
            raise Gone(f"This {rtype} has been deleted")
        return found

    async def vread(self, rtype: str, id: str, vid: int) -> Stored:
        """One version, which must be visible as it was. Raises Forbidden, NotFound, Gone."""
        await self.require("history", rtype)
        found = await self._one(version_statement(self.readable, rtype, id, vid), "vread", rtype, id)
        if found is None:
            raise NotFound(f"There is no such version of this {rtype}")
        if found.deleted:
            raise Gone(f"This version is the deletion of the {rtype}")
        return found

    async def history(
        self,
        rtype: str | None = None,
        id: str | None = None,
        *,
        since: datetime | None = None,
        at: datetime | None = None,
        count: int = 50,
        after: Cursor | None = None,
    ) -> HistoryPage:
        """Versions newest first, each judged by its own patient. Raises NotFound for an id nobody here can see."""
        if rtype is not None:
            await self.require("history" if id is not None else "search", rtype)
        predicate, began = (self.visible if id is None else self.readable).predicate("r"), time.monotonic()
        async with self.database.connection() as conn:
            found = await store.history(
                conn,
                self.actor.tenant,
                rtype,
                id,
                since=since,
                at=at,
                after=after,
                limit=count + 1,
                predicate=predicate,
            )
            who = sorted({one.patient for one in found if one.patient})
            unknown = id is not None and not found and since is None and at is None and after is None
            outcome = audit.MINOR if unknown else audit.OK
            await audit.note(
                conn, self.actor, self.clock(), "history", outcome=outcome, rtype=rtype, id=id, patients=who
            )
        if unknown:
            await self.missed(began)
            raise NotFound(f"There is no {rtype} with this id")
        shown = tuple(found[:count])
        last = shown[-1] if len(found) > count else None
        return HistoryPage(shown, (last.recorded, last.rtype, last.id, last.vid) if last else None)

    async def search(self, query: Query) -> Page:
        """A page of matches with what it includes. Raises Forbidden, Malformed, TooCostly."""
        await self.require("search", query.rtype)
        text = "&".join(f"{name}={value}" for name, value in query.given)
        now = self.clock()

        async def show(statement: Statement) -> list[tuple[Any, ...]]:
            counting = statement.sql.startswith("SELECT count")
            wrapped = (
                audit.counted(statement, self.actor, now, text, query.rtype)
                if counting
                else audit.noted(statement, self.actor, now, "search", text, query.rtype)
            )
            return await fetch(wrapped)

        async with self.database.single() as conn:

            async def fetch(statement: Statement) -> list[tuple[Any, ...]]:
                return await conn.fetch(statement.sql, statement.args)

            terminology = parameters.Terminology(conn, self.actor.tenant)
            return await page.run(
                fetch, query, self.visible, key=self.key, show=show, included_from=self.readable,
                terminology=terminology,
            )  # fmt: skip

    async def lastn(self, query: Query, each: int) -> list[Stored]:
        """The newest `each` of every code among what a query on Observation matches. Raises as `search` does."""
        await self.require("search", query.rtype)
        text = "&".join(f"{name}={value}" for name, value in query.given)
        async with self.database.single() as conn:

            async def fetch(statement: Statement) -> list[tuple[Any, ...]]:
                return await conn.fetch(statement.sql, statement.args)

            whole = await resolved(fetch, query, self.visible)
        return await self.shown(newest_of_each(whole, self.visible, each), "lastn", text, query.rtype)

    async def metas(self, rtype: str | None) -> dict[str, list[Any]]:
        """Every profile, security label and tag on what may be seen (of one type). Raises Forbidden, TooCostly."""
        if rtype is not None:
            await self.require("search", rtype)
        statement = metas_statement(self.visible, rtype)
        async with self.database.single() as conn:
            rows = await conn.fetch(statement.sql, statement.args)
            await audit.note(conn, self.actor, self.clock(), "meta", rtype=rtype)
        out: dict[str, list[Any]] = {}
        for kind, value in rows:
            out.setdefault(kind, []).append(json.decode(b'{"v":' + value.encode() + b"}")["v"])
        return out

    # ---- writing

    @asynccontextmanager
    async def transaction(self, *, source: str = "", once: bool = False) -> AsyncIterator[Transaction]:
        """Reads and writes that become visible together, or not at all. `source` names who is being loaded.

        `once`: there is one write, and nothing after it, so that it may be committed in its own round trip.
        """
        began, tx = time.monotonic(), None
        try:
            async with self.whole.connection() as conn:
                tx = Transaction(self, conn, source, once)
                yield tx
        except NotFound:
            await self._denied(tx, audit.MINOR)
            await self.missed(began)
            raise
        except Forbidden:
            await self._denied(tx, audit.SERIOUS)
            raise

    async def _denied(self, tx: Transaction | None, outcome: int) -> None:
        """Leave a row of a write to what is hidden, not there or another's to change, once it was taken back."""
        if tx is None or tx.about is None:
            return
        action, rtype, id = tx.about
        async with self.database.single() as conn:
            await audit.note(
                conn, self.actor, self.clock(), action, outcome=outcome, rtype=rtype, id=id[:64] or None
            )

    async def commit(self, wanted: Sequence[Wanted], *, source: str = "") -> list[Written]:
        """Store all of it in one transaction. Raises Forbidden, Stale, Conflict, NotFound, Gone; then nothing is stored."""
        async with self.transaction(source=source, once=True) as tx:
            return await tx.write(wanted)

    # ---- the chart (see charts.py)

    async def facts(self, patient: str, rtypes: Sequence[str], **how: Any) -> charts.Facts:
        """A page of a person's facts of these types, now or as of a moment: see `charts.facts`."""
        for rtype in rtypes:
            await self.require("read", rtype)
        return await charts.facts(self, patient, rtypes, **how)

    async def counts(self, patient: str, as_of: datetime | None = None) -> dict[str, int]:
        """How many facts of each readable type a person has."""
        return await charts.counts(self, patient, as_of)

    async def latest(self, patient: str, **how: Any) -> list[Stored]:
        """The newest Observations of each code: see `charts.latest`."""
        await self.require("read", "Observation")
        return await charts.latest(self, patient, **how)

    async def named(self, keys: Sequence[Key]) -> dict[Key, Stored]:
        """Those of the keys that exist and may be seen, for showing names beside references."""
        wanted = [key for key in keys if policy.allowed(self.actor, "read", key[0])]
        return await charts.named(self, wanted)

    async def find_patients(self, text: str, limit: int = 20) -> list[Stored]:
        """Patients by whatever was typed into the one box: names, birth date, record number, phone."""
        await self.require("search", "Patient")
        statement = patients.finding(self.visible, text, limit)
        return await self.shown(statement, "search", f"find={text}", "Patient")

    async def recent_patients(self, limit: int = 12) -> list[Stored]:
        """The patients whose charts this user opened last."""
        await self.require("search", "Patient")
        return await charts.recent(self, limit)

    async def opened(self, patient: str) -> None:
        """Remember that this user opened this chart."""
        await charts.remember(self, patient)

    async def audit_of(self, patient: str, limit: int = 100) -> list[audit.Event]:
        """What was done with a patient's record; reading it is an act of its own."""
        await self.read("Patient", patient)
        async with self.database.connection() as conn:
            await audit.note(conn, self.actor, self.clock(), "read-audit", patients=[patient])
            return await audit.of_patient(conn, self.actor.tenant, patient, limit)

    # ---- shared

    async def shown(
        self, statement: Statement, action: str, query: str, rtype: str | None = None
    ) -> list[Stored]:
        """Run a statement over version columns with its audit row, and give what it found."""
        wrapped = audit.noted(statement, self.actor, self.clock(), action, query, rtype)
        async with self.database.single() as conn:
            rows = await conn.fetch(wrapped.sql, wrapped.args)
        return [store.row_stored(row[:15]) for row in rows]

    async def require(self, action: str, rtype: str) -> None:
        """Raises Forbidden, and leaves a row, if the actor's role does not allow this with this type."""
        if policy.allowed(self.actor, action, rtype):
            return
        await self.refused(action, rtype)
        if policy.allowed(replace(self.actor, app=""), action, rtype):
            raise Forbidden(f"What this app was allowed does not cover {action} of {rtype}")
        raise Forbidden(f"Your role does not allow {action} of {rtype}")

    async def refused(self, action: str, rtype: str) -> None:
        """Leave a row of what the actor's role does not allow."""
        async with self.database.single() as conn:
            await audit.note(conn, self.actor, self.clock(), action, outcome=audit.SERIOUS, rtype=rtype)

    async def _one(self, statement: Statement, action: str, rtype: str, id: str) -> Stored | None:
        """One version with its audit row in one statement; a miss leaves a row of its own."""
        now, began = self.clock(), time.monotonic()
        wrapped = audit.read(statement, self.actor, now, action)
        async with self.database.single() as conn:
            rows = await conn.fetch(wrapped.sql, wrapped.args)
            if rows:
                return store.row_stored(rows[0])
            await audit.note(conn, self.actor, now, action, outcome=audit.MINOR, rtype=rtype, id=id[:64])
        await self.missed(began)
        return None

    async def missed(self, began: float) -> None:
        """Wait for the next beat: what is hidden takes longer to be refused than what is not there, and is answered with it.

        `began`: when the work did, by time.monotonic.
        """
        await asyncio.sleep(BEAT_SECONDS - (time.monotonic() - began) % BEAT_SECONDS)


class Transaction:
    """One database transaction of an actor: what it reads and writes stands or falls together.

    `told` is what the profiles stated by what was written had to say, where the site only warns; `about` the (action, type,
    id) that was last asked to be changed.
    """

    def __init__(self, records: Records, conn: Connection, source: str, once: bool = False) -> None:
        self.records = records
        self.conn = conn
        self.source = source
        self.once = once
        self.told: dict[Key, tuple[Issue, ...]] = {}
        self.about: tuple[str, str, str] | None = None

    async def read(self, rtype: str, id: str) -> Stored | None:
        """The current version if it may be seen, deleted ones included."""
        return (await self.read_many([(rtype, id)])).get((rtype, id))

    async def read_many(self, keys: Sequence[Key]) -> dict[Key, Stored]:
        """The current versions that may be seen, deleted ones included."""
        seen = policy.visible(self.records.actor, self.records.clock(), letters="rud")
        statement = keyed(seen, keys)
        rows = await self.conn.fetch(statement.sql, statement.args) if keys else []
        found = [store.row_stored(row) for row in rows]
        return {(one.rtype, one.id): one for one in found}

    async def search_ids(self, query: Query, limit: int = 2) -> list[Key]:
        """(type, id) of what matches among what may be seen: for conditional requests."""
        await self.records.require("search", query.rtype)

        async def fetch(statement: Statement) -> list[tuple[Any, ...]]:
            return await self.conn.fetch(statement.sql, statement.args)

        return await page.matching_ids(fetch, query, self.records.visible, limit)

    async def shown(self, one: Stored) -> None:
        """Leave the row of a resource that is answered with as it is, though it was to be written."""
        who = [one.patient] if one.patient else []
        await audit.note(
            self.conn,
            self.records.actor,
            self.records.clock(),
            "read",
            rtype=one.rtype,
            id=one.id,
            patients=who,
        )

    async def alone(self, condition: str) -> None:
        """Wait until no other transaction acts on the same condition, so that it is met at most once."""
        key = hash64(f"{self.records.actor.tenant}\x1f{condition}")
        await self.conn.execute("SELECT pg_advisory_xact_lock(%s)", (key,))

    async def write(self, wanted: Sequence[Wanted]) -> list[Written]:
        """Store in order, with audit rows. Raises Forbidden, Stale, Conflict, NotFound, Gone; Invalid for a profile.

        An order of a user is checked first: `gate.Interrupted` when alerts stop it.
        """
        records, now = self.records, self.records.clock()
        for one in wanted:
            action = (
                "delete" if isinstance(one, Delete) else "create" if isinstance(one, Create) else "update"
            )
            self.about = None  # a type that is refused as a whole leaves a row of its own
            await records.require(action, type_of(one))
            self.about = (action, type_of(one), "" if isinstance(one, Create) else one.id)
        modifiers = [url for one in wanted if not isinstance(one, Delete) for url in one.valid.modifiers]
        await profiles.understood(self.conn, records.actor.tenant, modifiers)
        writes = [write_of(one, now) for one in wanted]
        told = await profiles.held(self.conn, records.actor.tenant, [one.body for one in writes])
        self.told |= {(one.rtype, one.id): said for one, said in zip(writes, told, strict=True) if said}
        looked = await gate.looked_at(self, writes)
        written = await self._store(writes, now, more=bool(looked))
        await gate.keep(self, looked, written)
        return written

    async def write_own(self, wanted: Sequence[Wanted]) -> list[Written]:
        """Store what a patient, or who acts for them, says of their own record (`own.checked`): no role writes this way.

        Raises Forbidden, Stale, NotFound.
        """
        writes = [write_of(one, self.records.clock()) for one in wanted]
        await own.checked(self, writes)
        return await self._store(writes, self.records.clock())

    async def write_labels(self, writes: Sequence[Write]) -> list[Written]:
        """Store versions of which only the labels are others: `labelling` has decided who may. Raises Stale, Forbidden."""
        return await self._store(writes, self.records.clock())

    async def write_prepared(self, writes: Sequence[Write], modifiers: Sequence[str] = ()) -> list[Written]:
        """Store what the loader validated and extracted in other processes. Raises as `write` does.

        `modifiers` are those of the `Valid` values.
        """
        await profiles.understood(self.conn, self.records.actor.tenant, modifiers)
        for rtype in {one.rtype for one in writes}:
            await self.records.require("update", rtype)
        await profiles.held(self.conn, self.records.actor.tenant, [one.body for one in writes], loading=True)
        return await self._store(writes, self.records.clock())

    async def _store(self, writes: Sequence[Write], now: datetime, *, more: bool = False) -> list[Written]:
        await self._guard(writes)
        records, actor = self.records, self.records.actor
        stamp = Stamp(actor.tenant, actor.org, actor.user, now, self.source)
        known = await parameters.offered(records.database, actor.tenant, self.conn)
        final: dict[Key, Write] = {}

        def replacing(old: Stored, new: Write) -> Write:
            if not old.deleted:
                permitted.replaces(actor, old, new)
                guarding.changeable(actor, old, new)
            made = over(old, new)
            final[made.rtype, made.id] = made
            return made if made is new else parameters.indexed(made, known)

        writes = [parameters.indexed(unjudged(one), known) for one in writes]
        writes = await labelled.raised(self.conn, actor.tenant, writes)

        def trail(written: Sequence[Written]) -> list[Asked]:
            before = labelled.raising(actor.tenant, [final.get((one.rtype, one.id), one) for one in writes])
            kept = [
                *relationships.keeping(actor.tenant, written, now),
                *consents.keeping(actor.tenant, written, now),
            ]
            return [*audit.of_writes(actor, now, written), *before, *kept]

        last = self.once and not more and not actor.app and not any(one.rtype in LATE for one in writes)
        written = await store.write(self.conn, stamp, writes, replacing, trail, last=last)
        permitted.made(actor, written)
        await permitted.remembered(self.conn, actor, written)
        await parameters.register(records.database, self.conn, actor.tenant, writes, now)
        return written

    async def _guard(self, writes: Sequence[Write]) -> None:
        """Nothing hidden is written over, and a patient with a record is not deleted."""
        actor = self.records.actor
        seen = policy.visible(actor, self.records.clock(), letters="rsud")
        narrowed = seen.hidden or seen.beyond is not None or seen.within is not None
        if narrowed and actor.role not in FOR_A_PATIENT:  # theirs is looked at by `own.checked`
            await guarding.known(self.conn, seen, actor, writes)
        for one in writes:
            if one.rtype == "Patient" and one.body is None:
                await self._empty(one.id)

    async def _empty(self, patient: str) -> None:
        cursor = await self.conn.execute(
            "SELECT 1 FROM resource WHERE pk = %s AND tenant = %s AND patient = %s AND rtype <> 'Patient' "
            "AND NOT deleted LIMIT 1",
            (patient_key(patient), self.records.actor.tenant, patient),
        )
        if await cursor.fetchone():
            raise Conflict("This patient has a record: a Patient with anything in it is not deleted")


def read_statement(visible: Visible, rtype: str, id: str) -> Statement:
    """The current version of one resource, if visible."""
    predicate, args = visible.predicate("r")
    return Statement(f"{store.READ} AND {predicate}", (visible.tenant, rtype, id, *args))


def version_statement(visible: Visible, rtype: str, id: str, vid: int) -> Statement:
    """One version of one resource, if visible as it was."""
    predicate, args = visible.predicate("r")
    key = (visible.tenant, rtype, id, vid, *args)
    now, then = (f"{part} AND {predicate}" for part in (store.VREAD_NOW, store.VREAD_THEN))
    return Statement(f"{now} UNION ALL {then}", (*key, *key))


def newest_of_each(query: Query, visible: Visible, each: int) -> Statement:
    """The newest of each code, at most `MAX_SHOWN` in all; a code without a coding is told by its text."""
    where = conditions(query, visible)
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    own = "coalesce(r.code::text, r.body::json->'code'->>'text', r.id)"
    sql = (
        f"SELECT {VERSION_COLUMNS} FROM (SELECT {columns}, {own} AS own, row_number() OVER (PARTITION BY {own} "
        f"ORDER BY r.date_lo DESC NULLS LAST, r.recorded DESC, r.id) AS place FROM resource r WHERE {where.text}) q "
        "WHERE place <= %s ORDER BY own, place LIMIT %s"
    )
    return Statement(sql, (*where.args, each, MAX_SHOWN))


def metas_statement(visible: Visible, rtype: str | None) -> Statement:
    """(list, entry as JSON) of every distinct profile, label and tag."""
    predicate, args = visible.predicate("r")
    narrowed = " AND r.rtype = %s" if rtype is not None else ""
    sql = (
        "SELECT DISTINCT k.name, e.value::text FROM resource r, unnest(ARRAY['profile', 'security', 'tag']) AS k(name), "
        "json_array_elements(r.body::json->'meta'->k.name) AS e(value) "
        f"WHERE {predicate} AND NOT r.deleted{narrowed} ORDER BY 1, 2 LIMIT {MAX_SHOWN}"
    )
    return Statement(sql, (*args, *([rtype] if rtype is not None else [])))


def keyed(visible: Visible, keys: Sequence[Key]) -> Statement:
    """The current versions of many, if visible."""
    predicate, args = visible.predicate("r")
    rtypes, ids = [rtype for rtype, _ in keys], [id for _, id in keys]
    return Statement(f"{store.READ_MANY} WHERE {predicate}", (rtypes, ids, visible.tenant, *args))
