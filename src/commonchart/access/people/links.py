"""Invitations and resets: single-use links, of which only a hash is kept.

Opening a link changes nothing (mail filters open links); setting the password uses it up, together with every other link
of the person. Making a reset never says whether there is such an account.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from msgspec import Struct

from commonchart.access import audit, credentials, passwords, policy, users
from commonchart.access.actors import Actor
from commonchart.access.people import guessing, notices
from commonchart.fhir.outcome import Forbidden, Invalid, Issue, NotFound, Throttled

if TYPE_CHECKING:
    from pathlib import Path

    from commonchart.access.records import Records
    from commonchart.record.database import Connection, Database

Channel = Literal["email", "hand"]
INVITED = timedelta(hours=72)
RESET = timedelta(minutes=30)
PER_ACCOUNT = 3
PER_ADDRESS = 20
KEPT = timedelta(days=30)
"""How long a link that is over is remembered."""
EMAIL = re.compile(r"[^@\s,;<>\"]{1,64}@[^@\s,;<>\"]{1,190}")
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
OVER = "This link has been used, has run out, or was never given. Ask for a new one."
OF_PATIENTS = frozenset({"patient", "proxy"})
ADMINISTRATORS = frozenset({"administrator"})
"""The roles that look after accounts."""


class Person(Struct, frozen=True):
    """Somebody to invite. `patient` is the id of the Patient whose record it is, for the roles patient and proxy only."""

    login: str
    name: str
    role: str
    org: str
    email: str = ""
    patient: str | None = None
    practitioner: str | None = None


class Link(Struct, frozen=True):
    """A link just made: `token` can be shown or sent now and never again."""

    token: str
    kind: str
    user: str
    name: str
    email: str
    channel: Channel
    expires: datetime


class Opened(Struct, frozen=True):
    """Whom a link is for."""

    kind: str
    tenant: int
    user: str
    login: str
    name: str
    role: str
    org: str


async def invite(
    records: Records, person: Person, *, channel: Channel = "hand", lives: timedelta = INVITED
) -> Link:
    """Make an account without a password, and the link by which its owner sets one; `channel` is how they get it.

    Administrators invite anybody; whoever may change a Patient invites that patient, or a proxy for them. Raises Forbidden,
    NotFound (no such patient for the actor), Invalid by field, Conflict (login taken). At most 72 hours.
    """
    await _may_invite(records, person)
    _checked(person, channel)
    now = records.clock()
    user = users.User(
        users.id_of(person.login), records.actor.tenant, person.login, person.name.strip(), person.role, person.org,
        person.patient, person.practitioner, True, now, str(uuid4()),
    )  # fmt: skip
    async with records.database.connection() as conn:
        await users.add(conn, user)
        await conn.execute("UPDATE app_user SET email = %s WHERE id = %s", (person.email, user.id))
        link = await _made(
            conn, user.tenant, user.id, "invite", records.actor.user, now, min(lives, INVITED), org=records.actor.org
        )  # fmt: skip
        await audit.note(
            conn, records.actor, now, "invite", id=user.id, patients=[person.patient] if person.patient else [],
            detail=f"{person.role} by {channel}",
        )  # fmt: skip
    return Link(link, "invite", user.id, user.name, person.email, channel, now + min(lives, INVITED))


async def _may_invite(records: Records, person: Person) -> None:
    if person.role in OF_PATIENTS and person.patient:
        await records.require("update", "Patient")
        await records.read("Patient", person.patient)
        return
    await administrator(records)


async def administrator(records: Records) -> None:
    """Raises Forbidden for whoever is none; the attempt is an event."""
    actor = records.actor
    if (actor.role in ADMINISTRATORS and not actor.app) or (actor.role == "system" and actor.client == "cli"):
        return
    async with records.database.single() as conn:
        await audit.note(conn, records.actor, records.clock(), "administer", outcome=audit.MINOR)
    raise Forbidden("Only administrators look after accounts")


def _checked(person: Person, channel: Channel) -> None:
    issues = problems(person, channel)
    if issues:
        raise Invalid(issues=issues)


def problems(person: Person, channel: Channel) -> list[Issue]:
    """What is wrong with an invitation, by field."""
    out = []
    if not 1 <= len(person.name.strip()) <= 120:
        out.append(Issue("value", "A name has 1 to 120 letters", "name"))
    if not users.LOGIN.fullmatch(person.login):
        out.append(Issue("value", users.LOGIN_WORDS, "login"))
    if person.role == "system" or person.role not in policy.GRANTS:
        out.append(Issue("value", "This role is not one of a person", "role"))
    if (person.email or channel == "email") and not EMAIL.fullmatch(person.email):
        out.append(Issue("value", "The e-mail address must look like name@example.org", "email"))
    if person.practitioner and not ID.fullmatch(person.practitioner):
        out.append(Issue("value", "An id has letters, digits, - and . only", "practitioner"))
    return out


async def again(records: Records, login: str, *, channel: Channel = "hand") -> Link:
    """A new link for somebody: the invitation anew while there is no password, else a reset. Raises Forbidden, NotFound."""
    await administrator(records)
    async with records.database.connection() as conn:
        return await remade(conn, records.actor, login, channel, records.clock())


async def remade(conn: Connection, actor: Actor, login: str, channel: Channel, now: datetime) -> Link:
    """The same in the transaction of the connection, whose caller has made sure that the actor may. Raises NotFound."""
    cursor = await conn.execute(
        "SELECT id, name, email, password IS NULL FROM app_user WHERE tenant = %s AND login = %s AND active",
        (actor.tenant, login),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("There is no user with this login who may sign in", at="login")
    kind, lives = ("invite", INVITED) if row[3] else ("reset", RESET)
    token = await _made(conn, actor.tenant, row[0], kind, actor.user, now, lives, org=actor.org)
    await audit.note(conn, actor, now, kind, id=row[0], detail=f"by {channel}")
    return Link(token, kind, row[0], row[1], row[2], channel, now + lives)


async def forgotten(database: Database, tenant: int, login: str, address: str, now: datetime) -> Link | None:
    """Somebody at `address` says they forgot their password: a link to send, or None. The caller answers the same to both.

    The same statements run for a login that nobody has, or that has no e-mail address. Of one account at most
    `PER_ACCOUNT` links are made in a quarter of an hour; raises Throttled when too many are asked for from one address.
    """
    name = login.strip().lower()[:64]
    async with database.connection() as conn:
        await _slowly(conn, address, now)
        row = await (
            await conn.execute(
                "SELECT u.id, u.name, u.email, m.role, m.org FROM app_user u JOIN membership m ON m.actor = u.id "
                f"WHERE u.tenant = %s AND u.login = %s AND u.active AND u.email <> '' AND {credentials.IN_FORCE} "
                f"ORDER BY {credentials.LAST_USED} LIMIT 1",
                (tenant, name),
            )
        ).fetchone()
        key = f"forgotten:{credentials.digest(name).hex()[:32]}"
        often = await guessing.too_many(conn, key, PER_ACCOUNT, now)
        await guessing.count(conn, key, now)
        id, called, email, role, org = row or ("", "", "", "system", "")
        token = await _made(
            conn, tenant, id, "reset", id, now, RESET if row and not often else -RESET, alone=False
        )
        who = Actor(tenant, id, "", role, org, "web")
        await audit.note(
            conn, who, now, "reset", outcome=audit.OK if row else audit.MINOR, detail="asked at the door"
        )
    return Link(token, "reset", id, called, email, "email", now + RESET) if row and not often else None


async def _slowly(conn: Connection, address: str, now: datetime) -> None:
    if not address:  # behind a proxy that nobody named, where it would be everybody's
        return
    key = f"forgotten-from:{credentials.digest(address).hex()[:32]}"
    if await guessing.too_many(conn, key, PER_ADDRESS, now):
        raise Throttled(
            "Too many links were asked for from here. Wait a quarter of an hour, or ask an administrator.",
            seconds=900,
        )
    await guessing.count(conn, key, now)


async def _made(
    conn: Connection,
    tenant: int,
    user: str,
    kind: str,
    by: str,
    now: datetime,
    lives: timedelta,
    *,
    org: str = "",
    alone: bool = True,
) -> str:
    """A new link, made by somebody for `org`; `alone`: the ones before it end. One that anybody may ask for ends nobody's invitation."""
    token = secrets.token_urlsafe(32)
    await conn.execute("DELETE FROM account_link WHERE expires < %s", (now - KEPT,))
    if alone:
        await end_all(conn, user, now)
    await conn.execute(
        "INSERT INTO account_link (sha256, tenant, actor, kind, made_by, org, created, expires) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (credentials.digest(token), tenant, user, kind, by, org, now, now + lives),
    )
    return token


