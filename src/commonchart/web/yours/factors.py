"""Second factors of one's own: an authenticator app, passkeys, recovery codes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from starlette.responses import Response

from commonchart.access.people import factors, passkeys
from commonchart.access.people.factors import Factor
from commonchart.fhir.outcome import Conflict, Invalid, NotFound
from commonchart.web import arrival
from commonchart.web.call import Call, go
from commonchart.web.present import pictures
from commonchart.web.session import form, plain, signing_key
from commonchart.web.whence import passkey_site, passkeys_work
from commonchart.web.yours import look

HERE = "/account/factors"
SAID = {
    "removed": "Removed.", "renamed": "The new name is kept.", "made": "The passkey is kept. You can sign in with it from now on.",
}  # fmt: skip
Issues = list[tuple[str, str]]


async def page(call: Call) -> Response:
    """What there is, and what can be added."""
    return await _page(call)


async def act(call: Call) -> Response:
    """Add a passkey, name or remove a factor, or make new recovery codes."""
    sent = plain(await form(call.request))
    todo, id = sent.get("do", ""), sent.get("factor", "")[:64]
    try:
        if todo == "passkey":
            return await _made(call, sent.get("made", ""), sent.get("label", ""))
        if todo == "renew":
            return await _renewed(call)
        if todo == "remove":
            await factors.remove(call.records.database, call.actor, id, call.now)
            return go(f"{HERE}?said=removed")
        if todo == "rename":
            await factors.rename(call.records.database, call.actor, id, sent.get(f"label-{id}", ""))
            return go(f"{HERE}?said=renamed")
    except (Conflict, Invalid) as refusal:
        at = {"rename": f"label-{id}"}.get(todo, "")
        return await _page(call, refusal.status, [(at, refusal.issues[0].message)])
    raise Invalid("The form is not complete: open it again")


async def _page(call: Call, status: int = 200, issues: Issues | None = None) -> Response:
    async with call.records.database.single() as conn:
        found, left = await factors.listed(conn, call.actor.user)
        required = await factors.must_have(conn, call.actor.tenant, call.actor.user)
    when = look.moments(call)
    return await look.page(
        call, "factors.html", "Signing in with a second step", status, issues=issues or [], errors=dict(issues or []),
        app=next((_line(one, when) for one in found if one.kind == "totp"), None), left=left, required=required,
        keys=[_line(one, when) for one in found if one.kind == "passkey"], passkeys=passkeys_work(call.request),
        said=SAID.get(call.request.query_params.get("said", ""), ""),
    )  # fmt: skip


def _line(one: Factor, when: Callable[[datetime], str]) -> dict[str, str]:
    return {
        "id": one.id, "label": one.label, "created": when(one.created),
        "used": when(one.used) if one.used else "",
    }  # fmt: skip


async def _made(call: Call, answer: str, label: str) -> Response:
    codes = await passkeys.add(
        call.records.database,
        signing_key(call.request),
        call.actor,
        answer,
        label,
        call.now,
        passkey_site(call.request),
    )
    return await _codes(call, codes, "The passkey is kept.") if codes else go(f"{HERE}?said=made")


async def _renewed(call: Call) -> Response:
    async with call.records.database.connection() as conn:
        if not await factors.kinds(conn, call.actor.user):
            raise NotFound("Recovery codes come with an authenticator app or a passkey: set one up first")
        codes = await factors.renew(conn, signing_key(call.request), call.actor, call.now)
    return await _codes(call, codes, "The codes that you had before open nothing any more.")


async def _codes(call: Call, codes: list[str], said: str) -> Response:
    assert call.session is not None
    return await look.page(
        call,
        "codes.html",
        "Your recovery codes",
        codes=codes,
        said=said,
        whose=await arrival.whose(call.request, call.session),
    )


async def options(call: Call) -> Response:
    """What the browser is asked for to make a passkey, as JSON."""
    login = await factors.login_of(call.records.database, call.actor)
    asked = await passkeys.to_make(
        call.records.database,
        signing_key(call.request),
        call.actor,
        login,
        call.now,
        passkey_site(call.request),
    )
    return Response(asked, media_type="application/json")


async def app(call: Call) -> Response:
    """Begin with an authenticator app: the picture, the key, and the field for its first code."""
    return await _app(call)


async def confirm(call: Call) -> Response:
    """Its first code: from now on it counts. The recovery codes are shown this once."""
    code = plain(await form(call.request)).get("code", "")[:20]
    try:
        codes = await factors.confirm(
            call.records.database, signing_key(call.request), call.actor, code, call.now
        )
    except Invalid as refusal:
        return await _app(call, 422, [("code", refusal.issues[0].message)])
    return await _codes(call, codes, "Your authenticator app is set up.")


async def _app(call: Call, status: int = 200, issues: Issues | None = None) -> Response:
    login = await factors.login_of(call.records.database, call.actor)
    begun = await factors.begin(call.records.database, signing_key(call.request), call.actor, login, call.now)
    return await look.page(
        call, "app.html", "Set up an authenticator app", status, issues=issues or [], errors=dict(issues or []),
        picture=pictures.qr(begun.address), key=pictures.groups(begun.key),
    )  # fmt: skip
