"""The accounts of a site, for administrators: found, changed, ended, let in again.

In a network an administrator looks after the accounts of their own organisation; where there is one organisation, or
none is said of the administrator, after all. Every act is an event, and so is a look at the list.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from commonchart.access import audit, credentials, users
from commonchart.access.people import factors, handing_over, leaving, links, notices
from commonchart.access.people.handing_over import Leaver, Waiting
from commonchart.access.people.leaving import Ends
from commonchart.access.people.links import Channel, Link, Person, administrator
from commonchart.fhir.outcome import Conflict, Invalid, Issue, NotFound

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

ROLES = tuple(role for role in users.ROLES if role not in ("system", *links.OF_PATIENTS))
"""The roles of people who work here."""
QUIET = timedelta(days=90)
"""Whoever has not signed in for so long is asked about."""

Who = Literal["staff", "patients", "programs", "all"]
State = Literal["", "active", "ended", "invited"]
Yes = Literal["", "yes", "no"]
Seen = Literal["", "never", "quiet"]


class Wanted(Struct, frozen=True):
    """What is looked for; "" does not narrow. `invited`: has no password yet. `quiet`: not signed in for 90 days."""

    q: str = ""
    who: Who = "staff"
    role: str = ""
    org: str = ""
    state: State = ""
    factor: Yes = ""
    seen: Seen = ""


class Account(Struct, frozen=True):
    """One account as the list shows it, never a secret. `password` and `factor` say whether there is one."""

    id: str
    login: str
    name: str
    role: str
    org: str
    email: str
    active: bool
    created: datetime
    seen: datetime | None
    password: bool
    factor: bool
    practitioner: str | None

    @property
    def staff(self) -> bool:
        """Whether it is of somebody who works here."""
        return self.role in ROLES


_COLUMNS = (
    "u.id, u.login, u.name, u.role, u.org, u.email, u.active, u.created, u.last_sign_in, u.password IS NOT NULL, {factor}, "
    "u.practitioner"
)
_FACTOR = (
    "EXISTS (SELECT 1 FROM factor f WHERE f.actor = u.id AND f.ended IS NULL AND f.confirmed IS NOT NULL "
    "AND f.kind <> 'recovery')"
)
_SELECT = f"SELECT {_COLUMNS.format(factor=_FACTOR)} FROM app_user u"


def _reach(actor: Actor) -> tuple[str, list[Any]]:
    """The accounts that are this administrator's to look after."""
    if actor.network is False or not actor.org:
        return "u.tenant = %s", [actor.tenant]
    return "u.tenant = %s AND u.org = %s", [actor.tenant, actor.org]


def _narrowed(actor: Actor, wanted: Wanted, now: datetime) -> tuple[str, list[Any]]:
    reach, args = _reach(actor)
    parts = [reach, _WHO[wanted.who], _STATE[wanted.state]]
    if wanted.q.strip():
        like = "%" + "".join(f"\\{c}" if c in "\\%_" else c for c in wanted.q.strip().lower()[:100]) + "%"
        parts.append("(lower(u.name) LIKE %s OR u.login LIKE %s OR lower(u.email) LIKE %s)")
        args += [like, like, like]
    for column, value in (("role", wanted.role), ("org", wanted.org)):
        if value:
            parts.append(f"u.{column} = %s")
            args.append(value)
    if wanted.factor:
        parts.append(_FACTOR if wanted.factor == "yes" else f"NOT {_FACTOR}")
    if wanted.seen == "never":
        parts.append("u.last_sign_in IS NULL")
    if wanted.seen == "quiet":
        parts.append("u.last_sign_in < %s")
        args.append(now - QUIET)
    return " AND ".join(parts), args


_WHO = {
    "staff": "u.role NOT IN ('system', 'patient', 'proxy')", "patients": "u.role IN ('patient', 'proxy')",
    "programs": "u.role = 'system'", "all": "true",
}  # fmt: skip
_STATE = {
    "": "true", "active": "u.active", "ended": "NOT u.active",
    "invited": "u.active AND u.password IS NULL AND u.role <> 'system'",
}  # fmt: skip


async def listed(
    records: Records, wanted: Wanted, *, limit: int, offset: int = 0
) -> tuple[list[Account], int]:
    """The accounts that are wanted, by name, and how many there are in all. Raises Forbidden."""
    await administrator(records)
    now = records.clock()
    where, args = _narrowed(records.actor, wanted, now)
    async with records.database.connection() as conn:
        total = await (await conn.execute(f"SELECT count(*) FROM app_user u WHERE {where}", args)).fetchone()
        cursor = await conn.execute(
            f"{_SELECT} WHERE {where} ORDER BY lower(u.name), u.login LIMIT %s OFFSET %s",
            (*args, limit, offset),
        )
        found = [Account(*row) for row in await cursor.fetchall()]
        await audit.note(conn, records.actor, now, "list-users")
    return found, total[0] if total else 0


