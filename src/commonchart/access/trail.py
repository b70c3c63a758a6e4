"""Reading the audit trail: who saw whom, what somebody did, what was refused, and what is out of the ordinary.

Only those who answer for privacy read it (`REVIEWERS`), and that they did is itself an event. Rows hold ids; names are
looked up for the page. What a person reads of their own record is `own`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, policy
from commonchart.access.audit import Event
from commonchart.fhir.outcome import Forbidden

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

Kind = Literal["all", "changes", "denials", "sign-ins", "break-glass", "disclosures", "programs"]
Sort = Literal["at", "actor", "action", "outcome", "client", "purpose", "rtype"]

REVIEWERS = frozenset({"administrator", "privacy-officer"})
KINDS: dict[str, str] = {
    "all": "true",
    "changes": "outcome = 0 AND action IN ('create', 'update', 'delete', 'load', 'import')",
    "denials": "outcome <> 0",
    "sign-ins": "action IN ('sign-in', 'sign-out', 'timed-out')",
    "break-glass": "purpose = 'BTG' OR action LIKE 'break-glass%%'",
    "disclosures": (
        "purpose NOT IN ('TREAT', 'HPAYMT', 'HOPERAT', 'PATADMIN') "
        "OR action IN ('print', 'send', 'notify', 'share', 'push') OR action LIKE 'export%%'"
    ),
    "programs": "role = 'system' OR client LIKE 'token:%%'",
}
SORTS: dict[str, str] = {
    "at": "at", "actor": "actor", "action": "action", "outcome": "outcome", "client": "client", "purpose": "purpose",
    "rtype": "rtype",
}  # fmt: skip
MANY = 50
"""Charts of one person in a day from which a day counts as unusual, however ordinary it is for them."""
TIMES = 3
"""How many times their usual day it then has to be."""

_COLUMNS = (
    "seq, at, actor, role, org, client, purpose, action, outcome, rtype, id, vid, patients, query, detail"
)


class Ask(Struct, frozen=True):
    """What is looked for: from `since` up to `until`, narrowed and sorted.

    `upto` is a number of the trail that later pages stop at, since looking at a page adds to it; 0 for no end.
    """

    since: datetime
    until: datetime
    kind: Kind = "all"
    patient: str = ""
    actor: str = ""
    action: str = ""
    sort: Sort = "at"
    descending: bool = True
    upto: int = 0
    outcomes: tuple[int, ...] = ()


class Numbered(Struct, frozen=True):
    """An event with its number in the trail, and the name of who did it ("" when there is no such user)."""

    seq: int
    event: Event
    who: str


class Unusual(Struct, frozen=True):
    """Something to ask somebody about: which rule met, and how often."""

    rule: str
    actor: str
    who: str
    patient: str | None
    times: int
    first: datetime
    last: datetime
    why: str


async def required(records: Records) -> None:
    """Raises Forbidden for whoever does not answer for privacy; the attempt is an event."""
    if records.actor.role in REVIEWERS and policy.everybodys(records.actor, "AuditEvent"):
        return
    async with records.database.single() as conn:
        await audit.note(
            conn, records.actor, records.clock(), "report", outcome=audit.MINOR, rtype="AuditEvent"
        )
    raise Forbidden("Only administrators and privacy officers read the audit trail")


async def events(records: Records, ask: Ask, *, limit: int, offset: int = 0) -> list[Numbered]:
    """The events that are asked for. Raises Forbidden."""
    await required(records)
    where, args = _where(records.actor, ask)
    order = (
        f"{SORTS[ask.sort]} {'DESC' if ask.descending else 'ASC'}, seq {'DESC' if ask.descending else 'ASC'}"
    )
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            f"SELECT {_prefixed()}, coalesce(u.name, '') FROM (SELECT {_COLUMNS} FROM audit WHERE {where} "
            f"ORDER BY {order} LIMIT %s OFFSET %s) a LEFT JOIN app_user u ON u.id = a.actor ORDER BY {_outer(order)}",
            (*args, limit, offset),
        )
        found = await _told(conn, records.actor, [_numbered(row) for row in await cursor.fetchall()])
        await _noted(conn, records, ask.kind, [ask.patient] if ask.patient else [])
    return found


async def event(records: Records, seq: int) -> Numbered | None:
    """One event by its number. Raises Forbidden."""
    await required(records)
    concern, args = _concern(records.actor)
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            f"SELECT {_prefixed()}, coalesce(u.name, '') FROM (SELECT {_COLUMNS} FROM audit WHERE tenant = %s AND seq = %s "
            f"AND {concern}) a LEFT JOIN app_user u ON u.id = a.actor",
            (records.actor.tenant, seq, *args),
        )
        found = await _told(conn, records.actor, [_numbered(row) for row in await cursor.fetchall()])
        await _noted(conn, records, "event", found[0].event.patients if found else [])
    return found[0] if found else None


_KEPT = "EXISTS (SELECT 1 FROM relationship t WHERE t.tenant = audit.tenant AND t.org = %s AND t.kind = 'record' AND t.patient = {})"


def _alone(actor: Actor) -> bool:
    """Whether one organisation keeps everything here, so that every event concerns it."""
    return actor.network is False


def _concern(actor: Actor) -> tuple[str, list[Any]]:
    """The events that concern an organisation: of its own people, about patients whose record it keeps, or about nobody and
    of no organisation, such as a failed sign-in of somebody unknown."""
    if _alone(actor):
        return "true", []
    kept = _KEPT.format("ANY(audit.patients)")
    return f"(org = %s OR (org = '' AND patients = '{{}}') OR {kept})", [actor.org, actor.org]


async def _told(conn: Connection, actor: Actor, found: list[Numbered]) -> list[Numbered]:
    """What an organisation is told of another's acts: that they concerned its patients, and nobody else."""
    foreign = [one for one in found if one.event.org != actor.org]
    if _alone(actor) or not foreign:
        return found
    asked = sorted({id for one in foreign for id in one.event.patients if id})
    cursor = await conn.execute(
        "SELECT DISTINCT patient FROM relationship WHERE tenant = %s AND org = %s AND kind = 'record' AND patient = ANY(%s)",
        (actor.tenant, actor.org, asked),
    )
    ours = {patient for (patient,) in await cursor.fetchall()}
    return [one if one.event.org == actor.org else _narrowed(one, ours) for one in found]


