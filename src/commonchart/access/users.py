"""The people and programs that may sign in."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, get_args
from uuid import NAMESPACE_URL, uuid4, uuid5

from msgspec import Struct
from psycopg.errors import UniqueViolation

from commonchart.access import audit, credentials, passwords
from commonchart.access.actors import Actor, Role
from commonchart.access.people import leaving, notices
from commonchart.fhir.outcome import Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

ROLES: tuple[str, ...] = get_args(Role)
LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")
LOGIN_WORDS = "A user name has 2 to 64 lower-case letters, digits, or . _ @ -"


class User(Struct, frozen=True):
    """Somebody who may sign in, without the password.

    `role` and `org` are those of `membership`, one row of whom they work for: "" for somebody who works for nobody any more.
    """

    id: str
    tenant: int
    login: str
    name: str
    role: str
    org: str
    patient: str | None
    practitioner: str | None
    active: bool
    created: datetime
    membership: str = ""


_ACCOUNT = "id, tenant, login, name, patient, practitioner, active, created"
_COLUMNS = (
    "u.id, u.tenant, u.login, u.name, coalesce(m.role, ''), coalesce(m.org, ''), u.patient, u.practitioner, u.active, u.created, "
    "coalesce(m.id, '')"
)
_LAST = (
    f"FROM app_user u LEFT JOIN LATERAL (SELECT * FROM membership m WHERE m.actor = u.id ORDER BY {credentials.IN_FORCE} DESC, "
    f"m.ended IS NOT NULL, {credentials.LAST_USED} LIMIT 1) m ON true"
)


async def create(
    database: Database,
    *,
    tenant: int,
    login: str,
    name: str,
    role: str,
    org: str,
    now: datetime,
    password: str | None = None,
    patient: str | None = None,
    practitioner: str | None = None,
) -> User:
    """A new user; without a password nobody can sign in as them (programs). Raises Invalid, Conflict (login taken)."""
    _check(login, role, patient)
    secret = await passwords.hashed(password) if password is not None else None
    async with database.connection() as conn:
        return await add(conn, User(
            id_of(login), tenant, login, name, role, org, patient, practitioner, True, now, str(uuid4())
        ), secret)  # fmt: skip


async def add(conn: Connection, user: User, secret: str | None = None) -> User:
    """Keep a new user who works for `user.org`, in the transaction of the connection; `secret` a hash.

    Raises Invalid, Conflict (login taken).
    """
    _check(user.login, user.role, user.patient)
    try:
        await conn.execute(
            f"INSERT INTO app_user ({_ACCOUNT}, password) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (user.id, user.tenant, user.login, user.name, user.patient, user.practitioner, user.active, user.created, secret),
        )  # fmt: skip
    except UniqueViolation:
        raise Conflict("This login is taken", at="login") from None
    await conn.execute(
        "INSERT INTO membership (id, tenant, actor, org, role, asked, since) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (user.membership, user.tenant, user.id, user.org, user.role, user.created, user.created),
    )
    return user


def id_of(login: str) -> str:
    """The id of the user with this login."""
    return str(uuid5(NAMESPACE_URL, f"commonchart:user:{login}"))


def _check(login: str, role: str, patient: str | None) -> None:
    if not LOGIN.fullmatch(login):
        raise Invalid(LOGIN_WORDS, at="login")
    if role not in ROLES:
        raise Invalid(f"The role is one of {', '.join(ROLES)}", at="role")
    if (role == "patient") != (patient is not None):
        raise Invalid(
            "A user of the role patient names the Patient they are, and nobody else does: whose record a proxy sees is said "
            "by `proxy_grant`",
            at="patient",
        )


async def find(database: Database, login: str) -> User:
    """The user with this login, as they last acted. Raises NotFound."""
    async with database.single() as conn:
        row = await (await conn.execute(f"SELECT {_COLUMNS} {_LAST} WHERE u.login = %s", (login,))).fetchone()
    if row is None:
        raise NotFound("There is no user with this login", at="login")
    return User(*row)


async def everyone(database: Database) -> list[User]:
    """All users by login, each as they last acted."""
    async with database.single() as conn:
        cursor = await conn.execute(f"SELECT {_COLUMNS} {_LAST} ORDER BY u.login")
        return [User(*row) for row in await cursor.fetchall()]


async def working(database: Database, tenant: int) -> list[User]:
    """The active users of a tenant by name, once for each organisation that they work for."""
    async with database.single() as conn:
        cursor = await conn.execute(
            f"SELECT {_COLUMNS} FROM app_user u JOIN membership m ON m.actor = u.id AND {credentials.IN_FORCE} "
            "WHERE u.tenant = %s AND u.active ORDER BY u.name, u.id, m.org",
            (tenant,),
        )
        return [User(*row) for row in await cursor.fetchall()]


async def set_active(
    database: Database, login: str, active: bool, now: datetime, by: Actor | None = None
) -> None:
    """Let somebody in again, by a new password, or end everything they hold at once. Raises NotFound."""
    user = await find(database, login)
    who = by or system(user.tenant, "cli")
    async with database.connection() as conn:
        if active:
            await leaving.undo(conn, user.tenant, user.id, who.user, now)
        else:
            await leaving.end(conn, user.tenant, user.id, who.user, now)
        await audit.note(conn, who, now, "reactivate" if active else "deactivate", id=user.id)
    credentials.forget()


async def set_password(database: Database, login: str, password: str, now: datetime) -> None:
    """A new password; every session and token of the user ends. Raises NotFound, Invalid."""
    user = await find(database, login)
    secret = await passwords.hashed(password)
    async with database.connection() as conn:
        await conn.execute(
            "UPDATE app_user SET password = %s, failures = 0, locked_until = NULL WHERE id = %s",
            (secret, user.id),
        )
        await notices.note(conn, user.id, "password", now)
    await credentials.revoke_all(database, user.id, now)


def actor(user: User, client: str, *, network: bool | None = False) -> Actor:
    """The user as the one asking, where the site is a practice; `standing` and `credentials` look up what it is."""
    role: Role = user.role  # type: ignore[assignment]
    return Actor(
        user.tenant,
        user.id,
        user.name,
        role,
        user.org,
        client,
        patient=user.patient,
        practitioner=user.practitioner,
        network=network,
        membership=user.membership,
    )


def system(tenant: int, name: str, org: str = "") -> Actor:
    """A background act of the program itself, such as the due list."""
    return Actor(tenant, name, name, "system", org, "commonchart", purpose="HOPERAT")
