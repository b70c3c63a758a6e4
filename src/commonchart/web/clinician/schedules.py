"""Immunization schedules: which are installed, in what they differ, and from which day which one is used."""

from __future__ import annotations

from datetime import date

from starlette.responses import Response

from commonchart.access import schedules
from commonchart.care.immunizations.difference import differences
from commonchart.fhir.outcome import Forbidden, Invalid, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.writing import texts
from commonchart.web.forms.fields import fhir_date
from commonchart.web.present import dates

MOST = 500


async def page(call: Call) -> Response:
    """Every pack and every choice; an administrator chooses here."""
    return await _page(call, {"name": "", "effective": call.today.isoformat()}, [])


async def use(call: Call) -> Response:
    """From a day on use another schedule."""
    sent = await texts(call)
    typed = {"name": sent.get("name", ""), "effective": sent.get("effective", "")}
    try:
        await schedules.use(call.records, typed["name"], _day(typed["effective"]))
    except Forbidden:
        raise
    except Refused as refusal:
        issues = [(issue.at if issue.at in typed else "name", issue.message) for issue in refusal.issues]
        return await _page(call, typed, issues, refusal.status if refusal.status != 404 else 422)
    return go("/schedules?said=chosen")


def _day(text: str) -> date:
    found = fhir_date(text)
    if found is None or len(found) != 10:
        raise Invalid("Used from must be a day, such as 2027-01-01", at="effective")
    return date.fromisoformat(found)


async def compare(call: Call) -> Response:
    """What differs clinically between two packs: series, ages, intervals, vaccines."""
    names = [call.request.query_params.get(side, "") for side in ("a", "b")]
    a, b = [await schedules.pack(call.records, name) for name in names]
    found = differences(a, b)
    return call.page(
        "schedules-compare.html", title="Two schedules", names=names, rows=[one.line for one in found[:MOST]],
        total=len(found),
    )  # fmt: skip


async def _page(
    call: Call, typed: dict[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    known = await schedules.known(call.records)
    return call.page(
        "schedules.html", status, title="Immunization schedules", known=known, typed=typed, issues=issues,
        errors=dict(reversed(issues)),
        stamps={one.name: call.zone.stamp(one.installed) if one.installed else "in the box" for one in known.installed},
        uses=[(dates.of_date(one.effective), one.name, one.chosen_by, call.zone.stamp(one.chosen)) for one in known.uses],
        names=[(one.name, f"{one.name}: {one.authority} {one.version}") for one in known.installed],
        may_choose=call.actor.role == "administrator", said=call.request.query_params.get("said", ""),
    )  # fmt: skip
