"""Signing in and out, and the sessions of people: idle and absolute time-out, back-off on failures, the trail of both.

The answer to a wrong login is that to a wrong password, in words and in time. A failing account waits longer each time,
at most a minute, so that nobody can be locked out by somebody else for long.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit, credentials, passwords
from commonchart.access.actors import Actor
from commonchart.fhir.outcome import Unauthenticated

if TYPE_CHECKING:
    from commonchart.record.database import Database

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=12)
TOUCH_EVERY = timedelta(minutes=1)
FREE_FAILURES = 5
LONGEST_WAIT = timedelta(minutes=1)
DOUBLINGS = 6  # 2**6 s is past the longest wait; without the bound the power outgrows timedelta

WRONG = "The user name or password is not right"


class Session(Struct, frozen=True):
    """Somebody signed in. `token` is the cookie's content, `csrf` what each of their forms must carry."""

    token: str
    csrf: str
    actor: Actor
    preferences: str = "{}"


async def sign_in(database: Database, login: str, password: str, now: datetime) -> Session:
    """A new session. Raises Unauthenticated with the same words for every reason that a guesser might learn from."""
    row = await _user(database, login)
    waiting = row is not None and row["locked_until"] is not None and row["locked_until"] > now
    right = await passwords.matches(row["password"] if row and row["active"] else None, password)
    if row is None or not right or waiting:
        await _failed(database, row, now, waiting)
        raise Unauthenticated(WRONG)
    csrf = secrets.token_urlsafe(32)
    async with database.single() as conn:
        await conn.execute(
            "UPDATE app_user SET failures = 0, locked_until = NULL WHERE id = %s", (row["id"],)
        )
    token = await credentials.issue(
        database, row["id"], now, kind="session", client="web", lives=IDLE, csrf=csrf
    )
    found = await credentials.find(database, token, "session")
    assert found is not None
    async with database.single() as conn:
        await audit.note(conn, found.actor, now, "sign-in")
    return Session(token, csrf, found.actor, found.preferences)


async def _user(database: Database, login: str) -> dict[str, Any] | None:
    names = ("id", "tenant", "role", "org", "password", "active", "failures", "locked_until")
    async with database.single() as conn:
        cursor = await conn.execute(
            f"SELECT {', '.join(names)} FROM app_user WHERE login = %s", (login.lower()[:64],)
        )
        row = await cursor.fetchone()
    return dict(zip(names, row, strict=True)) if row else None


async def _failed(database: Database, row: dict[str, Any] | None, now: datetime, waiting: bool) -> None:
    async with database.single() as conn:
        if row is None:
            nobody = Actor(0, "", "", "system", "", "web")
            await audit.note(conn, nobody, now, "sign-in", outcome=audit.MINOR, detail="unknown user")
            return
        if not waiting:
            until = wait_until(now, row["failures"] + 1)
            await conn.execute(
                "UPDATE app_user SET failures = failures + 1, locked_until = %s WHERE id = %s",
                (until, row["id"]),
            )
        who = Actor(row["tenant"], row["id"], "", row["role"], row["org"], "web")
        detail = "waiting" if waiting else "wrong password or inactive"
        await audit.note(conn, who, now, "sign-in", outcome=audit.MINOR, detail=detail)


def wait_until(now: datetime, failures: int) -> datetime | None:
    """When the next attempt counts, after so many failures in a row; None while they are free."""
    if failures < FREE_FAILURES:
        return None
    return now + min(LONGEST_WAIT, timedelta(seconds=2 ** min(failures - FREE_FAILURES, DOUBLINGS)))


async def resume(database: Database, token: str, now: datetime, *, touch: bool = True) -> Session:
    """The session a cookie stands for. Raises Unauthenticated, with code `expired` when it was one and timed out."""
    found = await credentials.find(database, token, "session") if token else None
    if found is None:
        raise Unauthenticated("Sign in to continue")
    if found.expires <= now or found.created + ABSOLUTE <= now:
        raise Unauthenticated("You were signed out because nothing was done for a while", code="expired")
    if touch and now - found.used >= TOUCH_EVERY:
        await credentials.touch(database, token, now, min(IDLE, found.created + ABSOLUTE - now))
    return Session(token, found.csrf, found.actor, found.preferences)


async def sign_out(database: Database, token: str, now: datetime) -> None:
    """End a session for good."""
    found = await credentials.find(database, token, "session")
    await credentials.revoke(database, token, now)
    if found is not None:
        async with database.single() as conn:
            await audit.note(conn, found.actor, now, "sign-out")


async def save_preferences(database: Database, actor: Actor, text: str) -> None:
    """Keep how somebody wants their pages."""
    async with database.single() as conn:
        await conn.execute("UPDATE app_user SET preferences = %s WHERE id = %s", (text, actor.user))


async def site(database: Database, tenant: int) -> dict[str, str]:
    """What the site has decided for itself (`record.site`): no patient data, and readable before anybody signs in."""
    async with database.single() as conn:
        cursor = await conn.execute("SELECT key, value FROM site_setting WHERE tenant = %s", (tenant,))
        rows: list[tuple[str, str]] = await cursor.fetchall()
        return dict(rows)
