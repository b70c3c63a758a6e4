"""With whom a patient shares: organisations, people who act for them, apps, keys and links, as rows of one kind.

Organisations come from relationships of treatment and from Consents; apps from `app_grant`.
Stopping an organisation writes a Consent that denies it and ends those that permit it, in one transaction; it holds from
the next statement on (`search.visible`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, credentials, relationships
from commonchart.access.consent import read
from commonchart.access.oauth import grants as oauth
from commonchart.access.portal import links, proxies
from commonchart.access.writes import Create, Put, Wanted
from commonchart.fhir import dates, json
from commonchart.fhir.outcome import NotFound
from commonchart.fhir.validate import validate

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection
    from commonchart.record.rows import Stored

Kind = Literal["organization", "person", "app", "key", "link"]
TERM = "http://terminology.hl7.org/CodeSystem/"
BY_TREATMENT, BY_CONSENT = "treatment", "consent"


class Grant(Struct, frozen=True):
    """One who may see the record, or might. `id` is opaque; `target` is an Organization id, a user, an app, a handle or a link.

    `by` says on what it rests, `scope` what may be seen (words of the source), `ended` when sharing was stopped. Of a
    link: how many `times` it was opened, and which `sections` it shows (none: all).
    """

    id: str
    kind: Kind
    target: str
    who: str
    by: str
    scope: str = ""
    since: datetime | None = None
    until: datetime | None = None
    used: datetime | None = None
    ended: datetime | None = None
    times: int = 0
    sections: tuple[str, ...] = ()


async def grants(records: Records, patient: str) -> list[Grant]:
    """Everybody with whom this patient shares, and whom they stopped; organisations first. Raises Forbidden, NotFound."""
    await records.read("Patient", patient)
    consents = await _consents(records, patient)
    async with records.database.connection() as conn:
        tenant, now = records.actor.tenant, records.clock()
        used = await _used(conn, tenant, patient)
        keeper = await _keepers(conn, tenant, patient)
        held = await relationships.of_patient(conn, tenant, patient, now)
        people = await proxies.of_patient(conn, tenant, patient)
        apps = [*await _apps(conn, records, patient), *await _keys(conn, records)]
        apps += [_link(one, now) for one in await links.of_patient(conn, tenant, patient)]
        await audit.note(conn, records.actor, now, "read-grants", patients=[patient])
    shares = records.actor.network is not False  # a practice that shares with nobody has nobody to stop
    orgs = _organizations(consents, held, keeper, used, now) if shares else []
    named = await records.named([("Organization", one.target) for one in orgs])
    return [*(_named(one, named) for one in orgs), *(_person(one) for one in people), *apps]


async def _consents(records: Records, patient: str) -> list[Stored]:
    return (await records.facts(patient, ["Consent"], limit=200)).items


async def _used(conn: Connection, tenant: int, patient: str) -> dict[str, datetime]:
    """When somebody of an organisation last saw something of the patient's."""
    rows = await conn.fetch(
        "SELECT org, max(at) FROM audit WHERE tenant = %s AND patients @> ARRAY[%s] AND outcome = 0 "
        "AND role NOT IN ('patient', 'proxy', 'system') GROUP BY org",
        (tenant, patient),
    )
    return dict(rows)


async def _keepers(conn: Connection, tenant: int, patient: str) -> set[str]:
    """Whose patient it is: the organisation that keeps the record itself, which is not a matter of sharing."""
    rows = await conn.fetch(
        "SELECT org FROM relationship WHERE tenant = %s AND patient = %s AND kind = 'record'",
        (tenant, patient),
    )
    return {row[0] for row in rows}


def _organizations(
    consents: list[Stored], held: list[Any], keepers: set[str], used: dict[str, datetime], now: datetime
) -> list[Grant]:
    found: dict[str, Grant] = {}
    for one in held:
        if one.org and one.org not in keepers:
            until = None if one.ends >= dates.MAX else one.ends
            known = found.get(one.org)
            if known is None or (known.until is not None and (until is None or until > known.until)):
                found[one.org] = Grant(
                    f"org-{one.org}", "organization", one.org, "", BY_TREATMENT, one.why, one.starts, until, used.get(one.org)
                )  # fmt: skip
    for stored in sorted(consents, key=lambda stored: stored.recorded):
        for org, permit, until in _said(stored, now):
            if org not in keepers:
                ended = None if permit else stored.recorded
                found[org] = Grant(
                    f"org-{org}", "organization", org, "", BY_CONSENT, "", stored.recorded, until, used.get(org), ended
                )  # fmt: skip
    return sorted(found.values(), key=lambda one: (one.ended is not None, one.target))


def _said(stored: Stored, now: datetime) -> list[tuple[str, bool, datetime | None]]:
    """(organisation, permitted, until) of what a Consent in force says of the whole of an organisation."""
    out: list[tuple[str, bool, datetime | None]] = []
    for rule in read(json.decode(stored.body or b"{}")).rules:
        whole = rule.rtypes is None and rule.labels is None and rule.codes is None and rule.data is None
        if rule.starts <= now < rule.ends and rule.actors and (whole or rule.permit):
            until = None if rule.ends >= dates.MAX else rule.ends
            names = [
                one.removeprefix("Organization/")
                for one in rule.actors[-1]
                if one.startswith("Organization/")
            ]
            out += [(name, rule.permit, until) for name in names]
    return out


