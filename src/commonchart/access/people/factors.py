"""Second factors: an authenticator app (TOTP, RFC 6238) and recovery codes. A code counts once.

The authenticator's key is encrypted at rest, recovery codes are kept as keyed hashes. Passkeys are in `passkeys`.
"""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pyotp
from msgspec import Struct

from commonchart.access import audit, credentials
from commonchart.access.people import cipher, notices
from commonchart.fhir.outcome import Conflict, Invalid, NotFound
from commonchart.record import site as decisions

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.record.database import Connection, Database

STEP = 30
AROUND = 1
"""How many time steps a phone's clock may be off."""
CODES = 10
WAITS = timedelta(hours=1)
"""How long an authenticator that was begun waits for its first code."""
ISSUER = "Commonchart"
REQUIRED = "second_factor"
"""The site's setting: the roles that must have a second factor, with spaces between."""
WRONG = "The code is not right, or was used already"
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class Factor(Struct, frozen=True):
    """A factor as its owner sees it: never a secret. `kind`: totp or passkey."""

    id: str
    kind: str
    label: str
    created: datetime
    used: datetime | None


class Begun(Struct, frozen=True):
    """An authenticator that waits for its first code: `key` to type, `address` for the picture to scan."""

    id: str
    key: str
    address: str


async def listed(conn: Connection, user: str) -> tuple[list[Factor], int]:
    """Somebody's factors, oldest first, and how many recovery codes are left."""
    cursor = await conn.execute(
        "SELECT id, kind, label, created, used FROM factor WHERE actor = %s AND ended IS NULL "
        "AND confirmed IS NOT NULL ORDER BY created, id",
        (user,),
    )
    rows = [Factor(*row) for row in await cursor.fetchall()]
    kept = [one for one in rows if one.kind != "recovery"]
    return kept, sum(one.kind == "recovery" and one.used is None for one in rows)


async def kinds(conn: Connection, user: str) -> frozenset[str]:
    """Which kinds of second factor somebody has; recovery codes alone are none."""
    found, _ = await listed(conn, user)
    return frozenset(one.kind for one in found)


async def must_have(conn: Connection, tenant: int, user: str) -> bool:
    """Whether this user must have a second factor, whatever they act as now.

    The site asks for one in any of their roles; or they work for several organisations, of which none may act as them for
    another by a new password.
    """
    roles = (await decisions.get(conn, tenant, REQUIRED)).split()
    cursor = await conn.execute(
        "SELECT count(*) > 1 OR coalesce(bool_or(m.role = ANY(%s)), false) FROM membership m "
        f"WHERE m.actor = %s AND {credentials.IN_FORCE}",
        (roles, user),
    )
    return bool((await cursor.fetchone() or (False,))[0])


async def login_of(database: Database, actor: Actor) -> str:
    """The user name of somebody, as authenticators and passkeys show it beside the site."""
    async with database.single() as conn:
        row = await (await conn.execute("SELECT login FROM app_user WHERE id = %s", (actor.user,))).fetchone()
    return str(row[0]) if row else ""


async def begin(database: Database, secret: bytes, actor: Actor, login: str, now: datetime) -> Begun:
    """A new authenticator, or the one that was begun within the hour: it counts after its first code."""
    async with database.connection() as conn:
        await conn.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"totp:{actor.user}",))
        row = await (
            await conn.execute(
                "SELECT id, secret FROM factor WHERE actor = %s AND kind = 'totp' AND confirmed IS NULL AND ended IS NULL "
                "AND created > %s",
                (actor.user, now - WAITS),
            )
        ).fetchone()
        if row:
            id, key = row[0], cipher.opened(secret, bytes(row[1]), row[0])
        else:
            id, key = uuid4().hex, pyotp.random_base32()
            await conn.execute(
                "INSERT INTO factor (id, tenant, actor, kind, label, secret, created) VALUES (%s, %s, %s, 'totp', %s, %s, %s)",
                (id, actor.tenant, actor.user, "Authenticator app", cipher.seal(secret, key, id), now),
            )
    return Begun(id, key, pyotp.TOTP(key).provisioning_uri(name=login, issuer_name=ISSUER))


