"""Who may come into this patient's record through the portal: invitations by single-use code, and people who act for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from commonchart.access import signin
from commonchart.access.portal import invitations, proxies
from commonchart.access.portal.invitations import Invited
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.mail import Mail
from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.fhir.outcome import Invalid, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.writing import texts
from commonchart.web.present import dates, people, values

KINDS = [
    ("self", "The patient"),
    ("parent", "A parent or guardian of this child"),
    ("authorised", "Somebody the patient has authorised"),
]
SCOPES = [("full", "Everything the patient sees"), ("limited", "Without sensitive parts")]
CHANNELS = [("hand", "Handed over in person, or printed"), ("email", "By e-mail, to the address on file")]
MAIL = (
    "{practice} invites you to see a health record online.\n\n1. Open {address}/invitation\n2. Type this code: {code}\n\n"
    "The code works once, until {until}. If you did not expect this, do nothing, or call {phone}.\n"
)


async def page(call: Call) -> Response:
    """Who comes in already, who is invited, and the form to invite."""
    await proxies.required(call.records)
    return await _page(await opened(call, "contacts", rail=False), {}, [])


async def act(call: Call) -> Response:
    """Invite, withdraw what is open, or end a right."""
    await proxies.required(call.records)
    chart, sent = await opened(call, "contacts", rail=False), await texts(call)
    if sent.get("act") == "withdraw":
        await invitations.withdraw(call.records, chart.id)
    elif sent.get("act") == "end":
        await proxies.end(call.records, sent.get("grant", ""), sent.get("why", ""))
    else:
        return await _invite(chart, sent)
    return go(f"/patients/{chart.id}/portal")


async def _invite(chart: Chart, sent: Mapping[str, str]) -> Response:
    try:
        invited = _wanted(chart, sent)
        address = _address(chart) if invited.channel == "email" else ""
        code = await invitations.invite(chart.call.records, invited)
        if address:
            await _mailed(chart.call, address, code)
    except Refused as refusal:
        if refusal.status not in (409, 422):
            raise
        return await _page(
            chart, sent, [(issue.at or "", issue.message) for issue in refusal.issues], refusal.status
        )
    return await _page(chart, {}, [], 200, code="" if address else code, mailed=address)


def _wanted(chart: Chart, sent: Mapping[str, str]) -> Invited:
    kind = sent.get("kind", "")
    own = (
        values.name(people.best_name(chart.patient.body)) if kind == "self" else sent.get("name", "").strip()
    )
    ends = dates.typed(sent["ends"]) if sent.get("ends", "").strip() else None
    return Invited(
        chart.id, own[:120], kind, sent.get("scope") or "full", sent.get("relation", "").strip()[:60],
        chart.call.zone.ends(ends) if ends else None, sent.get("why", "").strip()[:500],
        "email" if sent.get("channel") == "email" else "hand",
    )  # fmt: skip


def _address(chart: Chart) -> str:
    """The e-mail address on file: nobody types one here. Raises Invalid where there is none, or this site has no public address."""
    found = [
        str(one["value"])
        for one in chart.patient.body.get("telecom") or ()
        if one.get("system") == "email" and one.get("value") and one.get("use") != "old"
    ]
    if not found:
        raise Invalid(
            "No e-mail address of this patient is on file: hand the code over in person", at="channel"
        )
    if not str(chart.call.request.app.state.settings.address).startswith("https://"):
        raise Invalid("This site has no public https address: hand the code over in person", at="channel")
    return found[0]


async def _mailed(call: Call, to: str, code: str) -> None:
    """Send it without any clinical detail. Raises Invalid with what the mail server said."""
    said = await signin.site(call.records.database, call.actor.tenant)
    text = MAIL.format(
        practice=said.get("name") or "Your practice", address=call.request.app.state.settings.address, code=code,
        until=call.zone.on(call.now + invitations.LIVES), phone=said.get("practice_phone") or "the practice",
    )  # fmt: skip
    try:
        async with call.records.database.single() as conn:
            server = await mail.server_of(conn, call.actor.tenant)
        await mail.send(
            server,
            Mail(
                to,
                "An invitation",
                text,
                f"<invitation-{code[:4].lower()}-{int(call.now.timestamp())}@commonchart>",
            ),
            call.now,
        )
    except (NotTaken, NeverTaken, InDoubt) as error:
        raise Invalid(
            f"The e-mail was not sent: {error}. Invite again, and hand the code over", at="channel"
        ) from None


async def _page(
    chart: Chart,
    sent: Mapping[str, str],
    issues: list[tuple[str, str]],
    status: int = 200,
    code: str = "",
    mailed: str = "",
) -> Response:
    call, today = chart.call, chart.call.today
    async with call.records.database.single() as conn:
        rights = await proxies.of_patient(conn, call.actor.tenant, chart.id)
        invited = await invitations.of_patient(conn, call.actor.tenant, chart.id)
        ages = await proxies.ages_of(conn, call.actor.tenant)
    born = dates.first_day(chart.patient.body.get("birthDate"))
    shown: list[Any] = [
        (
            one,
            proxies.scope_on(one, born, today, ages)
            if one.revoked is None and (one.ends is None or one.ends > call.now)
            else None,
        )
        for one in rights
    ]
    return chart.page(
        "chart/portal.html", "Portal access", status, rights=shown, invited=invited, ages=ages, kinds=KINDS, scopes=SCOPES,
        channels=CHANNELS, sent=sent, issues=issues, errors=dict(issues), code=code, mailed=mailed, now=call.now,
        address=call.request.app.state.settings.address,
    )  # fmt: skip
