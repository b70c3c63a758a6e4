"""The sections of the chart that are lists, and the summary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from starlette.responses import Response

from commonchart.access import quarantine
from commonchart.access.medications import kept
from commonchart.access.quarantine import Mark
from commonchart.fhir.outcome import NotFound
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.provenance import version
from commonchart.web.clinician.results import doubts
from commonchart.web.clinician.stopping import Stopped, stored_check
from commonchart.web.present import (
    allergies,
    codes,
    dates,
    events,
    flowsheet,
    medications,
    people,
    problems,
    readings,
    sources,
    texts,
    trend,
    union,
    values,
)
from commonchart.web.present.tables import Cell, Fact, Row, Table

PAGE = 35
BRIEF = 8
KEEP = 2
"""How many readings more than are shown are read of each test, since some may be in quarantine."""
VITALS = (("Blood pressure", ("85354-9", "55284-4")), ("Heart rate", ("8867-4",)), ("Respiratory rate", ("9279-1",)),
          ("SpO₂", ("59408-5", "2708-6")), ("Temperature", ("8310-5", "8331-1")), ("Weight", ("29463-7", "3141-9")),
          ("Height", ("8302-2",)), ("BMI", ("39156-5",)))  # fmt: skip


async def summary(call: Call) -> Response:
    """The whole person on one page; who may not read conditions goes to contacts instead."""
    if not call.may("read", "Condition"):
        return go(f"/patients/{call.request.path_params['patient']}/contacts")
    chart = await opened(call, "")
    await call.records.opened(chart.id)
    found, _ = await chart.facts(["Condition", "List"], limit=300)
    taken, _ = await chart.facts([*medications.KINDS, "List"], limit=300)
    seen, total = await chart.facts(["Encounter"], limit=5)
    marks = await quarantine.marks(call.records, chart.id) if call.may("read", "Observation") else {}
    vital, vitals_out = await _newest(chart, "vital-signs", 2 + KEEP, marks)
    tests, tests_out = await _newest(chart, "laboratory", 8 + KEEP, marks)
    latest = await _latest(chart, tests)
    visits = events.visits(seen, chart.lookups.names, "Recent visits", total)
    return chart.page(
        "chart/summary.html",
        "Summary",
        vitals=await _vitals(chart, vital),
        problems=_cut(union.marked([problems.brief(found)], found)[0], BRIEF + 4),
        medicines=_cut(union.marked([medications.brief(taken, chart.lookups.names)], taken)[0], BRIEF + 4),
        latest=latest,
        doubted=[one for one in (*vitals_out, *tests_out) if not marks[one.fact.key].rejected],
        doubts=marks,
        ranges=any(one.range for one, *_ in latest),
        visits=visits,
        said=call.request.query_params.get("said", ""),
    )


def _cut(table: Table, most: int) -> Table:
    if len(table.rows) <= most:
        return table
    return replace(table, rows=table.rows[:most], quiet=f"{table.quiet}, the first {most} here")


async def _newest(
    chart: Chart, category: str, per_code: int, marks: Mapping[str, Mark]
) -> tuple[dict[str, list[readings.Reading]], list[readings.Reading]]:
    """The newest readings of each test, newest first, without retracted ones; and those in quarantine or rejected, which count for nothing."""
    if not chart.call.may("read", "Observation"):
        return {}, []
    stored = await chart.call.records.latest(
        chart.id, categories=(category,), as_of=chart.as_of, per_code=per_code
    )
    facts = [fact_of(one) for one in stored]
    against = doubts(marks, facts)
    found: dict[str, list[readings.Reading]] = {}
    out = []
    for one in sorted(readings.readings(facts), key=lambda one: (one.day, dates.order(one.at)), reverse=True):
        if one.fact.key in against:
            out.append(one)
        elif not one.struck:
            found.setdefault(one.key, []).append(one)
    return found, out


async def _vitals(
    chart: Chart, found: Mapping[str, list[readings.Reading]]
) -> list[tuple[str, readings.Reading, str]]:
    out = []
    for label, wanted in VITALS:
        series = next((series for key, series in found.items() if key.rsplit("|", 1)[-1] in wanted), None)
        if series:
            out.append((label, series[0], _change(series)))
    await chart.name([one.fact for _, one, _ in out])
    return out


def _change(series: list[readings.Reading]) -> str:
    if (
        len(series) < 2
        or series[0].number is None
        or series[1].number is None
        or series[0].second is not None
    ):
        return ""
    by = series[0].number - series[1].number
    return (
        f"{'+' if by > 0 else ''}{values.short(values.number(by))} since {dates.day(series[1].day)}"
        if by
        else ""
    )


async def _latest(
    chart: Chart, found: Mapping[str, list[readings.Reading]]
) -> list[tuple[readings.Reading, trend.Spark | None, str, str]]:
    first = sorted(
        found.values(), key=lambda series: (series[0].day, bool(series[0].flag.mark)), reverse=True
    )[:12]
    await chart.name([series[0].fact for series in first])
    out = []
    for series in first:
        one = series[0]
        day = dates.first_day(one.day)
        out.append(
            (
                one,
                trend.spark(series),
                chart.url("results/trend", test=one.key),
                dates.ago(day, chart.on) if day else "",
            )
        )
    return out


def _page_number(call: Call) -> int:
    text = call.request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1


async def _paged(chart: Chart, rtypes: list[str]) -> tuple[list[Fact], dict[str, Any]]:
    page = _page_number(chart.call)
    facts, total = await chart.facts(rtypes, limit=PAGE, offset=(page - 1) * PAGE)
    path = chart.section
    kind = chart.call.request.query_params.get("show", "")
    return facts, {
        "newer": chart.url(path, page=page - 1, show=kind) if page > 1 else "",
        "older": chart.url(path, page=page + 1, show=kind) if page * PAGE < total else "",
        "paging": f"{(page - 1) * PAGE + 1}–{min(page * PAGE, total)} of {total}" if total > PAGE else "",
        "total": total,
    }


def _list(chart: Chart, title: str, shown: list[Table], **more: Any) -> Response:
    given = {
        "newer": "",
        "older": "",
        "paging": "",
        "notes": [],
        "chips": [],
        "add": "",
        "acts": [],
        "empty": "None recorded.",
        "ordered": None,
    } | more
    if not chart.may_write:
        given |= {"add": "", "acts": []}
    given.pop("total", None)
    return chart.page("chart/list.html", title, shown=shown, **given)


async def conditions(call: Call) -> Response:
    """Active and past conditions."""
    chart = await opened(call, "conditions")
    facts, _ = await chart.facts(["Condition", "List"], limit=300)
    return _list(chart, "Conditions", union.marked(problems.tables(facts), facts), add="condition")


async def medication_list(call: Call) -> Response:
    """Current and past medications."""
    chart = await opened(call, "medications")
    facts, total = await chart.facts([*medications.KINDS, "List"], limit=200)
    notes = [f"The newest 200 of {total} are here."] if total > 200 else []
    if call.request.query_params.get("said") == "withdrawn":
        notes = ["Nothing was ordered.", *notes]
    acts = [("new/order", "Order", "o")] if call.may("create", "MedicationRequest") else []
    check = [("medication-check", "Medication check", "")] if chart.past is None else []
    return _list(
        chart, "Medications", union.marked(medications.tables(facts, chart.lookups.names), facts), add="medication", notes=notes,
        acts=[*acts, *check], ordered=await _ordered(chart),
    )  # fmt: skip


async def _ordered(chart: Chart) -> Stopped | None:
    """What was found of the order that was just stored."""
    rtype, _, id = chart.call.request.query_params.get("saved", "").partition("/")
    found = (
        await kept.of_patient(chart.call.records, chart.id, id) if rtype == "MedicationRequest" and id else []
    )
    return stored_check(found[0]) if found else None


async def allergy_list(call: Call) -> Response:
    """Allergies that stand, and those that no longer do."""
    chart = await opened(call, "allergies")
    facts, _ = await chart.facts(["AllergyIntolerance", "List"], limit=200)
    return _list(chart, "Allergies", union.marked(allergies.table(facts), facts), add="allergy")


async def procedure_list(call: Call) -> Response:
    """Procedures and surgeries, paged."""
    chart = await opened(call, "procedures")
    facts, paging = await _paged(chart, ["Procedure"])
    shown = events.procedures(facts, chart.lookups.names)
    return _list(chart, "Procedures and surgeries", shown, add="procedure", **paging)


async def family_history(call: Call) -> Response:
    """Relatives and what they had."""
    chart = await opened(call, "family")
    facts, _ = await chart.facts(["FamilyMemberHistory", "List"], limit=100)
    return _list(chart, "Family history", events.family(facts), add="family")


async def insurance(call: Call) -> Response:
    """Coverage; claims and benefit statements are only counted."""
    chart = await opened(call, "insurance")
    facts, _ = await chart.facts(["Coverage"], limit=100)
    counted = [
        (chart.counts.get("Claim", 0), "claims"),
        (chart.counts.get("ExplanationOfBenefit", 0), "explanations of benefit"),
    ]
    words = " and ".join(f"{n} {what}" for n, what in counted if n)
    notes = [f"Also in the record: {words}. They can be read through the FHIR API."] if words else []
    return _list(
        chart, "Insurance", events.insurance(facts, chart.lookups.names), add="insurance", notes=notes
    )


async def contacts(call: Call) -> Response:
    """Demographics, phone and address, contacts, care team, of every linked record of this person."""
    chart = await opened(call, "contacts")
    facts, _ = await chart.facts(["Patient", "RelatedPerson", "CareTeam"], limit=100)
    mine = [fact for fact in facts if fact.rtype != "Patient" or fact.id == chart.id]
    shown = people.contacts(mine, chart.lookups.names, chart.on)
    acts = [
        (f"edit/Patient/{chart.id}", "Correct demographics", "e"),
        ("contact-preferences", "Contact preferences", ""),
        (f"/persons?patient={chart.id}", "Other records of this person", ""),
        ("portal", "Portal access", ""),
    ]
    others = [fact for fact in facts if fact.rtype == "Patient" and fact.id != chart.id]
    notes = (
        [f"Linked with {len(others)} other record(s) of the same person; the chart shows the union."]
        if others
        else []
    )
    return _list(chart, "Contacts and demographics", shown, add="contact", acts=acts, notes=notes)


async def visit_list(call: Call) -> Response:
    """Visits, paged; hospital stays can be shown alone."""
    chart = await opened(call, "visits")
    stays = call.request.query_params.get("show") == "stays"
    facts, paging = (await _stays(chart), {}) if stays else await _paged(chart, ["Encounter"])
    total = len(facts) if stays else int(str(paging["total"]))
    table = events.visits(facts, chart.lookups.names, "Hospital stays" if stays else "Visits")
    chips = [
        (chart.url("visits"), "All visits", None if stays else total, not stays),
        (chart.url("visits", show="stays"), "Hospital stays", total if stays else None, stays),
    ]
    return _list(chart, "Visits", [table], chips=chips, acts=[("visits/new", "New visit", "n")], **paging)


async def _stays(chart: Chart) -> list[Fact]:
    """The hospital stays among the newest thousand visits."""
    out: list[Fact] = []
    for offset in range(0, 2000, 500):
        found = await chart.call.records.facts(
            chart.id, ["Encounter"], as_of=chart.as_of, limit=500, offset=offset
        )
        out += [fact for stored in found.items if events.is_stay((fact := fact_of(stored)).body)]
        if offset + 500 >= found.total or len(out) >= 100:
            break
    await chart.name(out[:100])
    return out[:100]


async def visit(call: Call) -> Response:
    """One visit and everything that was recorded in it."""
    chart = await opened(call, "visits")
    fact = await version(chart, "Encounter", call.request.path_params["visit"])
    inside = await _inside(chart, fact)
    groups: dict[str, list[Row]] = {}
    for one in inside:
        groups.setdefault(_WORDS[one.rtype], []).append(inside_row(one, chart))
    shown = [
        Table(f"in-{n}", words, ("What", "Value or state"), tuple(rows), str(len(rows)))
        for n, (words, rows) in enumerate(groups.items())
    ]
    title = events.visit_title(fact.body)
    return chart.page("chart/visit.html", title, fact=fact, lines=_visit_lines(fact, chart), shown=shown)


async def _inside(chart: Chart, visit: Fact) -> list[Fact]:
    """What names this visit as where it was recorded, within a week of it."""
    period = visit.body.get("period") or {}
    start, end = (
        dates.first_day(period.get("start")),
        dates.first_day(period.get("end") or period.get("start")),
    )
    if start is None or end is None:
        return []
    lo, hi = chart.call.zone.ends(start) - timedelta(days=8), chart.call.zone.ends(end) + timedelta(days=7)
    facts, _ = await chart.facts(INSIDE, lo=lo, hi=hi, limit=400)
    return [fact for fact in facts if sources.encounter_of(fact.body) == visit.id][:200]


_WORDS = {
    "Condition": "Conditions", "Observation": "Results and vitals", "Procedure": "Procedures", "Immunization": "Immunizations",
    "MedicationRequest": "Medications", "MedicationStatement": "Medications", "DiagnosticReport": "Reports",
    "DocumentReference": "Documents and notes", "Composition": "Documents and notes", "CarePlan": "Care plans",
    "ImagingStudy": "Imaging", "AllergyIntolerance": "Allergies", "ServiceRequest": "Requests", "ClinicalImpression": "Impressions",
}  # fmt: skip
INSIDE = list(_WORDS)


def inside_row(fact: Fact, chart: Chart, *, ranged: bool = False) -> Row:
    """One thing that was recorded in a visit or a report; `ranged` adds the reference range of an Observation."""
    if fact.rtype == "Observation":
        found = readings.read(fact)
        value = (
            ", ".join(f"{one.brief} {one.unit} {one.flag.sign}{one.flag.letter}".strip() for one in found)
            or "panel"
        )
        ranges = (
            (Cell(", ".join(one.range for one in found if one.range) or "not sent", quiet=True),)
            if ranged
            else ()
        )
        return Row(
            fact,
            codes.concept(fact.body.get("code")),
            (Cell(value), *ranges),
            struck=found[0].struck if found else "",
        )
    if fact.rtype in events.TIMELINE:
        row = events.timeline([fact], chart.lookups.names)[0].rows[0]
        state = codes.said(fact.body.get("clinicalStatus")) or str(
            fact.body.get("status") or codes.NOT_RECORDED
        )
        return Row(fact, row.title, (Cell(codes.plain(state), quiet=True),), struck=row.struck, href=row.href)
    about = fact.body.get("code") or fact.body.get("category") or fact.body.get("modality")
    words = (
        codes.concepts(about)
        if isinstance(about, list)
        else codes.concept(about)
        if isinstance(about, dict)
        else ""
    )
    title = str(fact.body.get("description") or fact.body.get("title") or words or fact.rtype)
    return Row(
        fact, title, (Cell(codes.plain(str(fact.body.get("status") or codes.NOT_RECORDED)), quiet=True),)
    )


def _visit_lines(fact: Fact, chart: Chart) -> list[tuple[str, str]]:
    body, names = fact.body, chart.lookups.names
    stay = body.get("hospitalization") or {}
    who = [
        values.reference(one.get("individual"), names)
        for one in body.get("participant") or ()
        if one.get("individual")
    ]
    lines = [
        (
            "When",
            " to ".join(
                part
                for part in (
                    chart.call.zone.moment((body.get("period") or {}).get(end)) for end in ("start", "end")
                )
                if part
            ),
        ),
        ("Kind", events.visit_class(body)),
        (
            "Reason",
            codes.concepts(body.get("reasonCode"))
            or ", ".join(values.reference(one, names) for one in body.get("reasonReference") or ()),
        ),
        ("Clinician", ", ".join(who)),
        ("State", codes.plain(str(body.get("status") or ""))),
        *(
            [("Where", values.reference(body["serviceProvider"], names))]
            if chart.network and body.get("serviceProvider")
            else []
        ),
        *(
            [
                ("Admitted from", codes.concept(stay.get("admitSource"), "")),
                ("Left to", codes.concept(stay.get("dischargeDisposition"), "")),
            ]
            if stay
            else []
        ),
        (
            "Diagnoses",
            ", ".join(values.reference(one.get("condition"), names) for one in body.get("diagnosis") or ()),
        ),
    ]
    return [(label, words or codes.NOT_RECORDED) for label, words in lines]


async def timeline(call: Call) -> Response:
    """Everything dated, newest first, one kind or all."""
    chart = await opened(call, "timeline")
    wanted = call.request.query_params.get("show", "")
    kinds: dict[str, list[str]] = {}
    for rtype, (words, _) in events.TIMELINE.items():
        kinds.setdefault(words, []).append(rtype)
    facts, paging = await _paged(chart, kinds.get(wanted) or list(events.TIMELINE))
    chips: list[tuple[str, str, int | None, bool]] = [
        (chart.url("timeline"), "Everything", None, wanted not in kinds)
    ]
    for words, rtypes in kinds.items():
        n = sum(chart.counts.get(rtype, 0) for rtype in rtypes)
        if n:
            chips.append(
                (
                    chart.url("timeline", show=words),
                    f"{words}s" if words[-1] != "y" else f"{words[:-1]}ies",
                    n,
                    words == wanted,
                )
            )
    return _list(chart, "Timeline", events.timeline(facts, chart.lookups.names), chips=chips, **paging)


async def document_list(call: Call) -> Response:
    """Notes, documents and reports, paged."""
    chart = await opened(call, "documents")
    facts, paging = await _paged(chart, list(events.DOCUMENTS))
    return _list(chart, "Documents and notes", [events.documents(facts, chart.lookups.names)], **paging)


async def document(call: Call) -> Response:
    """One note, document or report, as text; never as the sender's HTML."""
    chart = await opened(call, "documents")
    params = call.request.path_params
    if params["rtype"] not in events.DOCUMENTS:
        raise NotFound("There is no such document in this chart")
    fact = await version(chart, params["rtype"], params["id"])
    row = events.documents([fact], chart.lookups.names).rows[0]
    results = await _results_of(chart, fact)
    return chart.page(
        "chart/document.html", row.title, fact=fact, row=row, parts=texts.parts(fact.body), results=results
    )


async def _results_of(chart: Chart, report: Fact) -> Table | None:
    """The observations that a report lists, as rows."""
    wanted = {
        str(one.get("reference", "")).removeprefix("Observation/") for one in report.body.get("result") or ()
    }
    day = dates.first_day(events.report_day(report.body))
    if not wanted or day is None:
        return None
    facts, _ = await chart.facts(
        ["Observation"],
        lo=chart.call.zone.ends(day) - timedelta(days=8),
        hi=chart.call.zone.ends(day) + timedelta(days=7),
        limit=400,
    )
    listed = sorted((fact for fact in facts if fact.id in wanted), key=_test_order)
    rows = tuple(inside_row(fact, chart, ranged=True) for fact in listed)
    return (
        Table("results", "Results", ("Test", "Value", "Range"), rows, str(len(rows)), edit=False)
        if rows
        else None
    )


def _test_order(fact: Fact) -> tuple[int, int, str]:
    found = readings.read(fact)
    return flowsheet.place(found[0]) if found else (99, 999, "")
