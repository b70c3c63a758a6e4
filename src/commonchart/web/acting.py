"""For which organisation somebody acts: what the head of a page says of it, and a form that was filled in for another one.

A form carries the token of the organisation that it was shown for. Sent while its owner acts for another one it is kept,
never stored: the page that says so goes back and sends it, as it was.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from dataclasses import replace

from msgspec import Struct
from starlette.datastructures import FormData
from starlette.responses import Response

from commonchart.access import credentials, signin
from commonchart.access.people import memberships
from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.record.inbox import alerts
from commonchart.web.call import Call, Place
from commonchart.web.people.words import ROLES

AGAIN = "acting-for"
"""The field of a form that goes back to another organisation before it is stored: the membership."""
NAME_SECONDS = 300.0
_names: dict[tuple[int, int, str], tuple[float, str]] = {}


class Mixed(Struct, frozen=True):
    """A form that was filled in for `place`, another organisation than the one acted for now."""

    place: Place


async def known(call: Call) -> Call:
    """The call with the places of work of whoever asks, where there are several."""
    if call.session is None or call.session.places < 2:
        return call
    async with call.records.database.single() as conn:
        found = await memberships.mine(conn, call.actor.user)
        waiting = await alerts.elsewhere(
            conn, call.actor.tenant, call.actor.user, [one.org for one in found if one.since and one.id != call.actor.membership]
        )  # fmt: skip
    names = await _called(call, [one.org for one in found])
    places = tuple(
        Place(
            one.id, names[one.org], ROLES.get(one.role, one.role), one.id == call.actor.membership, one.since is None,
            waiting.get(one.org, 0),
        ) for one in found
    )  # fmt: skip
    return replace(call, places=places)


async def _called(call: Call, orgs: Sequence[str]) -> dict[str, str]:
    """What organisations are called: looked up at most every few minutes."""
    place, now = (id(call.records.database), call.actor.tenant), time.monotonic()
    missing = [org for org in orgs if now - _names.get((*place, org), (-NAME_SECONDS, ""))[0] >= NAME_SECONDS]
    if missing:
        found = await call.records.named([("Organization", org) for org in missing if org])
        for org in missing:
            stored = found.get(("Organization", org))
            name = str(json.decode(stored.body or b"{}").get("name", "")) if stored else ""
            _names[*place, org] = (now, name or org or "no organisation")
    return {org: _names[*place, org][1] for org in orgs}


def mixed(call: Call, fields: FormData) -> Mixed | None:
    """Whether a form whose token is not the one expected was filled in for another organisation of the same session."""
    sent = fields.get("csrf", "")
    if call.session is None or not isinstance(sent, str):
        return None
    for one in call.places:
        token = credentials.form_token(call.session.seed, one.id)
        if not one.here and not one.asked and token and hmac.compare_digest(sent.encode(), token.encode()):
            return Mixed(one)
    return None


def ask(call: Call, other: Mixed, fields: FormData) -> Response:
    """The page that keeps such a form, and sends it once its owner acts for that organisation again."""
    kept = [
        (name, value.replace("\0", "")) for name, value in fields.multi_items()
        if isinstance(value, str) and name not in ("csrf", AGAIN)
    ]  # fmt: skip
    url = call.request.url
    return call.page(
        "people/mixed.html", 409, idle=False, title="You filled this in for another organisation", place=other.place,
        here=next((one for one in call.places if one.here), None), action=url.path + (f"?{url.query}" if url.query else ""),
        hidden=[*kept, (AGAIN, other.place.id)],
    )  # fmt: skip


async def back(call: Call, fields: FormData) -> Call:
    """The call, by whoever acts again for the organisation that the form names. Raises NotFound."""
    id = fields.get(AGAIN, "")
    if not isinstance(id, str) or not id or id == call.actor.membership or call.session is None:
        return call
    token, _ = await memberships.switch(call.records, call.session.token, id)
    return await renewed(call, token)


async def renewed(call: Call, token: str) -> Call:
    """The call as it is under a new cookie, which the answer gives to the browser."""
    call.request.state.session_token = token
    session = await signin.resume(call.records.database, token, call.now)
    records = Records(call.records.database, session.actor, call.records.clock, key=call.records.key)
    return await known(
        replace(call, actor=session.actor, records=records, csrf=session.csrf, session=session, places=())
    )
