"""The apps of the site, for administrators: registering, looking at what one asks for, approving, disabling, a new secret."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from commonchart.access import scopes
from commonchart.access.oauth import apps
from commonchart.access.oauth.apps import App, NewApp
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call, go
from commonchart.web.present import dates
from commonchart.web.present.scopes import choices
from commonchart.web.session import form

FIELDS = (
    "name", "about", "kind", "audience", "redirect_uris", "launch_url", "scopes", "jwks_url", "jwks",
)  # fmt: skip
KINDS = [
    ("public", "By nothing: it runs in a browser or on a phone (PKCE protects it)"),
    ("secret", "By a secret that it keeps on its server"),
    ("key", "By signing with its own key (best)"),
]
AUDIENCES = [
    ("clinician", "Clinicians and other staff"),
    ("patient", "Patients"),
    ("both", "Both"),
    ("backend", "Nobody: it is a program that works by itself"),
]
STATES = {
    "waiting": ("unknown", "Waits for approval"),
    "approved": ("done", "Approved"),
    "disabled": ("not", "Disabled"),
}
DEFAULTS = {"kind": "public", "audience": "clinician"}


async def page(call: Call) -> Response:
    """Every app."""
    apps.require_administrator(call.actor)
    found = await apps.listed(call.request.app.state.database, call.actor.tenant)
    return call.page("apps/list.html", title="Apps", apps=found, states=STATES, audiences=dict(AUDIENCES))


async def new(call: Call) -> Response:
    """The empty form."""
    apps.require_administrator(call.actor)
    return _form(call, DEFAULTS, [])


async def create(call: Call) -> Response:
    """Register an app; its secret is shown this once."""
    sent = await form(call.request)
    typed = {name: str(sent.get(name, "")).replace("\0", "") for name in FIELDS}
    try:
        app, secret = await apps.register(call.request.app.state.database, call.actor, _new(typed), call.now)
    except Invalid as refusal:
        return _form(call, typed, [(issue.at, issue.message) for issue in refusal.issues], refusal.status)
    return _one(call, app, secret)


async def one(call: Call) -> Response:
    """What one app is and asks for."""
    apps.require_administrator(call.actor)
    id = call.request.path_params["app"]
    return _one(call, await apps.one(call.request.app.state.database, call.actor.tenant, id), "")


async def act(call: Call) -> Response:
    """Approve it, disable it, or give it another secret."""
    todo, id = (await form(call.request)).get("do", ""), call.request.path_params["app"]
    database = call.request.app.state.database
    if todo == "secret":
        secret = await apps.new_secret(database, call.actor, id, call.now)
        return _one(call, await apps.one(database, call.actor.tenant, id), secret)
    if todo not in ("approved", "disabled"):
        raise Invalid("The form is not complete: open it again")
    await apps.decide(database, call.actor, id, "approved" if todo == "approved" else "disabled", call.now)
    return go(f"/apps/{id}")


def _new(typed: Mapping[str, str]) -> NewApp:
    rest = {name: typed[name] for name in FIELDS if name not in ("redirect_uris", "scopes")}
    return NewApp(
        **rest,  # type: ignore[arg-type]
        redirect_uris=tuple(typed["redirect_uris"].split()),
        scopes=" ".join(typed["scopes"].split()),
    )


def _form(call: Call, typed: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200) -> Response:
    values = dict.fromkeys(FIELDS, "") | dict(typed)
    errors = {at: message for at, message in reversed(issues) if at}
    return call.page(
        "apps/new.html", status, idle=False, title="Register an app", values=values, issues=issues, errors=errors,
        kinds=KINDS, audiences=AUDIENCES,
    )  # fmt: skip


def _one(call: Call, app: App, secret: str) -> Response:
    mark, state = STATES[app.state]
    return call.page(
        "apps/one.html", title=app.name, app=app, mark=mark, state=state, choices=choices(app.registered),
        secret=secret, kind=dict(KINDS)[app.kind], audience=dict(AUDIENCES)[app.audience],
        created=dates.stamp(app.created), decided=dates.stamp(app.decided) if app.decided else "",
        writes=any(set("cud") & set(one.letters) for one in scopes.resources(app.registered)),
    )  # fmt: skip