async def end_all(conn: Connection, user: str, now: datetime, *, but_own: bool = False) -> None:
    """Every link by which somebody could set a password opens nothing any more, but those they asked for themselves."""
    await conn.execute(
        "UPDATE account_link SET ended = %s WHERE actor = %s AND ended IS NULL AND NOT (%s AND made_by = actor)",
        (now, user, but_own),
    )


_OPEN = (
    "SELECT l.kind, l.tenant, u.id, u.login, u.name, m.role, m.org FROM account_link l JOIN app_user u ON u.id = l.actor "
    f"JOIN membership m ON m.actor = u.id AND {credentials.IN_FORCE} "
    "WHERE l.sha256 = %s AND l.ended IS NULL AND l.expires > %s AND u.active "
    f"ORDER BY m.org <> l.org, {credentials.LAST_USED} LIMIT 1"
)


async def look(database: Database, token: str, now: datetime) -> Opened:
    """Whom a link is for; it stays good. Raises NotFound, in the same words for every reason."""
    async with database.single() as conn:
        row = await (await conn.execute(_OPEN, (credentials.digest(token), now))).fetchone()
    if row is None:
        raise NotFound(OVER)
    return Opened(*row)


async def accept(
    database: Database,
    token: str,
    password: str,
    now: datetime,
    *,
    breached: Path | None = None,
    site: str = "",
) -> Opened:
    """Set the password by a link, which uses it up and ends every session. Raises NotFound, Invalid (the password)."""
    found = await look(database, token, now)
    passwords.judged(password, (found.login, found.name, site), breached)
    secret = await passwords.hashed(password)
    async with database.connection() as conn:
        used = await conn.execute(
            "UPDATE account_link SET ended = %s WHERE sha256 = %s AND ended IS NULL",
            (now, credentials.digest(token)),
        )
        if used.rowcount != 1:
            raise NotFound(OVER)
        await end_all(conn, found.user, now)
        await conn.execute(
            "UPDATE app_user SET password = %s, failures = 0, locked_until = NULL WHERE id = %s",
            (secret, found.user),
        )
        await credentials.end_all(conn, found.user, now)
        who = Actor(found.tenant, found.user, found.name, found.role, found.org, "web")  # type: ignore[arg-type]
        await audit.note(conn, who, now, "password", detail=f"by {found.kind}")
        await notices.note(conn, found.user, "password", now)
    credentials.forget()
    return found
