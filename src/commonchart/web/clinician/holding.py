"""Delaying one result for the patient, with a reason and an end: the exception to showing it as soon as it is final."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access.portal import holds
from commonchart.fhir.outcome import Forbidden, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.provenance import version
from commonchart.web.clinician.writing import texts
from commonchart.web.present import codes, dates


async def page(call: Call) -> Response:
    """Whether it is held back, why and until when; and the form."""
    return await _page(await _opened(call), {}, [])


async def _opened(call: Call) -> Chart:
    if call.actor.role not in holds.ROLES:
        raise Forbidden("Only a clinician delays or releases a result")
    return await opened(call, "results", rail=False)


async def act(call: Call) -> Response:
    """Hold it back, or release it."""
    chart, sent = await _opened(call), await texts(call)
    rtype, id = call.request.path_params["rtype"], call.request.path_params["id"]
    try:
        if sent.get("act") == "release":
            await holds.lift(call.records, chart.id, rtype, id)
        else:
            until = chart.call.zone.ends(dates.typed(sent.get("until", "")))
            await holds.hold(call.records, chart.id, rtype, id, sent.get("reason", ""), until)
    except Refused as refusal:
        if refusal.status != 422:
            raise
        return await _page(
            chart, sent, [(issue.at or "until", issue.message) for issue in refusal.issues], 422
        )
    return go(f"/patients/{chart.id}/hold/{rtype}/{id}")


async def _page(
    chart: Chart, sent: dict[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    call = chart.call
    rtype, id = call.request.path_params["rtype"], call.request.path_params["id"]
    fact = await version(chart, rtype, id)
    async with call.records.database.single() as conn:
        held = await holds.of_result(conn, call.actor.tenant, chart.id, rtype, id, call.now)
    return chart.page(
        "chart/hold.html", "Show to the patient later", status, fact=fact, what=codes.concept(fact.body.get("code")), held=held,
        until=call.zone.on(held.until) if held else "", sent=sent, issues=issues, errors=dict(issues), days=holds.LONGEST.days,
    )  # fmt: skip
