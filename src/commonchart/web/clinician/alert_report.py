"""The alert report: how often each stopping alert is overridden, by whom and why; as a page, as CSV, and down to the events."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from commonchart.access.medications import report
from commonchart.access.medications.report import Period, Rule, Tally
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.present import dates
from commonchart.web.present.people import banner
from commonchart.web.present.sheets import plain
from commonchart.web.present.zone import Zone

DAYS = 90
STATES = {
    "shown": "Not decided yet", "left": "Accepted: left without ordering", "changed": "Accepted: something else was ordered",
    "withdrawn": "Accepted: not ordered", "overridden": "Overridden",
}  # fmt: skip
ORIGINS = {"medication": "Medication order", "immunization": "Vaccine", "review": "Open alert"}


class Asked(Struct, frozen=True):
    """What the page is narrowed to: whole days, and one user or everybody."""

    since: date
    until: date
    actor: str
    zone: Zone

    @property
    def period(self) -> Period:
        """Whole days of the site, the last one included."""
        return Period(
            self.zone.starts(self.since), self.zone.starts(self.until + timedelta(days=1)), self.actor
        )

    def query(self, **more: str) -> str:
        """The same as a query string, with more in it."""
        given = {"from": self.since.isoformat(), "to": self.until.isoformat(), "user": self.actor} | more
        return urlencode({name: value for name, value in given.items() if value})


async def page(call: Call) -> Response:
    """Rules with their rates, noisy ones first, and users."""
    asked, issues = _asked(call)
    found = await report.report(call.records, asked.period)
    everybody = (
        found if not asked.actor else await report.report(call.records, replace(asked, actor="").period)
    )
    return call.page(
        "alert-report.html", 422 if issues else 200, title="Alert report", asked=asked, issues=issues,
        rules=[_rule(one, asked) for one in found.rules], people=[_person(one, asked) for one in found.people],
        noisy=sum(one.tally.noisy for one in found.rules), users=[(one.actor, one.name) for one in everybody.people],
        csv=f"/reports/alerts.csv?{asked.query()}", shown=sum(one.tally.shown for one in found.rules),
        days=(dates.of_date(asked.since), dates.of_date(asked.until)),
    )  # fmt: skip


async def events(call: Call) -> Response:
    """Every showing of one rule, newest first."""
    asked, _ = _asked(call)
    rule = call.request.query_params.get("rule", "")
    found = await report.events(call.records, asked.period, rule)
    known = await call.records.named([("Patient", one) for one in sorted({one.patient for one in found})])
    names = {
        id: banner(fact_of(stored).body, call.today).name for (_, id), stored in known.items() if stored.body
    }
    rows = [
        {
            "at": call.zone.stamp(one.at), "patient": one.patient, "who": names.get(one.patient, "a patient not shown to you"),
            "name": one.name, "about": one.about, "title": one.title, "state": STATES[one.state], "reason": one.reason,
        }
        for one in found
    ]  # fmt: skip
    return call.page(
        "alert-events.html", title="Alert report: events", rule=rule, rows=rows, back=f"/reports/alerts?{asked.query()}",
        most=report.MOST_EVENTS,
    )  # fmt: skip


async def download(call: Call) -> Response:
    """The rules as CSV, for a spreadsheet: no patient in it."""
    asked, _ = _asked(call)
    found = await report.report(call.records, asked.period)
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(
        (
            "rule",
            "kind",
            "alert",
            "shown",
            "overridden",
            "accepted",
            "not decided",
            "rate",
            "noisy",
            "reasons",
        )
    )
    for one in found.rules:
        tally = one.tally
        reasons = "; ".join(f"{why} ({n})" for why, n in one.reasons)
        rows.writerow(
            (plain(one.rule), one.origin, plain(one.title), tally.shown, tally.overridden, tally.accepted, tally.waiting,
             f"{tally.rate:.3f}" if tally.rate is not None else "", "yes" if tally.noisy else "no", plain(reasons)),
        )  # fmt: skip
    name = f"alerts-{asked.since}-{asked.until}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _asked(call: Call) -> tuple[Asked, list[tuple[str, str]]]:
    """The filter, the last 90 days where nothing or nothing readable is given, and what could not be read."""
    given = call.request.query_params
    found = {"to": call.today, "from": call.today - timedelta(days=DAYS)}
    issues: list[tuple[str, str]] = []
    for name in found:
        if text := given.get(name, "").strip():
            try:
                found[name] = dates.typed(text)
            except Invalid as bad:
                issues.append((name, str(bad)))
    if found["from"] > found["to"]:
        issues.append(("from", "The first day must not be after the last"))
        found["from"] = found["to"]
    return Asked(found["from"], found["to"], given.get("user", "")[:64], call.zone), issues


def _rule(one: Rule, asked: Asked) -> dict[str, Any]:
    return {
        "rule": one.rule, "title": one.title, "kind": ORIGINS.get(one.origin, one.origin), "tally": one.tally,
        "rate": _percent(one.tally), "reasons": one.reasons, "href": f"/reports/alerts/events?{asked.query(rule=one.rule)}",
    }  # fmt: skip


def _person(one: report.Person, asked: Asked) -> dict[str, Any]:
    return {
        "name": one.name, "tally": one.tally, "rate": _percent(one.tally),
        "href": f"/reports/alerts?{asked.query(user=one.actor)}",
    }  # fmt: skip


def _percent(tally: Tally) -> str:
    return f"{100 * tally.rate:.0f} %" if tally.rate is not None else "none decided"
