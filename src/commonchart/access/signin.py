"""Signing in and out: password, then the second factor of whoever has one or must have one, then the session.

The answer to a wrong login is that to a wrong password, in words and in time; `people.guessing` slows guessers down.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, credentials, passwords
from commonchart.access.actors import Actor, nobody
from commonchart.access.people import factors, guessing, notices, passkeys, sessions
from commonchart.access.people.guessing import Origin
from commonchart.access.people.sessions import ABSOLUTE, IDLE
from commonchart.fhir.outcome import Invalid, Throttled, Unauthenticated
from commonchart.record import site as decisions

if TYPE_CHECKING:
    from pathlib import Path

    from commonchart.record.database import Connection, Database

TOUCH_EVERY = timedelta(minutes=1)
SECOND_FACTOR = factors.REQUIRED
WRONG = "The user name or password is not right"


class Session(Struct, frozen=True):
    """Somebody signed in. `token` is the cookie's content, `csrf` what each of their forms must carry.

    `kind` is "session", or "pending" while a second factor must still be shown ("factor") or made ("enrol"), as `wants`
    says. `device` is the cookie by which the browser is known from now on. `shown` is when a factor was last shown, `until`
    when it ends if nothing is done, `last` when it ends whatever is done. `places`: how many organisations they work for or
    are asked to; `seed` is what the form tokens of each are made of. `factor` is what was shown last.
    """

    token: str
    csrf: str
    actor: Actor
    preferences: str = "{}"
    wants: str = ""
    device: str = ""
    shown: datetime | None = None
    until: datetime | None = None
    last: datetime | None = None
    places: int = 1
    seed: str = ""
    factor: str = ""

    @property
    def second(self) -> bool:
        """Whether what was shown last is a second factor that its owner holds: no password, and no code on paper."""
        return self.factor.rpartition(" ")[2] in ("totp", "passkey")

    def fresh(self, now: datetime) -> bool:
        """Whether a factor was shown within the last five minutes."""
        return self.shown is not None and now - self.shown < sessions.FRESH


class Proof(Struct, frozen=True):
    """What somebody shows: a code of an authenticator or a recovery code, or the answer of a passkey."""

    code: str = ""
    passkey: str = ""


NOWHERE = Origin()


async def sign_in(
    database: Database, login: str, password: str, now: datetime, origin: Origin = NOWHERE
) -> Session:
    """A session, or one that waits for a second factor (`wants`).

    Raises Unauthenticated with the same words for every reason that a guesser might learn from, Throttled by address.
    """
    row = await _user(database, login)
    id = row["id"] if row else ""
    async with database.single() as conn:
        device = await guessing.device(conn, id, origin)
        if device is None:
            await guessing.from_here(conn, origin, now)
    failures, until = device or ((row["failures"], row["locked_until"]) if row else (0, None))
    waiting = until is not None and until > now
    right = await passwords.matches(row["password"] if row and row["active"] else None, password)
    if row is None or not right or waiting:
        await _failed(database, row, now, origin, failures, device is not None, waiting)
        raise Unauthenticated(WRONG)
    async with database.connection() as conn:
        wants = await _wants(conn, row)
        if not wants:
            cookie = await guessing.succeeded(conn, id, origin, device is not None, now)
            token = await _begun(conn, _actor(row), now, "password", origin.agent)
        else:  # a browser is known once all was shown
            cookie = ""
            token = await sessions.begin(
                conn, id, row["membership"], now, kind="pending", factor="password", agent=origin.agent
            )
    return await _session(database, token, "pending" if wants else "session", wants, cookie)


async def _wants(conn: Connection, row: dict[str, Any]) -> str:
    if await factors.kinds(conn, row["id"]):
        return "factor"
    return "enrol" if await factors.must_have(conn, row["tenant"], row["id"]) else ""


async def _begun(conn: Connection, actor: Actor, now: datetime, factor: str, agent: str) -> str:
    made = await sessions.begin(
        conn, actor.user, actor.membership, now, kind="session", factor=factor, agent=agent
    )
    await conn.execute("UPDATE app_user SET last_sign_in = %s WHERE id = %s", (now, actor.user))
    await conn.execute("UPDATE membership SET used = %s WHERE id = %s", (now, actor.membership))
    await audit.note(conn, actor, now, "sign-in", detail=factor)
    return made


async def _session(database: Database, token: str, kind: str, wants: str = "", device: str = "") -> Session:
    found = await credentials.find(database, token, kind)
    if found is None:
        raise Unauthenticated(WRONG)
    return Session(token, found.csrf, found.actor, found.preferences, wants, device, found.shown)


async def pending(database: Database, token: str, now: datetime) -> Session:
    """Somebody whose password was right and who must still show or make a second factor. Raises Unauthenticated."""
    found = await credentials.find(database, token, "pending") if token else None
    if found is None or found.expires <= now:
        raise Unauthenticated("Sign in to continue")
    async with database.single() as conn:
        wants = "factor" if await factors.kinds(conn, found.actor.user) else "enrol"
    return Session(token, found.csrf, found.actor, found.preferences, wants)


async def second(
    database: Database, secret: bytes, token: str, proof: Proof, now: datetime, site: passkeys.Site,
    origin: Origin = NOWHERE,
) -> Session:  # fmt: skip
    """The second factor after the password: a session under a new cookie. Raises Unauthenticated, Throttled."""
    waiting = await pending(database, token, now)
    if waiting.wants != "factor":
        raise Unauthenticated("Sign in to continue")
    kind = await shown(database, secret, waiting.actor, proof, now, site, origin)
    return await finish(database, waiting, kind, now, origin)


async def finish(
    database: Database, waiting: Session, factor: str, now: datetime, origin: Origin = NOWHERE
) -> Session:
    """Make a session of one that waited, once the factor was shown or made."""
    async with database.connection() as conn:
        cursor = await conn.execute(
            "UPDATE credential SET revoked = %s WHERE sha256 = %s AND revoked IS NULL RETURNING agent",
            (now, credentials.digest(waiting.token)),
        )
        row = await cursor.fetchone()
        if row is None:
            raise Unauthenticated("Sign in to continue")
        known = await guessing.device(conn, waiting.actor.user, origin) is not None
        cookie = await guessing.succeeded(conn, waiting.actor.user, origin, known, now)
        token = await _begun(conn, waiting.actor, now, f"password and {factor}", row[0])
    return await _session(database, token, "session", device=cookie)


async def by_passkey(
    database: Database,
    secret: bytes,
    answer: str,
    now: datetime,
    site: passkeys.Site,
    origin: Origin = NOWHERE,
) -> Session:
    """Sign in with a passkey alone: it is two factors, since it asks for a finger, a face or a PIN. Raises Unauthenticated."""
    async with database.single() as conn:
        if not await guessing.known_here(conn, origin):
            await guessing.from_here(conn, origin, now)
    try:
        async with database.connection() as conn:
            user = await passkeys.verify(conn, secret, answer, now, site)
            row = await _by_id(conn, user)
            known = await guessing.device(conn, user, origin) is not None
            cookie = await guessing.succeeded(conn, user, origin, known, now)
            token = await _begun(conn, _actor(row), now, "passkey", origin.agent)
    except Unauthenticated:
        await _failed(database, None, now, origin, 0, False, False)
        raise
    return await _session(database, token, "session", device=cookie)


async def shown(
    database: Database, secret: bytes, actor: Actor, proof: Proof, now: datetime, site: passkeys.Site,
    origin: Origin = NOWHERE,
) -> str:  # fmt: skip
    """Which factor was shown: totp, recovery or passkey. Raises Unauthenticated, and Throttled after too many wrong ones."""
    key = await _spared(database, actor, origin, now, "Too many wrong codes. Wait a quarter of an hour.")
    try:
        async with database.connection() as conn:
            kind = await _kind(conn, secret, actor, proof, now, site)
            if not kind:
                raise Unauthenticated(factors.WRONG)
            return kind
    except Unauthenticated:
        async with database.connection() as conn:
            await guessing.count(conn, key, now)
            await audit.note(conn, actor, now, "sign-in", outcome=audit.MINOR, detail="wrong second factor")
        raise


async def _spared(database: Database, actor: Actor, origin: Origin, now: datetime, words: str) -> str:
    """The key under which a wrong proof counts. Raises Throttled after too many."""
    async with database.single() as conn:
        known = await guessing.device(conn, actor.user, origin) is not None
        key = guessing.of_factor(actor.user, origin, known)
        if await guessing.too_many(conn, key, guessing.PER_FACTOR, now):
            raise Throttled(words, seconds=900)
    return key


async def _kind(
    conn: Connection, secret: bytes, actor: Actor, proof: Proof, now: datetime, site: passkeys.Site
) -> str:
    if proof.passkey:
        user = await passkeys.verify(conn, secret, proof.passkey, now, site)
        return "passkey" if user == actor.user else ""
    return await factors.verify(conn, secret, actor.user, proof.code, now)


async def step_up(
    database: Database, secret: bytes, actor: Actor, token: str, password: str, proof: Proof, now: datetime,
    site: passkeys.Site, origin: Origin = NOWHERE,
) -> str:  # fmt: skip
    """Show a factor again in a session: the new cookie of the session. Whoever has a second factor shows that one.

    Raises Unauthenticated, Throttled.
    """
    async with database.single() as conn:
        second = await factors.kinds(conn, actor.user)
    if second:
        kind = await shown(database, secret, actor, proof, now, site, origin)
    else:
        await _same_password(database, actor, password, now, origin)
        kind = "password"
    async with database.connection() as conn:
        return await sessions.strengthen(conn, actor, token, kind, now)


async def _same_password(
    database: Database, actor: Actor, password: str, now: datetime, origin: Origin
) -> None:
    key = await _spared(database, actor, origin, now, "Too many wrong passwords. Wait a quarter of an hour.")
    async with database.single() as conn:
        row = await (
            await conn.execute("SELECT password FROM app_user WHERE id = %s", (actor.user,))
        ).fetchone()
    if await passwords.matches(row[0] if row else None, password):
        return
    async with database.connection() as conn:
        await guessing.count(conn, key, now)
        await audit.note(conn, actor, now, "step-up", outcome=audit.MINOR, detail="wrong password")
    raise Unauthenticated("The password is not right")


_NAMES = (
    "id",
    "tenant",
    "name",
    "role",
    "org",
    "membership",
    "password",
    "active",
    "failures",
    "locked_until",
)
# for whom they last acted; somebody who works for nobody any more may not sign in
_USER = (
    "SELECT u.id, u.tenant, u.name, coalesce(m.role, ''), coalesce(m.org, ''), m.id, u.password, u.active AND m.id IS NOT NULL, "
    "u.failures, u.locked_until FROM app_user u LEFT JOIN LATERAL (SELECT * FROM membership m WHERE m.actor = u.id "
    f"AND {credentials.IN_FORCE} ORDER BY {credentials.LAST_USED} LIMIT 1) m ON true"
)


async def _user(database: Database, login: str) -> dict[str, Any] | None:
    async with database.single() as conn:
        cursor = await conn.execute(f"{_USER} WHERE u.login = %s", (login.lower()[:64],))
        row = await cursor.fetchone()
    return dict(zip(_NAMES, row, strict=True)) if row else None


async def _by_id(conn: Connection, user: str) -> dict[str, Any]:
    cursor = await conn.execute(f"{_USER} WHERE u.id = %s AND u.active AND m.id IS NOT NULL", (user,))
    row = await cursor.fetchone()
    if row is None:
        raise Unauthenticated(WRONG)
    return dict(zip(_NAMES, row, strict=True))


def _actor(row: dict[str, Any]) -> Actor:
    return Actor(
        row["tenant"],
        row["id"],
        row["name"],
        row["role"],
        row["org"],
        "web",
        membership=row["membership"] or "",
    )


async def _failed(
    database: Database, row: dict[str, Any] | None, now: datetime, origin: Origin, failures: int, known: bool,
    waiting: bool,
) -> None:  # fmt: skip
    """Count and note a failure. The same statements run for a name that nobody has."""
    who = _actor(row) if row else nobody(database.tenant)
    detail = "waiting" if waiting else "wrong password or inactive" if row else "unknown user"
    async with database.connection() as conn:
        if not waiting:
            await guessing.failed(conn, who.user, origin, failures, known, now)
            if row and guessing.wait_until(now, failures + 1) and failures + 1 == guessing.FREE_FAILURES:
                await audit.note(
                    conn, who, now, "lock", outcome=audit.MINOR, detail="device" if known else "account"
                )
        await audit.note(conn, who, now, "sign-in", outcome=audit.MINOR, detail=detail)


async def resume(database: Database, token: str, now: datetime, *, touch: bool = True) -> Session:
    """The session a cookie stands for. Raises Unauthenticated, with code `expired` when it was one and timed out."""
    found = await credentials.find(database, token, "session") if token else None
    if found is None:
        raise Unauthenticated("Sign in to continue")
    if found.expires <= now or found.created + ABSOLUTE <= now:
        raise Unauthenticated("You were signed out because nothing was done for a while", code="expired")
    if touch and now - found.used >= TOUCH_EVERY:
        lives = min(IDLE, found.created + ABSOLUTE - now)
        await credentials.touch(database, token, now, lives)
        found = replace(found, expires=now + lives)
    return Session(
        token, found.csrf, found.actor, found.preferences, shown=found.shown, until=found.expires,
        last=found.created + ABSOLUTE, places=found.places, seed=found.seed, factor=found.factor,
    )  # fmt: skip


async def change_password(
    database: Database,
    actor: Actor,
    token: str,
    password: str,
    now: datetime,
    *,
    breached: Path | None = None,
) -> None:
    """A new password of one's own, which ends every other session and token; the caller has asked for a factor again.

    Raises Invalid at `password`.
    """
    async with database.single() as conn:
        row = await (
            await conn.execute("SELECT login, password FROM app_user WHERE id = %s", (actor.user,))
        ).fetchone()
        named = await decisions.get(conn, actor.tenant, decisions.NAME)
    login, old = row or ("", None)
    passwords.judged(password, (login, actor.name, named), breached)
    if await passwords.matches(old, password):
        raise Invalid("This is the password you have: choose another", at="password")
    secret = await passwords.hashed(password)
    async with database.connection() as conn:
        await conn.execute(
            "UPDATE app_user SET password = %s, failures = 0, locked_until = NULL WHERE id = %s",
            (secret, actor.user),
        )
        await credentials.end_all(conn, actor.user, now, but=token)
        await audit.note(conn, actor, now, "password", detail="by its owner")
        await notices.note(conn, actor.user, "password", now)
    credentials.forget()


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
        rows = await conn.fetch("SELECT key, value FROM site_setting WHERE tenant = %s", (tenant,))
    return {str(key): str(value) for key, value in rows}
