"""Critical values: acknowledging one, and how long it took until somebody did."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit
from commonchart.access.inbox import policy
from commonchart.access.inbox.reading import seen, unopened, visible_refs
from commonchart.access.outreach.policy import local
from commonchart.care.inbox import times
from commonchart.care.inbox.judge import Line
from commonchart.care.inbox.times import Span
from commonchart.fhir.outcome import Conflict
from commonchart.record.inbox import alerts, covers, items
from commonchart.record.inbox.items import Act, Item

if TYPE_CHECKING:
    from commonchart.access.records import Records, Transaction


class Entry(Struct, frozen=True):
    """One alert of the report. `minutes` None while nobody has acknowledged it; nobody is named but who works here."""

    patient: str
    item: str
    test: str
    value: str
    why: str
    raised: datetime
    state: str
    minutes: float | None
    level: int
    by: str
    owner: str
    read_back: str
    called: str
    done: str


class Told(Struct, frozen=True):
    """An e-mail about it to a user: what became of it and why; `beside` to one who may open it."""

    name: str
    state: str
    error: str
    beside: bool


class Unseen(Struct, frozen=True):
    """A critical value that no clinician may open: since when, why (`sight.why`), and who was told. It names no patient."""

    raised: datetime
    since: datetime
    why: str
    told: tuple[Told, ...]


class Report(Struct, frozen=True):
    """Time to acknowledgement in a span of time: over all, by step, by clinician, and every alert; and what is `unseen` now."""

    entries: tuple[Entry, ...]
    whole: Span
    levels: tuple[tuple[int, Span], ...]
    people: tuple[tuple[str, Span], ...]
    waiting: int
    withdrawn: int
    unseen: tuple[Unseen, ...] = ()


async def acknowledge(
    records: Records, patient: str, item: str, *, read_back: str = "", called: str = "", done: str = ""
) -> int:
    """Acknowledge every open alert of an item; how many. It still waits to be signed.

    Raises Forbidden, NotFound, Conflict when nothing is left to acknowledge.
    """
    await policy.may_sign(records)
    async with records.transaction() as tx:
        row = await seen(tx.conn, records, patient, item, lock=True)
        n = await answered(tx, row, read_back, called, done)
        if not n:
            raise Conflict(await _already(tx, row))
    return n


async def answered(tx: Transaction, row: Item, read_back: str, called: str, done: str) -> int:
    """The same in the transaction of the caller; 0 where nothing is open."""
    now, actor = tx.records.clock(), tx.records.actor
    found = [
        one
        for one in await alerts.of_item(tx.conn, row.tenant, row.patient, refs_of(row))
        if one.state == "open"
    ]
    for one in found:
        await alerts.put(
            tx.conn,
            replace(one, state="acknowledged", ended=now, ended_by=actor.user, ended_level=one.level, next_at=None,
                    read_back=read_back.strip()[:200], called=called.strip()[:200], done=done.strip()[:1000]),
        )  # fmt: skip
    if found:
        words = "; ".join(
            filter(
                None,
                (
                    read_back and f"read back: {read_back.strip()}",
                    called and f"called: {called.strip()}",
                    done.strip(),
                ),
            )
        )
        await items.acted(
            tx.conn,
            Act(
                row.tenant,
                row.patient,
                row.item,
                0,
                now,
                actor.user,
                "",
                "acknowledged",
                row.version,
                note=words[:1400],
            ),
        )
        await audit.note(
            tx.conn,
            actor,
            now,
            "acknowledge-critical",
            rtype="Observation",
            id=found[0].ref.partition("/")[2],
            patients=[row.patient],
        )
    return len(found)


def refs_of(row: Item) -> set[str]:
    """What an item is made of, each as "Type/id"."""
    return {part.rpartition("/")[0] for part in row.version.split()}


async def _already(tx: Transaction, row: Item) -> str:
    found = await alerts.of_item(tx.conn, row.tenant, row.patient, refs_of(row))
    last = max((one for one in found if one.ended), key=lambda one: one.ended or one.raised, default=None)
    if last is None:
        return "There is no critical value to acknowledge"
    if last.state == "withdrawn":
        return f"The alert is over: {last.done}"
    who = (await covers.names(tx.conn, row.tenant, [last.ended_by])).get(last.ended_by, "Somebody")
    ended = await local(tx.conn, row.tenant, last.ended or last.raised)
    return f"{who} acknowledged it at {ended:%d-%b-%Y %H:%M %Z}"


# ---- the report ------------------------------------------------------------------------------------------------


async def report(records: Records, since: datetime, until: datetime) -> Report:
    """Alerts raised from `since` (included) to `until` (excluded). Raises Forbidden, NotFound."""
    await policy.required(records)
    async with records.database.connection() as conn:
        every = await alerts.raised(conn, records.actor.tenant, since, until)
        may = await visible_refs(conn, records, [one.ref for one in every])
        found = [one for one in every if one.ref in may]
        names = await covers.names(
            conn, records.actor.tenant, sorted({one.ended_by for one in found} | {one.owner for one in found})
        )
        await audit.note(
            conn, records.actor, records.clock(), "critical-report", patients=sorted({one.patient for one in found}),
            query=f"{since:%Y-%m-%d}..{until:%Y-%m-%d}",
        )  # fmt: skip
    entries = [_entry(one, names) for one in found]
    done = [one for one in entries if one.minutes is not None]
    return Report(
        tuple(entries), times.span(_minutes(done)),
        tuple((n, times.span(_minutes(one for one in done if one.level == n))) for n in sorted({one.level for one in done})),
        tuple((name, times.span(_minutes(one for one in done if one.by == name))) for name in sorted({one.by for one in done})),
        sum(one.state == "open" for one in entries), sum(one.state == "withdrawn" for one in entries), await unseen(records),
    )  # fmt: skip


async def unseen(records: Records) -> tuple[Unseen, ...]:
    """For the privacy officer and administrators: what waits that no clinician may open, whenever it was raised; none to others."""
    out = []
    for one in await unopened(records):
        async with records.whole.single() as conn:
            told = [it for it in await alerts.notices(conn, one) if it[5]]
            called = await covers.names(conn, one.tenant, [it[0] for it in told])
        out.append(
            Unseen(
                one.raised, one.unseen_since or one.raised, one.unseen,
                tuple(
                    Told(called.get(user, user), state, error, kind == alerts.BESIDE)
                    for user, _, state, _, error, kind in told
                ),
            )
        )  # fmt: skip
    return tuple(out)


def _minutes(entries: Iterable[Entry]) -> list[float]:
    return [one.minutes for one in entries if one.minutes is not None]


def _entry(one: alerts.Alert, names: dict[str, str]) -> Entry:
    line = msgspec.json.decode(one.what, type=Line)
    took = (
        (one.ended - one.raised).total_seconds() / 60 if one.ended and one.state == "acknowledged" else None
    )
    level = one.ended_level if one.ended_level is not None else one.level
    return Entry(
        one.patient, one.item, line.name, f"{line.value} {line.unit}".strip(), line.why, one.raised, one.state, took, level,
        names.get(one.ended_by, ""), names.get(one.owner, ""), one.read_back, one.called, one.done,
    )  # fmt: skip
