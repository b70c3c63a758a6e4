"""The accounts of a site, for administrators: found, changed, ended, let in again.

In a network an administrator looks after the accounts of their own organisation; where there is one organisation, or
none is said of the administrator, after all. The account of somebody who works for several organisations, or is asked to,
is its owner's alone: an administrator, wherever they reach, changes their role in an organisation and ends it there, and
nothing else. Every act is an event, and so is a look at the list.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from msgspec import Struct

from commonchart.access import audit, credentials, users
from commonchart.access.credentials import IN_FORCE, LAST_USED, PLACES
from commonchart.access.people import factors, handing_over, leaving, links, memberships, notices
from commonchart.access.people.handing_over import Leaver, Waiting
from commonchart.access.people.leaving import Ends, Place
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
    """One account in one organisation as the list shows it, never a secret. `password` and `factor` say whether there is one.

    `membership` is that organisation's row, `accepted` whether its owner has said yes, `elsewhere` whether they also work
    where the administrator does not reach. `several`: they work for more than one organisation, or are asked to. `seen`: last
    acted there.
    """

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
    membership: str
    accepted: bool
    elsewhere: bool
    several: bool

    @property
    def alone(self) -> bool:
        """Whether the account is of this organisation and no other: then its administrators look after all of it."""
        return self.active and self.accepted and not self.several

    @property
    def staff(self) -> bool:
        """Whether it is of somebody who works here."""
        return self.role in ROLES


_COLUMNS = (
    "u.id, u.login, CASE WHEN {yes} THEN u.name ELSE u.login END, m.role, m.org, CASE WHEN {known} THEN u.email ELSE '' END, "
    "u.active AND m.ended IS NULL, u.created, m.used, u.password IS NOT NULL, {known} AND {factor}, "
    "CASE WHEN {known} THEN u.practitioner END, m.id, m.since IS NOT NULL, {elsewhere}, {places} > 1"
)
# who was asked and has not said yes is a user name and no more
_YES = "m.since IS NOT NULL"
# nor is more than their name kept here of who has left and works elsewhere
_KNOWN = f"{_YES} AND (m.ended IS NULL OR NOT u.active)"
_FACTOR = (
    "EXISTS (SELECT 1 FROM factor f WHERE f.actor = u.id AND f.ended IS NULL AND f.confirmed IS NOT NULL "
    "AND f.kind <> 'recovery')"
)
# of one organisation what is so now, or was last
_FROM = (
    "FROM app_user u JOIN membership m ON m.actor = u.id AND (m.ended IS NULL OR NOT EXISTS (SELECT 1 FROM membership n "
    "WHERE n.actor = m.actor AND n.org = m.org AND (n.ended IS NULL OR n.ended > m.ended)))"
)


def _select(actor: Actor) -> tuple[str, list[Any]]:
    """The accounts with what is said of each, from the place of this administrator."""
    elsewhere, args = ("false", list[Any]())
    if not _everywhere(actor):
        elsewhere = f"EXISTS (SELECT 1 FROM membership n WHERE n.actor = u.id AND n.org <> %s AND {IN_FORCE.replace('m.', 'n.')})"
        args = [actor.org]
    return (
        f"SELECT {_COLUMNS.format(factor=_FACTOR, yes=_YES, known=_KNOWN, elsewhere=elsewhere, places=PLACES)} {_FROM}",
        args,
    )


def _everywhere(actor: Actor) -> bool:
    return actor.network is False or not actor.org


def _reach(actor: Actor) -> tuple[str, list[Any]]:
    """The accounts that are this administrator's to look after."""
    if _everywhere(actor):
        return "u.tenant = %s", [actor.tenant]
    return "u.tenant = %s AND m.org = %s", [actor.tenant, actor.org]