async def confirm(database: Database, secret: bytes, actor: Actor, code: str, now: datetime) -> list[str]:
    """The first code of the authenticator that was begun: from now on it counts, instead of an older one.

    Gives new recovery codes, to be shown this once. Raises Invalid.
    """
    async with database.connection() as conn:
        row = await (
            await conn.execute(
                "SELECT id, secret FROM factor WHERE actor = %s AND kind = 'totp' AND confirmed IS NULL AND ended IS NULL "
                "AND created > %s ORDER BY created DESC LIMIT 1 FOR UPDATE",
                (actor.user, now - WAITS),
            )
        ).fetchone()
        step = _step(cipher.opened(secret, bytes(row[1]), row[0]), code, now) if row else None
        if row is None or step is None:
            raise Invalid(
                "The code is not the one that the app shows now: check the clock of the phone", at="code"
            )
        await conn.execute(
            "UPDATE factor SET ended = %s WHERE actor = %s AND kind = 'totp' AND id <> %s AND ended IS NULL",
            (now, actor.user, row[0]),
        )
        await conn.execute(
            "UPDATE factor SET confirmed = %s, counter = %s WHERE id = %s", (now, step, row[0])
        )
        await audit.note(conn, actor, now, "factor-added", detail="totp")
        await notices.note(conn, actor.user, "factor-added", now)
        return await renew(conn, secret, actor, now)


