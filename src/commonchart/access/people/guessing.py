"""What slows guessers down: a count for each account, one for each known device of it, and one for each address.

An account waits at most a minute, and a browser that its owner has signed in from before keeps its own count: nobody can
lock somebody else out. The same work is done for names that nobody has, so that time tells nothing.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import credentials
from commonchart.access.people import notices
from commonchart.fhir.outcome import Throttled

if TYPE_CHECKING:
    from commonchart.record.database import Connection

FREE_FAILURES = 5
LONGEST_WAIT = timedelta(minutes=1)
DOUBLINGS = 6  # 2**6 s is past the longest wait; without the bound the power outgrows timedelta
WINDOW = timedelta(minutes=15)
PER_ADDRESS = 50
PER_FACTOR = 10
SLOWLY = "Too many sign-ins from here have failed. Wait a quarter of an hour, or use a browser you signed in from before."


class Origin(Struct, frozen=True):
    """Where a sign-in comes from: the device's cookie, the address, the browser in its own words."""

    device: str = ""
    address: str = ""
    agent: str = ""


def wait_until(now: datetime, failures: int) -> datetime | None:
    """When the next attempt counts, after so many failures in a row; None while they are free."""
    if failures < FREE_FAILURES:
        return None
    return now + min(LONGEST_WAIT, timedelta(seconds=2 ** min(failures - FREE_FAILURES, DOUBLINGS)))


async def device(conn: Connection, user: str, origin: Origin) -> tuple[int, datetime | None] | None:
    """The failures and the wait of a known device of this user; None when it is not known."""
    cursor = await conn.execute(
        "SELECT failures, locked_until FROM known_device WHERE sha256 = %s AND actor = %s",
        (credentials.digest(origin.device), user),
    )
    row: Any = await cursor.fetchone()
    return (row[0], row[1]) if row else None


async def known_here(conn: Connection, origin: Origin) -> bool:
    """Whether somebody, whoever it was, has come in from this browser before."""
    cursor = await conn.execute(
        "SELECT 1 FROM known_device WHERE sha256 = %s LIMIT 1", (credentials.digest(origin.device),)
    )
    return await cursor.fetchone() is not None


async def failed(
    conn: Connection, user: str, origin: Origin, failures: int, known: bool, now: datetime
) -> None:
    """Count a failure: on the device that is known, else on the account; and on the address."""
    until = wait_until(now, failures + 1)
    if known:
        await conn.execute(
            "UPDATE known_device SET failures = failures + 1, locked_until = %s WHERE sha256 = %s AND actor = %s",
            (until, credentials.digest(origin.device), user),
        )
    else:
        await conn.execute(
            "UPDATE app_user SET failures = failures + 1, locked_until = %s WHERE id = %s", (until, user)
        )
    if origin.address:
        await count(conn, _place(origin.address), now)


async def succeeded(conn: Connection, user: str, origin: Origin, known: bool, now: datetime) -> str:
    """Forget the failures that this device or the account had; the cookie by which the device is known from now on.

    People who share a browser share its cookie: one of them does not make it unknown to the others.
    """
    ours = known or await known_here(conn, origin)
    cookie = origin.device if ours else secrets.token_urlsafe(32)
    await conn.execute(
        "INSERT INTO known_device (sha256, actor, created) VALUES (%s, %s, %s) ON CONFLICT (sha256, actor) "
        "DO UPDATE SET failures = 0, locked_until = NULL",
        (credentials.digest(cookie), user, now),
    )
    await conn.execute("UPDATE app_user SET failures = 0, locked_until = NULL WHERE id = %s", (user,))
    if not known:
        await notices.note(conn, user, "browser", now)
    return cookie


def _place(address: str) -> str:
    return "address:" + sha256(_network(address).encode()).hexdigest()[:32]


def _network(address: str) -> str:
    """The address, or of one in IPv6 the /64 that one household has to itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def of_factor(user: str, origin: Origin, known: bool) -> str:
    """Under which key wrong second factors count: each known device by itself, all others together."""
    return f"factor:{user}:{credentials.digest(origin.device).hex()[:32]}" if known else f"factor:{user}"


async def count(conn: Connection, key: str, now: datetime) -> None:
    """One failure more under this key; the count begins anew after a quarter of an hour."""
    await conn.execute(
        "INSERT INTO sign_in_failures (key, failures, since) VALUES (%s, 1, %s) ON CONFLICT (key) DO UPDATE SET "
        "failures = CASE WHEN sign_in_failures.since < %s THEN 1 ELSE sign_in_failures.failures + 1 END, "
        "since = CASE WHEN sign_in_failures.since < %s THEN excluded.since ELSE sign_in_failures.since END",
        (key, now, now - WINDOW, now - WINDOW),
    )


async def too_many(conn: Connection, key: str, most: int, now: datetime) -> bool:
    """Whether so many failures are counted under this key within the last quarter of an hour."""
    cursor = await conn.execute(
        "SELECT failures FROM sign_in_failures WHERE key = %s AND since >= %s", (key, now - WINDOW)
    )
    row = await cursor.fetchone()
    return bool(row and row[0] >= most)


async def from_here(conn: Connection, origin: Origin, now: datetime) -> None:
    """Raises Throttled when too many sign-ins from this address have failed; the caller spares known devices."""
    if origin.address and await too_many(conn, _place(origin.address), PER_ADDRESS, now):
        raise Throttled(SLOWLY, seconds=900)
