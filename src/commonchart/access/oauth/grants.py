"""What people allow apps: given on the consent page, shown to them, taken back at any time."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from commonchart.access import audit, credentials, scopes
from commonchart.access.actors import Actor
from commonchart.access.oauth import launches
from commonchart.access.oauth.apps import App, service_user
from commonchart.access.oauth.asked import Request
from commonchart.access.oauth.denied import Denied
from commonchart.access.oauth.launches import Context
from commonchart.access.people import memberships
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.record.keys import hash64

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

CODE_LIVES = timedelta(seconds=60)
OFFLINE = timedelta(days=180)
ONLINE = timedelta(hours=12)
ONCE = timedelta(hours=1)
FOREVER = timedelta(days=36_500)
_COLUMNS = (
    "g.id, g.app, g.actor, g.scopes, g.patient, g.encounter, g.context, g.nonce, g.session, g.created, g.used, "
    "g.expires, g.revoked, g.membership"
)


class Grant(Struct, frozen=True):
    """What one person allowed one app, once. `session` is set when it ends with their session."""

    id: str
    app: str
    actor: str
    scopes: str
    patient: str | None
    encounter: str | None
    context: str
    nonce: str
    session: bytes | None
    created: datetime
    used: datetime
    expires: datetime
    revoked: datetime | None
    membership: str

    @property
    def texts(self) -> tuple[str, ...]:
        """The scopes."""
        return tuple(self.scopes.split())


class Connected(Struct, frozen=True):
    """A grant as its owner sees it."""

    grant: Grant
    app: str
    about: str


async def allow(
    database: Database,
    actor: Actor,
    request: Request,
    ticked: Sequence[str],
    patient: str | None,
    session: str,
    now: datetime,
) -> str:
    """Keep what was allowed, and give the code for it. `patient` has been seen by this actor; `session` is their cookie.

    It is for the organisation that the actor acts for now, and stays so. Raises Forbidden for a launch by somebody else, Denied when nothing is left or a patient is missing.
    """
    if actor.app:
        raise Forbidden("An app allows nothing to another app")
    texts = scopes.narrow(request.scopes, request.scopes, [t for t in request.scopes if t not in ticked])
    if not scopes.resources(texts) and "openid" not in texts:
        raise Denied("access_denied", "Nothing was allowed")
    async with database.connection() as conn:
        membership = await memberships.of(conn, actor)
        launch = await _redeemed(conn, actor, membership, request, now)
        patient = launch.patient if launch else patient
        if request.needs_patient and patient is None:
            raise Denied("access_denied", "No patient was chosen")
        id = secrets.token_hex(16)
        online = "online_access" in texts and "offline_access" not in texts
        lives = OFFLINE if "offline_access" in texts else ONLINE if online else ONCE
        await conn.execute(
            "INSERT INTO app_grant (id, tenant, app, actor, scopes, patient, encounter, context, nonce, session, created, "
            "used, expires, membership) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                id, actor.tenant, request.app.id, actor.user, " ".join(texts), patient,
                launch.encounter if launch else None,
                msgspec.json.encode(launch.context if launch else Context()).decode(), request.nonce,
                credentials.digest(session) if online else None, now, now, now + lives, membership,
            ),
        )  # fmt: skip
        code = secrets.token_urlsafe(32)
        await conn.execute("DELETE FROM app_code WHERE expires <= %s", (now - timedelta(days=1),))
        await conn.execute(
            "INSERT INTO app_code (sha256, app_grant, app, redirect_uri, challenge, expires) VALUES (%s, %s, %s, %s, %s, %s)",
            (credentials.digest(code), id, request.app.id, request.redirect_uri, request.challenge, now + CODE_LIVES),
        )  # fmt: skip
        await audit.note(
            conn, actor, now, "allow-app", id=request.app.id, patients=[patient] if patient else [],
            detail=" ".join(texts)[:1000],
        )  # fmt: skip
    return code


async def _redeemed(
    conn: Connection, actor: Actor, membership: str, request: Request, now: datetime
) -> launches.Launch | None:
    if not request.launch_token:
        return None
    launch = await launches.redeem(conn, request.launch_token, now)
    if launch is None or launch.app != request.app.id:
        raise Denied("invalid_request", "The launch is unknown, used or older than five minutes")
    launches.same(launch, actor.user, membership)
    return launch


async def refused(database: Database, actor: Actor, app: App, now: datetime) -> None:
    """Leave a row of what was not allowed."""
    async with database.single() as conn:
        await audit.note(conn, actor, now, "allow-app", outcome=audit.MINOR, id=app.id, detail="not allowed")


async def find(conn: Connection, id: str, *, lock: bool = False) -> Grant | None:
    """A grant that stands: neither revoked nor of an app that was disabled or a person who was shut out."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM app_grant g JOIN app_user u ON u.id = g.actor WHERE g.id = %s AND u.active "
        f"AND {credentials.LIVING}{' FOR UPDATE OF g' if lock else ''}",
        (id,),
    )
    row = await cursor.fetchone()
    return Grant(*row) if row else None


async def of_service(conn: Connection, app: App, now: datetime) -> str:
    """The standing grant of a backend service, made when it first asks: its id."""
    id = f"backend-{hash64(app.id) & (2**64 - 1):x}"
    await conn.execute(
        "INSERT INTO app_grant (id, tenant, app, actor, scopes, created, used, expires, membership) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET used = excluded.used",
        (
            id,
            app.tenant,
            app.id,
            service_user(app.id),
            app.scopes,
            now,
            now,
            now + FOREVER,
            await credentials.only_one(conn, service_user(app.id), None),
        ),
    )
    return id


async def revoke(conn: Connection, id: str, why: str, now: datetime) -> None:
    """End a grant and every token of it, for good."""
    await conn.execute(
        "UPDATE app_grant SET revoked = %s, why = %s WHERE id = %s AND revoked IS NULL", (now, why, id)
    )
    await conn.execute(
        "UPDATE credential SET revoked = %s WHERE app_grant = %s AND revoked IS NULL", (now, id)
    )
    await credentials.tell(conn)
    credentials.forget()


async def connected(database: Database, actor: Actor, now: datetime) -> list[Connected]:
    """The apps that somebody has allowed something that still stands, last used first."""
    async with database.single() as conn:
        cursor = await conn.execute(
            f"SELECT {_COLUMNS}, a.name, a.about FROM app_grant g JOIN app a ON a.id = g.app WHERE g.tenant = %s "
            "AND g.actor = %s AND g.revoked IS NULL AND g.expires > %s AND a.state = 'approved' "
            "ORDER BY g.used DESC LIMIT 200",
            (actor.tenant, actor.user, now),
        )
        return [Connected(Grant(*row[:-2]), row[-2], row[-1]) for row in await cursor.fetchall()]


async def take_back(database: Database, actor: Actor, id: str, now: datetime) -> None:
    """Somebody takes back what they allowed an app: within seconds everywhere. Raises NotFound for other people's."""
    async with database.connection() as conn:
        cursor = await conn.execute(
            "SELECT app, patient FROM app_grant WHERE id = %s AND tenant = %s AND actor = %s AND revoked IS NULL",
            (id, actor.tenant, actor.user),
        )
        row = await cursor.fetchone()
        if row is None:
            raise NotFound("There is no such app of yours")
        await revoke(conn, id, "taken back by the person", now)
        await audit.note(conn, actor, now, "revoke-app", id=row[0], patients=[row[1]] if row[1] else [])