def _narrowed(actor: Actor, wanted: Wanted, now: datetime) -> tuple[str, list[Any]]:
    reach, args = _reach(actor)
    parts = [reach, _WHO[wanted.who], _STATE[wanted.state]]
    if wanted.q.strip():
        like = "%" + "".join(f"\\{c}" if c in "\\%_" else c for c in wanted.q.strip().lower()[:100]) + "%"
        parts.append(
            f"(u.login LIKE %s OR {_YES} AND lower(u.name) LIKE %s OR {_KNOWN} AND lower(u.email) LIKE %s)"
        )
        args += [like, like, like]
    for column, value in (("role", wanted.role), ("org", wanted.org)):
        if value:
            parts.append(f"m.{column} = %s")
            args.append(value)
    if wanted.factor:
        parts.append(_FACTOR if wanted.factor == "yes" else f"NOT {_FACTOR}")
    if wanted.seen == "never":
        parts.append("m.used IS NULL")
    if wanted.seen == "quiet":
        parts.append("m.used < %s")
        args.append(now - QUIET)
    return " AND ".join(parts), args


_WHO = {
    "staff": "m.role NOT IN ('system', 'patient', 'proxy')", "patients": "m.role IN ('patient', 'proxy')",
    "programs": "m.role = 'system'", "all": "true",
}  # fmt: skip
_STATE = {
    "": "true", "active": "u.active AND m.ended IS NULL AND m.since IS NOT NULL", "ended": "NOT (u.active AND m.ended IS NULL)",
    "invited": "u.active AND m.ended IS NULL AND (m.since IS NULL OR u.password IS NULL AND m.role <> 'system')",
}  # fmt: skip


async def listed(
    records: Records, wanted: Wanted, *, limit: int, offset: int = 0
) -> tuple[list[Account], int]:
    """The accounts that are wanted, by name, and how many there are in all. Raises Forbidden."""
    await administrator(records)
    now = records.clock()
    where, args = _narrowed(records.actor, wanted, now)
    select, first = _select(records.actor)
    async with records.database.connection() as conn:
        total = await (await conn.execute(f"SELECT count(*) {_FROM} WHERE {where}", args)).fetchone()
        cursor = await conn.execute(
            f"{select} WHERE {where} ORDER BY lower(u.name), u.login, m.org LIMIT %s OFFSET %s",
            (*first, *args, limit, offset),
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
            f"SELECT DISTINCT m.org {_FROM} WHERE {reach} AND m.org <> '' ORDER BY 1 LIMIT 200", args
        )
        return [row[0] for row in await cursor.fetchall()]


async def one(records: Records, id: str, membership: str = "") -> tuple[Account, Ends]:
    """An account as it was last acted with, or in one place of work, and what its person holds, or holds there.

    What is held where the administrator does not reach is not counted. Raises Forbidden, NotFound.
    """
    await administrator(records)
    now, actor = records.clock(), records.actor
    async with records.database.connection() as conn:
        account = await _found(conn, actor, id, membership)
        alone = account.elsewhere or bool(membership)
        place = Place(account.membership, account.org) if alone else None
        held = await leaving.held(conn, actor.tenant, id, now, place)
        await audit.note(conn, actor, now, "read-user", id=id)
    return account, held


async def places(records: Records, id: str) -> list[Account]:
    """Where somebody works, of what the administrator sees, the one last acted for first. Raises Forbidden, NotFound."""
    await administrator(records)
    async with records.database.single() as conn:
        return await _places(conn, records.actor, id)


async def waiting(
    records: Records, account: Account, membership: str = "", *, named: str = "", chosen: str = ""
) -> Waiting:
    """The results that wait for somebody by urgency, and who may take them over: of many those `named` so, and the one `chosen`. Raises Forbidden."""
    await administrator(records)
    async with records.whole.connection() as conn:
        only = account.elsewhere or bool(membership)
        return await handing_over.waiting(
            conn, records.actor, records.clock(), _leaver(account, only=only), named=named, chosen=chosen
        )


def _leaver(one: Account, *, only: bool) -> Leaver:
    return Leaver(one.id, one.name, one.org, only)


