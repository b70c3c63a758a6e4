"""Accounting of disclosures of one patient, for who answers for privacy: as a table, for print and as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from starlette.responses import Response

from commonchart.access import disclosures
from commonchart.access.disclosures import YEARS, Accounting, Ask
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call
from commonchart.web.clinician.chart import opened
from commonchart.web.present import dates
from commonchart.web.present import disclosures as present
from commonchart.web.present.sheets import sheet
from commonchart.web.present.zone import Zone


async def page(call: Call) -> Response:
    """The report, six years unless days are given."""
    chart = await opened(call, "consents", rail=False)
    issues: list[tuple[str, str]] = []
    try:
        ask = asked(call.request.query_params, call.now, call.zone)
    except Invalid as refusal:
        issues = [(one.at, one.message) for one in refusal.issues]
        ask = asked({}, call.now, call.zone)
    found = await disclosures.accounting(call.records, chart.id, ask)
    return chart.page(
        "chart/disclosures.html", "Accounting of disclosures", 422 if issues else 200, **words(found, ask, call.zone), issues=issues, errors=dict(issues)
    )  # fmt: skip


def words(found: Accounting, ask: Ask, zone: Zone) -> dict[str, object]:
    """What both doors show."""
    return {
        "lines": present.lines(found), "found": found, "everything": ask.everything, "rules": present.RULES, "years": YEARS,
        "since": zone.on(ask.since), "until": zone.on(ask.until - timedelta(seconds=1)),
        "exports": [zone.on(at) for at in found.exports], "archived": [dates.day(f"{month:%Y-%m}") for month in found.archived],
    }  # fmt: skip


async def download(call: Call) -> Response:
    """The same as CSV."""
    patient = call.request.path_params["patient"]
    found = await disclosures.accounting(
        call.records, patient, asked(call.request.query_params, call.now, call.zone)
    )
    return as_file(found)


def as_file(found: Accounting) -> Response:
    """The lines as a CSV file."""
    headers = {"content-disposition": 'attachment; filename="disclosures.csv"', "cache-control": "no-store"}
    text = sheet(present.COLUMNS, (present.cells(one) for one in found.lines))
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def asked(given: Mapping[str, str], now: datetime, zone: Zone) -> Ask:
    """The days of the site and what to include; at most six years back. Raises Invalid at the day that is wrong."""
    today = zone.day(now)
    oldest = _years_before(today)
    until, since = _day(given, "until", today), _day(given, "since", oldest)
    if since > until:
        raise Invalid("The first day lies after the last one", at="since")
    since = max(since, oldest)
    return Ask(
        zone.starts(since), zone.starts(until + timedelta(days=1)), given.get("all") == "yes", zone.key
    )


def _years_before(today: date) -> date:
    return today.replace(year=today.year - YEARS, day=min(today.day, 28))


def _day(given: Mapping[str, str], name: str, default: date) -> date:
    text = given.get(name, "").strip()
    try:
        return dates.typed(text) if text else default
    except Invalid:
        raise Invalid("A day looks like 12-Mar-2026", at=name) from None
