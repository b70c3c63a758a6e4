"""Which organisation treats which patient, told from what the record says, in the transaction that says it.

A relationship counts when whoever keeps the patient's record wrote it, or one that is in a relationship already: an
organisation cannot let itself in by writing an appointment about somebody else's patient. What a client writes into
`Patient.link` is data and opens nothing; linked persons are rows of `person_link`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access.credentials import IN_FORCE
from commonchart.fhir import dates, json
from commonchart.fhir.outcome import Invalid
from commonchart.record.connection import Asked
from commonchart.record.rows import Stored, Written

if TYPE_CHECKING:
    from commonchart.record.database import Connection

TYPES = frozenset({"Patient", "CareTeam", "Appointment", "ServiceRequest", "Encounter"})
AFTER_APPOINTMENT = timedelta(days=90)
AFTER_VISIT = timedelta(days=365)
AFTER_REFERRAL = timedelta(days=365)
_NOT = frozenset(
    {"cancelled", "noshow", "entered-in-error", "revoked", "draft", "proposed", "inactive", "suspended"}
)

Span = tuple[datetime, datetime]


class Relation(Struct, frozen=True):
    """What a resource says: whose patient, which organisations and practitioners, from when until when, and why."""

    patient: str
    kind: str
    orgs: tuple[str, ...]
    people: tuple[str, ...]
    starts: datetime
    ends: datetime
    why: str


class Held(Struct, frozen=True):
    """A relationship as kept. `source` is the resource that says so."""

    org: str
    kind: str
    source: str
    starts: datetime
    ends: datetime
    why: str


def relation(stored: Stored) -> Relation | None:
    """What a version says of who treats its patient; None if nothing."""
    if stored.body is None or stored.patient is None or stored.rtype not in TYPES:
        return None
    if stored.rtype == "Patient":
        why = "keeps the record of the patient"
        return Relation(stored.patient, "record", (stored.org,), (), dates.MIN, dates.MAX, why)
    resource = json.decode(stored.body)
    if resource.get("status") in _NOT:
        return None
    who, until, why = _SAYING[stored.rtype]
    named = sorted({text for text in who(resource) if isinstance(text, str)})
    orgs = tuple(text.removeprefix("Organization/") for text in named if text.startswith("Organization/"))
    people = tuple(text.removeprefix("Practitioner/") for text in named if text.startswith("Practitioner/"))
    kind = stored.rtype.lower()
    return Relation(
        stored.patient, kind, orgs, people, stored.recorded, until(resource, stored.recorded), why
    )


def _reference(held: Any) -> Any:
    return held.get("reference") if isinstance(held, dict) else None


def _of_team(team: dict[str, Any]) -> Iterable[Any]:
    yield from (_reference(one) for one in team.get("managingOrganization") or ())
    for one in team.get("participant") or ():
        yield _reference(one.get("member"))
        yield _reference(one.get("onBehalfOf"))


def _of_appointment(appointment: dict[str, Any]) -> Iterable[Any]:
    return (_reference(one.get("actor")) for one in appointment.get("participant") or ())


def _of_referral(request: dict[str, Any]) -> Iterable[Any]:
    return (_reference(one) for one in request.get("performer") or ())


def _of_visit(visit: dict[str, Any]) -> Iterable[Any]:
    yield _reference(visit.get("serviceProvider"))
    yield from (_reference(one.get("individual")) for one in visit.get("participant") or ())
    stay = visit.get("hospitalization") or {}
    yield from (_reference(stay.get(name)) for name in ("origin", "destination"))


def _end(period: Any) -> datetime | None:
    """The end of a period that has one."""
    try:
        return dates.period_bounds(period)[1] if isinstance(period, dict) and period.get("end") else None
    except Invalid:
        return None


def _until_team(team: dict[str, Any], now: datetime) -> datetime:
    return _end(team.get("period")) or dates.MAX


def _until_appointment(appointment: dict[str, Any], now: datetime) -> datetime:
    return _after(_end({"end": appointment.get("end") or appointment.get("start")}) or now, AFTER_APPOINTMENT)


def _until_referral(request: dict[str, Any], now: datetime) -> datetime:
    return _after(_end({"end": request.get("authoredOn")}) or now, AFTER_REFERRAL)


def _until_visit(visit: dict[str, Any], now: datetime) -> datetime:
    end = _end(visit.get("period"))
    if end is None:
        return dates.MAX if visit.get("status") != "finished" else _after(now, AFTER_VISIT)
    return _after(end, AFTER_VISIT)


def _after(moment: datetime, more: timedelta) -> datetime:
    return moment + more if dates.MAX - moment > more else dates.MAX


Says = tuple[Callable[[dict[str, Any]], Iterable[Any]], Callable[[dict[str, Any], datetime], datetime], str]
_SAYING: dict[str, Says] = {
    "CareTeam": (_of_team, _until_team, "is in the care team"),
    "Appointment": (_of_appointment, _until_appointment, "has an appointment with the patient"),
    "ServiceRequest": (_of_referral, _until_referral, "the patient was referred to it"),
    "Encounter": (_of_visit, _until_visit, "sees or admitted the patient"),
}

_FORGET = "DELETE FROM relationship WHERE tenant = %s AND source = ANY(%s)"
# the organisations that are named, and those that the practitioners named work for: of a colleague of whoever wrote it, the
# writer's own organisation only, whoever else they work for
_KEEP = (
    "INSERT INTO relationship (tenant, patient, org, source, kind, starts, ends, why) "
    "SELECT DISTINCT ON (k.patient, o.org, k.source) %s, k.patient, o.org, k.source, k.kind, k.starts, k.ends, k.why "
    "FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], "
    "%s::text[]) AS k(patient, org, person, source, kind, starts, ends, why, writer) "
    "CROSS JOIN LATERAL (SELECT k.org UNION ALL SELECT m.org FROM app_user u JOIN membership m ON m.actor = u.id WHERE u.tenant = %s "
    f"AND u.practitioner = k.person AND k.person <> '' AND {IN_FORCE} AND (m.org = k.writer OR NOT EXISTS (SELECT 1 "
    f"FROM app_user v JOIN membership m ON m.actor = v.id AND {IN_FORCE} WHERE v.tenant = u.tenant AND v.practitioner = k.person "
    "AND m.org = k.writer))) AS o(org) WHERE o.org <> '' AND (k.kind = 'record' OR EXISTS (SELECT 1 FROM relationship t "
    "WHERE t.tenant = %s AND t.patient = k.patient AND t.org = k.writer AND t.starts <= %s AND t.ends > %s)) "
    "ON CONFLICT (tenant, patient, org, source) DO UPDATE SET kind = excluded.kind, starts = excluded.starts, "
    "ends = excluded.ends, why = excluded.why"
)


def keeping(tenant: int, written: Sequence[Written], now: datetime) -> list[Asked]:
    """The statements that keep the table true to what was written."""
    stored = [one.stored for one in written if one.state != "unchanged" and one.stored.rtype in TYPES]
    return of_versions(
        tenant, stored, now, new=all(one.state == "created" and one.stored.vid == 1 for one in written)
    )


def of_versions(tenant: int, stored: Sequence[Stored], now: datetime, *, new: bool = False) -> list[Asked]:
    """The statements for these current versions; `new`: nothing was kept of them before."""
    if not stored:
        return []
    asked: list[Asked] = [] if new else [(_FORGET, (tenant, [f"{s.rtype}/{s.id}" for s in stored]))]
    found = [(one, said) for one in stored if (said := relation(one)) is not None]
    for records in (True, False):
        rows = [row for one, said in found if (said.kind == "record") is records for row in _rows(one, said)]
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            asked.append((_KEEP, (tenant, *columns, tenant, tenant, now, now)))
    return asked


def _rows(stored: Stored, said: Relation) -> list[tuple[Any, ...]]:
    rest = (f"{stored.rtype}/{stored.id}", said.kind, said.starts, said.ends, said.why, stored.org)
    return [
        *((said.patient, org, "", *rest) for org in said.orgs if org),
        *((said.patient, "", person, *rest) for person in said.people),
    ]


async def of_patient(conn: Connection, tenant: int, patient: str, now: datetime) -> list[Held]:
    """The relationships of a patient in force, by organisation."""
    rows = await conn.fetch(
        "SELECT org, kind, source, starts, ends, why FROM relationship WHERE tenant = %s AND patient = %s "
        "AND starts <= %s AND ends > %s ORDER BY org, source",
        (tenant, patient, now, now),
    )
    return [Held(*row) for row in rows]
