"""What patients asked about their records, to be accepted or denied with a reason that they read."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access.portal import requests
from commonchart.access.portal.requests import KINDS
from commonchart.fhir.outcome import Invalid, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import patients_called
from commonchart.web.clinician.writing import texts
from commonchart.web.present import dates


async def page(call: Call) -> Response:
    """The requests that wait, the oldest first; `?show=all` with those that were answered."""
    return await _page(call, {}, [])


async def answer(call: Call) -> Response:
    """Accept or deny one."""
    sent = await texts(call)
    try:
        if sent.get("act") not in ("accept", "deny"):
            raise Invalid("Choose whether you accept or deny it", at="act")
        vid = sent.get("vid", "")
        if not (vid.isascii() and vid.isdigit() and len(vid) < 10):
            raise Invalid("The form is not complete: open it again")
        await requests.answer(
            call.records, sent.get("id", ""), accept=sent["act"] == "accept", reason=sent.get("reason", ""), changed=sent.get("changed", ""),
            vid=int(vid),
        )  # fmt: skip
    except Refused as refusal:
        if refusal.status not in (409, 422):
            raise
        return await _page(
            call,
            sent,
            [(f"{issue.at or 'reason'}-{sent.get('id', '')}", issue.message) for issue in refusal.issues],
            refusal.status,
        )
    return go("/requests?said=answered")


async def _page(
    call: Call, sent: dict[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    every = call.request.query_params.get("show") == "all"
    found = await requests.to_answer(call.records, open_only=not every)
    names = await patients_called(call.records, [one.patient for one in found])
    shown = [
        (
            one,
            KINDS[one.kind],
            names.get(one.patient, ""),
            call.zone.stamp(one.made),
            dates.day(one.answer_by),
        )
        for one in found
    ]
    return call.page(
        "patient-requests.html", status, title="Requests of patients", shown=shown, every=every, sent=sent, issues=issues, errors=dict(issues),
        said=call.request.query_params.get("said", ""),
    )  # fmt: skip
