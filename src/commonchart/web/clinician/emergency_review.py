"""Break-glass to review: every emergency access that nobody has looked at yet, with the 72 hours it may wait."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import emergency
from commonchart.access.emergency import REVIEW_WITHIN, VERDICTS, Grant
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call, go
from commonchart.web.clinician.writing import texts
from commonchart.web.people.users import organisation_names


class Waiting(Struct, frozen=True):
    """One access as the list shows it; `late` once its review should have been done."""

    grant: Grant
    who: str
    org: str
    opened: str
    ended: str
    review_by: str
    late: bool
    events: str


async def page(call: Call) -> Response:
    """The oldest first."""
    return await _page(call, {}, [])


async def review(call: Call) -> Response:
    """Keep what one review found."""
    sent = await texts(call)
    try:
        await emergency.reviewed(
            call.records, sent.get("access", "")[:64], sent.get("verdict", ""), sent.get("comment", "")
        )
    except Invalid as refusal:
        return await _page(call, sent, [(one.at, one.message) for one in refusal.issues], refusal.status)
    return go("/reports/break-glass?said=1")


async def _page(
    call: Call, sent: dict[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    found = await emergency.to_review(call.records)
    names = await emergency.names(call.records, [one.actor for one in found])
    places = await organisation_names(call, [one.org for one in found if one.org])
    chosen = sent.get("access", "")
    return call.page(
        "emergency-review.html", status, title="Break-glass to review", sent=sent, chosen=chosen,
        rows=[_waiting(call, one, names, places) for one in found], verdicts=[(one, one.capitalize()) for one in VERDICTS],
        issues=[(f"{at}-{chosen}", said) for at, said in issues], errors=dict(issues), said=call.request.query_params.get("said", ""),
    )  # fmt: skip


def _waiting(call: Call, one: Grant, names: dict[str, Any], places: dict[str, str]) -> Waiting:
    ended, by = one.revoked or one.ends, one.starts + REVIEW_WITHIN
    days = (call.zone.day(one.starts), call.zone.day(ended))
    return Waiting(
        one, names.get(one.actor, one.actor), places.get(one.org) or one.org or "not recorded", call.zone.stamp(one.starts), call.zone.stamp(ended) if ended <= call.now else "still open",
        call.zone.stamp(by), call.now > by,
        f"/reports/access?actor={one.actor}&patient={one.patient}&since={days[0]}&until={days[1]}",
    )  # fmt: skip
