"""The review of one person's medicines as a page, with what is decided on it; and open alerts over all patients."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commonchart.access.medications import kept, standing, worklist
from commonchart.access.medications.reading import MEDICINES
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.writing import texts
from commonchart.web.forms.orders import REASONS, reason_of
from commonchart.web.present import alerts
from commonchart.web.present.people import banner

SECTION = "medication-check"


async def page(call: Call) -> Response:
    """Everything against everything: what was found, decided, covered and NOT CHECKED."""
    return await _page(await opened(call, SECTION), "", [])


async def answer(call: Call) -> Response:
    """A clinician lets what an open alert is about go on, and says why."""
    chart, sent = await opened(call, SECTION), await texts(call)
    key = sent.get("alert", "")
    try:
        await standing.answer(call.records, chart.id, key, reason_of(sent))
    except Invalid as refusal:
        issues = [(f"override-{key}", issue.message) for issue in refusal.issues]
        return await _page(chart, key, issues, refusal.status)
    return go(f"/patients/{chart.id}/{SECTION}?said=decided")


async def _page(chart: Chart, key: str, issues: list[tuple[str, str]], status: int = 200) -> Response:
    call = chart.call
    found = await standing.whole(call.records, chart.id)
    checks = await kept.of_patient(call.records, chart.id)
    taking = sum(chart.counts.get(rtype, 0) for rtype in MEDICINES)
    return chart.page(
        "chart/medication-check.html", "Medication check", status, groups=alerts.groups(found.open, call.zone),
        decided=[alerts.stored(one, call.zone) for one in found.alerts if one.answered], taking=taking,
        silent=alerts.silent(found.alerts), coverage=alerts.coverage(found.lines),
        reviewed=call.zone.stamp(found.reviewed_at) if found.reviewed_at else "", checks=[_check(call, one) for one in checks],
        may_decide=chart.may_write and call.may("create", "MedicationRequest"), wrong=key, issues=issues,
        reasons=[(one.value, one.label) for one in REASONS],
        decided_now=call.request.query_params.get("said") == "decided",
    )  # fmt: skip


def _check(call: Call, one: kept.Kept) -> dict[str, Any]:
    return {
        "id": one.id, "text": one.text, "at": call.zone.stamp(one.at), "name": one.name, "reason": one.reason,
        "alerts": [alerts.said(alert) for alert in one.alerts], "coverage": alerts.coverage(one.lines),
    }  # fmt: skip


async def waiting(call: Call) -> Response:
    """Alerts that may kill and that nobody has decided on, of one's own patients or of all."""
    mine = bool(call.actor.practitioner) and call.request.query_params.get("show") != "all"
    found, total = await worklist.waiting(call.records, mine=mine)
    rows = [
        {
            "href": f"/patients/{one.patient.id}/{SECTION}", "name": banner(fact_of(one.patient).body, call.today).name,
            "title": one.title, "why": one.why, "opened": call.zone.stamp(one.opened),
        }
        for one in found
    ]  # fmt: skip
    return call.page(
        "medication-alerts.html", title="Open medication alerts", rows=rows, total=total, mine=mine,
        has_panel=bool(call.actor.practitioner), whole=call.records.visible.whole,
    )  # fmt: skip