async def _places(conn: Connection, actor: Actor, id: str, *, lock: bool = False) -> list[Account]:
    """Where somebody works, of what the administrator sees, the one last acted for first. Raises NotFound."""
    (select, first), (reach, args) = _select(actor), _reach(actor)
    if lock:  # before the look, which would else see what was before somebody else's change
        await memberships.hold(conn, actor.tenant, id)
    cursor = await conn.execute(
        f"{select} WHERE {reach} AND u.id = %s ORDER BY m.ended IS NOT NULL, m.since IS NULL, {LAST_USED}"
        f"{' FOR UPDATE OF m' if lock else ''}",
        (*first, *args, id),
    )
    found = [Account(*row) for row in await cursor.fetchall()]
    if not found:
        raise NotFound("There is no such account")
    return found


def _chosen(places: list[Account], membership: str) -> Account:
    found = next((one for one in places if membership in ("", one.membership)), None)
    if found is None:
        raise NotFound("There is no such place of work")
    return found


async def _found(
    conn: Connection, actor: Actor, id: str, membership: str = "", *, lock: bool = False
) -> Account:
    return _chosen(await _places(conn, actor, id, lock=lock), membership)


def _theirs_alone(actor: Actor, account: Account) -> None:
    """Raises Conflict for what would reach into another organisation: one human has one account."""
    if _runs_it(actor) or account.alone:
        return
    if not account.active:
        raise Conflict("Their work here has ended: let them in again, or ask them to work here too")
    raise Conflict(
        "This person also works for another organisation, or is asked to: their password and second factors are theirs "
        "alone. They use the links at the sign-in page, or whoever runs the program helps them"
    )


def _runs_it(actor: Actor) -> bool:
    """Whether this is the command line: whoever runs the program is of no organisation."""
    return actor.role == "system" and actor.client == "cli"


class Asked(Struct, frozen=True):
    """Somebody who has an account, to be asked to work for another organisation too."""

    login: str
    role: str
    org: str


async def ask(records: Records, person: Asked) -> str:
    """Ask somebody with an account to work here too: the code that they say yes with, to be given to them in person.

    It gives nothing until they do. The code is shown this once; whoever else holds their account does not have it. Links by
    which others could set their password end. Raises Forbidden, Invalid by field, Conflict (they do already).
    """
    await administrator(records)
    issues = []
    if person.role not in ROLES:
        issues.append(Issue("value", "Choose what they may do here", "role"))
    try:
        await _may_be_of(records, person.org)
    except Invalid as refusal:
        issues += refusal.issues
    now, actor, code = records.clock(), records.actor, factors.new_code()
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            f"SELECT u.id FROM app_user u WHERE u.tenant = %s AND u.login = %s AND u.active AND u.password IS NOT NULL AND EXISTS "
            f"(SELECT 1 FROM membership m WHERE m.actor = u.id AND m.role = ANY(%s) AND {IN_FORCE}) FOR UPDATE OF u",
            (actor.tenant, person.login, list(ROLES)),
        )
        row = await cursor.fetchone()
        if row is None:
            issues.append(Issue("value", "Nobody of the staff signs in with this user name", "login"))
            await audit.note(
                conn, actor, now, "ask-to-join", outcome=audit.MINOR, detail="nobody of this name"
            )
        elif not issues:
            await _asked(conn, actor, str(row[0]), person, code, now)
    if issues:
        raise Invalid(issues=issues)
    return code


async def _asked(conn: Connection, actor: Actor, user: str, person: Asked, code: str, now: datetime) -> None:
    kept = memberships.kept(code)
    made = await conn.execute(
        "INSERT INTO membership (id, tenant, actor, org, role, asked, asked_by, code) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (actor, org) WHERE ended IS NULL DO NOTHING",
        (str(uuid4()), actor.tenant, user, person.org, person.role, now, actor.user, kept),
    )
    if made.rowcount != 1:
        raise Conflict("They work for this organisation already, or are asked to", at="login")
    await links.end_all(conn, user, now, but_own=True)
    await audit.note(conn, actor, now, "ask-to-join", id=user, detail=f"{person.role} of {person.org}")


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
        raise Invalid("Enter the organisation they work for", at="org", code="required")
    if actor.network is not False and actor.org and org != actor.org:
        raise Invalid("In a network you look after the accounts of your own organisation", at="org")
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
    """What an account is to be from now on, `role` and `org` in one place of work ("": the one last acted for)."""

    name: str
    role: str
    org: str
    email: str = ""
    practitioner: str = ""
    membership: str = ""


