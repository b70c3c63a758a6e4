"""Whom one works for: acting for another organisation, and the answer to being asked to work for one."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access.people import address, memberships
from commonchart.fhir.outcome import Conflict, Invalid
from commonchart.web import acting
from commonchart.web.call import Call, go
from commonchart.web.links import local
from commonchart.web.menu import menu
from commonchart.web.session import form, plain

HERE = "/acting-for"
HOME = "/patients"
SAID = {
    "joined": "You work for them from now on. You go on acting for the organisation that is marked, until you choose another. "
    "Your account is yours alone now: other second steps, recovery codes and sessions have ended. Make new recovery codes under Your account.",
    "declined": "You said no: nothing was opened to you.",
}


async def page(call: Call) -> Response:
    """Every organisation that one works for, and those that ask."""
    return await _page(call, [])


async def _page(call: Call, issues: list[tuple[str, str]], status: int = 200) -> Response:
    async with call.records.database.single() as conn:
        mail = await address.kept(conn, call.actor.user)
    return call.page(
        "people/working.html", status, title="Whom you act for", issues=issues, errors=dict(issues), mail=mail,
        said=SAID.get(call.request.query_params.get("said", ""), ""),
    )  # fmt: skip


async def switch(call: Call) -> Response:
    """Act for another one from now on, and go where its role leads."""
    sent = plain(await form(call.request))
    assert call.session is not None
    token, _ = await memberships.switch(call.records, call.session.token, sent.get("place", ""))
    then = await acting.renewed(call, token)
    return go(_landing(then, local(sent.get("next", "/"))))


def _landing(call: Call, wanted: str) -> str:
    """The page that one was on where the new role has it in its menu, else the patient list: never a chart.

    Whether the chart of the old organisation's patient may be seen is not tried: that would stand in the patient's trail.
    """
    shown = menu(call)
    path = wanted.partition("?")[0]
    entries = [*shown.first, *(one for group in shown.groups for one in group.entries)]
    return path if any(one.href == path for one in entries) else HOME


async def answer(call: Call) -> Response:
    """Say yes or no to working for an organisation."""
    sent = plain(await form(call.request))
    todo, id = sent.get("do", ""), sent.get("place", "")
    try:
        if todo == "accept":
            assert call.session is not None
            await memberships.accept(call.records, id, call.session.token, sent.get("code", ""))
            return go(f"{HERE}?said=joined")
        if todo == "decline":
            await memberships.decline(call.records, id)
            return go(f"{HERE}?said=declined")
    except (Conflict, Invalid) as refusal:
        at = "code" if refusal.issues[0].at else ""
        return await _page(call, [(f"{at}-{id}" if at else "", refusal.issues[0].message)], refusal.status)
    raise Invalid("The form is not complete: open it again")
