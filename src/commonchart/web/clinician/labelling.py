"""Marking one entry as sensitive, lifting a label from one, and putting back what was lifted."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from commonchart.access import labelling
from commonchart.access.labelling import Sheet
from commonchart.care.labels import labels
from commonchart.fhir.outcome import Forbidden, Gone, NotFound, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.provenance import headline, version
from commonchart.web.clinician.writing import texts
from commonchart.web.present.label_acts import line, title


async def page(call: Call) -> Response:
    """The labels of an entry, where each comes from, and the form for another."""
    return await _page(await _opened(call), {}, [])


async def act(call: Call) -> Response:
    """Put a label, or put one back."""
    chart, sent = await _opened(call), await texts(call)
    rtype, id = _key(call)
    await _of_chart(chart)
    try:
        if sent.get("act") == "restore":
            await labelling.restore(call.records, rtype, id, sent.get("label", ""))
        else:
            await labelling.put(call.records, rtype, id, sent.get("label", ""), sent.get("reason", ""))
    except Refused as refusal:
        if refusal.status not in (409, 422):
            raise
        return await _page(chart, sent, _issues(refusal), refusal.status)
    return await _after(chart, "restored" if sent.get("act") == "restore" else "put")


async def lift_page(call: Call) -> Response:
    """What lifting the label does, and the form."""
    return await _lift_page(await _opened(call), {}, [])


async def lift(call: Call) -> Response:
    """Lift one label."""
    chart, sent = await _opened(call), await texts(call)
    rtype, id = _key(call)
    await _of_chart(chart)
    try:
        await labelling.lift(
            call.records, rtype, id, call.request.path_params["label"], sent.get("reason", "")
        )
    except Refused as refusal:
        if refusal.status not in (409, 422):
            raise
        return await _lift_page(chart, sent, _issues(refusal), refusal.status)
    return await _after(chart, "lifted")


async def _opened(call: Call) -> Chart:
    if not labelling.may_put(call.actor):
        raise Forbidden("Only clinicians, nurses and privacy officers mark entries as sensitive")
    return await opened(call, "facts", rail=False)


def _key(call: Call) -> tuple[str, str]:
    return call.request.path_params["rtype"], call.request.path_params["id"]


async def _of_chart(chart: Chart) -> None:
    """Raises NotFound for an entry of somebody else's record."""
    await version(chart, *_key(chart.call))


def _issues(refusal: Refused) -> list[tuple[str, str]]:
    return [(issue.at if issue.at in ("label", "reason") else "", issue.message) for issue in refusal.issues]


async def _after(chart: Chart, said: str) -> Response:
    """On to the entry; to the chart, for whom it is hidden now."""
    rtype, id = _key(chart.call)
    try:
        await chart.call.records.read(rtype, id)
    except (NotFound, Gone):
        return go(f"/patients/{chart.id}?said=labelled")
    return go(f"/patients/{chart.id}/label/{rtype}/{id}?said={said}")


async def _page(
    chart: Chart, sent: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    rtype, id = _key(chart.call)
    fact = await version(chart, rtype, id)
    found = await labelling.sheet(chart.call.records, rtype, id)
    await chart.lookups.learn_people(chart.call.records)
    mine = chart.call.actor.user == fact.actor
    return chart.page(
        "chart/label.html", "Sensitive labels of one entry", status, fact=fact, what=headline(fact, chart), sheet=found,
        options=_options(found), lines=[line(one, chart.lookups.people, chart.call.zone) for one in found.acts], titles=_titles(found),
        may_lift=labelling.may_lift(chart.call.actor), mine=mine, sent=sent, issues=issues, errors=dict(issues),
        said=chart.call.request.query_params.get("said", ""),
    )  # fmt: skip


async def _lift_page(
    chart: Chart, sent: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    if not labelling.may_lift(chart.call.actor):
        raise Forbidden("Only clinicians and privacy officers lift labels")
    rtype, id = _key(chart.call)
    fact = await version(chart, rtype, id)
    found = await labelling.sheet(chart.call.records, rtype, id)
    one = next((one for one in found.carried if one.name == chart.call.request.path_params["label"]), None)
    if one is None:
        raise NotFound("This entry does not carry such a label")
    return chart.page(
        "chart/label-lift.html", f"Lift a label: {one.title}", status, fact=fact, what=headline(fact, chart), one=one, sent=sent,
        issues=issues, errors=dict(issues),
    )  # fmt: skip


def _options(found: Sheet) -> list[tuple[str, str]]:
    return [(name, labels()[name].title) for name in found.free]


def _titles(found: Sheet) -> dict[str, str]:
    return {one.label: title(one.label) for one in found.lifted}