def _narrowed(one: Numbered, ours: set[str]) -> Numbered:
    """An act of another organisation: what it was about stands there only when it was about ours alone."""
    event = one.event
    left = [id for id in event.patients if id in ours]
    if len(left) == len(event.patients):
        return replace(one, event=replace(event, query=None))
    return replace(one, event=replace(event, patients=left, id=None, vid=None, query=None, detail=None))


async def _noted(conn: Any, records: Records, what: str, patients: Sequence[str]) -> None:
    await audit.note(
        conn, records.actor, records.clock(), "report", rtype="AuditEvent", patients=patients, detail=what
    )


def _prefixed() -> str:
    return ", ".join(f"a.{name.strip()}" for name in _COLUMNS.split(","))


def _outer(order: str) -> str:
    return ", ".join(f"a.{part.strip()}" for part in order.split(","))


def _numbered(row: Sequence[Any]) -> Numbered:
    return Numbered(row[0], Event(*row[1:15]), row[15])


def _where(actor: Actor, ask: Ask) -> tuple[str, list[Any]]:
    concern, of_whom = _concern(actor)
    where, args = (
        [f"tenant = %s AND at >= %s AND at < %s AND ({KINDS[ask.kind]}) AND {concern}"],
        [actor.tenant, ask.since, ask.until, *of_whom],
    )
    for sql, value in (
        ("patients @> ARRAY[%s]", ask.patient),
        ("actor = %s", ask.actor),
        ("action = %s", ask.action),
        ("seq <= %s", ask.upto),
        ("outcome = ANY(%s)", list(ask.outcomes)),
    ):
        if value:
            where.append(sql)
            args.append(value)
    if ask.patient and not _alone(
        actor
    ):  # whether another's act was about somebody else's patient is not told either
        where.append(f"(org = %s OR {_KEPT.format('%s')})")
        args += [actor.org, actor.org, ask.patient]
    return " AND ".join(where), args


_MANY = """
WITH days AS (
    SELECT actor, date_trunc('day', at) AS day, count(DISTINCT p) AS charts, min(at) AS first, max(at) AS last
    FROM audit, unnest(patients) p
    WHERE tenant = %s AND at >= %s AND at < %s AND role NOT IN ('system', 'patient') AND client NOT LIKE 'token:%%'
    AND action NOT IN ('create', 'update') AND {own} GROUP BY 1, 2
), usual AS (
    SELECT actor, percentile_disc(0.5) WITHIN GROUP (ORDER BY charts) AS charts FROM days GROUP BY actor
)
SELECT d.actor, coalesce(u.name, ''), NULL, d.charts, d.first, d.last, n.charts
FROM days d JOIN usual n USING (actor) LEFT JOIN app_user u ON u.id = d.actor
WHERE d.charts >= %s AND d.charts >= %s * n.charts ORDER BY d.charts DESC LIMIT %s
"""

