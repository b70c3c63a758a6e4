"""From what a developer types to an app that waits: checked, kept aside, and an app only when the e-mail address is proven."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from commonchart.access import audit
from commonchart.access.developers import links
from commonchart.access.developers.links import Developer
from commonchart.access.oauth import apps, names
from commonchart.access.oauth.apps import App, NewApp
from commonchart.access.people import notices
from commonchart.fhir.outcome import Conflict, Invalid, Issue, NotFound, Throttled
from commonchart.record import site

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

Via = Literal["page", "protocol"]
EMAIL = re.compile(
    r"[A-Za-z0-9._+'-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,10}[A-Za-z]{2,24}"
)
"""Plain addresses only: nothing that a mail server could read as a route, a comment or a second recipient."""
LONGEST_EMAIL = 254
MOST_WAITING = 10
"""Apps of one address that wait for a decision."""
MOST_UNPROVEN = 300
"""Registrations that wait for their proof, of all addresses together, of one day."""
OURS = "commonchart"
OWN = "The name is that of this site: an app is not called like the practice"


class Wanted(Struct, frozen=True, kw_only=True):
    """A registration as a developer typed it."""

    email: str
    name: str
    organization: str
    app: NewApp


class Registration(Struct, frozen=True):
    """One that is kept. `id` is the client_id that it becomes or became; `proven` is when."""

    id: str
    tenant: int
    email: str
    name: str
    organization: str
    asked: NewApp
    via: Via
    created: datetime
    proven: datetime | None


_COLUMNS = "id, tenant, email, name, organization, asked, via, created, proven"


def of_row(row: Sequence[Any]) -> Registration:
    """The registration of a row with the columns above."""
    id, tenant, email, name, organization, asked, *rest = row
    new = msgspec.json.decode(asked, type=NewApp)
    return Registration(id, tenant, email, name, organization, new, *rest)


def address(text: str) -> str:
    """An e-mail address as it is kept and compared."""
    return text.strip().lower()


def problems(wanted: Wanted, own: str) -> list[Issue]:
    """What is wrong with a registration, by field. `own` is the name of the site."""
    out = []
    if names.unseen(wanted.name) or not 0 < len(wanted.name.strip()) <= names.LONGEST:
        out.append(Issue("value", "Enter your name, at most 100 characters", "developer"))
    if words := names.wrong(wanted.organization):
        out.append(Issue("value", f"The name of an organisation {words}", "organization"))
    elif names.speaks_for(wanted.organization, own, OURS):
        out.append(Issue("value", "The organisation is yours, not this site", "organization"))
    if len(wanted.email) > LONGEST_EMAIL or not EMAIL.fullmatch(address(wanted.email)):
        out.append(Issue("value", "The e-mail address must look like name@example.org", "email"))
    if wanted.app.name.strip() and (words := names.wrong(wanted.app.name)):
        out.append(Issue("value", f"The name of an app {words}", "name"))
    elif names.speaks_for(wanted.app.name, own, OURS):
        out.append(Issue("value", OWN, "name"))
    if not wanted.app.about.strip():
        out.append(Issue("required", "Say what the app does", "about"))
    held = {issue.at for issue in out}
    return out + [issue for issue in apps.problems(wanted.app) if issue.at not in held]


async def register(
    database: Database, tenant: int, wanted: Wanted, origin: str, now: datetime, via: Via = "page"
) -> tuple[str, str | None]:
    """Keep a registration aside: the client_id that it will have, and the letter that brings the link; it is no app before that is used.

    ("", None) where the address was written to too often: then nothing is kept, and the caller answers the same. Raises
    Invalid by field, Throttled by the network address and when too many wait.
    """
    who = Developer(tenant, address(wanted.email))
    async with database.connection() as conn:
        await links.slowly(conn, origin, now)
        issues = problems(wanted, await site.get(conn, tenant, site.NAME))
        issues = issues or await _taken(conn, tenant, wanted.app.name)
    if issues:  # what was counted above stays counted
        raise Invalid(issues=issues)
    async with database.connection() as conn:
        await _not_full(conn, tenant, now)
        if await links.often(conn, who, now):
            return "", None
        id = secrets.token_hex(16)
        await conn.fetch(
            "INSERT INTO developer_registration (tenant, id, email, name, organization, asked, via, created) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                tenant, id, who.email, wanted.name.strip(), wanted.organization.strip(),
                msgspec.json.encode(wanted.app).decode(), via, now,
            ),
        )  # fmt: skip
        letter = await links.post(conn, who, "proof", now, id)
        await audit.note(conn, who.actor, now, "developer-register", id=id, detail=f"by {via}")
    return id, letter


async def _not_full(conn: Connection, tenant: int, now: datetime) -> None:
    rows = await conn.fetch(
        "SELECT count(*) FROM developer_registration WHERE tenant = %s AND proven IS NULL AND created > %s",
        (tenant, now - timedelta(days=1)),
    )
    if rows[0][0] >= MOST_UNPROVEN:
        raise Throttled("Too many registrations wait for their proof. Try again tomorrow.", seconds=3600)


async def _taken(conn: Connection, tenant: int, name: str) -> list[Issue]:
    """That the name is one of another app. Of apps only: what was never proven holds no name."""
    try:
        await apps.name_is_free(conn, tenant, name)
    except Conflict as refusal:
        return list(refusal.issues)
    return []


async def look(database: Database, token: str, now: datetime) -> Registration | None:
    """The registration that a link would prove, None for a link to one's apps. Raises NotFound."""
    opened = await links.look(database, token, now)
    if opened.kind != "proof":
        return None
    async with database.single() as conn:
        return await one(conn, Developer(opened.tenant, opened.email), opened.registration)


