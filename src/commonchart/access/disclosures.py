"""Accounting of disclosures (45 CFR 164.528): what of a patient's record went outside, to whom, when and for what; six years.

Told from the audit trail: everything that was not done by the people of whoever keeps the record. What the rule leaves out
(treatment, payment and operations; the individual's own) is counted and can be shown; emergencies, apps and links are always
shown. Several acts of one recipient for one purpose on one day are one line, as 164.528(b)(3) allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from commonchart.access import audit, trail
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

YEARS = 6
MOST = 2000
Kind = Literal["organization", "emergency", "app", "link", "subscription", "registry", "program", "paper"]
Rule = Literal["", "operations", "individual"]
"""Why the rule does not ask for a line: treatment, payment and operations (a)(1)(i); the individual's own wish (a)(1)(ii), (iv)."""
TPO = frozenset({"TREAT", "ETREAT", "COC", "CAREMGT", "HPAYMT", "HOPERAT", "PATADMIN"})
ALWAYS = frozenset({"emergency", "app", "link"})
_EMERGENCY = (
    "EXISTS (SELECT 1 FROM emergency_access e WHERE e.tenant = a.tenant AND e.actor = a.actor AND e.patient = %s "
    "AND e.starts <= a.at AND a.at <= coalesce(e.revoked, e.ends))"
)
_KIND = (
    "CASE WHEN a.client = 'link' THEN 'link' WHEN a.client LIKE 'app:%%' THEN 'app' WHEN a.client = 'subscription' THEN 'subscription' "
    "WHEN a.role = 'system' AND a.purpose = 'PUBHLTH' THEN 'registry' "
    f"WHEN a.role NOT IN ('patient', 'proxy', 'system') AND %s AND a.org <> '' AND a.org <> ALL(%s) THEN "
    f"CASE WHEN a.purpose = 'BTG' OR {_EMERGENCY} THEN 'emergency' ELSE 'organization' END "
    "WHEN a.client LIKE 'token:%%' THEN 'program' WHEN a.action LIKE 'print%%' AND a.role NOT IN ('patient', 'proxy') THEN 'paper' END"
)
_LINES = f"""
SELECT day, kind, actor, role, org, client, purpose, array_agg(DISTINCT rtype) FILTER (WHERE rtype IS NOT NULL), count(*), min(at), max(at)
FROM (SELECT (a.at AT TIME ZONE %s)::date AS day, {_KIND} AS kind, a.* FROM audit a WHERE a.tenant = %s AND a.patients @> ARRAY[%s]
      AND a.at >= %s AND a.at < %s AND a.outcome = 0
      AND a.action NOT IN ('create', 'update', 'delete', 'load', 'import', 'report', 'make-link', 'allow-app', 'revoke-app')) x
WHERE kind IS NOT NULL GROUP BY day, kind, actor, role, org, client, purpose ORDER BY day DESC, max(at) DESC LIMIT %s
"""


class Ask(Struct, frozen=True):
    """What is wanted: from `since` up to `until`, by days of `zone`; `everything` shows also what the rule leaves out."""

    since: datetime
    until: datetime
    everything: bool = False
    zone: str = "UTC"


class Disclosure(Struct, frozen=True):
    """One line. `who` and `org` are ids, `name` and `organization` what they are called ("" where not known)."""

    day: date
    kind: Kind
    who: str
    name: str
    role: str
    org: str
    organization: str
    address: str
    purpose: str
    types: tuple[str, ...]
    times: int
    first: datetime
    last: datetime
    rule: Rule


class Accounting(Struct, frozen=True):
    """The report. `left_out`: lines that the rule does not ask for, by why. `exports`: bulk exports, which name no patient.

    `archived`: months of the trail that lie in files and are not in this report. `whole`: nothing was cut off.
    """

    lines: list[Disclosure]
    left_out: dict[str, int]
    exports: list[datetime]
    archived: list[date]
    whole: bool


async def accounting(records: Records, patient: str, ask: Ask) -> Accounting:
    """For the patient, or for who answers for privacy where the record is kept. Raises Forbidden, NotFound."""
    await _may(records, patient)
    tenant = records.actor.tenant
    async with records.database.connection() as conn:
        keepers = await _keepers(conn, tenant, patient)
        shares = records.actor.network is not False
        rows = await conn.fetch(
            _LINES, (ask.zone, shares, keepers, patient, tenant, patient, ask.since, ask.until, MOST + 1)
        )
        names = await _names(conn, tenant, [row[2] for row in rows], [row[5] for row in rows])
        exports = await _exports(conn, tenant, keepers, ask)
        archived = await conn.fetch(
            "SELECT month FROM audit_archive WHERE month >= date_trunc('month', %s::timestamptz)::date AND month < %s::date ORDER BY month",
            (ask.since, ask.until),
        )
        await audit.note(
            conn, records.actor, records.clock(), "report", rtype="AuditEvent", patients=[patient], detail="disclosures"
        )  # fmt: skip
    places = await _places(records, sorted({row[4] for row in rows if row[4]}))
    every = [_line(row, names, places) for row in rows[:MOST]]
    shown = [one for one in every if ask.everything or not one.rule or one.kind in ALWAYS]
    return Accounting(shown, _left_out(every), exports, [row[0] for row in archived], len(rows) <= MOST)