_SEEN = """
WITH seen AS (
    SELECT actor, p AS patient, count(*) AS times, min(at) AS first, max(at) AS last
    FROM audit, unnest(patients) p
    WHERE tenant = %s AND at >= %s AND at < %s AND role NOT IN ('system', 'patient') AND client NOT LIKE 'token:%%'
    AND ({own} OR {kept}) GROUP BY 1, 2
)
SELECT s.actor, u.name, s.patient, s.times, s.first, s.last, r.body::jsonb -> 'name'
FROM seen s JOIN app_user u ON u.id = s.actor
JOIN resource r ON r.tenant = u.tenant AND r.rtype = 'Patient' AND r.id = s.patient AND NOT r.deleted
WHERE EXISTS (
    SELECT FROM jsonb_array_elements(CASE jsonb_typeof(r.body::jsonb -> 'name') WHEN 'array' THEN r.body::jsonb -> 'name' ELSE '[]' END) n
    WHERE length(n ->> 'family') > 1 AND lower(u.name) LIKE '%% ' || lower(n ->> 'family')
) ORDER BY s.last DESC LIMIT %s
"""


async def unusual(records: Records, since: datetime, until: datetime, *, limit: int = 200) -> list[Unusual]:
    """What is out of the ordinary, the most striking first: a chart of one's own name, and many charts in a day.

    A hint, not a verdict: who has a common family name shows up here for good reasons. Raises Forbidden.
    """
    await required(records)
    actor, tenant = records.actor, records.actor.tenant
    async with records.database.connection() as conn:
        own, whose = ("true", []) if _alone(actor) else ("org = %s", [actor.org])
        seen = _SEEN.format(own=own, kept=_KEPT.format("p"))
        named = await (await conn.execute(seen, (tenant, since, until, *whose, actor.org, limit))).fetchall()
        asked = (tenant, since, until, *whose, MANY, TIMES, limit)
        many = await (await conn.execute(_MANY.format(own=own), asked)).fetchall()
        await _noted(conn, records, "unusual", sorted({row[2] for row in named}))
    return [_named(row) for row in named] + [
        Unusual(
            "many charts",
            row[0],
            row[1],
            row[2],
            row[3],
            row[4],
            row[5],
            f"{row[3]} charts in a day, {row[6]} on a usual one",
        )
        for row in many
    ]


def _named(row: Sequence[Any]) -> Unusual:
    """Own chart when a given name fits as well, else the same family name."""
    first = str(row[1]).lower().split()
    given = {str(word).lower() for name in row[6] for word in name.get("given") or []}
    own = bool(given & set(first))
    rule, why = (
        ("own chart", "the names are the same")
        if own
        else ("same family name", "the family names are the same")
    )
    return Unusual(rule, row[0], row[1], row[2], row[3], row[4], row[5], why)


class Access(Struct, frozen=True):
    """One line of what a person reads about their own record: who did what, when, why."""

    at: datetime
    who: str
    role: str
    org: str
    client: str
    purpose: str
    action: str
    rtype: str | None
    denied: bool
    actor: str = ""


async def own(records: Records, patient: str, *, limit: int, before: datetime | None = None) -> list[Access]:
    """Who did what with the record of the patient who asks, newest first; their own acts are among it.

    Raises Forbidden for anybody but the patient and those who answer for privacy, NotFound for a patient they do not see.
    """
    if records.actor.patient != patient:
        await required(records)
        await records.read("Patient", patient)
    until = before or records.clock() + timedelta(seconds=1)
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            "SELECT a.at, coalesce(u.name, l.reader, a.actor), a.role, a.org, a.client, a.purpose, a.action, a.rtype, a.outcome <> 0, a.actor "
            "FROM audit a LEFT JOIN app_user u ON u.id = a.actor LEFT JOIN share_link l ON a.client = 'link' AND l.id = substr(a.actor, 6) "
            "WHERE a.tenant = %s AND a.patients @> ARRAY[%s] AND a.at < %s ORDER BY a.at DESC, a.seq DESC LIMIT %s",
            (records.actor.tenant, patient, until, limit),
        )
        found = [Access(*row) for row in await cursor.fetchall()]
        await _noted(conn, records, "own", [patient])
    return found
