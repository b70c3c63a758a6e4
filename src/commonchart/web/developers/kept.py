"""What developers see and do with their own apps, in the half hour that a link gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from commonchart.access.developers import keeping, links, registrations
from commonchart.access.developers.keeping import Kept
from commonchart.access.developers.links import Developer
from commonchart.fhir.outcome import Conflict, Invalid, Throttled
from commonchart.settings import public_address
from commonchart.web.apps import typed
from commonchart.web.call import go
from commonchart.web.developers import door
from commonchart.web.present.scopes import choices
from commonchart.web.session import site

STATES = {
    "unproven": ("unknown", "Waits for you to confirm it"),
    "waiting": ("unknown", "Waits for approval"),
    "approved": ("done", "Approved"),
    "disabled": ("not", "Disabled by the practice"),
    "refused": ("not", "Not approved"),
    "withdrawn": ("not", "Withdrawn"),
}
SAID = {
    "proven": "Your e-mail address is confirmed. The app waits for approval now; you get an e-mail when it is decided.",
    "changed": "Kept. The app waits for approval as it stands now.",
    "asked": "Your change waits for approval. Until then the app works as it was approved.",
    "back": "Your change is taken back.",
    "withdrawn": "The app is withdrawn. Everything that people allowed it has ended.",
    "discarded": "The registration is gone.",
}
Typed = Mapping[str, str]


@door.known
async def page(request: Request, who: Developer) -> Response:
    """Everything that this address registered."""
    found = await keeping.listed(request.app.state.database, who)
    zone = (await site(request, door.TENANT)).zone
    lines = [(one, STATES[_state(one)], zone.stamp(one.registration.created)) for one in found]
    return await door.page(request, "apps.html", "Your apps", who=who, lines=lines, said=_said(request))


@door.known
async def one(request: Request, who: Developer) -> Response:
    """One of them."""
    return await _one(request, await _found(request, who))


@door.known
async def act(request: Request, who: Developer) -> Response:
    """Confirm or discard a registration; get the secret, ask for a change or take it back, withdraw."""
    sent = await door.sent(request)
    found = await _found(request, who)
    id, state = found.registration.id, request.app.state
    try:
        if sent.get("do") == "secret":
            secret = await keeping.secret(state.database, who, id, state.clock())
            return await _one(request, await _found(request, who), secret=secret)
        said = await _acted(request, who, found, sent)
    except Invalid as refusal:
        return await _one(request, found, sent, typed.issues_of(refusal), 422)
    except (Conflict, Throttled) as refusal:
        return await _one(request, found, sent, [("", refusal.issues[0].message)], refusal.status)
    return go(f"{door.PATH}/apps{'' if said == 'discarded' else f'/{id}'}?said={said}")


@door.known
async def leave(request: Request, who: Developer) -> Response:
    """End the session."""
    state = request.app.state
    await links.end(state.database, request.cookies.get(door.COOKIE, ""), state.clock())
    response = go(door.PATH)
    response.delete_cookie(door.COOKIE, path=door.PATH)
    return response


async def _acted(request: Request, who: Developer, found: Kept, sent: Typed) -> str:
    """Do it; what is said of it then."""
    args = request.app.state.database, who, found.registration.id
    todo, now = sent.get("do", ""), request.app.state.clock()
    if todo == "confirm":
        await registrations.confirm(*args, now)
        return "proven"
    if todo == "discard":
        await registrations.discard(*args, now)
        return "discarded"
    if todo == "change":
        await keeping.change(*args, typed.app({name: sent.get(name, "") for name in keeping.FIELDS}), now)
        return "asked" if found.app is not None and found.app.state == "approved" else "changed"
    if todo == "back":
        await keeping.take_back(*args, now)
        return "back"
    if todo == "withdraw" and sent.get("sure") == "yes":
        await keeping.withdraw(*args, now)
        return "withdrawn"
    if todo == "withdraw":
        raise Invalid("Tick that you are sure", at="sure")
    raise Invalid("The form is not complete: open it again")


async def _found(request: Request, who: Developer) -> Kept:
    return await keeping.one(request.app.state.database, who, request.path_params["app"])


def _state(found: Kept) -> str:
    return found.app.state if found.app else "unproven"


def _said(request: Request) -> str:
    return SAID.get(request.query_params.get("said", ""), "")


async def _one(
    request: Request, found: Kept, sent: Typed | None = None, issues: list[tuple[str, str]] | None = None, status: int = 200,
    secret: str = "",
) -> Response:  # fmt: skip
    app, now = found.app, keeping.as_asked(found.app) if found.app else found.registration.asked
    zone = (await site(request, door.TENANT)).zone
    change = found.change if app is not None and app.state == "approved" else None
    editing = sent is not None and sent.get("do") == "change"
    values = typed.of_app(change.asked if change and change.state == "waiting" else now)
    more: dict[str, Any] = {
        "found": found, "app": app, "now": now, "state": STATES[_state(found)], "secret": secret, "change": change,
        "lines": keeping.difference(app, change.asked) if app and change else [], "labels": typed.LABELS,
        "values": values | (dict(sent) if editing and sent else {}), "issues": issues or [], "errors": typed.errors_of(issues or []),
        "kind": dict(typed.KINDS)[now.kind], "audience": dict(typed.AUDIENCES)[now.audience],
        "choices": choices(now.scopes.split()), "created": zone.stamp(found.registration.created), "said": _said(request),
        "changes": app is not None and app.state in ("waiting", "approved", "refused"), "editing": editing,
        "address": public_address(request.app.state.settings, request.url.scheme, request.url.netloc),
    }  # fmt: skip
    return await door.page(request, "app.html", now.name, status, **more)
