"""Quarantine: the work list of results that may not be believed yet, and one of them with what can be decided."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import quarantine
from commonchart.access.quarantine import Choice, Item, Waiting
from commonchart.care.quarantine import RELEASABLE
from commonchart.care.rules import built_in
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, Refused
from commonchart.jobs import quarantine as settling
from commonchart.jobs.quarantine import Correction, Key
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.writing import texts
from commonchart.web.present import codes, dates, due, people, readings, trend
from commonchart.web.present import quarantine as shown
from commonchart.web.present.tables import Fact
from commonchart.web.session import form as sent_form

PAGE = 25
HISTORY = 60
TYPES = frozenset({"Observation", "DiagnosticReport"})


class Line(Struct, frozen=True):
    """One row of the work list. `key` is what a tick box sends: patient, type, id and version."""

    key: str
    href: str
    patient: str
    details: str
    kind: str
    reason: str
    label: str
    value: str
    flag: readings.Flag
    earlier: str
    taken: str
    source: str
    age: str
    also: int


async def page(call: Call) -> Response:
    """What waits, oldest first."""
    return await _page(call, [], "")


async def bulk(call: Call) -> Response:
    """Release or reject the chosen ones, all or none."""
    sent = await texts(call)
    ticked = [text for text in (await sent_form(call.request)).getlist("chosen") if isinstance(text, str)]
    try:
        decision = sent.get("decision", "")
        if decision not in ("released", "rejected"):
            raise Invalid("Choose whether to release or to reject", at="decision")
        chosen = [_chosen(text) for text in ticked]
        choices = [Choice(decision, vid, sent.get("comment", "")) for _, vid in chosen]  # type: ignore[arg-type]
        n = await settling.settle(call.records, [key for key, _ in chosen], choices)
    except Forbidden:
        raise
    except Refused as refusal:
        return await _page(call, _issues(refusal), sent.get("comment", ""), set(ticked), refusal.status)
    return go(f"/quarantine?said={n}")


def _chosen(text: str) -> tuple[Key, int]:
    """(patient, type, id) and version of a tick box. Raises Invalid."""
    parts = text.split("/")
    if len(parts) != 4 or not (parts[3].isascii() and parts[3].isdigit() and len(parts[3]) < 10):
        raise Invalid("The form is not complete: open it again")
    return (parts[0], parts[1], parts[2]), int(parts[3])


def _issues(refusal: Refused) -> list[tuple[str, str]]:
    known = {"comment", "decision", "value", "unit", "day", "chosen"}
    return [(one.at if one.at in known else "", one.message) for one in refusal.issues]


async def _page(
    call: Call, issues: list[tuple[str, str]], comment: str, ticked: set[str] | None = None, status: int = 200
) -> Response:
    kind = call.request.query_params.get("kind", "")
    if kind and kind not in shown.KINDS:
        raise NotFound("There is no such reason")
    number = _number(call)
    found = await quarantine.listed(call.records, kind, limit=PAGE, offset=(number - 1) * PAGE)
    return call.page(
        "quarantine.html", status, title="Quarantine", lines=[_line(call, one) for one in found.rows], total=found.total,
        chips=_chips(found.kinds, kind), issues=issues, errors={at: said for at, said in reversed(issues) if at},
        comment=comment, ticked=ticked or set(), may_decide=call.may("update", "Observation"),
        said=call.request.query_params.get("said", ""), first=(number - 1) * PAGE + 1,
        newer=_address(kind, number - 1) if number > 1 else "",
        older=_address(kind, number + 1) if number * PAGE < found.total else "",
    )  # fmt: skip


def _number(call: Call) -> int:
    text = call.request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _address(kind: str, number: int) -> str:
    given = {name: value for name, value in (("kind", kind), ("page", number if number > 1 else "")) if value}
    return "/quarantine" + (f"?{urlencode(given)}" if given else "")


def _chips(kinds: Mapping[str, int], kind: str) -> list[tuple[str, str, int, bool]]:
    every = [("/quarantine", "Everything", sum(kinds.values()), not kind)]
    return every + [
        (_address(name, 1), words, kinds.get(name, 0), name == kind)
        for name, words in shown.KINDS.items() if kinds.get(name) or name == kind
    ]  # fmt: skip


def _line(call: Call, one: Waiting) -> Line:
    patient, result, doubt = fact_of(one.patient).body, fact_of(one.result), one.doubt
    reading = shown.value(result, built_in(), doubt.analyte)
    banner = people.banner(patient | {"id": one.patient.id}, call.today)
    before = [shown.value(fact_of(old), built_in(), doubt.analyte) for old in one.earlier]
    return Line(
        f"{one.patient.id}/{result.key}/{doubt.vid}", f"/patients/{one.patient.id}/quarantine/{result.key}",
        banner.name, f"{banner.born} · {banner.mrn}", shown.KINDS.get(doubt.kind, doubt.kind), doubt.reason, doubt.label,
        f"{reading.brief} {reading.unit}".strip() if reading else codes.NOT_RECORDED, reading.flag if reading else readings.Flag(),
        ", ".join(f"{old.brief} {old.unit} ({dates.day(old.day)})" for old in before if old) or "none",
        (call.zone.moment(reading.at) if reading else "") or codes.NOT_RECORDED, _source(result), shown.age(one.since, call.now), len(doubt.also),
    )  # fmt: skip


def _source(fact: Fact) -> str:
    """Who says so: the performer as written, else the recording organisation."""
    performers = [one.get("display") for one in fact.body.get("performer") or () if isinstance(one, dict)]
    return next((str(one) for one in performers if one), fact.org or codes.NOT_RECORDED)


# ---- one result ---------------------------------------------------------------------------------------------------


async def one(call: Call) -> Response:
    """One result beside its earlier ones, what releasing it would do, and the decisions."""
    return await _one(call, {}, [])


async def act(call: Call) -> Response:
    """Release, reject, correct, ask whose it is, or undo."""
    sent = await texts(call)
    params = call.request.path_params
    key = params["patient"], params["rtype"], params["id"]
    try:
        said = await _act(call, key, sent)
    except Forbidden:
        raise
    except Refused as refusal:
        if refusal.status not in (409, 412, 422):
            raise
        return await _one(call, sent, _issues(refusal), refusal.status)
    return go(f"/patients/{key[0]}/quarantine/{key[1]}/{key[2]}?said={said}")


async def _act(call: Call, key: Key, sent: Mapping[str, str]) -> str:
    decision, comment = sent.get("decision", ""), sent.get("comment", "")
    vid = _chosen("/".join((*key, sent.get("vid", ""))))[1]
    choice = Choice(decision, vid, comment)  # type: ignore[arg-type]
    if decision == "corrected":
        await settling.correct(call.records, key, _typed(sent), choice, sent.get("analyte", ""))
    elif decision == "asked":
        await settling.ask(call.records, key, choice)
    elif decision == "restore":
        await settling.restore(call.records, key, comment)
    elif decision in ("released", "rejected", "undone"):
        await settling.settle(call.records, [key], [choice])
    else:
        raise Invalid("Choose what to do with it", at="decision")
    return "undone" if decision == "restore" else decision


def _typed(sent: Mapping[str, str]) -> Correction:
    try:
        number = Decimal(sent.get("value", "").strip().replace(",", "."))
    except InvalidOperation:
        raise Invalid("Enter the corrected value as a number", at="value") from None
    if not number.is_finite() or len(sent["value"]) > 20:
        raise Invalid("Enter the corrected value as a number", at="value")
    day = sent.get("day", "").strip()
    try:
        return Correction(number, sent.get("unit", "").strip()[:40], dates.typed(day) if day else None)
    except Invalid:
        raise Invalid("Enter the date like 12-Mar-2024 or 2024-03-12", at="day") from None


async def _one(
    call: Call, typed: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    params = call.request.path_params
    if params["rtype"] not in TYPES:
        raise NotFound("There is no such page")
    chart = await opened(call, "results", rail=False)
    item = await quarantine.one(call.records, chart.id, params["rtype"], params["id"])
    fact = fact_of(item.result)
    await chart.lookups.learn_people(call.records)
    await chart.name([fact])
    analyte = next((doubt.analyte for doubt in item.doubts if doubt.analyte), "")
    reading = shown.value(fact, built_in(), analyte)
    held = built_in().analytes.get(analyte)
    return chart.page(
        "chart/quarantine.html", codes.concept(fact.body.get("code"), "Result"), status, fact=fact, item=item, reading=reading,
        kinds=[(shown.KINDS.get(doubt.kind, doubt.kind), doubt.label, doubt.reason, len(doubt.also)) for doubt in item.doubts],
        releasable=bool(item.doubts) and all(doubt.kind in RELEASABLE for doubt in item.doubts),
        why_not=next((quarantine.NOT_ALLOWED[doubt.kind] for doubt in item.doubts if doubt.kind in quarantine.NOT_ALLOWED), ""),
        tries=shown.tries(built_in(), analyte, reading.number if reading else None), analyte=analyte,
        units=_units(held), unit_pairs=[(unit, unit) for unit in _units(held)], since=shown.age(item.since, call.now) if item.since else "", source=_source(fact),
        log=[_decided(chart, item, n) for n in range(len(item.answers))][::-1], typed=typed, issues=issues,
        errors={at: said for at, said in reversed(issues) if at}, may_decide=chart.past is None and call.may("update", fact.rtype),
        decisions=shown.DECISIONS, said=call.request.query_params.get("said", ""),
        restorable=_restorable(item), **await _beside(chart, fact), **await _effects(chart, item),
    )  # fmt: skip


def _units(held: Any) -> list[str]:
    return list(dict.fromkeys((held.unit, *held.factors, *held.ucum))) if held else []


def _restorable(item: Item) -> bool:
    last = item.answers[-1] if item.answers else None
    return bool(last and last.decision == "corrected" and last.vid + 1 == item.result.vid)


def _decided(chart: Chart, item: Item, n: int) -> dict[str, Any]:
    one = item.answers[n]
    return {
        "what": shown.DECISIONS[one.decision], "at": chart.call.zone.stamp(one.at), "who": chart.lookups.people.get(one.actor, one.actor),
        "comment": one.comment, "reason": one.reason, "vid": one.vid,
    }  # fmt: skip


async def _beside(chart: Chart, fact: Fact) -> dict[str, Any]:
    """The values of the same test, newest first, with what else is said about each; and their trend."""
    wanted = [c.key for c in codes.codings(fact.body.get("code"))]
    if not wanted or fact.rtype != "Observation":
        return {"values": [], "drawn": None, "remarks": {}, "standing": {}, "total": 0}
    found, total = await chart.facts(["Observation"], codes=wanted, limit=HISTORY)
    read = readings.readings(found)
    marks = await quarantine.marks(chart.call.records, chart.id)
    standing = [one for one in read if not (m := marks.get(one.fact.key)) or m.vid != one.fact.vid]
    return {
        "values": read, "drawn": trend.chart(standing), "remarks": shown.remarks(built_in(), found), "total": total,
        "standing": {one.key: marks[one.key] for one in found if one.key in marks and marks[one.key].vid == one.vid},
    }  # fmt: skip


async def _effects(chart: Chart, item: Item) -> dict[str, Any]:
    """What releasing would do; not worked out for what is not in quarantine, nor for past dates."""
    if not item.doubts or chart.past is not None or not chart.call.may("read", "Condition"):
        return {"effects": []}
    result = item.result
    found = await settling.effects(chart.call.records, chart.id, f"{result.rtype}/{result.id}")
    nothing = ("not", "Not about this person")
    return {
        "effects": [
            (one, due.STATUSES.get(one.before, nothing), due.STATUSES.get(one.after, nothing))
            for one in found
        ]
    }
