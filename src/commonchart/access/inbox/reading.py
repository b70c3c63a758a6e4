"""What waits for somebody: theirs, what was forwarded to them, what they cover, what is addressed to nobody who works here.

A critical value that has reached somebody by its steps is among it, whoever it is addressed to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.access import audit
from commonchart.access.inbox import policy, sight
from commonchart.access.inbox.policy import Policy, policy_of, staff_for
from commonchart.access.people import memberships
from commonchart.care.inbox import escalate
from commonchart.care.inbox.judge import KINDS, Judged
from commonchart.care.inbox.words import Kind
from commonchart.fhir.outcome import Invalid, NotFound
from commonchart.record import store
from commonchart.record.inbox import alerts, covers, items
from commonchart.record.inbox.alerts import Alert
from commonchart.record.inbox.covers import Colleague, Cover
from commonchart.record.inbox.items import ITEM, Act, Item
from commonchart.record.keys import patient_key
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

MINE, POOL, PASSED_ON = "mine", "pool", "forwarded"
_WIDTH = len(ITEM.split(", "))
_FROM = (
    "FROM inbox_item i JOIN resource r ON r.pk = i.pk AND r.tenant = i.tenant AND r.rtype = split_part(i.item, '/', 1) "
    "AND r.id = split_part(i.item, '/', 2)"
)


class Line(Struct, frozen=True):
    """An item as a list shows it, with the Patient as stored and its open alert, if any."""

    item: Item
    judged: Judged
    patient: Stored
    alert: Alert | None = None


class Desk(Struct, frozen=True):
    """Who asks, for whom, what they are responsible for there at the moment, and what the site has decided.

    `elsewhere` are the other organisations that they work for: what is addressed to them there waits there.

    `alerts` are the open ones that have reached them and that they may open, `unanswered` the items of every open one.
    """

    me: str
    org: str
    covered: tuple[Cover, ...]
    staff: tuple[Colleague, ...]
    alerts: tuple[Alert, ...]
    said: Policy
    unanswered: frozenset[str] = frozenset()
    elsewhere: tuple[str, ...] = ()

    def name(self, user: str) -> str:
        """The name of a colleague, "" for nobody."""
        return next(
            (one.name for one in self.staff if one.id == user), "somebody who has left" if user else ""
        )


class Inbox(Struct, frozen=True):
    """A page of it: `kinds` counts by kind, `whose` by "mine", "pool", "forwarded" or the user that is covered; `batch` may be signed together."""

    lines: tuple[Line, ...]
    total: int
    kinds: dict[str, int]
    whose: dict[str, int]
    batch: int
    desk: Desk


class Opened(Struct, frozen=True):
    """One item: what was done with it, newest first, and every alert about its values."""

    item: Item
    judged: Judged
    acts: tuple[Act, ...]
    alerts: tuple[Alert, ...]
    desk: Desk


async def desk(conn: Connection, records: Records) -> Desk:
    """What the actor is responsible for now."""
    actor, now = records.actor, records.clock()
    current = await covers.current(conn, actor.tenant, now)
    staff = await covers.colleagues(conn, actor.tenant)
    said = await policy_of(conn, actor.tenant)
    waiting = await alerts.open_ones(conn, actor.tenant)
    others = await memberships.others(conn, actor)
    beside = await alerts.beside(conn, actor.tenant, actor.user) if waiting else set()
    mine = [
        one
        for one in waiting
        if one.org not in others
        and (one.item in beside or actor.user in _audience(one, staff, current, said))
    ]
    may = await _openable(conn, records, mine) if mine else set()
    mine = [one for one in mine if one.item in may]
    return Desk(
        actor.user,
        actor.org,
        tuple(one for one in current if one.cover == actor.user and one.org not in others),
        tuple(staff),
        tuple(mine),
        said,
        frozenset(one.item for one in waiting),
        others,
    )


async def _openable(conn: Connection, records: Records, found: Sequence[Alert]) -> set[str]:
    """The items of those alerts whose result the actor may see."""
    predicate, args = records.visible.predicate("r")
    rows = await conn.fetch(
        "SELECT k.item FROM unnest(%s::bigint[], %s::text[]) AS k(pk, item) JOIN resource r ON r.pk = k.pk AND r.tenant = %s "
        f"AND r.rtype = split_part(k.item, '/', 1) AND r.id = split_part(k.item, '/', 2) WHERE {predicate}",
        (
            [patient_key(one.patient) for one in found],
            [one.item for one in found],
            records.actor.tenant,
            *args,
        ),
    )
    return {row[0] for row in rows}


def _audience(one: Alert, staff: Sequence[Colleague], current: Sequence[Cover], said: Policy) -> Any:
    level = min(one.level, len(said.plan) - 1)
    return escalate.audience(said.plan, level, one.owner, staff_for(staff, current, said, one.org, one.owner))


async def listed(
    records: Records,
    *,
    kind: str = "",
    whose: str = "",
    batch: bool = False,
    limit: int = 50,
    offset: int = 0,
) -> Inbox:
    """What waits, the most urgent first. `batch`: only what may be signed together. Raises Forbidden, NotFound, Invalid."""
    await policy.required(records)
    async with records.database.connection() as conn:
        at = await desk(conn, records)
        where, args = _where(records, at)
        counts = await conn.fetch(
            f"SELECT i.kind, i.batch, {_WHOSE}, count(*) {_FROM} WHERE {where} GROUP BY 1, 2, 3",
            [*_whose(at), *args],
        )
        narrowed, more = _narrowed(at, kind, whose, batch)
        found = await _lines(conn, f"{where}{narrowed}", [*args, *more], limit, offset, at)
        await audit.note(
            conn, records.actor, records.clock(), "inbox", patients=sorted({one.item.patient for one in found}),
            query=f"kind={kind}&whose={whose}",
        )  # fmt: skip
    return _inbox(found, counts, at, kind, whose, batch)


_WHOSE = (
    "CASE WHEN i.owner = %s THEN 'mine' WHEN i.forwarded_to = %s THEN 'mine' WHEN i.owner = '' THEN 'pool' "
    "WHEN i.owner = ANY(%s) THEN i.owner WHEN i.forwarded_to = ANY(%s) THEN i.forwarded_to ELSE 'critical' END"
)


def _whose(at: Desk) -> list[Any]:
    covered = [one.absent for one in at.covered]
    return [at.me, at.me, covered, covered]


def _where(records: Records, at: Desk) -> tuple[str, list[Any]]:
    predicate, args = records.visible.predicate("r")
    people = [at.me, *(one.absent for one in at.covered)]
    text = (
        f"{predicate} AND i.tenant = %s AND i.state = 'open' AND (i.owner = ANY(%s) OR (i.owner = '' AND i.org IN ('', %s)) "
        "OR i.forwarded_to = ANY(%s) OR i.item = ANY(%s)) AND i.org <> ALL(%s)"
    )
    asked = [one.item for one in at.alerts]
    return text, [*args, records.actor.tenant, people, at.org, people, asked, list(at.elsewhere)]


def _narrowed(at: Desk, kind: str, whose: str, batch: bool) -> tuple[str, list[Any]]:
    text, args = "", list[Any]()
    if kind:
        if kind not in KINDS:
            raise Invalid("There is no such kind of result", at="kind")
        text, args = f"{text} AND i.kind = %s", [*args, KINDS.index(kind)]
    if batch:
        text += " AND i.batch"
    if whose == PASSED_ON:
        text, args = f"{text} AND i.forwarded_by = %s", [*args, at.me]
    elif whose:
        text, args = f"{text} AND {_WHOSE} = %s", [*args, *_whose(at), whose]
    return text, args


async def _lines(
    conn: Connection, where: str, args: Sequence[Any], limit: int, offset: int, at: Desk
) -> list[Line]:
    patient = ", ".join(f"p.{name}" for name in VERSION_COLUMNS.split(", "))
    rows = await conn.fetch(
        f"SELECT {ITEM}, {patient} FROM (SELECT {ITEM}, i.pk {_FROM} WHERE {where} ORDER BY i.kind, i.received DESC, i.item "
        "LIMIT %s OFFSET %s) i JOIN resource p ON p.pk = i.pk AND p.tenant = i.tenant AND p.rtype = 'Patient' AND p.id = i.patient "
        "ORDER BY i.kind, i.received DESC, i.item",
        [*args, limit, offset],
    )
    alert = {one.item: one for one in reversed(at.alerts)}
    out = []
    for row in rows:
        one = Item(*row[:_WIDTH])
        out.append(Line(one, judged_of(one.content), store.row_stored(row[_WIDTH:]), alert.get(one.item)))
    return out


def judged_of(content: str) -> Judged:
    """What was kept of a judgement."""
    return msgspec.json.decode(content, type=Judged)


def _inbox(found: list[Line], counts: Sequence[Any], at: Desk, kind: str, whose: str, batch: bool) -> Inbox:
    kinds = dict.fromkeys(KINDS, 0)
    names: dict[str, int] = {}
    total = together = 0
    for number, may, name, n in counts:
        if not whose or name == whose:
            kinds[KINDS[number]] += n
            together += n if may else 0
            total += n if (not kind or KINDS[number] == kind) and (may or not batch) else 0
        names[name] = names.get(name, 0) + n
    if whose == PASSED_ON:
        total = len(found)
    return Inbox(tuple(found), total, _by_name(kinds), names, together, at)


def _by_name(kinds: Mapping[Kind, int]) -> dict[str, int]:
    return {str(name): n for name, n in kinds.items()}


async def unseen(records: Records) -> int:
    """For administrators: how many results of their organisation wait that nobody who works there may see; 0 to others."""
    if records.actor.role != "administrator":
        return 0
    async with records.whole.single() as conn:
        return await items.unseen(conn, records.actor.tenant, records.actor.org)


async def one(records: Records, patient: str, item: str) -> Opened:
    """One item, whatever its state. Raises Forbidden, NotFound."""
    await policy.required(records)
    async with records.database.connection() as conn:
        row = await seen(conn, records, patient, item)
        judged = judged_of(row.content)
        done = await items.acts(conn, records.actor.tenant, patient, item)
        about = await alerts.of_item(conn, records.actor.tenant, patient, [one.ref for one in judged.lines])
        at = await desk(conn, records)
        await audit.note(
            conn, records.actor, records.clock(), "read-inbox", rtype=item.partition("/")[0], id=item.partition("/")[2],
            patients=[patient],
        )  # fmt: skip
    return Opened(row, judged, tuple(done), tuple(about), at)


async def seen(conn: Connection, records: Records, patient: str, item: str, *, lock: bool = False) -> Item:
    """The row of an item whose result the actor may see. Raises NotFound."""
    rtype, _, id = item.partition("/")
    predicate, args = records.visible.predicate("r")
    there = await conn.fetch(
        f"{store.READ_MANY} WHERE {predicate}", ([rtype], [id], records.actor.tenant, *args)
    )
    row = await items.read(conn, records.actor.tenant, patient, item, lock=lock) if there else None
    if row is None:
        raise NotFound("There is no such result in the inbox")
    return row


async def visible_refs(conn: Connection, records: Records, refs: Sequence[str]) -> set[str]:
    """Those of the resources ("Type/id") that the actor may see."""
    predicate, args = records.visible.predicate("r")
    keys = [ref.partition("/") for ref in sorted(set(refs))]
    rows = await conn.fetch(
        f"{store.READ_MANY} WHERE {predicate}",
        ([key[0] for key in keys], [key[2] for key in keys], records.actor.tenant, *args),
    )
    return {f"{row[0]}/{row[1]}" for row in rows}


async def signings(records: Records, patient: str, ref: str) -> list[tuple[Act, str]]:
    """Who signed or saw a result, and in which version, newest first, with their names. Raises Forbidden, NotFound."""
    await policy.required(records)
    async with records.database.connection() as conn:
        found = await items.about(conn, records.actor.tenant, patient, ref)
        names = await covers.names(conn, records.actor.tenant, [one.actor for one in found])
        await audit.note(conn, records.actor, records.clock(), "read-signings", patients=[patient])
    return [(one, names.get(one.actor, one.actor)) for one in found]


class Waiting(Struct, frozen=True):
    """Critical values that somebody is responsible for: how many, and since when the oldest. `unseen`: those that no clinician may open."""

    count: int
    since: datetime
    href: str
    unseen: bool = False


async def waiting(records: Records) -> Waiting | None:
    """What the banner of every page says; None when nothing critical waits for the actor. It names nobody."""
    if records.actor.role not in (*sight.STEPS, *sight.BESIDE, *sight.OFFICERS):
        return None
    async with records.database.single() as conn:
        if not await conn.fetch(
            "SELECT 1 FROM critical_alert WHERE tenant = %s AND state = 'open' LIMIT 1",
            (records.actor.tenant,),
        ):
            return None
        at = await desk(conn, records)
    if found := await unopened(records):  # before what others see as well
        return Waiting(len(found), found[0].raised, "/reports/critical#unseen", unseen=True)
    if not at.alerts:
        return None
    first = at.alerts[0]
    return Waiting(
        len(at.alerts),
        first.raised,
        f"/patients/{first.patient}/inbox/{first.item}" if len(at.alerts) == 1 else "/inbox?kind=critical",
    )


async def unopened(records: Records) -> list[Alert]:
    """For the privacy officer and administrators: critical values of their organisation that no clinician may open; none to others."""
    if records.actor.role not in sight.OFFICERS:
        return []
    async with records.whole.single() as conn:
        return await alerts.unseen(conn, records.actor.tenant, records.actor.org, records.actor.user)
