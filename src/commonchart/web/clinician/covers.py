"""Covers: who looks at whose results while they are away."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from starlette.responses import Response

from commonchart.access.inbox import absence
from commonchart.fhir.outcome import Invalid, Issue, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.writing import texts
from commonchart.web.present import dates


async def page(call: Call) -> Response:
    """What is arranged, and the form."""
    return await _page(call, {}, [])


async def act(call: Call) -> Response:
    """Arrange a cover, or end one."""
    sent = await texts(call)
    try:
        if sent.get("do") == "end":
            await absence.end(call.records, sent.get("id", "")[:64])
        else:
            await absence.arrange(
                call.records, sent.get("absent", ""), sent.get("cover", ""), _moment(call, sent, "from"), _moment(call, sent, "until"),
                sent.get("why", ""),
            )  # fmt: skip
    except Refused as refusal:
        if refusal.status in (403, 404):
            raise
        return await _page(
            call, sent, [(issue.at or "", issue.message) for issue in refusal.issues], refusal.status
        )
    return go("/inbox/cover?said=1")


def _moment(call: Call, sent: Mapping[str, str], name: str) -> datetime:
    """A day, or a day and a time, of the site's zone. Raises Invalid."""
    try:
        at = datetime.fromisoformat(sent.get(name, "").strip())
        dates.typed(at.date().isoformat())
    except (ValueError, Invalid):
        raise Invalid(
            issues=[Issue("invalid", "Enter a day and a time like 2026-12-24 08:00", name)]
        ) from None
    return at if at.tzinfo else call.zone.typed(at, name.capitalize(), name)


async def _page(
    call: Call, values: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    found = await absence.listed(call.records)
    rows = [
        (one, found.names.get(one.absent, "?"), found.names.get(one.cover, "?"), call.zone.stamp(one.begins), call.zone.stamp(one.ends),
         found.names.get(one.set_by, "?"), one.begins <= call.now)
        for one in found.known
    ]  # fmt: skip
    return call.page(
        "inbox/covers.html", status, title="Cover for a colleague", rows=rows, clinicians=list({one.id: (one.id, one.name) for one in found.clinicians}.values()),
        values={"absent": call.actor.user, "from": f"{call.zone.local(call.now):%Y-%m-%d %H:%M}"} | dict(values), issues=issues,
        errors={at: words for at, words in reversed(issues) if at}, said=call.request.query_params.get("said", ""),
    )  # fmt: skip
