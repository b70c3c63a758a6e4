"""Results and vitals: the flowsheet, and the trend of one test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from commonchart.access import quarantine
from commonchart.access.quarantine import Mark
from commonchart.care.rules import built_in
from commonchart.fhir.outcome import Invalid, NotFound
from commonchart.web.call import Call
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.present import flowsheet, readings, trend, values
from commonchart.web.present import quarantine as shown
from commonchart.web.present.tables import Fact

FETCH = 400
OFFSETS = timedelta(hours=14)
GROUPS = (("", "Everything", ()), ("vitals", "Vital signs", ("vital-signs",)), ("laboratory", "Laboratory", ("laboratory",)),
          ("other", "Everything else", ("survey", "social-history", "imaging", "exam", "procedure", "therapy", "activity")))  # fmt: skip
PAGE = 70


async def sheet(call: Call) -> Response:
    """Tests by day, newest first; `?before=` pages to older days, `?show=` picks a group."""
    chart = await opened(call, "results", rail=False)
    show = call.request.query_params.get("show", "")
    before = _day(call, "before")
    categories = next((found for name, _, found in GROUPS if name == show), ())
    facts, total = await _page(chart, categories, before)
    found = readings.readings(facts)
    drawn = flowsheet.sheet(found, whole=len(facts) >= total)
    await chart.name({one.fact.key: one.fact for one in found if one.day in drawn.days}.values())
    marks = await quarantine.marks(call.records, chart.id)
    against = doubts(marks, facts)
    chips = [(chart.url("results", show=name), words, None, name == show) for name, words, _ in GROUPS]
    return chart.page(
        "chart/results.html",
        "Results and vitals",
        sheet=drawn,
        doubts=against,
        doubted=[one for one in found if one.fact.key in against and not against[one.fact.key].rejected],
        elsewhere=sum(not one.rejected for one in marks.values())
        - sum(not one.rejected for one in against.values()),
        heads=[(*flowsheet.heading(day), _letters(chart, facts, day)) for day in drawn.days],
        chips=chips,
        newer=chart.url("results", show=show) if before else "",
        older=chart.url("results", show=show, before=drawn.older) if drawn.older else "",
        empty="No results before that day." if before else "None recorded.",
    )


def doubts(marks: Mapping[str, Mark], facts: list[Fact]) -> dict[str, Mark]:
    """What stands against the versions that are shown, by "Type/id"."""
    return {one.key: marks[one.key] for one in facts if one.key in marks and marks[one.key].vid == one.vid}


async def _page(chart: Chart, categories: tuple[str, ...], before: str) -> tuple[list[Fact], int]:
    """What lies before a day as it was written, which an offset puts up to `OFFSETS` away from that day in UTC."""
    hi = datetime.fromisoformat(before).replace(tzinfo=UTC) + OFFSETS if before else None
    found, total = await chart.facts(["Observation"], categories=categories, hi=hi, limit=FETCH, named=False)
    facts = [one for one in found if not before or readings.day(one.body) < before]
    return facts, total - (len(found) - len(facts))


def _letters(chart: Chart, facts: list[Fact], day: str) -> str:
    """The source letters of a column, when all of its values come from one place."""
    if not chart.network:
        return ""
    found = {
        chart.mark(fact).letters
        for fact in facts
        if str(fact.body.get("effectiveDateTime", "")).startswith(day)
    }
    return found.pop() if len(found) == 1 else ""


def _day(call: Call, name: str) -> str:
    text = call.request.query_params.get(name, "")
    if not text:
        return ""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise Invalid("That page of the flowsheet does not exist: the day cannot be read", at=name) from None


async def one_test(call: Call) -> Response:
    """The trend of one test: chart, and every number beside it."""
    chart = await opened(call, "results", rail=False)
    key = call.request.query_params.get("test", "")
    page = call.request.query_params.get("page", "1")
    offset = (max(1, int(page)) - 1) * PAGE if page.isascii() and page.isdigit() and len(page) < 6 else 0
    code = key.split(">")[0]
    coded = not code.startswith("text|")
    if not coded:  # without a code there is nothing to look up by: take the newest
        facts, total = await chart.facts(["Observation"], limit=FETCH)
    else:
        facts, total = await chart.facts(["Observation"], codes=(code,), limit=PAGE, offset=offset)
    found = [one for one in readings.readings(facts) if one.key == key]
    if not found:
        raise NotFound("There is no such test in this chart")
    n = offset // PAGE + 1
    against = doubts(await quarantine.marks(call.records, chart.id), facts)
    return chart.page(
        "chart/trend.html",
        found[0].name,
        drawn=trend.chart([one for one in found if one.fact.key not in against]),
        unit=found[0].unit,
        range=found[0].range,
        shown=_changes(found),
        doubts=against,
        remarks=shown.remarks(built_in(), facts) if len(facts) <= PAGE else {},
        total=total if coded else len(found),
        why_not=_why_not(found),
        newer=chart.url("results/trend", test=key, page=n - 1) if n > 1 else "",
        older=chart.url("results/trend", test=key, page=n + 1) if coded and offset + PAGE < total else "",
    )


def _why_not(found: list[readings.Reading]) -> str:
    numbers = sum(one.number is not None and not one.struck for one in found)
    return (
        "One value: no trend to draw yet."
        if numbers == 1
        else "These are words, not numbers: no trend to draw."
        if not numbers
        else "No two values in one unit."
    )


def _changes(found: list[readings.Reading]) -> list[tuple[readings.Reading, str]]:
    """Each reading with its change from the one before it in time."""
    out = []
    standing = [one for one in found if not one.struck]
    for one in found:
        older = standing[standing.index(one) + 1 :][:1] if one in standing else []
        out.append((one, _change(one, older[0]) if older else ""))
    return out


def _change(one: readings.Reading, before: readings.Reading) -> str:
    if one.number is None or before.number is None or one.second is not None or one.unit != before.unit:
        return ""
    by = one.number - before.number
    return f"{'+' if by > 0 else ''}{values.short(values.number(by))}" if by else "0"
