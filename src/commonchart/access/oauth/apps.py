"""Registered apps: who they are, what they may ask for, and that an administrator has approved them."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from commonchart.access import audit, credentials, scopes, users
from commonchart.access.actors import Actor
from commonchart.access.oauth import assertions, names
from commonchart.access.people import notices
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, Issue, NotFound
from commonchart.record.keys import hash64

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

Kind = Literal["public", "secret", "key"]
Audience = Literal["patient", "clinician", "both", "backend"]
State = Literal["waiting", "approved", "disabled", "refused", "withdrawn"]
"""Refused and withdrawn are apps that a developer registered: not approved, for a reason; taken back by the developer, for good."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_URIS = 20
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")  # RFC 8252, section 7.1: a name in reverse
_COLUMNS = (
    "tenant, id, name, about, kind, secret, jwks, jwks_url, redirect_uris, launch_url, scopes, audience, state, actor, "
    "created, decided_by, decided, publisher, terms_url, policy_url, revision, reason"
)
CHANGED = "Its developer has changed it since you opened this page: look at it again before you decide"


class NewApp(Struct, frozen=True, kw_only=True):
    """What is registered. `scopes` is a list with spaces between; `jwks` JSON; a URL of keys or the keys, not both."""

    name: str
    about: str = ""
    kind: Kind = "public"
    audience: Audience = "both"
    redirect_uris: tuple[str, ...] = ()
    launch_url: str = ""
    scopes: str = ""
    jwks: str = ""
    jwks_url: str = ""
    terms_url: str = ""
    policy_url: str = ""


class App(Struct, frozen=True):
    """One registered app. `id` is its client_id; `secret` the digest of its secret.

    `publisher` is the organisation that its developer named, "" for an app that an administrator registered.
    """

    tenant: int
    id: str
    name: str
    about: str
    kind: Kind
    secret: bytes | None
    jwks: str
    jwks_url: str
    redirect_uris: list[str]
    launch_url: str
    scopes: str
    audience: Audience
    state: State
    actor: str
    created: datetime
    decided_by: str
    decided: datetime | None
    publisher: str
    terms_url: str
    policy_url: str
    revision: int
    reason: str

    @property
    def registered(self) -> tuple[str, ...]:
        """The scopes it may ask for."""
        return scopes.split(self.scopes)

    def proves(self, secret: str) -> bool:
        """Whether this is its secret, in constant time."""
        digest = sha256(secret.encode()).digest()
        return hmac.compare_digest(digest, self.secret or b"\0" * 32) and self.secret is not None


def require_administrator(actor: Actor) -> None:
    """Raises Forbidden: apps are approved by administrators, in person and not through an app."""
    if actor.role != "administrator" and not (actor.role == "system" and actor.client == "cli"):
        raise Forbidden("Apps are kept by administrators")
    if actor.app:
        raise Forbidden("Apps are not kept through an app")


async def register(database: Database, actor: Actor, new: NewApp, now: datetime) -> tuple[App, str]:
    """A new app that waits for approval, and its secret ("" for those that have none), shown this once.

    Raises Forbidden, Invalid (by field).
    """
    require_administrator(actor)
    _check(new)
    secret = secrets.token_urlsafe(32) if new.kind == "secret" else ""
    async with database.connection() as conn:
        app = await keep(conn, actor, secrets.token_hex(16), new, now, secret=secret)
        await audit.note(conn, actor, now, "register-app", id=app.id, detail=app.name)
    return app, secret


async def keep(
    conn: Connection, actor: Actor, id: str, new: NewApp, now: datetime, *, secret: str = "", publisher: str = ""
) -> App:  # fmt: skip
    """Store a new app that waits for approval, in the transaction of the connection; the caller has checked and notes it."""
    rows = await conn.fetch(
        "INSERT INTO app (tenant, id, name, about, kind, secret, jwks, jwks_url, redirect_uris, launch_url, scopes, "
        "audience, state, actor, created, publisher, terms_url, policy_url) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'waiting', %s, %s, %s, %s, %s) "
        f"RETURNING {_COLUMNS}",
        (
            actor.tenant, id, new.name.strip(), new.about.strip(), new.kind, _digest(secret), new.jwks.strip(),
            new.jwks_url.strip(), list(new.redirect_uris), new.launch_url.strip(), tidy(new.scopes), new.audience,
            actor.user, now, publisher, new.terms_url.strip(), new.policy_url.strip(),
        ),
    )  # fmt: skip
    return App(*rows[0])


