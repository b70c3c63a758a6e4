"""Where my record went: the accounting of disclosures as the patient reads and takes it."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from commonchart.access import disclosures
from commonchart.access.disclosures import Ask
from commonchart.fhir.outcome import Invalid
from commonchart.web.clinician.disclosures import as_file, asked, words
from commonchart.web.portal import days
from commonchart.web.portal.door import Door
from commonchart.web.present.zone import Zone


async def page(me: Door) -> Response:
    """The report, six years unless days are given."""
    issues: list[tuple[str, str]] = []
    try:
        ask = asked(me.call.request.query_params, me.call.now, me.zone)
    except Invalid as refusal:
        issues = [(one.at, one.message) for one in refusal.issues]
        ask = asked({}, me.call.now, me.zone)
    found = await disclosures.accounting(me.records, me.patient, ask)
    title = me.whose("Where my record went", "Where {name}’s record went")
    return me.page(
        "disclosures.html",
        title,
        422 if issues else 200,
        **(
            words(found, ask, me.zone)
            | _days(ask, me.zone)
            | {"issues": issues, "errors": dict(issues), "day": days.of_date}
        ),
    )


def _days(ask: Ask, zone: Zone) -> dict[str, object]:
    return {
        "since": days.of_date(zone.day(ask.since)),
        "until": days.of_date(zone.day(ask.until - timedelta(seconds=1))),
    }


async def download(me: Door) -> Response:
    """The same as CSV."""
    return as_file(
        await disclosures.accounting(
            me.records, me.patient, asked(me.call.request.query_params, me.call.now, me.zone)
        )
    )