async def _may(records: Records, patient: str) -> None:
    """The patient, or a privacy officer of whoever keeps the record."""
    if records.actor.role == "patient" and records.actor.patient == patient:
        return
    await trail.required(records)
    await records.read("Patient", patient)
    if records.actor.network is False:
        return
    async with records.database.single() as conn:
        if records.actor.org in await _keepers(conn, records.actor.tenant, patient):
            return
        await audit.note(
            conn, records.actor, records.clock(), "report", outcome=audit.SERIOUS, patients=[patient]
        )
    raise Forbidden("The organisation that keeps the patient's record gives the accounting")


async def _keepers(conn: Connection, tenant: int, patient: str) -> list[str]:
    rows = await conn.fetch(
        "SELECT org FROM relationship WHERE tenant = %s AND patient = %s AND kind = 'record'",
        (tenant, patient),
    )
    return [row[0] for row in rows]


async def _names(
    conn: Connection, tenant: int, actors: Sequence[str], clients: Sequence[str]
) -> dict[str, str]:
    """What users, readers of links and apps are called, by the id that the trail has."""
    links = [one.removeprefix("link-") for one in actors if one.startswith("link-")]
    apps = [one.removeprefix("app:") for one in clients if one.startswith("app:")]
    rows = await conn.fetch(
        "SELECT id, name FROM app_user WHERE tenant = %s AND id = ANY(%s) UNION ALL "
        "SELECT 'link-' || id, reader FROM share_link WHERE tenant = %s AND id = ANY(%s) UNION ALL "
        "SELECT 'app:' || id, name FROM app WHERE tenant = %s AND id = ANY(%s)",
        (tenant, list(actors), tenant, links, tenant, apps),
    )
    return dict(rows)


async def _exports(conn: Connection, tenant: int, keepers: Sequence[str], ask: Ask) -> list[datetime]:
    """When bulk exports were finished: which patients were in one is not kept with it."""
    rows = await conn.fetch(
        "SELECT at FROM audit WHERE tenant = %s AND action = 'export' AND patients = '{}' AND detail LIKE 'finished %%' "
        "AND at >= %s AND at < %s AND (org = '' OR org = ANY(%s)) ORDER BY at DESC LIMIT 100",
        (tenant, ask.since, ask.until, list(keepers)),
    )
    return [row[0] for row in rows]


async def _places(records: Records, orgs: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(name, address) of organisations, as the directory has them."""
    found = await records.named([("Organization", one) for one in orgs])
    bodies = {id: json.decode(stored.body or b"{}") for (_, id), stored in found.items()}
    return {id: (str(body.get("name") or ""), _address(body)) for id, body in bodies.items()}


def _address(body: dict[str, Any]) -> str:
    one: dict[str, Any] = next(iter(body.get("address") or ()), {})
    parts = (*(one.get("line") or ()), one.get("city"), one.get("state"), one.get("postalCode"))
    return str(one.get("text") or ", ".join(str(part) for part in parts if part))


def _line(row: Sequence[Any], names: dict[str, str], places: dict[str, tuple[str, str]]) -> Disclosure:
    day, kind, actor, role, org, client, purpose, types, times, first, last = row
    name = names.get(client if kind == "app" else actor, "")
    place = places.get(org, ("", ""))
    return Disclosure(
        day, kind, actor, name, role, org, *place, purpose, tuple(sorted(types or ())), times, first, last, _rule(kind, role, purpose)
    )  # fmt: skip


def _rule(kind: Kind, role: str, purpose: str) -> Rule:
    if kind == "link" or (kind in ("app", "subscription") and role in ("patient", "proxy")):
        return "individual"
    return "operations" if purpose in TPO and kind != "paper" else ""


def _left_out(lines: Sequence[Disclosure]) -> dict[str, int]:
    out: dict[str, int] = {}
    for one in lines:
        if one.rule and one.kind not in ALWAYS:
            out[one.rule] = out.get(one.rule, 0) + 1
    return out