def tidy(text: str) -> str:
    """Scopes as they are kept: each once, with one blank between."""
    return " ".join(scopes.split(text))


def _digest(secret: str) -> bytes | None:
    return sha256(secret.encode()).digest() if secret else None


async def listed(database: Database, tenant: int, state: State | None = None) -> list[App]:
    """The apps of a tenant by name."""
    async with database.single() as conn:
        cursor = await conn.execute(
            f"SELECT {_COLUMNS} FROM app WHERE tenant = %s AND (%s::text IS NULL OR state = %s) ORDER BY lower(name), id",
            (tenant, state, state),
        )
        return [App(*row) for row in await cursor.fetchall()]


async def find(conn: Connection, id: str) -> App | None:
    """The app with this client_id."""
    row = await (
        await conn.execute(f"SELECT {_COLUMNS} FROM app WHERE id = %s", (id[:100].replace("\0", ""),))
    ).fetchone()
    return App(*row) if row else None


async def one(database: Database, tenant: int, id: str) -> App:
    """The app with this client_id. Raises NotFound."""
    async with database.single() as conn:
        found = await find(conn, id)
    if found is None or found.tenant != tenant:
        raise NotFound("There is no app with this id")
    return found


async def decide(
    database: Database, actor: Actor, id: str, state: State, now: datetime, *, revision: int | None = None, reason: str = ""
) -> App:  # fmt: skip
    """Approve an app, refuse one that waits, or disable it: then all that people allowed it ends, for good.

    A backend service works for the organisation of whoever approves it first. `revision` is the one that was looked at; a
    developer who registered it is told. Raises Forbidden, NotFound, Invalid, Conflict (another revision; withdrawn).
    """
    require_administrator(actor)
    app = await one(database, actor.tenant, id)
    _may_become(app, state, revision, reason)
    if state == "approved" and app.audience == "backend":
        await _service_user(database, app, actor.org, now)
    async with database.connection() as conn:
        rows = await conn.fetch(
            "UPDATE app SET state = %s, decided_by = %s, decided = %s, reason = %s WHERE id = %s AND state <> 'withdrawn' "
            "AND (%s = 'disabled' OR (revision = %s AND state = %s)) RETURNING 1",
            (state, actor.user, now, reason.strip(), id, state, app.revision, app.state),
        )
        if not rows:
            raise Conflict(CHANGED)
        if state != "approved":
            await end_grants(conn, id, "the app was disabled", now)
        elif app.state == "refused":
            await name_is_free(conn, actor.tenant, app.name, id)
        await notices.to_developer(conn, id, _TOLD[state], now, reason.strip())
        await audit.note(conn, actor, now, _DONE[state], id=id, detail=app.name)
    credentials.forget()
    return await one(database, actor.tenant, id)


_DONE = {"approved": "approve-app", "disabled": "disable-app", "refused": "refuse-app"}
_TOLD: dict[str, notices.Kind] = {
    "approved": "app-approved",
    "disabled": "app-disabled",
    "refused": "app-refused",
}
LONGEST_REASON = 500


def _may_become(app: App, state: State, revision: int | None, reason: str) -> None:
    if app.state == "withdrawn":
        raise Conflict("Its developer has withdrawn this app")
    if revision is not None and revision != app.revision:
        raise Conflict(CHANGED)
    if state == "refused":
        if app.state != "waiting" or not app.publisher:
            raise Conflict("Only an app that a developer registered, and that waits, is refused")
        require_reason(reason)


TAKEN = "There is an app with this name, or with one that looks like it: choose another"