def _named(one: Grant, named: dict[tuple[str, str], Stored]) -> Grant:
    stored = named.get(("Organization", one.target))
    name = json.decode(stored.body or b"{}").get("name", "") if stored else ""
    return replace(one, who=str(name or "An organisation without a name here"))


def _person(one: proxies.Proxy) -> Grant:
    scope = "limited" if one.scope == "limited" else "full"
    return Grant(
        f"person-{one.id}", "person", one.id, one.name, one.relation or one.kind, scope, one.made, one.ends, one.used, one.revoked
    )  # fmt: skip


def _link(one: links.Link, now: datetime) -> Grant:
    return Grant(
        f"link-{one.id}", "link", one.id, one.reader, "link", one.scope, one.made, one.expires, one.used, one.ended(now), one.opened,
        tuple(one.sections),
    )  # fmt: skip


async def _apps(conn: Connection, records: Records, patient: str) -> list[Grant]:
    """Apps that this person allowed to see this patient (`access.oauth`)."""
    rows = await conn.fetch(
        "SELECT g.id, a.name, g.scopes, g.created, g.expires, g.used FROM app_grant g JOIN app a ON a.id = g.app "
        "WHERE g.tenant = %s AND g.actor = %s AND coalesce(g.patient, %s) = %s AND g.revoked IS NULL AND g.expires > %s "
        "ORDER BY g.used DESC",
        (records.actor.tenant, records.actor.user, patient, patient, records.clock()),
    )
    return [
        Grant(f"app-{id}", "app", id, name, "app", scopes, made, ends, used)
        for id, name, scopes, made, ends, used in rows
    ]


async def _keys(conn: Connection, records: Records) -> list[Grant]:
    """Bearer tokens of this user: a program with one reads as they do."""
    rows = await conn.fetch(
        "SELECT left(encode(sha256, 'hex'), 12), label, created, expires, used FROM credential WHERE kind = 'token' "
        "AND actor = %s AND revoked IS NULL AND expires > %s ORDER BY created",
        (records.actor.user, records.clock()),
    )
    return [
        Grant(f"key-{handle}", "key", handle, label, "key", "", made, ends, used)
        for handle, label, made, ends, used in rows
    ]


# ---- stopping, and sharing again -------------------------------------------------------------------------------


async def find(records: Records, patient: str, id: str) -> Grant:
    """One of the grants by its id. Raises NotFound."""
    found = next((one for one in await grants(records, patient) if one.id == id), None)
    if found is None:
        raise NotFound("There is no such page")
    return found


async def stop(records: Records, patient: str, one: Grant, reason: str = "") -> None:
    """Stop sharing with this one. Raises NotFound."""
    if one.kind == "organization":
        await _decide(records, patient, one.target, permit=False)
    elif one.kind == "person":
        await proxies.end(records, one.target, reason)
    elif one.kind == "link":
        await links.end(records, patient, one.target)
    elif one.kind == "key":
        await credentials.revoke_handle(records.database, one.target, records.clock())
    else:
        await _stop_app(records, one.target)
    async with records.database.single() as conn:
        await audit.note(
            conn, records.actor, records.clock(), "stop-sharing", patients=[patient], detail=one.kind
        )


async def share(records: Records, patient: str, org: str, until: datetime | None = None) -> None:
    """Share with an organisation, to be treated there. Raises NotFound for one that is not known."""
    await records.read("Organization", org)
    await _decide(records, patient, org, permit=True, until=until)


async def _stop_app(records: Records, id: str) -> None:
    """`find` has seen that it is this person's."""
    async with records.database.connection() as conn:
        await oauth.revoke(conn, id, "by the patient", records.clock())


async def _decide(
    records: Records, patient: str, org: str, *, permit: bool, until: datetime | None = None
) -> None:
    """One Consent that says this, in the place of those that the patient made before about the same organisation."""
    now = records.clock()
    wanted: list[Wanted] = [Create(validate(consent(patient, org, permit, now, until)))]
    for stored in await _consents(records, patient):
        body = json.decode(stored.body or b"{}")
        if body.get("status") == "active" and _only_about(body, org):
            wanted.append(Put(validate(body | {"status": "inactive"}), stored.id, if_match=stored.vid))
    async with records.transaction() as tx:
        await tx.write_own(wanted)


def _only_about(body: dict[str, Any], org: str) -> bool:
    """One actor, this organisation, and nothing nested: such as the patient's own page writes."""
    provision = body.get("provision") or {}
    actors = [str((one.get("reference") or {}).get("reference")) for one in provision.get("actor") or ()]
    return actors == [f"Organization/{org}"] and not provision.get("provision")


def consent(
    patient: str, org: str, permit: bool, now: datetime, until: datetime | None = None
) -> dict[str, Any]:
    """The Consent that permits an organisation to see the record for treatment, or denies it everything."""
    provision: dict[str, Any] = {
        "type": "permit" if permit else "deny",
        "actor": [
            {
                "role": {"coding": [{"system": f"{TERM}v3-ParticipationType", "code": "IRCP"}]},
                "reference": {"reference": f"Organization/{org}"},
            }
        ],
    }
    if permit:
        provision["purpose"] = [{"system": f"{TERM}v3-ActReason", "code": "TREAT"}]
    if until is not None:
        provision["period"] = {"end": until.isoformat(timespec="seconds")}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"system": f"{TERM}consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": now.isoformat(timespec="seconds"),
        "performer": [{"reference": f"Patient/{patient}"}],
        "policyRule": {"coding": [{"system": f"{TERM}v3-ActCode", "code": "OPTIN" if permit else "OPTOUT"}]},
        "provision": provision,
    }
