"""Where one is signed in, and ending that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from starlette.responses import Response

from commonchart.access.people import sessions
from commonchart.access.people.sessions import Open
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call, go
from commonchart.web.present import browsers
from commonchart.web.session import form, plain
from commonchart.web.yours import look

SAID = {"ended": "That session has ended.", "others": "You are signed out everywhere else."}
SHOWN = {"password": "password", "passkey": "passkey", "totp": "code of an app", "recovery": "recovery code"}


async def page(call: Call) -> Response:
    """Every session that lives, the newest first."""
    assert call.session is not None
    found = await sessions.listed(call.records.database, call.actor, call.session.token, call.now)
    when, places = look.moments(call), {one.id: one.name for one in call.places}
    return await look.page(
        call, "sessions.html", "Where you are signed in", lines=[_line(one, when, places) for one in found],
        said=SAID.get(call.request.query_params.get("said", ""), ""), others=len(found) > 1,
    )  # fmt: skip


def _line(one: Open, when: Callable[[datetime], str], places: dict[str, str]) -> dict[str, str | bool]:
    shown = [SHOWN.get(part, part) for part in one.factor.split(" and ")]
    return {
        "handle": one.handle, "browser": browsers.words(one.agent), "since": when(one.since),
        "used": when(one.used), "shown": " and ".join(shown), "this": one.this,
        "place": places.get(one.membership, ""),
    }  # fmt: skip


async def act(call: Call) -> Response:
    """End one of them, or all others."""
    sent = plain(await form(call.request))
    assert call.session is not None
    if sent.get("do") == "others":
        await sessions.end_others(call.records.database, call.actor, call.session.token, call.now)
        return go("/account/sessions?said=others")
    if sent.get("do") == "end":
        await sessions.end(call.records.database, call.actor, sent.get("session", "")[:64], call.now)
        return go("/account/sessions?said=ended")
    raise Invalid("The form is not complete: open it again")