async def name_is_free(conn: Connection, tenant: int, name: str, besides: str = "") -> None:
    """Raises Conflict where another app has this name, or one that looks like it; of two at the same moment one waits.

    What was refused or withdrawn holds no name.
    """
    await conn.fetch("SELECT pg_advisory_xact_lock(%s)", (hash64(f"{tenant}\x1fapp names"),))
    rows = await conn.fetch(
        "SELECT name FROM app WHERE tenant = %s AND id <> %s AND state NOT IN ('refused', 'withdrawn')",
        (tenant, besides),
    )
    if names.alike(name, (row[0] for row in rows)):
        raise Conflict(TAKEN, at="name")


def require_reason(reason: str) -> None:
    """Raises Invalid unless a reason is given that a developer can be told."""
    if not 0 < len(reason.strip()) <= LONGEST_REASON:
        raise Invalid(f"Say why, in at most {LONGEST_REASON} characters: the developer reads it", at="reason")


async def end_grants(conn: Connection, id: str, why: str, now: datetime) -> None:
    """End everything that people allowed an app, in the transaction of the connection."""
    await conn.fetch(
        "UPDATE app_grant SET revoked = %s, why = %s WHERE app = %s AND revoked IS NULL AND actor <> %s",
        (now, why, id, service_user(id)),
    )
    await credentials.tell(conn)


async def new_secret(database: Database, actor: Actor, id: str, now: datetime) -> str:
    """Another secret for an app; the old one is of no use any more. Raises Forbidden, NotFound, Invalid.

    The secret of an app that a developer registered is shown to nobody else: see `access.developers.keeping`.
    """
    require_administrator(actor)
    app = await one(database, actor.tenant, id)
    if app.kind != "secret":
        raise Invalid("This app has no secret")
    if app.publisher:
        raise Invalid("The developer of this app makes its secret, on their own page")
    async with database.connection() as conn:
        secret = await change_secret(conn, id)
        await audit.note(conn, actor, now, "new-app-secret", id=id)
    return secret


async def change_secret(conn: Connection, id: str) -> str:
    """A new secret, of which the digest is kept, in the transaction of the connection; the caller has looked who asks."""
    secret = secrets.token_urlsafe(32)
    await conn.fetch("UPDATE app SET secret = %s WHERE id = %s", (_digest(secret), id))
    return secret


def service_login(id: str) -> str:
    """The login of the program user that a backend service acts as; nobody can sign in as it."""
    return f"app-{sha256(id.encode()).hexdigest()[:32]}"


def service_user(id: str) -> str:
    """The id of that user."""
    return users.id_of(service_login(id))


async def _service_user(database: Database, app: App, org: str, now: datetime) -> None:
    try:
        await users.find(database, service_login(app.id))
    except NotFound:
        await users.create(
            database, tenant=app.tenant, login=service_login(app.id), name=app.name[:60], role="system", org=org, now=now
        )  # fmt: skip


# ---- what may be registered --------------------------------------------------------------------------------------


def _check(new: NewApp) -> None:
    """Raises Invalid with an issue per bad field."""
    issues = problems(new)
    if issues:
        raise Invalid(issues=issues)


def problems(new: NewApp) -> list[Issue]:
    """What is wrong with an app that somebody wants to register, by field."""
    return [*_named(new), *_addresses(new), *_pages(new), *_keys(new), *_asked(new)]


def _named(new: NewApp) -> Sequence[Issue]:
    out = []
    if not 0 < len(new.name.strip()) <= names.LONGEST:
        out.append(Issue("required", "Enter the name of the app, at most 100 characters", "name"))
    elif names.unseen(new.name):
        out.append(Issue("invalid", "The name holds a character that cannot be seen", "name"))
    if len(new.about) > 1000:
        out.append(Issue("too-long", "What it does must be 1000 characters or fewer", "about"))
    elif names.unseen(" ".join(new.about.split())):
        out.append(Issue("invalid", "What it does holds a character that cannot be seen", "about"))
    if new.kind not in get_args(Kind):
        out.append(Issue("value", "Choose how the app proves who it is", "kind"))
    if new.audience not in get_args(Audience):
        out.append(Issue("value", "Choose who uses the app", "audience"))
    return out


