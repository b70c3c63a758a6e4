"""Time to acknowledgement of critical results: the report, and its lines as CSV (no patient is named in it)."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

from starlette.responses import Response

from commonchart.access.inbox import critical, policy
from commonchart.access.inbox.critical import Report
from commonchart.care.inbox.escalate import WORDS
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call
from commonchart.web.present import dates, inbox
from commonchart.web.present.sheets import plain

DAYS = 90


async def page(call: Call) -> Response:
    """Median and ninth decile: over all, by step, by clinician; and every alert of the time."""
    since, until = _span(call)
    found = await _report(call, since, until)
    async with call.records.database.single() as conn:
        said = await policy.policy_of(conn, call.actor.tenant)
    steps = [(n, f"after {one.minutes} min: {WORDS[one.whom]}") for n, one in enumerate(said.plan)]
    return call.page(
        "inbox/critical.html", title="Critical results: time to acknowledgement", report=found, since=since, until=until,
        minutes=inbox.minutes, steps=steps, step_words=dict(steps), reviewed=said.reviewed,
        entries=list(reversed(found.entries))[:200], waited=lambda at: inbox.waited(at, call.now),
        kept_from=inbox.kept_from, told=inbox.TOLD,
    )  # fmt: skip


async def download(call: Call) -> Response:
    """One line an alert."""
    found = await _report(call, *_span(call))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        ["raised", "test", "value", "why", "state", "minutes", "step", "addressed_to", "acknowledged_by"]
    )
    for one in found.entries:
        writer.writerow(
            [one.raised.isoformat(), *map(plain, (one.test, one.value, one.why)), one.state, "" if one.minutes is None else f"{one.minutes:.1f}",
             one.level + 1, plain(one.owner), plain(one.by)]
        )  # fmt: skip
    return Response(
        out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="critical-results.csv"'},
    )


async def _report(call: Call, since: date, until: date) -> Report:
    day_after = call.zone.starts(until + timedelta(days=1))
    return await critical.report(call.records, call.zone.starts(since), day_after)


def _span(call: Call) -> tuple[date, date]:
    """From and to, both included. Raises Invalid."""
    given = call.request.query_params
    since = dates.typed(given["from"]) if given.get("from") else call.today - timedelta(days=DAYS)
    until = dates.typed(given["to"]) if given.get("to") else call.today
    if not date(1900, 1, 1) <= since <= until <= date(9000, 1, 1):
        raise Invalid("The first day must not be after the last", at="from")
    return since, until
