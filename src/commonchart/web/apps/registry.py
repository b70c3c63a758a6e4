"""The apps of the site, for administrators: registering, looking at what one asks for, approving, refusing, disabling.

What a developer registered or wants to change is decided by the revision that was shown, never by a later one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.responses import Response

from commonchart.access import scopes
from commonchart.access.developers import keeping, registrations
from commonchart.access.oauth import apps
from commonchart.access.oauth.apps import App, State
from commonchart.access.people import notices
from commonchart.fhir.outcome import Invalid
from commonchart.record import site
from commonchart.web.apps import typed
from commonchart.web.call import Call, go
from commonchart.web.present.scopes import choices
from commonchart.web.session import form, plain

if TYPE_CHECKING:
    from commonchart.record.database import Connection

STATES = {
    "waiting": ("unknown", "Waits for approval"),
    "approved": ("done", "Approved"),
    "disabled": ("not", "Disabled"),
    "refused": ("not", "Refused"),
    "withdrawn": ("not", "Withdrawn by its developer"),
}
DECISIONS: dict[str, State] = {"approved": "approved", "disabled": "disabled", "refused": "refused"}


async def page(call: Call) -> Response:
    """Every app; what waits for a decision first."""
    apps.require_administrator(call.actor)
    database, tenant = call.request.app.state.database, call.actor.tenant
    found = await apps.listed(database, tenant)
    async with database.single() as conn:
        changing = await keeping.waiting(conn, tenant)
        mute = await _mute(call, conn)
    found.sort(key=lambda app: app.state != "waiting" and app.id not in changing)
    return call.page(
        "apps/list.html", title="Apps", apps=found, states=STATES, audiences=dict(typed.AUDIENCES), changing=changing,
        mute=mute,
    )  # fmt: skip


async def _mute(call: Call, conn: Connection) -> str:
    """Why the links that developers wait for cannot be sent, or the last was not; "" where they can or none are offered."""
    settings = call.request.app.state.settings
    offered = (getattr(settings, name, "off") for name in ("developer_registration", "dynamic_registration"))
    if "on" not in offered:
        return ""
    if not str(getattr(settings, "address", "")).startswith("https://"):
        return "this site has no public https address"
    if not await site.get(conn, call.actor.tenant, site.SMTP):
        return "this site has no mail server set up"
    why = await notices.stuck(conn, call.actor.tenant)
    return f"the last letter could not be sent and is tried again for a day ({why})" if why else ""


async def new(call: Call) -> Response:
    """The empty form."""
    apps.require_administrator(call.actor)
    return _form(call, typed.DEFAULTS, [])


async def create(call: Call) -> Response:
    """Register an app; its secret is shown this once."""
    given = typed.read(await form(call.request))
    try:
        made = await apps.register(call.request.app.state.database, call.actor, typed.app(given), call.now)
    except Invalid as refusal:
        return _form(call, given, typed.issues_of(refusal), refusal.status)
    app, secret = made
    return await _one(call, app, secret)


async def one(call: Call) -> Response:
    """What one app is and asks for."""
    apps.require_administrator(call.actor)
    return await _one(call, await _app(call))


async def act(call: Call) -> Response:
    """Approve it, refuse it, disable it, decide on a change that its developer asks for, or give it another secret."""
    sent = plain(await form(call.request))
    try:
        return await _acted(call, sent)
    except Invalid as refusal:
        if not any(issue.at == "reason" for issue in refusal.issues):
            raise
        return await _one(call, await _app(call), "", typed.issues_of(refusal), sent)


async def _acted(call: Call, sent: Mapping[str, str]) -> Response:
    todo, id, database = sent.get("do", ""), call.request.path_params["app"], call.request.app.state.database
    if todo == "secret":
        secret = await apps.new_secret(database, call.actor, id, call.now)
        return await _one(call, await _app(call), secret)
    reason = sent.get("reason", "")
    if todo in DECISIONS:
        seen = None if todo == "disabled" else _revision(sent, "revision")
        await apps.decide(database, call.actor, id, DECISIONS[todo], call.now, revision=seen, reason=reason)
    elif todo in ("change-approved", "change-refused"):
        agreed, seen = todo == "change-approved", _revision(sent, "change") or 0
        await keeping.decide_change(database, call.actor, id, seen, call.now, agreed=agreed, reason=reason)
    else:
        raise Invalid("The form is not complete: open it again")
    return go(f"/apps/{id}")


def _revision(sent: Mapping[str, str], name: str) -> int:
    """The revision that was shown. Raises Invalid where none is said: then nobody knows what was looked at."""
    text = sent.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid("The form is not complete: open it again")
    return int(text)


async def _app(call: Call) -> App:
    return await apps.one(call.request.app.state.database, call.actor.tenant, call.request.path_params["app"])


def _form(call: Call, given: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200) -> Response:
    values = dict.fromkeys(typed.FIELDS, "") | dict(given)
    return call.page(
        "apps/new.html", status, idle=False, title="Register an app", values=values, issues=issues,
        errors=typed.errors_of(issues), kinds=typed.KINDS, audiences=typed.AUDIENCES,
    )  # fmt: skip


async def _one(
    call: Call, app: App, secret: str = "", issues: list[tuple[str, str]] | None = None, sent: Mapping[str, str] | None = None
) -> Response:  # fmt: skip
    database, (mark, state) = call.request.app.state.database, STATES[app.state]
    change = None
    if app.publisher:
        async with database.single() as conn:
            change = await keeping.change_of(conn, app.id)
    waits = change if change is not None and change.state == "waiting" and app.state == "approved" else None
    lines = keeping.difference(app, waits.asked) if waits else []
    return call.page(
        "apps/one.html", 422 if issues else 200, title=app.name, app=app, mark=mark, state=state,
        choices=choices(app.registered), secret=secret, kind=dict(typed.KINDS)[app.kind],
        audience=dict(typed.AUDIENCES)[app.audience], created=call.zone.stamp(app.created),
        decided=call.zone.stamp(app.decided) if app.decided else "", writes=_writes(app.scopes),
        contact=await registrations.contact(database, app.tenant, app.id) if app.publisher else None, change=waits,
        lines=lines, labels=typed.LABELS, asked=call.zone.stamp(waits.created) if waits else "",
        gains=choices([text for line in lines if line.field == "scopes" for text in line.after if text in line.added]),
        issues=issues or [], errors=typed.errors_of(issues or []), typed=dict(sent or {}),
    )  # fmt: skip


def _writes(texts: str) -> bool:
    return any(set("cud") & set(one.letters) for one in scopes.resources(scopes.split(texts)))