def _addresses(new: NewApp) -> Sequence[Issue]:
    out = []
    if new.audience == "backend":
        if new.redirect_uris or new.launch_url:
            out.append(Issue("invalid", "A backend service has no redirect addresses", "redirect_uris"))
    elif not 0 < len(new.redirect_uris) <= MAX_URIS:
        out.append(Issue("required", f"Enter 1 to {MAX_URIS} redirect addresses", "redirect_uris"))
    out += [
        Issue("invalid", f"{words}: {uri[:200]}", "redirect_uris")
        for uri in new.redirect_uris
        if (words := wrong_redirect(uri, new.kind))
    ]
    if new.launch_url and (words := wrong_redirect(new.launch_url, "secret")):
        out.append(Issue("invalid", words, "launch_url"))
    return out


def wrong_redirect(uri: str, kind: Kind) -> str:
    """What is wrong with a redirect address, "" for nothing: https, http to this very machine, or a native app's own scheme."""
    if len(uri) > 500 or not uri.isascii() or not uri.isprintable() or re.search(r"[\s\\*;,\"'<>]", uri):
        return "An address is plain ASCII of at most 500 characters, without blanks, quotes, * ; and ,"
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises for one that is none
    except ValueError:
        return "The address cannot be read"
    if parts.fragment or "#" in uri or "@" in parts.netloc:
        return "An address has no fragment and no user name"
    if (parts.scheme == "https" and host) or (parts.scheme == "http" and host in LOOPBACK):
        return ""
    if kind == "public" and _PRIVATE_SCHEME.fullmatch(parts.scheme):
        return ""
    return "An address begins with https://, with http://127.0.0.1 or localhost, or (public apps) with a scheme such as org.example.app:"


def _pages(new: NewApp) -> Sequence[Issue]:
    """The pages about it that people can open from the consent page."""
    return [
        Issue("invalid", "The address of a page begins with https://", at)
        for at, uri in (("terms_url", new.terms_url), ("policy_url", new.policy_url))
        if uri and (not uri.startswith("https://") or wrong_redirect(uri, "key"))
    ]


def _keys(new: NewApp) -> Sequence[Issue]:
    if new.kind != "key":
        return (
            [Issue("invalid", "Only an app that signs has keys", "jwks")] if new.jwks or new.jwks_url else []
        )
    if bool(new.jwks.strip()) == bool(new.jwks_url.strip()):
        return [
            Issue(
                "required", "Enter the address of the app's public keys, or the keys themselves", "jwks_url"
            )
        ]
    if new.jwks_url:
        words = "The address of keys begins with https://"
        return [] if new.jwks_url.startswith("https://") and not wrong_redirect(new.jwks_url, "key") else [Issue("invalid", words, "jwks_url")]  # fmt: skip
    try:
        assertions.keys_of(new.jwks.encode())
    except Invalid as refusal:
        return [Issue("invalid", str(refusal), "jwks")]
    return []


def _asked(new: NewApp) -> Sequence[Issue]:
    known = scopes.split(new.scopes)
    unknown = [text for text in new.scopes.split() if text not in known]
    if unknown:
        return [Issue("value", f"This scope is not known here: {unknown[0][:100]}", "scopes")]
    resources = scopes.resources(known)
    if not resources:
        return [Issue("required", "Enter the scopes that the app may ask for", "scopes")]
    system = [one for one in resources if one.context == "system"]
    if new.audience == "backend":
        wrong = len(system) < len(known)
        out = (
            [Issue("value", "A backend service has scopes that begin with system/ only", "scopes")]
            if wrong
            else []
        )
        return out + (
            [Issue("value", "A backend service proves itself by keys", "kind")] if new.kind != "key" else []
        )
    return (
        [Issue("value", "Scopes that begin with system/ are for backend services", "scopes")]
        if system
        else []
    )


def decoded(text: str) -> Any:
    """JSON that was kept. `{}` for nothing."""
    return msgspec.json.decode(text or "{}")
