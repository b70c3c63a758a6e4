"""The panel by rule, clinician and organisation, with the months before it: counts of stored rows, never of charts.

Counts that the worker made are shown to whoever may see everything; for anybody else they are made of what they may see,
and no history is told. Across organisations a count from 1 to 10 is not told, nor one that it could be worked out from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit, panels
from commonchart.record import panel
from commonchart.record.panel import STATUSES

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

SMALL = 11
KINDS = (*STATUSES, "out")
EVERYWHERE = "*"


class Asked(Struct, frozen=True):
    """What the panel is narrowed to: `org` an Organization id, "" the actor's own, "*" all of them; `clinician` a Practitioner's."""

    org: str = ""
    clinician: str = ""
    rule: str = ""


class Line(Struct, frozen=True):
    """One row: how many by status and how many out of range ("out"); None: too few to tell."""

    key: str
    title: str
    counts: dict[str, int | None]

    def n(self, *names: str) -> int:
        """The sum of what may be told."""
        return sum(self.counts.get(name) or 0 for name in names)

    @property
    def asked(self) -> int:
        """Of how many people the rule asks something: open ones and those up to date."""
        return self.n("overdue", "due", "cannot-tell", "due-soon", "up-to-date", "deferred", "declined")

    @property
    def gap(self) -> int:
        """How many are overdue or due, or cannot be told."""
        return self.n("overdue", "due", "cannot-tell")

    @property
    def told(self) -> bool:
        """Whether nothing of it is held back."""
        return None not in self.counts.values()


class Point(Struct, frozen=True):
    """A day that is kept: how many were asked, up to date, open, and out of range."""

    day: date
    asked: int
    done: int
    gap: int
    out: int


class Panel(Struct, frozen=True):
    """Everything on the dashboard. `history` by month, oldest first; `since` is the first day kept, `counted_at` None when counted now."""

    rules: tuple[Line, ...]
    clinicians: tuple[Line, ...]
    orgs: tuple[Line, ...]
    history: tuple[Point, ...]
    since: date | None
    counted_at: datetime | None
    whole: bool


Counted = tuple[str, str, str, str, str, str, int]


async def panel_of(records: Records, asked: Asked) -> Panel:
    """The dashboard. Raises Forbidden: it is not for patients."""
    await panels.allowed(records, "dashboard")
    async with records.whole.connection() as conn:
        await audit.note(
            conn,
            records.actor,
            records.clock(),
            "dashboard",
            query=f"{asked.org} {asked.clinician} {asked.rule}",
        )
        if panels.whole(records.visible):
            counted_at = await panel.counted_at(conn, records.actor.tenant)
            if counted_at is not None:
                rows = await _kept(conn, records.actor.tenant)
                history, since = await _history(conn, records, asked)
                return _panel(rows, records.actor.org, asked, history, since, counted_at, True)
        rows = await _live(conn, records)
    return _panel(rows, records.actor.org, asked, (), None, None, panels.whole(records.visible))


async def _kept(conn: Connection, tenant: int) -> list[Counted]:
    rows = await conn.fetch(
        "SELECT org, clinician, rule, title, status, within, n FROM panel_count WHERE tenant = %s "
        "AND day = (SELECT max(day) FROM panel_count WHERE tenant = %s)",
        (tenant, tenant),
    )
    return [(row[0], row[1], row[2], row[3], row[4], row[5], int(row[6])) for row in rows]


async def _live(conn: Connection, records: Records) -> list[Counted]:
    where, args = panels.joined([("d.tenant = %s", [records.actor.tenant]), panels.scope(records.visible)])
    rows = await conn.fetch(panel.counting("NULL::date", where), args)
    return [(row[1], row[2], row[3], row[4], row[5], row[6], int(row[7])) for row in rows]


def _panel(
    rows: list[Counted], own: str, asked: Asked, history: tuple[Point, ...], since: date | None,
    counted_at: datetime | None, whole: bool,
) -> Panel:  # fmt: skip
    wanted = asked.org or own
    crossing = wanted == EVERYWHERE
    here = [row for row in rows if crossing or row[0] == wanted]
    picked = [row for row in here if not asked.rule or row[2] == asked.rule]
    of_rules = _lines((row[2], row[3], row) for row in here if row[1] == asked.clinician)
    mine = _lines((row[2], row[3], row) for row in rows if row[0] == own and row[1] == asked.clinician)
    of_orgs = _lines(
        (row[0], row[0], row) for row in rows if row[1] == "" and (not asked.rule or row[2] == asked.rule)
    )
    # clinicians are a matter of one organisation
    of_clinicians = _lines(
        (row[1], row[1], row) for row in picked if row[1] and (not crossing or row[0] == own)
    )
    foreign = crossing or wanted != own
    return Panel(
        tuple(_told(one, mine.get(one.key)) if foreign else one for one in of_rules.values()),
        tuple(_told(one, None) if wanted not in (own, EVERYWHERE) else one for one in of_clinicians.values()),
        tuple(one if one.key == own else _told(one, None) for one in of_orgs.values()),
        history if not foreign else (), since, counted_at, whole,
    )  # fmt: skip


def _lines(found: Iterable[tuple[str, str, Counted]]) -> dict[str, Line]:
    out: dict[str, Line] = {}
    for key, title, (*_, status, within, n) in found:
        _add(out.setdefault(key, Line(key, title, dict.fromkeys(KINDS, 0))).counts, status, within, n)
    return out


def _told(line: Line, mine: Line | None) -> Line:
    """Without small counts, and without those that leave a small one when one's own are taken off.

    Where one has to go the smallest other one goes too: a total would give a single one away.
    """
    counts: dict[str, int | None] = {}
    for name, n in line.counts.items():
        rest = (n or 0) - ((mine.counts[name] or 0) if mine else 0)
        counts[name] = None if 0 < (n or 0) < SMALL or 0 < rest < SMALL else n
    hidden = [name for name in STATUSES if counts[name] is None]
    if len(hidden) == 1:
        others = [name for name in STATUSES if counts[name]]
        if others:
            counts[min(others, key=lambda name: counts[name] or 0)] = None
    return Line(line.key, line.title, counts)


async def _history(conn: Connection, records: Records, asked: Asked) -> tuple[tuple[Point, ...], date | None]:
    """The last kept day of every month, for the actor's own organisation."""
    tenant, own = records.actor.tenant, records.actor.org
    rows: list[tuple[Any, ...]] = await conn.fetch(
        "SELECT c.day, c.status, c.within, sum(c.n) FROM panel_count c JOIN (SELECT max(day) AS day FROM "
        "(SELECT DISTINCT day FROM panel_count WHERE tenant = %s) x GROUP BY date_trunc('month', day)) k ON k.day = c.day "
        "WHERE c.tenant = %s AND c.org = %s AND c.clinician = %s AND (%s = '' OR c.rule = %s) GROUP BY 1, 2, 3 ORDER BY 1",
        (tenant, tenant, own, asked.clinician, asked.rule, asked.rule),
    )
    first = (await conn.fetch("SELECT min(day) FROM panel_count WHERE tenant = %s", (tenant,)))[0][0]
    days: dict[date, Line] = {}
    for day, status, within, n in rows:
        line = days.setdefault(day, Line("", "", dict.fromkeys(KINDS, 0)))
        _add(line.counts, status, within, int(n))
    points = (Point(day, one.asked, one.n("up-to-date"), one.gap, one.n("out")) for day, one in days.items())
    return tuple(points), first


def _add(counts: dict[str, int | None], status: str, within: str, n: int) -> None:
    counts[status] = (counts[status] or 0) + n
    if within in ("out", "alert"):
        counts["out"] = (counts["out"] or 0) + n


def by_gap(lines: Iterable[Line]) -> list[Line]:
    """The greatest gap first."""
    return sorted(lines, key=lambda one: (-one.gap, one.title))


def shares(line: Line) -> Mapping[str, int]:
    """Percent of those asked, for a bar; empty where something is held back."""
    if not line.asked or not line.told:
        return {}
    parts = {"done": line.n("up-to-date"), "soon": line.n("due-soon"), "open": line.gap}
    return {name: round(100 * n / line.asked) for name, n in parts.items()}