def _step(key: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is, None for no step around now. All are compared, in constant time each."""
    bare = re.sub(r"\s", "", code)
    at = int(now.timestamp()) // STEP
    totp = pyotp.TOTP(key)
    found = None
    for step in range(at - AROUND, at + AROUND + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), bare.encode()):
            found = step
    return found


async def renew(conn: Connection, secret: bytes, actor: Actor, now: datetime) -> list[str]:
    """Ten new recovery codes; the old ones end. They are shown this once."""
    await conn.execute(
        "UPDATE factor SET ended = %s WHERE actor = %s AND kind = 'recovery' AND ended IS NULL",
        (now, actor.user),
    )
    codes = [new_code() for _ in range(CODES)]
    for code in codes:
        await conn.execute(
            "INSERT INTO factor (id, tenant, actor, kind, label, secret, created, confirmed) "
            "VALUES (%s, %s, %s, 'recovery', '', %s, %s, %s)",
            (uuid4().hex, actor.tenant, actor.user, _kept(secret, actor.user, code)[0], now, now),
        )
    await audit.note(conn, actor, now, "recovery-codes")
    await notices.note(conn, actor.user, "codes", now)
    return codes


def new_code() -> str:
    """Ten letters and digits that are easily told apart, in two groups: about 49 bits."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    return f"{letters[:5]}-{letters[5:]}"


def _kept(secret: bytes, user: str, code: str) -> list[bytes]:
    return cipher.marked(secret, user + re.sub(r"[\s-]", "", code.lower()), "recovery")


async def verify(conn: Connection, secret: bytes, user: str, code: str, now: datetime) -> str:
    """Which factor this code shows: "totp", "recovery", or "" for none. What it shows is used up."""
    if re.fullmatch(r"\s*(\d\s*){6}", code):
        return await _verify_totp(conn, secret, user, code, now)
    cursor = await conn.execute(
        "UPDATE factor SET used = %s WHERE actor = %s AND kind = 'recovery' AND ended IS NULL AND used IS NULL AND secret = ANY(%s)",
        (now, user, _kept(secret, user, code[:40])),
    )
    return "recovery" if cursor.rowcount == 1 else ""


async def _verify_totp(conn: Connection, secret: bytes, user: str, code: str, now: datetime) -> str:
    row = await (
        await conn.execute(
            "SELECT id, secret FROM factor WHERE actor = %s AND kind = 'totp' AND confirmed IS NOT NULL AND ended IS NULL",
            (user,),
        )
    ).fetchone()
    step = _step(cipher.opened(secret, bytes(row[1]), row[0]), code, now) if row else None
    if row is None or step is None:
        return ""
    cursor = await conn.execute(
        "UPDATE factor SET counter = %s, used = %s WHERE id = %s AND counter < %s", (step, now, row[0], step)
    )
    return "totp" if cursor.rowcount == 1 else ""


async def rename(database: Database, actor: Actor, id: str, label: str) -> None:
    """Another name for a factor. Raises Invalid, NotFound."""
    if not label.strip():
        raise Invalid("Give it a name, such as the device it lies in", at="label")
    async with database.single() as conn:
        cursor = await conn.execute(
            "UPDATE factor SET label = %s WHERE id = %s AND actor = %s AND kind = 'passkey' AND ended IS NULL",
            (label.strip()[:60], id, actor.user),
        )
    if cursor.rowcount != 1:
        raise NotFound("There is no such factor")


async def take_away(conn: Connection, by: Actor, user: str, now: datetime) -> int:
    """End every factor of somebody who has lost them, and how many; their sessions end too, and the caller calls `forget`.

    The caller has made sure who it is, and that `by` may: an administrator, or whoever runs the machine.
    """
    cursor = await conn.execute(
        "UPDATE factor SET ended = %s WHERE actor = %s AND ended IS NULL AND kind <> 'recovery' AND confirmed IS NOT NULL",
        (now, user),
    )
    await conn.execute("UPDATE factor SET ended = %s WHERE actor = %s AND ended IS NULL", (now, user))
    await credentials.end_all(conn, user, now)
    await audit.note(conn, by, now, "factor-removed", id=user, detail="all, for somebody else")
    await notices.note(conn, user, "factor-removed", now)
    return cursor.rowcount


async def only(conn: Connection, actor: Actor, kind: str, shown: datetime, now: datetime) -> bool:
    """End every second factor but the one of this kind that its owner showed at `shown`, recovery codes too; False for none.

    Whatever somebody else may have added to the account, or written down of it, opens nothing any more.
    """
    cursor = await conn.execute(
        "SELECT id FROM factor WHERE actor = %s AND kind = %s AND kind <> 'recovery' AND ended IS NULL AND confirmed IS NOT NULL "
        "AND (kind = 'totp' OR coalesce(used, confirmed) = %s)",
        (actor.user, kind, shown),
    )
    row = await cursor.fetchone()
    if row is None:
        return False
    cursor = await conn.execute(
        "UPDATE factor SET ended = %s WHERE actor = %s AND id <> %s AND ended IS NULL",
        (now, actor.user, row[0]),
    )
    if cursor.rowcount:
        await audit.note(conn, actor, now, "factor-removed", detail=f"all but the {kind} that was shown")
        await notices.note(conn, actor.user, "factor-removed", now)
    return True


async def remove(database: Database, actor: Actor, id: str, now: datetime) -> None:
    """End a factor; with the last one the recovery codes end too.

    Raises NotFound, Conflict for the last one of somebody who must have one.
    """
    async with database.connection() as conn:
        cursor = await conn.execute(
            "UPDATE factor SET ended = %s WHERE id = %s AND actor = %s AND ended IS NULL AND kind <> 'recovery' RETURNING kind",
            (now, id, actor.user),
        )
        row = await cursor.fetchone()
        if row is None:
            raise NotFound("There is no such factor")
        if not await kinds(conn, actor.user):
            if await must_have(conn, actor.tenant, actor.user):
                raise Conflict(
                    "Your role must have a second factor, as whoever works for several organisations must: "
                    "add another one before you remove this"
                )
            await conn.execute(
                "UPDATE factor SET ended = %s WHERE actor = %s AND ended IS NULL", (now, actor.user)
            )
        await audit.note(conn, actor, now, "factor-removed", detail=row[0])
        await notices.note(conn, actor.user, "factor-removed", now)