async def change(records: Records, id: str, wanted: Change) -> Account:
    """Change what somebody may do and for whom: at once, in their open sessions too.

    Raises Forbidden, NotFound, Invalid by field, Conflict (the last administrator).
    """
    await administrator(records)
    _checked(wanted)
    now, actor = records.clock(), records.actor
    async with records.database.connection() as conn:
        before = await _found(conn, actor, id, wanted.membership, lock=True)
        if not before.staff:
            raise Invalid("What a patient, a proxy or a program may do is not changed here", at="role")
        if not before.active:
            raise Conflict("This has ended: nothing of it is changed any more")
        _within_reach(actor, before, wanted)
        if wanted.org != before.org:
            await _may_be_of(records, wanted.org)
            await _not_twice(conn, id, wanted.org)
        if before.role == "administrator" and (wanted.role, wanted.org) != (before.role, before.org):
            await _not_the_last(conn, actor, before, "role" if wanted.role != before.role else "org")
        await conn.execute(
            "UPDATE membership SET role = %s, org = %s WHERE id = %s",
            (wanted.role, wanted.org, before.membership),
        )
        if wanted.org != before.org:
            await leaving.moved(conn, actor.tenant, id, before.org, wanted.org)
        if before.accepted:  # of who was asked and has not said yes, only the role that is offered
            await conn.execute(
                "UPDATE app_user SET name = %s, email = %s, practitioner = %s WHERE id = %s",
                (wanted.name.strip(), wanted.email.strip(), wanted.practitioner.strip() or None, id),
            )
        await audit.note(conn, actor, now, "change-user", id=id, detail=_told(before, wanted)[:1000])
        if wanted.email.strip() != before.email:
            await notices.note(conn, id, "email", now, before=before.email)
        await credentials.tell(conn)
        after = await _found(conn, actor, id, before.membership)
    credentials.forget()
    return after


def _within_reach(actor: Actor, before: Account, wanted: Change) -> None:
    """Raises Invalid for what is not this administrator's to change of somebody who works for several, or is asked to."""
    if before.alone or _runs_it(actor):
        return
    words = "They also work for another organisation, or are asked to: here only the role is yours to change"
    pairs = (
        ("name", before.name, wanted.name), ("email", before.email, wanted.email), ("org", before.org, wanted.org),
        ("practitioner", before.practitioner or "", wanted.practitioner),
    )  # fmt: skip
    issues = [Issue("invalid", words, name) for name, old, new in pairs if old != new.strip()]
    if issues:
        raise Invalid(issues=issues)


async def _not_twice(conn: Connection, id: str, org: str) -> None:
    cursor = await conn.execute(
        "SELECT 1 FROM membership WHERE actor = %s AND org = %s AND ended IS NULL", (id, org)
    )
    if await cursor.fetchone() is not None:
        raise Conflict("They work for this organisation already, or are asked to", at="org")


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


async def _not_the_last(conn: Connection, actor: Actor, before: Account, at: str) -> None:
    """Raises Conflict when nobody else could look after the organisation's accounts any more. Two at once wait for each other.

    Where there is one organisation an administrator of any looks after all, in a network one of none.
    """
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"administrators:{actor.tenant}",))
    cursor = await conn.execute(
        "SELECT 1 FROM app_user u JOIN membership m ON m.actor = u.id WHERE u.tenant = %s AND m.role = 'administrator' AND u.active "
        f"AND u.password IS NOT NULL AND u.id <> %s AND {IN_FORCE} AND (%s OR m.org IN ('', %s)) LIMIT 1",
        (actor.tenant, before.id, actor.network is False, before.org),
    )
    if await cursor.fetchone() is None:
        raise Conflict("This is the last administrator who can sign in: make another one first", at=at)


