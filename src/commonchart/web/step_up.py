"""Step-up: before a dangerous act whoever is signed in shows again that it is them; five minutes are then free.

`stepped_up(view)` is all that a route needs. A form goes on with everything that was typed in it, as hidden fields of the page
that asks; an address that was only opened is opened again afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace as changed
from starlette.responses import Response

from commonchart.access import signin
from commonchart.access.people import factors
from commonchart.access.people.passkeys import to_ask
from commonchart.access.signin import Proof
from commonchart.fhir.outcome import Throttled, Unauthenticated
from commonchart.web.call import Call, go
from commonchart.web.links import local
from commonchart.web.session import View, form, signing_key
from commonchart.web.whence import origin, passkey_site, passkeys_work
from commonchart.web.yours import look

PROOFS = ("proof_password", "proof_code", "proof_passkey")
AT = "/step-up"
SAFE = "/?&=%#:+,@!$'()*~"


class Wanted(Struct, frozen=True):
    """What may be shown: the password of who has no second factor, else a code (of an `app`, or for recovery), or a passkey."""

    password: bool
    code: bool
    app: bool
    passkey: bool


def stepped_up(
    view: View, doing: str, *, carry: bool = True, file: bool = False, second: bool = False
) -> View:
    """The view, for who has shown a factor within five minutes; others are asked for one and then go on.

    `doing` goes on after "You are about to" on the page that asks.
    `carry=False` for forms with new passwords: they are opened anew. `file` for what the browser saves instead of showing.
    `second`: a password was not enough where there is a second factor, nor was a recovery code.
    """

    async def answer(call: Call) -> Response:
        posted = call.request.method == "POST"
        sent = _texts(await form(call.request)) if posted else []
        if posted and any(name in PROOFS and value for name, value in sent):
            issues, status, call = await _shown(call, dict(sent))
            if issues:
                return await _ask(call, sent if carry else [], status, issues, doing=doing, file=file)
        elif not call.fresh or (second and await _only_first(call)):
            return await _ask(call, sent if carry else [], 403, [], doing=doing, file=file)
        return await view(call)

    return answer


async def _only_first(call: Call) -> bool:
    """Whether there is a second factor, and something else was shown last."""
    assert call.session is not None
    if call.session.second:
        return False
    async with call.records.database.single() as conn:
        return bool(await factors.kinds(conn, call.actor.user))


async def page(call: Call) -> Response:
    """After what was shown on its own: on to the address that asked for it."""
    sent = dict(_texts(await form(call.request)))
    target, file = local(sent.get("next", "/")), sent.get("then") == "file"
    issues, status, call = await _shown(call, sent)
    if issues:
        return await _ask(call, [], status, issues, target=target, file=file)
    if not file:
        return go(target)
    response = await look.page(call, "step-up-file.html", "The file is on its way", target=target, idle=False)
    response.headers["refresh"] = f"0; url={quote(target, safe=SAFE)}"
    return response


async def options(call: Call) -> Response:
    """What a passkey of whoever is signed in is asked to sign, as JSON."""
    asked = await to_ask(
        call.records.database,
        signing_key(call.request),
        call.actor.user,
        call.now,
        passkey_site(call.request),
    )
    return Response(asked, media_type="application/json")


async def wanted(call: Call) -> Wanted | None:
    """What a page may ask for beside its own fields, None while nothing needs to be shown."""
    return None if call.fresh else await _wanted(call)


async def _wanted(call: Call) -> Wanted:
    async with call.records.database.single() as conn:
        found, left = await factors.listed(conn, call.actor.user)
    kinds = {one.kind for one in found}
    passkey = "passkey" in kinds and passkeys_work(call.request)
    return Wanted(not kinds, bool(kinds) and ("totp" in kinds or left > 0), "totp" in kinds, passkey)


async def _shown(call: Call, sent: dict[str, str]) -> tuple[list[tuple[str, str]], int, Call]:
    """What is wrong with what was shown and the status of that, or the call as it is now."""
    assert call.session is not None
    password, code, passkey = (sent.get(name, "") for name in PROOFS)
    at = "proof_password" if password else "" if passkey else "proof_code"
    try:
        token = await signin.step_up(
            call.records.database, signing_key(call.request), call.actor, call.session.token, password[:200],
            Proof(code[:60].strip(), passkey), call.now, passkey_site(call.request), origin(call.request),
        )  # fmt: skip
    except Unauthenticated as refusal:
        return [(at, refusal.issues[0].message)], 422, call
    except Throttled as refusal:
        return [(at, refusal.issues[0].message)], 429, call
    call.request.state.session_token = token
    return [], 200, replace(call, session=changed(call.session, token=token, shown=call.now))


async def _ask(
    call: Call, sent: list[tuple[str, str]], status: int, issues: list[tuple[str, str]], *, target: str = "",
    doing: str = "", file: bool = False,
) -> Response:  # fmt: skip
    """The page that asks: its form goes to where the act was going, or leads back to what was opened."""
    url = call.request.url
    here = target or url.path + (f"?{url.query}" if url.query else "")
    kept = [(name, value) for name, value in sent if name not in ("csrf", *PROOFS)]
    goes_on = bool(sent)
    hidden = kept if goes_on else [("next", here), ("then", "file" if file else "")]
    response = await look.page(
        call, "step-up.html", "Confirm that it is you", status, wanted=await _wanted(call), issues=issues,
        errors=dict(issues), action=here if goes_on else AT, hidden=hidden, carried=goes_on and bool(kept), doing=doing, idle=not goes_on,
    )  # fmt: skip
    if status == 429:
        response.headers["retry-after"] = "900"
    return response


def _texts(fields: Any) -> list[tuple[str, str]]:
    return [(name, value.replace("\0", "")) for name, value in fields.multi_items() if isinstance(value, str)]