async def organisations(records: Records) -> list[str]:
    """The ids of the organisations that anybody here works for. Raises Forbidden."""
    await administrator(records)
    reach, args = _reach(records.actor)
    async with records.database.single() as conn:
        cursor = await conn.execute(
            f"SELECT DISTINCT u.org FROM app_user u WHERE {reach} AND u.org <> '' ORDER BY 1 LIMIT 200", args
        )
        return [row[0] for row in await cursor.fetchall()]


async def one(records: Records, id: str) -> tuple[Account, Ends]:
    """An account, and what its person holds. Raises Forbidden, NotFound."""
    await administrator(records)
    now = records.clock()
    async with records.database.connection() as conn:
        account = await _found(conn, records.actor, id)
        held = await leaving.held(conn, records.actor.tenant, id, now)
        await audit.note(conn, records.actor, now, "read-user", id=id)
    return account, held


async def waiting(records: Records, account: Account) -> Waiting:
    """The results that wait for somebody by urgency, and who may take them over. Raises Forbidden."""
    await administrator(records)
    async with records.whole.connection() as conn:
        return await handing_over.waiting(conn, records.actor, records.clock(), _leaver(account))


def _leaver(one: Account) -> Leaver:
    return Leaver(one.id, one.name, one.org)


async def _found(conn: Connection, actor: Actor, id: str, *, lock: bool = False) -> Account:
    reach, args = _reach(actor)
    cursor = await conn.execute(
        f"{_SELECT} WHERE {reach} AND u.id = %s{' FOR UPDATE OF u' if lock else ''}", (*args, id)
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("There is no such account")
    return Account(*row)


async def invite(records: Records, person: Person, *, channel: Channel) -> Link:
    """Invite somebody who is to work here, for an organisation that the record knows. Raises as `links.invite`."""
    await administrator(records)
    issues = [one for one in links.problems(person, channel) if one.at != "role"]
    if person.role not in ROLES:
        issues.append(Issue("value", "Choose what they may do here", "role"))
    try:
        await _may_be_of(records, person.org)
    except Invalid as refusal:
        issues += refusal.issues
    if issues:
        raise Invalid(issues=issues)
    return await links.invite(records, person, channel=channel)


async def _may_be_of(records: Records, org: str) -> None:
    """Raises Invalid for an organisation that the record does not know, or that another administrator looks after."""
    actor = records.actor
    if not org:
        raise Invalid("Enter the organization they work for", at="org", code="required")
    if actor.network is not False and actor.org and org != actor.org:
        raise Invalid("In a network you look after the accounts of your own organization", at="org")
    if org == actor.org:
        return
    async with records.database.single() as conn:
        known = await (
            await conn.execute(
                "SELECT 1 FROM resource_loc WHERE tenant = %s AND rtype = 'Organization' AND id = %s",
                (actor.tenant, org),
            )
        ).fetchone()
    if known is None:
        raise Invalid("There is no Organization with this id in the record", at="org")


class Change(Struct, frozen=True):
    """What an account is to be from now on."""

    name: str
    role: str
    org: str
    email: str = ""
    practitioner: str = ""


async def change(records: Records, id: str, wanted: Change) -> Account:
    """Change what somebody may do and for whom: at once, in their open sessions too.

    Raises Forbidden, NotFound, Invalid by field, Conflict (the last administrator).
    """
    await administrator(records)
    _checked(wanted)
    now, actor = records.clock(), records.actor
    async with records.database.connection() as conn:
        before = await _found(conn, actor, id, lock=True)
        if not before.staff:
            raise Invalid("What a patient, a proxy or a program may do is not changed here", at="role")
        if wanted.org != before.org:
            await _may_be_of(records, wanted.org)
        if before.role == "administrator" and wanted.role != "administrator":
            await _not_the_last(conn, actor, id, "role")
        await conn.execute(
            "UPDATE app_user SET name = %s, role = %s, org = %s, email = %s, practitioner = %s WHERE id = %s",
            (wanted.name.strip(), wanted.role, wanted.org, wanted.email.strip(), wanted.practitioner.strip() or None, id),
        )  # fmt: skip
        await audit.note(conn, actor, now, "change-user", id=id, detail=_told(before, wanted)[:1000])
        if wanted.email.strip() != before.email:
            await notices.note(conn, id, "email", now, before=before.email)
        await credentials.tell(conn)
        after = await _found(conn, actor, id)
    credentials.forget()
    return after


def _checked(wanted: Change) -> None:
    issues = []
    if not 1 <= len(wanted.name.strip()) <= 120:
        issues.append(Issue("value", "A name has 1 to 120 letters", "name"))
    if wanted.role not in ROLES:
        issues.append(Issue("value", "Choose what they may do here", "role"))
    if wanted.email.strip() and not links.EMAIL.fullmatch(wanted.email.strip()):
        issues.append(Issue("value", "The e-mail address must look like name@example.org", "email"))
    if wanted.practitioner.strip() and not links.ID.fullmatch(wanted.practitioner.strip()):
        issues.append(Issue("value", "An id has letters, digits, - and . only", "practitioner"))
    if issues:
        raise Invalid(issues=issues)


def _told(before: Account, wanted: Change) -> str:
    """What changed, for the trail: roles and organisations by name, of the rest only that it changed."""
    out = [
        f"{name}: {old} -> {new}"
        for name, old, new in (("role", before.role, wanted.role), ("org", before.org, wanted.org))
        if old != new
    ]
    out += [
        name
        for name, old, new in (
            ("name", before.name, wanted.name.strip()), ("email", before.email, wanted.email.strip()),
            ("practitioner", before.practitioner or "", wanted.practitioner.strip()),
        ) if old != new
    ]  # fmt: skip
    return ", ".join(out) or "nothing"


async def _not_the_last(conn: Connection, actor: Actor, id: str, at: str) -> None:
    """Raises Conflict when nobody else could look after accounts any more. Two at once wait for each other."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"administrators:{actor.tenant}",))
    cursor = await conn.execute(
        "SELECT 1 FROM app_user WHERE tenant = %s AND role = 'administrator' AND active AND password IS NOT NULL AND id <> %s "
        "LIMIT 1",
        (actor.tenant, id),
    )
    if await cursor.fetchone() is None:
        raise Conflict("This is the last administrator who can sign in: make another one first", at=at)


async def leave(records: Records, id: str, to: str = "") -> Ends:
    """Somebody leaves: everything they hold ends at once, and what waits for them goes to a user or to `handing_over.POOL`.

    What they held. Raises Forbidden, NotFound, Conflict; Invalid (to whom).
    """
    await administrator(records)
    now, actor = records.clock(), records.actor
    if id == actor.user:
        raise Conflict("Nobody ends their own account: ask another administrator")
    async with records.whole.connection() as conn:  # what waits is counted and handed over unseen
        before = await _found(conn, actor, id, lock=True)
        _no_program(before)
        if not before.active:
            raise Conflict("This account has ended already")
        if before.role == "administrator":
            await _not_the_last(conn, actor, id, "")
        held = await leaving.held(conn, actor.tenant, id, now)
        handed = await handing_over.hand_over(conn, actor, now, _leaver(before), to)
        await leaving.end(conn, actor.tenant, id, actor.user, now)
        detail = f"{before.role}, handed over: {handed}" if handed else before.role
        await audit.note(conn, actor, now, "deactivate", id=id, detail=detail)
    credentials.forget()
    return held


async def back(records: Records, id: str, *, channel: Channel) -> Link:
    """Somebody comes back: the account works again with a new password, by this link. Nothing that ended comes back.

    Raises Forbidden, NotFound, Conflict.
    """
    await administrator(records)
    now, actor = records.clock(), records.actor
    async with records.database.connection() as conn:
        before = await _found(conn, actor, id, lock=True)
        if before.active:
            raise Conflict("This account has not ended")
        _no_program(before)
        _reachable(before, channel)
        await conn.execute("UPDATE app_user SET active = true WHERE id = %s", (id,))
        await audit.note(conn, actor, now, "reactivate", id=id, detail=before.role)
    return await links.again(records, before.login, channel=channel)


async def new_link(records: Records, id: str, *, channel: Channel) -> Link:
    """The invitation anew, or a reset of the password. Raises Forbidden, NotFound, Invalid (no e-mail address)."""
    await administrator(records)
    async with records.database.single() as conn:
        before = await _found(conn, records.actor, id)
    _reachable(before, channel)
    return await links.again(records, before.login, channel=channel)


async def without_factors(records: Records, id: str) -> None:
    """Take the second factors of somebody away who has lost them; their sessions end, and they set up new ones.

    Raises Forbidden, NotFound, Conflict.
    """
    await administrator(records)
    now, actor = records.clock(), records.actor
    if id == actor.user:
        raise Conflict("Your own are on the page of your account")
    async with records.database.connection() as conn:
        await _found(conn, actor, id, lock=True)
        if not await factors.take_away(conn, actor, id, now):
            raise Conflict("There is no second factor to take away")
    credentials.forget()


def _no_program(account: Account) -> None:
    if account.role == "system":
        raise Conflict("A program ends with its app or its tokens, not here")


def _reachable(account: Account, channel: Channel) -> None:
    if channel == "email" and not account.email:
        raise Invalid("No e-mail address is kept of this person: hand the link over in person", at="channel")
