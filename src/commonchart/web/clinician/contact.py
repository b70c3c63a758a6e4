"""How a patient wants to be contacted: preferred channel, agreement to texts and calls, what they do not want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from commonchart.access.records import Put
from commonchart.care.outreach.reach import CHANNELS, Wishes, wishes, with_wishes
from commonchart.fhir.outcome import Forbidden, Invalid
from commonchart.fhir.validate import validate
from commonchart.web.call import Call, go
from commonchart.web.clinician.campaigns import CHANNEL_WORDS
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.writing import texts
from commonchart.web.present.tables import Fact

OUT = ("all", *CHANNELS)
OUT_WORDS = {"all": "Nothing at all: no reminders"} | {
    one: f"No {CHANNEL_WORDS[one].lower()}" for one in CHANNELS
}
LEVELS = [("plain", "Plain"), ("standard", "Standard")]


async def page(call: Call) -> Response:
    """What is recorded of their wishes."""
    chart = await opened(call, "contacts")
    fact = await _patient(call)
    return _page(chart, fact, wishes([fact.body]), [])


async def save(call: Call) -> Response:
    """Keep their wishes in their Patient resource, unless somebody else has changed it meanwhile."""
    chart = await opened(call, "contacts")
    fact = await _patient(call)
    if not call.may("update", "Patient"):
        raise Forbidden("Your role does not allow you to change this")
    sent = await texts(call)
    wanted = _wanted(sent)
    if wanted.preferred and wanted.refuses(wanted.preferred):
        issues = [("preferred", "The preferred way is one that they do not want: choose another")]
        return _page(chart, fact, wanted, issues, 422)
    vid = sent.get("vid", "")
    if not (vid.isascii() and vid.isdigit() and len(vid) < 10):
        raise Invalid("The form is not complete: open it again")
    await call.records.commit([Put(validate(with_wishes(fact.body, wanted)), fact.id, if_match=int(vid))])
    return go(f"/patients/{fact.id}/contact-preferences?said=saved")


def _wanted(sent: Mapping[str, str]) -> Wishes:
    return Wishes(
        sent.get("preferred", "") if sent.get("preferred") in CHANNELS else "",
        frozenset(one for one in ("sms", "voice") if sent.get(f"in-{one}")),
        frozenset(one for one in OUT if sent.get(f"out-{one}")),
        sent.get("level", "") if sent.get("level") in ("plain", "standard") else "",
    )


async def _patient(call: Call) -> Fact:
    return fact_of(await call.records.read("Patient", call.request.path_params["patient"]))


def _page(
    chart: Chart, fact: Fact, said: Wishes, issues: list[tuple[str, str]], status: int = 200
) -> Response:
    given: dict[str, Any] = dict(chart.call.request.query_params)
    return chart.page(
        "chart/contact.html", "Contact preferences", status, fact=fact, wishes=said, issues=issues,
        errors=dict(issues), channels=list(CHANNEL_WORDS.items()), outs=list(OUT_WORDS.items()), levels=LEVELS,
        saved=given.get("said") == "saved", may_save=chart.may_write and chart.call.may("update", "Patient"),
    )  # fmt: skip