async def leave(records: Records, id: str, to: str = "", membership: str = "") -> Ends:
    """Somebody leaves, or one place of work: everything they hold, or hold for it, ends at once; what they held.

    What waits for them goes to a user or to `handing_over.POOL`. Whoever also works elsewhere leaves only the organisation of
    this administrator. Raises Forbidden, NotFound, Conflict; Invalid (to whom).
    """
    await administrator(records)
    now, actor = records.clock(), records.actor
    if id == actor.user:
        raise Conflict("Nobody ends their own account: ask another administrator")
    async with records.whole.connection() as conn:  # what waits is counted and handed over unseen
        every = await _places(conn, actor, id, lock=True)
        before = _chosen(every, membership)
        _no_program(before)
        if not before.active:
            raise Conflict("This account has ended already")
        for one in [before] if membership else every:
            if one.role == "administrator" and one.active and one.accepted:
                await _not_the_last(conn, actor, one, "")
        place = Place(before.membership, before.org)
        alone = before.elsewhere or bool(membership)
        held = await leaving.held(conn, actor.tenant, id, now, place if alone else None)
        handed = await _handed(conn, actor, now, [before] if alone else every, to, only=alone)
        whole = True
        if alone:
            whole = await leaving.end_one(conn, actor.tenant, id, place, actor.user, now)
        else:
            await leaving.end(conn, actor.tenant, id, actor.user, now)
        detail = before.role if whole else f"{before.role} of {before.org}"
        detail = f"{detail}, handed over: {handed}" if handed else detail
        await audit.note(conn, actor, now, "deactivate" if whole else "end-membership", id=id, detail=detail)
    credentials.forget()
    return held


async def _handed(
    conn: Connection, actor: Actor, now: datetime, every: list[Account], to: str, *, only: bool
) -> int:
    """Hand over what waits where somebody leaves: to whom was chosen where they last acted, elsewhere to all who work there."""
    first, *rest = [one for one in every if one.active and one.accepted] or every[:1]
    handed = 0
    for one in rest:
        handed += await handing_over.hand_over(conn, actor, now, _leaver(one, only=True), handing_over.POOL)
    return handed + await handing_over.hand_over(conn, actor, now, _leaver(first, only=only), to)


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
        if before.elsewhere:
            raise Conflict("This person works for another organisation: ask them to work here too")
        _reachable(before, channel)
        await leaving.undo(conn, actor.tenant, id, actor.user, now, None if _everywhere(actor) else actor.org)
        await audit.note(conn, actor, now, "reactivate", id=id, detail=before.role)
        return await links.remade(conn, actor, before.login, channel, now)


async def new_link(records: Records, id: str, *, channel: Channel) -> Link:
    """The invitation anew, or a reset of the password. Raises Forbidden, NotFound, Conflict, Invalid (no e-mail address)."""
    await administrator(records)
    async with records.database.connection() as conn:
        before = await _found(conn, records.actor, id, lock=True)
        _theirs_alone(records.actor, before)
        _reachable(before, channel)
        return await links.remade(conn, records.actor, before.login, channel, records.clock())


async def without_factors(records: Records, id: str) -> None:
    """Take the second factors of somebody away who has lost them; their sessions end, and they set up new ones.

    Raises Forbidden, NotFound, Conflict.
    """
    await administrator(records)
    now, actor = records.clock(), records.actor
    if id == actor.user:
        raise Conflict("Your own are on the page of your account")
    async with records.database.connection() as conn:
        _theirs_alone(actor, await _found(conn, actor, id, lock=True))
        if not await factors.take_away(conn, actor, id, now):
            raise Conflict("There is no second factor to take away")
    credentials.forget()


def _no_program(account: Account) -> None:
    if account.role == "system":
        raise Conflict("A program ends with its app or its tokens, not here")


def _reachable(account: Account, channel: Channel) -> None:
    if channel == "email" and not account.email:
        raise Invalid("No e-mail address is kept of this person: hand the link over in person", at="channel")
