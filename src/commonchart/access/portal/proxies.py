"""Who acts for whom: a parent of a child, or an adult by authorisation. Looked up on every request, so that an end holds at once.

A parent's sight changes with the child's age: from `LIMITED_FROM` years what is sensitive is left out, at `ENDS_AT` it is
over (site settings; defaults 12 and 18, to be set by the law of the state). Of a child whose birth date is not known the
sensitive part is left out.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, policy
from commonchart.access.actors import FOR_A_PATIENT, Actor
from commonchart.access.outreach.policy import local
from commonchart.access.records import Records
from commonchart.care.calendar import age_on
from commonchart.fhir import dates, json
from commonchart.fhir.outcome import Conflict, Forbidden, Gone, Invalid, NotFound
from commonchart.record import site

if TYPE_CHECKING:
    from commonchart.record.database import Connection

Kind = Literal["parent", "authorised"]
Scope = Literal["full", "limited"]
KINDS, SCOPES = ("parent", "authorised"), ("full", "limited")
LIMITED_FROM, ENDS_AT = "portal_teen_limited_from", "portal_teen_ends_at"
PURPOSE = "PATRQT"
_COLUMNS = "g.id, g.actor, g.patient, g.kind, g.scope, g.relation, g.starts, g.ends, g.made, g.why, g.used, g.revoked"
_LIVING = "g.revoked IS NULL AND g.starts <= %s AND (g.ends IS NULL OR g.ends > %s)"


class Proxy(Struct, frozen=True):
    """One right to act for a patient; `name` is the user's. `ends` None: until it is ended."""

    id: str
    user: str
    patient: str
    kind: Kind
    scope: Scope
    relation: str
    starts: datetime
    ends: datetime | None
    made: datetime
    why: str
    used: datetime | None
    revoked: datetime | None
    name: str = ""


class Ages(Struct, frozen=True):
    """From which birthdays on a parent sees less, and nothing."""

    limited_from: int = 12
    ends_at: int = 18


class Wanted(Struct, frozen=True):
    """A right that is to be given to a user."""

    user: str
    patient: str
    kind: str
    scope: str = "full"
    relation: str = ""
    ends: datetime | None = None
    why: str = ""


class Acting(Struct, frozen=True):
    """Somebody acting: the right, the scope that holds today, and the child's next change (None: no change by age)."""

    proxy: Proxy
    scope: Scope
    actor: Actor
    birthday: date | None = None
    ages: Ages = Ages()


async def ages_of(conn: Connection, tenant: int) -> Ages:
    """The site's ages; what cannot be read as a number from 0 to 21 is the default."""
    first, last = await site.get(conn, tenant, LIMITED_FROM), await site.get(conn, tenant, ENDS_AT)
    default = Ages()
    return Ages(_age(first, default.limited_from), _age(last, default.ends_at))


def _age(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= 21 else default


def scope_on(one: Proxy, born: date | None, today: date, ages: Ages) -> Scope | None:
    """What a right is worth on a day; None for nothing."""
    if one.kind != "parent":
        return one.scope
    if born is None:
        return "limited"
    age = age_on(born, max(today, born))
    if age >= ages.ends_at:
        return None
    return "limited" if age >= ages.limited_from else one.scope


async def acting(records: Records, grant: str) -> Acting:
    """This user as the proxy of a right of theirs. Raises NotFound for one that is unknown, ended, or another's."""
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            f"SELECT {_COLUMNS}, '' FROM proxy_grant g WHERE g.id = %s AND g.tenant = %s AND g.actor = %s AND {_LIVING}",
            (grant[:64], actor.tenant, actor.user, now, now),
        )
        ages = await ages_of(conn, actor.tenant)
        today = (await local(conn, actor.tenant, now)).date()  # birthdays are the site's
    if actor.role not in FOR_A_PATIENT or not rows:
        await _refused(records, grant)
    one = Proxy(*rows[0])
    born = await born_of(records, one.patient)
    scope = scope_on(one, born, today, ages)
    if scope is None:
        await _refused(records, grant)
    assert scope is not None
    async with records.database.single() as conn:
        await conn.execute("UPDATE proxy_grant SET used = %s WHERE id = %s", (now, one.id))
    return Acting(one, scope, as_proxy(actor, one, scope), born, ages)


async def _refused(records: Records, grant: str) -> None:
    async with records.database.single() as conn:
        await audit.note(
            conn, records.actor, records.clock(), "act-for", outcome=audit.MINOR, detail=grant[:64]
        )
    raise NotFound("There is no such page")


def as_proxy(actor: Actor, one: Proxy, scope: Scope) -> Actor:
    """The user as the one asking for the patient: a limited right is the role proxy, which sees no sensitive category."""
    role: Literal["patient", "proxy"] = "proxy" if scope == "limited" else "patient"
    return replace(actor, role=role, patient=one.patient, purpose=PURPOSE, client="web for another person")


