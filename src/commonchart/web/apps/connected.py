"""The apps that I have allowed something: what, for whom, when last used, and taking it back."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access.oauth import grants
from commonchart.access.oauth.grants import Connected
from commonchart.fhir import json
from commonchart.web.call import Call, go
from commonchart.web.present import people
from commonchart.web.present.scopes import choices
from commonchart.web.session import form
from commonchart.web.yours import look


async def page(call: Call) -> Response:
    """What stands now, last used first."""
    found = await grants.connected(call.request.app.state.database, call.actor, call.now)
    names = await _names(call, found)
    words = look.moments(call)
    shown = [
        (one, choices(one.grant.texts), names.get(one.grant.patient or "", ""), words(one.grant.created), words(one.grant.used),
         words(one.grant.expires))
        for one in found
    ]  # fmt: skip
    said = call.request.query_params.get("said", "")
    return await look.page(call, "connected.html", "Connected apps", connected=shown, said=said)


async def revoke(call: Call) -> Response:
    """Take one back."""
    id = str((await form(call.request)).get("grant", ""))
    await grants.take_back(call.request.app.state.database, call.actor, id, call.now)
    return go("/connected-apps?said=ended")


async def _names(call: Call, found: list[Connected]) -> dict[str, str]:
    keys = sorted({("Patient", one.grant.patient) for one in found if one.grant.patient})
    seen = await call.records.named(keys)
    return {id: people.listed_name(json.decode(stored.body or b"{}")) for (_, id), stored in seen.items()}