async def one(conn: Connection, who: Developer, id: str, *, lock: bool = False) -> Registration:
    """A registration of this developer. Raises NotFound."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM developer_registration WHERE tenant = %s AND email = %s AND id = %s"
        + (" FOR UPDATE" if lock else ""),
        (who.tenant, who.email, id[:64].replace("\0", "")),
    )
    if not rows:
        raise NotFound("There is no app of yours with this id")
    return of_row(rows[0])


async def open_link(database: Database, token: str, now: datetime) -> tuple[str, str]:
    """Use a link up: the token of the session that begins, and of a proof the client_id of what is an app now.

    Raises NotFound (the link is over), Conflict (the name was taken meanwhile), which leaves the link as it was.
    """
    async with database.connection() as conn:
        opened = await links.use(conn, token, now)
        who = Developer(opened.tenant, opened.email)
        if opened.kind == "proof":
            await _become(conn, who, opened.registration, now)
        session = await links.begin(conn, who, now)
    return session, opened.registration


async def confirm(database: Database, who: Developer, id: str, now: datetime) -> None:
    """Say that one has registered this oneself, having proven the address otherwise. Raises NotFound, Conflict."""
    async with database.connection() as conn:
        await _become(conn, who, id, now)


async def _become(conn: Connection, who: Developer, id: str, now: datetime) -> App | None:
    """Make the app, in the transaction of the connection; nothing when it is one already."""
    found = await one(conn, who, id, lock=True)
    if found.proven is not None:
        return None
    await apps.name_is_free(conn, who.tenant, found.asked.name)
    await _room(conn, who)
    app = await apps.keep(conn, who.actor, id, found.asked, now, publisher=found.organization)
    await conn.fetch("UPDATE developer_registration SET proven = %s WHERE id = %s", (now, id))
    await notices.to_administrators(conn, who.tenant, "app-waiting", now)
    await audit.note(conn, who.actor, now, "register-app", id=id, detail=app.name)
    return app


async def _room(conn: Connection, who: Developer) -> None:
    rows = await conn.fetch(
        "SELECT count(*) FROM developer_registration r JOIN app a ON a.id = r.id WHERE r.tenant = %s AND r.email = %s "
        "AND a.state = 'waiting'",
        (who.tenant, who.email),
    )
    if rows[0][0] >= MOST_WAITING:
        raise Conflict(f"{MOST_WAITING} apps of yours wait for a decision: withdraw one, or wait")


async def discard(database: Database, who: Developer, id: str, now: datetime) -> None:
    """Say that one has not registered this, or has thought again: it is forgotten at once. Raises NotFound."""
    async with database.connection() as conn:
        rows = await conn.fetch(
            "DELETE FROM developer_registration WHERE tenant = %s AND email = %s AND id = %s AND proven IS NULL RETURNING 1",
            (who.tenant, who.email, id[:64].replace("\0", "")),
        )
        if not rows:
            raise NotFound("There is no registration of yours that waits to be confirmed")
        await conn.fetch(
            "UPDATE developer_link SET ended = %s WHERE registration = %s AND ended IS NULL", (now, id)
        )
        await audit.note(conn, who.actor, now, "developer-discard", id=id)


async def contact(database: Database, tenant: int, id: str) -> Registration | None:
    """Who registered an app, for administrators; None for one that an administrator registered, or long withdrawn."""
    async with database.single() as conn:
        rows = await conn.fetch(
            f"SELECT {_COLUMNS} FROM developer_registration WHERE tenant = %s AND id = %s AND proven IS NOT NULL",
            (tenant, id),
        )
    return of_row(rows[0]) if rows else None