async def born_of(records: Records, patient: str) -> date | None:
    """The birth date of the patient, as the program itself reads it, the first day that it may be; None where it is not known."""
    program = Actor(
        records.actor.tenant, "portal", "portal", "system", "", "commonchart", "HOPERAT", network=False
    )
    try:
        stored = await Records(records.database, program, records.clock).read("Patient", patient)
    except (NotFound, Gone):
        return None
    text = json.decode(stored.body or b"{}").get("birthDate")
    return dates.bounds(text)[0].date() if text else None


async def mine(records: Records) -> list[Proxy]:
    """For whom this user may act now, those whose age has ended it left out."""
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            f"SELECT {_COLUMNS}, '' FROM proxy_grant g WHERE g.tenant = %s AND g.actor = %s AND {_LIVING} ORDER BY g.made, g.id",
            (actor.tenant, actor.user, now, now),
        )
        ages = await ages_of(conn, actor.tenant)
        today = (await local(conn, actor.tenant, now)).date()
    found = [Proxy(*row) for row in rows]
    return [one for one in found if scope_on(one, await born_of(records, one.patient), today, ages)]


async def of_patient(conn: Connection, tenant: int, patient: str) -> list[Proxy]:
    """Every right over a patient's record, ended ones too, newest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS}, coalesce(u.name, '') FROM proxy_grant g LEFT JOIN app_user u ON u.id = g.actor "
        "WHERE g.tenant = %s AND g.patient = %s ORDER BY g.made DESC, g.id",
        (tenant, patient),
    )
    return [Proxy(*row) for row in rows]


async def give(conn: Connection, by: Actor, wanted: Wanted, now: datetime) -> Proxy:
    """A new right, in the transaction of the connection. Raises Invalid, Conflict (there is one already)."""
    _check(wanted, now)
    living = await conn.fetch(
        f"SELECT 1 FROM proxy_grant g WHERE g.tenant = %s AND g.actor = %s AND g.patient = %s AND {_LIVING}",
        (by.tenant, wanted.user, wanted.patient, now, now),
    )
    if living:
        raise Conflict("This person can act for this patient already")
    id = uuid4().hex
    await conn.fetch(
        "INSERT INTO proxy_grant (id, tenant, actor, patient, kind, scope, relation, starts, ends, made, made_by, why) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (id, by.tenant, wanted.user, wanted.patient, wanted.kind, wanted.scope, wanted.relation, now, wanted.ends, now, by.user, wanted.why),
    )  # fmt: skip
    await audit.note(
        conn, by, now, "give-proxy", patients=[wanted.patient], detail=f"{wanted.kind} {wanted.scope} {id}"
    )
    return Proxy(
        id, wanted.user, wanted.patient, wanted.kind, wanted.scope, wanted.relation, now, wanted.ends, now, wanted.why, None, None  # type: ignore[arg-type]
    )  # fmt: skip


def _check(wanted: Wanted, now: datetime) -> None:
    if wanted.kind not in KINDS or wanted.scope not in SCOPES:
        raise Invalid("Choose what this person may see", at="scope")
    if not wanted.why.strip():
        raise Invalid("Say what this right rests on", at="why")
    if wanted.ends is not None and not now < wanted.ends <= dates.MAX:
        raise Invalid("The end must be in the future", at="ends")


async def end(records: Records, grant: str, why: str = "") -> None:
    """End a right: by the patient themselves, by who holds it, or by staff who may change the Patient. Raises NotFound, Forbidden."""
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "SELECT patient, actor FROM proxy_grant WHERE id = %s AND tenant = %s AND revoked IS NULL FOR UPDATE",
            (grant[:64], actor.tenant),
        )
        if not rows or not _may_end(actor, *rows[0]):
            raise NotFound("There is no such right")
        await conn.fetch(
            "UPDATE proxy_grant SET revoked = %s, revoked_by = %s, revoked_why = %s WHERE id = %s",
            (now, actor.user, why[:500], grant[:64]),
        )
        await audit.note(conn, actor, now, "end-proxy", patients=[rows[0][0]], detail=grant[:64])


def _may_end(actor: Actor, patient: Any, holder: Any) -> bool:
    """A limited proxy ends nobody else's right; who acts for a child may not shut out the other parent."""
    if actor.role in FOR_A_PATIENT:
        own = (
            actor.role == "patient" and actor.patient == patient and actor.client != "web for another person"
        )
        return own or actor.user == holder
    return policy.allowed(actor, "update", "Patient")


async def required(records: Records) -> None:
    """Raises Forbidden for who may not let others into a patient's record."""
    if not policy.allowed(records.actor, "update", "Patient") or records.actor.role in FOR_A_PATIENT:
        await records.require("update", "Patient")
        raise Forbidden("Your role does not allow this")
