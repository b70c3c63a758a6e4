"""Keeping the inbox right: every new version of a result is judged, addressed, and compared with what was signed.

A batch of the feed is one transaction with its cursor, and so is each step of an escalation: a crash repeats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, users
from commonchart.access.inbox import sight
from commonchart.access.inbox.policy import SINCE, Policy, policy_of
from commonchart.care.evidence import first_moment, moment_day
from commonchart.care.inbox import escalate
from commonchart.care.inbox.address import LONG_DAYS, candidates, is_news, references
from commonchart.care.inbox.judge import KINDS, Judged, Line, Missing, judge
from commonchart.care.inbox.standing import Stands, State, after, begun
from commonchart.care.person import person
from commonchart.care.rules import built_in
from commonchart.exchange.outreach import notices
from commonchart.exchange.outreach.tries import Post
from commonchart.fhir import json
from commonchart.record import changes, quarantine, site, store
from commonchart.record.inbox import alerts, covers, items
from commonchart.record.inbox.alerts import Alert
from commonchart.record.inbox.items import Item
from commonchart.record.keys import patient_key, token
from commonchart.record.people import linked_on
from commonchart.record.rows import Change, Stored

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

CURSOR = "inbox"
CHANGES = 1000
EARLIER = 300
WORKER = sight.WORKER
RESULTS = ("Observation", "DiagnosticReport")
_SYSTEMS = (
    "http://terminology.hl7.org/CodeSystem/observation-category",
    "http://hl7.org/fhir/observation-category",
    "",
)
_CATEGORIES = [
    token("category", f"{system}|{code}") for system in _SYSTEMS for code in ("laboratory", "imaging")
]

JsonObject = dict[str, Any]


class Site(Protocol):
    """What is needed of `jobs.worker.Site`."""

    @property
    def base_url(self) -> str:
        """The address clients use."""
        ...


async def drain(database: Database, clock: Callable[[], datetime], site: Site) -> int:
    """Everything that has come, every step and look at a critical value that is due, and one notice; how much was done."""
    done = await follow(database, clock())
    if not done:
        await tidy(database)
    done += await late(database, clock())
    return done + await notices.round_of(Post(database, clock, site.base_url))


async def tidy(database: Database) -> None:
    """What is addressed to somebody who has left falls to the others."""
    async with database.single() as conn:
        await items.orphaned(conn, "is addressed to somebody whose access has ended")


# ---- the feed --------------------------------------------------------------------------------------------------


class Whole(Struct, frozen=True):
    """An item with everything it is made of; `gone` when its own resource was deleted."""

    patient: str
    item: str
    own: Stored
    report: JsonObject | None
    members: tuple[Stored, ...]
    missing: tuple[Missing, ...] = ()

    @property
    def parts(self) -> tuple[Stored, ...]:
        """The resources, the report first."""
        return self.members if self.report is None else (self.own, *self.members)


async def follow(database: Database, now: datetime) -> int:
    """Take one batch of the feed; how many changes were taken."""
    async with database.connection() as conn:
        batch = await changes.take(conn, CURSOR, CHANGES)
        if not batch.changes:
            return 0
        for tenant in sorted({one.tenant for one in batch.changes}):
            await _tenant(conn, tenant, [one for one in batch.changes if one.tenant == tenant], now)
        await changes.advance(conn, CURSOR, batch)
        return len(batch.changes)


async def _tenant(conn: Connection, tenant: int, batch: Sequence[Change], now: datetime) -> None:
    said = await policy_of(conn, tenant)
    since = await _since(conn, tenant, said, now)
    wanted = [one for one in batch if one.rtype in RESULTS and one.patient and one.recorded >= since]
    done: set[str] = set()
    for patient, item in await _items(conn, tenant, wanted):
        if await _taken_up(conn, tenant, patient, item, said, now):
            done.add(patient)
    if done:
        await audit.note(conn, users.system(tenant, WORKER), now, "inbox", patients=sorted(done))


async def _since(conn: Connection, tenant: int, said: Policy, now: datetime) -> datetime:
    """What was recorded before the inbox began is history; decided once, when it begins, so that no pause loses anything."""
    text = await site.get(conn, tenant, SINCE)
    if not text:
        text = (now - timedelta(days=said.days)).isoformat()
        await site.put(conn, tenant, SINCE, text)
    return datetime.fromisoformat(text)


_CHOSEN = (
    "SELECT DISTINCT r.patient, r.rtype, r.id FROM unnest(%s::bigint[], %s::text[], %s::text[]) k(pk, rtype, id) "
    "JOIN resource r ON r.pk = k.pk AND r.tenant = %s AND r.rtype = k.rtype AND r.id = k.id WHERE r.patient IS NOT NULL "
    "AND (r.deleted OR r.rtype = 'DiagnosticReport' OR r.vid > 1 OR ((r.category IS NULL OR r.tokens && %s::bigint[]) "
    "AND (r.date_lo IS NULL OR r.date_lo >= r.recorded - %s)))"
)
_REPORTS = (
    "SELECT k.patient, k.id, r.id FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[]) k(pk, patient, id, token) "
    "JOIN resource r ON r.pk = k.pk AND r.tenant = %s AND r.rtype = 'DiagnosticReport' AND r.patient = k.patient "
    "AND r.tokens @> ARRAY[k.token] WHERE NOT r.deleted"
)


async def _items(conn: Connection, tenant: int, wanted: Sequence[Change]) -> list[tuple[str, str]]:
    """(patient, item) of what these changes may concern: a result that a report names is part of that report."""
    if not wanted:
        return []
    tests = [(one.patient or "", one.id) for one in wanted if one.rtype == "Observation"]
    reported: dict[tuple[str, str], list[str]] = {}
    keys = ([patient_key(p) for p, _ in tests], [p for p, _ in tests], [i for _, i in tests])
    for patient, id, report in await conn.fetch(
        _REPORTS, (*keys, [token("result", f"Observation/{i}") for _, i in tests], tenant)
    ):
        reported.setdefault((patient, f"Observation/{id}"), []).append(f"DiagnosticReport/{report}")
    rows = await conn.fetch(
        _CHOSEN, ([one.pk for one in wanted], [one.rtype for one in wanted], [one.id for one in wanted], tenant,
                  _CATEGORIES, timedelta(days=LONG_DAYS)),
    )  # fmt: skip
    out = {(patient, f"{rtype}/{id}"): None for patient, rtype, id in rows}
    for key, reports in reported.items():
        out.pop(key, None)
        out |= {(key[0], report): None for report in reports}
    return sorted(out)


async def _taken_up(
    conn: Connection, tenant: int, patient: str, item: str, said: Policy, now: datetime
) -> bool:
    """Judge and keep an item, if it is one; whether it is."""
    whole = await _whole(conn, tenant, patient, item)
    old = await items.read(conn, tenant, patient, item, lock=True)
    if whole is None or (old is None and not _news(whole, said)):
        return False
    judged = await _judged(conn, tenant, whole, now)
    if judged is None:
        return False
    for one in whole.members if whole.report is not None else ():
        await items.drop(conn, tenant, patient, f"Observation/{one.id}")
    row = await _row(conn, tenant, whole, judged, old)
    if row is not None:
        await items.put(conn, row)
        await _alerts(conn, row, judged, whole, said, now)
    return row is not None


def _news(whole: Whole, said: Policy) -> bool:
    if whole.own.deleted:
        return False
    if whole.report is None and not _is_result(_body(whole.own)):
        return False
    return any(is_news(_body(one), one.vid, one.recorded, said.days) for one in whole.parts)


def _is_result(body: JsonObject) -> bool:
    """By its category; one without a category where its code has critical limits: a missing category hides nothing."""
    codes = {c.get("code") for one in body.get("category") or () for c in one.get("coding") or ()}
    if codes:
        return bool(codes & {"laboratory", "imaging"})
    pack = built_in()
    known = {
        ("loinc", str(c.get("code")))
        for c in (body.get("code") or {}).get("coding") or ()
        if c.get("system") == "http://loinc.org"
    }
    named = {name for held in pack.sets_of(frozenset(known)) for name in pack.analytes_of.get(held, ())}
    return any(
        pack.analytes[name].critical_above is not None or pack.analytes[name].critical_below is not None
        for name in named
    )


async def _whole(conn: Connection, tenant: int, patient: str, item: str) -> Whole | None:
    rtype, _, id = item.partition("/")
    own = await store.read(conn, tenant, rtype, id)
    if own is None or own.patient != patient:
        return None
    if rtype == "Observation" or own.deleted:
        return Whole(patient, item, own, None, (own,))
    report = _body(own)
    members, missing = await _members(conn, tenant, patient, report)
    return Whole(patient, item, own, report, tuple(members), tuple(missing))


async def _members(
    conn: Connection, tenant: int, patient: str, report: JsonObject
) -> tuple[list[Stored], list[Missing]]:
    """The results of a report, those of its panels included; and those that it names and that are not there."""
    refs = [
        one for one in report.get("result") or () if str(one.get("reference", "")).startswith("Observation/")
    ]
    found = await _observations(conn, tenant, patient, [str(one["reference"]) for one in refs])
    inner = references([_body(one) for one in found.values()], "hasMember")
    found |= await _observations(
        conn, tenant, patient, [one for one in inner if one.startswith("Observation/")]
    )
    missing = [
        Missing(str(one["reference"]), str(one.get("display") or "A result"))
        for one in refs
        if str(one["reference"]) not in found
    ]
    return list(found.values()), missing


async def _observations(
    conn: Connection, tenant: int, patient: str, refs: Sequence[str]
) -> dict[str, Stored]:
    keys = [("Observation", ref.partition("/")[2]) for ref in refs]
    found = await store.read_many(conn, tenant, keys)
    return {
        f"Observation/{one.id}": one
        for key in keys
        if (one := found.get(key)) is not None and not one.deleted and one.patient == patient
    }


def _body(one: Stored) -> JsonObject:
    body: JsonObject = (
        json.decode(one.body)
        if one.body
        else {"resourceType": one.rtype, "id": one.id, "status": "entered-in-error"}
    )
    return body


async def _judged(conn: Connection, tenant: int, whole: Whole, now: datetime) -> Judged | None:
    if whole.own.deleted:
        return Judged("Deleted result", "cannot-tell", (), "entered-in-error", gone="deleted")
    members = [_body(one) for one in whole.members]
    about = await store.read(conn, tenant, "Patient", whole.patient)
    day = moment_day(now)
    someone = person(_body(about) if about is not None else {"id": whole.patient}, day)
    before = await _earlier(conn, tenant, whole, members)
    people = await linked_on(conn, tenant, whole.patient)
    versions = {f"Observation/{one.id}": one.vid for one in whole.members}
    released = (await quarantine.settled(conn, tenant, people, versions)).released
    return judge(
        whole.report, members, before, someone, built_in(), day, missing=whole.missing, released=released
    )


async def _earlier(
    conn: Connection, tenant: int, whole: Whole, members: Sequence[JsonObject]
) -> list[JsonObject]:
    """The newest Observations of the person with any of the same codes, without these."""
    tokens = {
        token(param, f"{coding.get('system', '')}|{coding['code']}")
        for one in members
        for param, part in (("code", one), *(("component-code", part) for part in one.get("component") or ()))
        for coding in (part.get("code") or {}).get("coding") or ()
        if coding.get("code")
    }
    if not tokens:
        return []
    people = await linked_on(conn, tenant, whole.patient)
    rows = await conn.fetch(
        "SELECT r.body FROM resource r WHERE r.pk = ANY(%s) AND r.tenant = %s AND r.patient = ANY(%s) AND r.rtype = 'Observation' "
        "AND NOT r.deleted AND r.tokens && %s::bigint[] AND NOT r.id = ANY(%s) ORDER BY r.date_lo DESC NULLS LAST LIMIT %s",
        (
            [patient_key(one) for one in people],
            tenant,
            people,
            sorted(tokens),
            [one.id for one in whole.members],
            EARLIER,
        ),
    )
    return [json.decode(row[0].encode()) for row in rows]


# ---- the row ---------------------------------------------------------------------------------------------------


async def _row(conn: Connection, tenant: int, whole: Whole, judged: Judged, old: Item | None) -> Item | None:
    version = " ".join(sorted(f"{one.rtype}/{one.id}/{one.vid}" for one in whole.parts))
    if old is not None and old.version == version and old.content == _text(judged):
        return None
    if old is None:
        stands = begun(judged)
    else:
        signed = await items.last_signed(conn, tenant, whole.patient, whole.item)
        was = Stands(
            cast("State", old.state),
            old.corrected,
            tuple(msgspec.json.decode(old.changed or "[]", type=list[str])),
        )
        stands = after(was, _decoded(signed.content) if signed else None, judged)
    owner, by, org = (
        (old.owner, old.owner_by, old.org)
        if old is not None and (old.owner or old.owner_by.startswith(items.UNSEEN))
        else await _owner(conn, tenant, whole)
    )
    return Item(
        tenant, whole.patient, whole.item, org, owner, by, KINDS.index(judged.kind), judged.title, _text(judged), version,
        bool(judged.partial), judged.batch and not stands.corrected, _moment(judged.taken),
        max(one.recorded for one in whole.parts), stands.state, msgspec.json.encode(stands.changed).decode() if stands.changed else "",
        stands.corrected, *((old.forwarded_to, old.forwarded_by, old.forward_note) if old is not None else ()),
    )  # fmt: skip


def _text(judged: Judged | Line) -> str:
    return msgspec.json.encode(judged).decode()


def _decoded(text: str) -> Judged:
    return msgspec.json.decode(text, type=Judged)


def _moment(text: str) -> datetime | None:
    at = first_moment(text) if text else None
    return at if at is not None and at.year > 1 else None


async def _owner(conn: Connection, tenant: int, whole: Whole) -> tuple[str, str, str]:
    """(user, why, organisation) of whom it is addressed to; ("", why, organisation) for the pool."""
    bodies = [_body(one) for one in whole.parts]
    refs = [*references(bodies, "basedOn"), *references(bodies, "encounter")]
    keys = [(ref.partition("/")[0], ref.partition("/")[2]) for ref in refs]
    found = await store.read_many(conn, tenant, [*keys, ("Patient", whole.patient)])
    held = {f"{key[0]}/{key[1]}": _body(one) for key, one in found.items() if not one.deleted}
    patient = held.get(f"Patient/{whole.patient}", {})
    staff = await covers.colleagues(conn, tenant)
    org = str((patient.get("managingOrganization") or {}).get("reference", "")).removeprefix("Organization/")
    for ref, why in candidates(bodies, held, held, patient):
        practitioner = await _practitioner(conn, tenant, ref)
        those = [
            one
            for one in staff
            if practitioner and one.practitioner == practitioner and one.role == "clinician"
        ]
        if (
            those
        ):  # of somebody who works for several, for whom the result is, else for whom the patient is kept
            first = [whole.parts[0].org, org]
            user = min(those, key=lambda one: first.index(one.org) if one.org in first else len(first))
            return user.id, why, user.org
    return "", "nobody who works here is named", org if any(one.org == org for one in staff) else ""


async def _practitioner(conn: Connection, tenant: int, ref: str) -> str:
    rtype, _, id = ref.partition("/")
    if rtype == "Practitioner":
        return id
    role = await store.read(conn, tenant, rtype, id)
    link = (_body(role).get("practitioner") or {}) if role is not None else {}
    return str(link.get("reference", "")).removeprefix("Practitioner/")


# ---- critical values -------------------------------------------------------------------------------------------


async def _alerts(
    conn: Connection, row: Item, judged: Judged, whole: Whole, said: Policy, now: datetime
) -> None:
    """Raise what is critical and new, keep what goes on, withdraw what is critical no more."""
    recorded = {f"{one.rtype}/{one.id}": one.recorded for one in whole.parts}
    known: dict[tuple[str, str], Alert] = {}
    for one in await alerts.of_item(
        conn, row.tenant, row.patient, [*recorded, *(line.ref for line in judged.lines)]
    ):
        known.setdefault((one.ref, one.part), one)
    lines = {(one.ref, one.part): one for one in judged.lines}
    for key, line in lines.items():
        if line.kind == "critical" and not line.gone:
            await _raise(conn, row, line, known.get(key), recorded.get(line.ref, row.received), said, now)
    for key, alert in known.items():
        now_said = lines.get(key)
        if alert.state == "open" and (now_said is None or now_said.gone or now_said.kind != "critical"):
            await alerts.put(
                conn,
                replace(alert, state="withdrawn", ended=now, next_at=None, done=_withdrawn(now_said, judged)),
            )


def _withdrawn(line: Line | None, judged: Judged) -> str:
    if line is None:
        return f"the result is {judged.gone or 'not in the report any more'}"
    return f"the result is {line.gone}" if line.gone else f"corrected to {line.value} {line.unit}".strip()


async def _raise(
    conn: Connection,
    row: Item,
    line: Line,
    known: Alert | None,
    recorded: datetime,
    said: Policy,
    now: datetime,
) -> None:
    if known is not None and known.state == "open":
        await alerts.put(
            conn, replace(known, what=_text(line), item=row.item, owner=row.owner, org=row.org, looked=None)
        )
        return
    if known is not None and known.state == "acknowledged":
        was = msgspec.json.decode(known.what, type=Line)
        if (was.value, was.unit, was.mark) == (line.value, line.unit, line.mark):
            return
    n = known.n + 1 if known is not None else 1
    plan = said.plan
    one = Alert(row.tenant, row.patient, line.ref, line.part, n, row.item, row.org, row.owner, _text(line), recorded, 0,
                escalate.due_at(plan, recorded, 0))  # fmt: skip
    await _tell(conn, one, said, now)


async def _tell(conn: Connection, one: Alert, said: Policy, now: datetime) -> None:
    """Tell whom it goes to at its step, and keep whether a clinician of the steps may open it."""
    found = await sight.reach(conn, one, said, now)
    why = await sight.why(conn, one, said, now) if found.unseen else ""
    kept = replace(one, looked=now, unseen=why, unseen_since=(one.unseen_since or now) if why else None)
    await alerts.put(conn, kept)
    for kind, people in (("", found.step), (alerts.BESIDE, found.beside), (alerts.UNSEEN, found.told)):
        await alerts.notify(conn, kept, people, now, kind)
    if bool(why) != bool(one.unseen):
        await _note(conn, one, now, "critical-unseen" if why else "critical-seen", why)


async def _note(conn: Connection, one: Alert, now: datetime, action: str, detail: str) -> None:
    await audit.note(
        conn, users.system(one.tenant, WORKER), now, action, rtype="Observation", id=one.ref.partition("/")[2],
        patients=[one.patient], detail=detail,
    )  # fmt: skip


async def late(database: Database, now: datetime) -> int:
    """Take every step that is due, and look again at what waits; how many alerts moved or were looked at. Each is a transaction."""
    async with database.single() as conn:
        tenants = await alerts.tenants(conn)
    done = 0
    for tenant in tenants:
        while await _step(database, tenant, now) or await _look(database, tenant, now):
            done += 1
    return done


async def _step(database: Database, tenant: int, now: datetime) -> bool:
    async with database.connection() as conn:
        one = await alerts.next_late(conn, tenant, now)
        if one is None:
            return False
        said = await policy_of(conn, tenant)
        level = escalate.level_at(said.plan, one.raised, now)
        moved = replace(one, level=level, next_at=escalate.due_at(said.plan, one.raised, level))
        await _tell(conn, moved, said, now)
        await _note(conn, one, now, "escalate", f"step {level + 1}")
        return True


async def _look(database: Database, tenant: int, now: datetime) -> bool:
    """Whether a clinician may open what waits: a label, a consent or somebody's leaving may have changed it."""
    async with database.connection() as conn:
        one = await alerts.next_unlooked(conn, tenant, now - sight.LOOK)
        if one is None:
            return False
        said = await policy_of(conn, tenant)
        if one.unseen or not await sight.anybody(conn, one, said, now):
            await _tell(conn, one, said, now)
        else:
            await alerts.put(conn, replace(one, looked=now))
        return True
