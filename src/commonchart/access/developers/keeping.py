"""What developers do with their own apps: look, get the secret, ask for a change, withdraw. Each act is in the audit trail.

An approved app never gains anything by what its developer asks: the change is kept beside the app, and an administrator who
was shown the difference applies it. What waits, or was refused, is changed itself, and its revision with it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, credentials
from commonchart.access.actors import Actor
from commonchart.access.developers import registrations
from commonchart.access.developers.links import Developer
from commonchart.access.developers.registrations import Registration
from commonchart.access.oauth import apps
from commonchart.access.oauth.apps import App, NewApp
from commonchart.access.people import guessing, notices
from commonchart.fhir.outcome import Conflict, Invalid, NotFound, Throttled

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

FIELDS = ("about", "redirect_uris", "launch_url", "scopes", "jwks_url", "jwks", "terms_url", "policy_url")
"""What may be changed; the name, who uses it and how it proves itself are those of another app."""
MOST_ACTS = 20
"""Changes and secrets of one developer in a quarter of an hour."""
_SET = ", ".join(f"{name} = %s" for name in FIELDS)


class Change(Struct, frozen=True):
    """What a developer asked to change of an approved app: the whole as it would be. `state` is waiting or refused."""

    app: str
    asked: NewApp
    revision: int
    created: datetime
    state: str
    reason: str


class Kept(Struct, frozen=True):
    """A registration, the app that it became, and a change that was asked for."""

    registration: Registration
    app: App | None
    change: Change | None


class Line(Struct, frozen=True):
    """One field that differs: what stands there now, and what would."""

    field: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def added(self) -> frozenset[str]:
        """What would be new."""
        return frozenset(self.after) - frozenset(self.before)

    @property
    def removed(self) -> frozenset[str]:
        """What would be gone."""
        return frozenset(self.before) - frozenset(self.after)


async def listed(database: Database, who: Developer) -> list[Kept]:
    """Everything that this address registered, newest first."""
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT id FROM developer_registration WHERE tenant = %s AND email = %s ORDER BY created DESC LIMIT 100",
            (who.tenant, who.email),
        )
        return [await _kept(conn, who, row[0]) for row in rows]


async def one(database: Database, who: Developer, id: str) -> Kept:
    """One of them. Raises NotFound."""
    async with database.single() as conn:
        return await _kept(conn, who, id)


async def _kept(conn: Connection, who: Developer, id: str) -> Kept:
    found = await registrations.one(conn, who, id)
    app = await apps.find(conn, id) if found.proven else None
    return Kept(found, app, await change_of(conn, id))


async def change_of(conn: Connection, id: str) -> Change | None:
    """The change that was asked for an app, if there is one."""
    rows = await conn.fetch(
        "SELECT app, asked, revision, created, state, reason FROM developer_change WHERE app = %s", (id,)
    )
    return _change(rows[0]) if rows else None


def _change(row: Any) -> Change:
    app, asked, *rest = row
    return Change(app, msgspec.json.decode(asked, type=NewApp), *rest)


async def waiting(conn: Connection, tenant: int) -> frozenset[str]:
    """The apps for which a change waits."""
    rows = await conn.fetch(
        "SELECT app FROM developer_change WHERE tenant = %s AND state = 'waiting'", (tenant,)
    )
    return frozenset(row[0] for row in rows)


def as_asked(app: App) -> NewApp:
    """An app as it could be registered again."""
    return NewApp(
        name=app.name, about=app.about, kind=app.kind, audience=app.audience, redirect_uris=tuple(app.redirect_uris),
        launch_url=app.launch_url, scopes=app.scopes, jwks=app.jwks, jwks_url=app.jwks_url, terms_url=app.terms_url,
        policy_url=app.policy_url,
    )  # fmt: skip


def difference(app: App, asked: NewApp) -> list[Line]:
    """The fields that a change would change."""
    now = as_asked(app)
    lines = [Line(name, _words(now, name), _words(asked, name)) for name in FIELDS]
    return [line for line in lines if line.before != line.after]


def _words(new: NewApp, field: str) -> tuple[str, ...]:
    value = getattr(new, field)
    if isinstance(value, tuple):
        return value
    return tuple(value.split()) if field == "scopes" else tuple(text for text in (value.strip(),) if text)


# ---- the developer's acts --------------------------------------------------------------------------------------


async def secret(database: Database, who: Developer, id: str, now: datetime) -> str:
    """A new secret, shown this once; the old one ends. Raises NotFound, Conflict (not approved), Invalid, Throttled."""
    async with database.connection() as conn:
        app = await _own(conn, who, id)
        await _slowly(conn, who, now)
        if app.kind != "secret":
            raise Invalid("This app has no secret")
        if app.state != "approved":
            raise Conflict("There is a secret once the app is approved")
        made = await apps.change_secret(conn, id)
        if app.secret is not None:
            await notices.to_developer(conn, id, "app-secret", now)
        await audit.note(conn, who.actor, now, "new-app-secret", id=id, detail="shown to its developer")
    return made


async def change(database: Database, who: Developer, id: str, wanted: NewApp, now: datetime) -> None:
    """Change what waits, or ask to change what is approved. `wanted` counts in FIELDS only.

    Raises NotFound, Invalid by field, Conflict (nothing differs; disabled or withdrawn; the name taken), Throttled.
    """
    async with database.connection() as conn:
        app = await _own(conn, who, id)
        await _slowly(conn, who, now)
        asked = replace(as_asked(app), **{name: getattr(wanted, name) for name in FIELDS})
        _look_at(app, asked)
        if app.state == "approved":
            await _beside(conn, app, asked, now)
        else:
            await apps.name_is_free(conn, app.tenant, app.name, id)
            await _itself(conn, app, asked)
        kind: notices.Kind = "app-changing" if app.state == "approved" else "app-waiting"
        await notices.to_administrators(conn, who.tenant, kind, now)
        await audit.note(conn, who.actor, now, "change-app", id=id, detail=_detail(app, asked))


def _look_at(app: App, asked: NewApp) -> None:
    if app.state not in ("waiting", "approved", "refused"):
        raise Conflict("An app that is disabled or withdrawn is not changed")
    issues = apps.problems(asked)
    if issues:
        raise Invalid(issues=issues)
    if app.state != "refused" and not difference(app, asked):
        raise Conflict("Nothing differs from what is registered")


def _detail(app: App, asked: NewApp) -> str:
    kind = "asked: " if app.state == "approved" else ""
    return kind + ", ".join(line.field for line in difference(app, asked))


async def _itself(conn: Connection, app: App, asked: NewApp) -> None:
    await conn.fetch(
        f"UPDATE app SET {_SET}, state = 'waiting', reason = '', revision = revision + 1 WHERE id = %s",
        (*_values(asked), app.id),
    )


async def _beside(conn: Connection, app: App, asked: NewApp, now: datetime) -> None:
    """Keep a change beside the app. Its revision is one of the app that no change had before, also none taken back."""
    await conn.fetch(
        "WITH next AS (UPDATE app SET revision = revision + 1 WHERE id = %s RETURNING tenant, id, revision) "
        "INSERT INTO developer_change (tenant, app, asked, revision, created, state) "
        "SELECT tenant, id, %s, revision, %s, 'waiting' FROM next ON CONFLICT (app) DO UPDATE SET asked = excluded.asked, "
        "revision = excluded.revision, created = excluded.created, state = 'waiting', reason = '', decided = NULL",
        (app.id, msgspec.json.encode(asked).decode(), now),
    )


def _values(asked: NewApp) -> tuple[Any, ...]:
    kept = replace(asked, scopes=apps.tidy(asked.scopes))
    return tuple(list(value) if isinstance(value := getattr(kept, name), tuple) else value for name in FIELDS)


async def take_back(database: Database, who: Developer, id: str, now: datetime) -> None:
    """Take back a change that waits. Raises NotFound."""
    async with database.connection() as conn:
        await registrations.one(conn, who, id)
        rows = await conn.fetch("DELETE FROM developer_change WHERE app = %s RETURNING 1", (id,))
        if not rows:
            raise NotFound("No change waits")
        await audit.note(conn, who.actor, now, "change-app", id=id, detail="taken back")


async def withdraw(database: Database, who: Developer, id: str, now: datetime) -> None:
    """Withdraw an app, for good: every grant ends at once. Raises NotFound, Conflict (withdrawn already)."""
    async with database.connection() as conn:
        app = await _own(conn, who, id)
        if app.state == "withdrawn":
            raise Conflict("This app is withdrawn already")
        await conn.fetch(
            "UPDATE app SET state = 'withdrawn', secret = NULL, decided = %s, decided_by = %s, revision = revision + 1 "
            "WHERE id = %s",
            (now, who.actor.user, id),
        )
        await conn.fetch("DELETE FROM developer_change WHERE app = %s", (id,))
        await apps.end_grants(conn, id, "its developer withdrew the app", now)
        await notices.to_developer(conn, id, "app-withdrawn", now)
        await audit.note(conn, who.actor, now, "withdraw-app", id=id, detail=app.name)
    credentials.forget()


async def _own(conn: Connection, who: Developer, id: str) -> App:
    """An app of this developer, locked until the transaction ends. Raises NotFound."""
    found = await registrations.one(conn, who, id)
    await conn.fetch("SELECT 1 FROM app WHERE id = %s FOR UPDATE", (found.id,))
    app = await apps.find(conn, found.id) if found.proven else None
    if app is None:
        raise NotFound("There is no app of yours with this id")
    return app


async def _slowly(conn: Connection, who: Developer, now: datetime) -> None:
    """Count one act of this developer. Raises Throttled."""
    key = f"developer-acts:{credentials.digest(who.email).hex()[:32]}"
    if await guessing.too_many(conn, key, MOST_ACTS, now):
        raise Throttled("Too many changes: wait a quarter of an hour", seconds=900)
    await guessing.count(conn, key, now)


# ---- the administrator's decision ------------------------------------------------------------------------------


async def decide_change(
    database: Database, actor: Actor, id: str, revision: int, now: datetime, *, agreed: bool, reason: str = ""
) -> None:  # fmt: skip
    """Apply the change that was shown, or refuse it. Raises Forbidden, NotFound, Invalid (no reason), Conflict (another one)."""
    apps.require_administrator(actor)
    if not agreed:
        apps.require_reason(reason)
    async with database.connection() as conn:
        rows = await conn.fetch(
            "SELECT c.app, c.asked, c.revision, c.created, c.state, c.reason FROM developer_change c JOIN app a ON a.id = c.app "
            "WHERE c.tenant = %s AND c.app = %s AND c.state = 'waiting' AND a.state = 'approved' FOR UPDATE",
            (actor.tenant, id),
        )
        if not rows:
            raise NotFound("No change of this app waits")
        found = _change(rows[0])
        if found.revision != revision:
            raise Conflict(apps.CHANGED)
        await (_apply(conn, found) if agreed else _refuse(conn, found, reason.strip(), now))
        kind: notices.Kind = "change-approved" if agreed else "change-refused"
        await notices.to_developer(conn, id, kind, now, reason.strip())
        await audit.note(
            conn, actor, now, "approve-app-change" if agreed else "refuse-app-change", id=id, detail=found.asked.name
        )  # fmt: skip


async def _apply(conn: Connection, found: Change) -> None:
    issues = apps.problems(found.asked)
    if issues:  # what may be registered has become less since it was asked
        raise Invalid(issues=issues)
    await conn.fetch(
        f"UPDATE app SET {_SET}, revision = revision + 1 WHERE id = %s", (*_values(found.asked), found.app)
    )
    await conn.fetch("DELETE FROM developer_change WHERE app = %s", (found.app,))


async def _refuse(conn: Connection, found: Change, reason: str, now: datetime) -> None:
    await conn.fetch(
        "UPDATE developer_change SET state = 'refused', reason = %s, decided = %s WHERE app = %s",
        (reason, now, found.app),
    )
