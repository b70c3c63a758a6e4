"""The calculators of a chart: filled from the record, each input with its day and source; other values can be tried."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from commonchart.access import quarantine
from commonchart.access.records import Create
from commonchart.care.calculators.body import corrected_age
from commonchart.care.calculators.catalogue import CALCULATORS, Calculator, observation, why_not_kept
from commonchart.care.calculators.from_fhir import NUMBERS, TRUTHS, Inputs, inputs
from commonchart.care.calculators.sheet import Given, Result
from commonchart.care.calculators.sheet import shown as written
from commonchart.care.growth.from_fhir import growth
from commonchart.care.medications.from_fhir import record
from commonchart.care.medications.meetings import Meeting
from commonchart.care.medications.opioid_load import load
from commonchart.care.medications.pack import built_in as medicines
from commonchart.care.rules import built_in
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid
from commonchart.fhir.validate import validate
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.writing import texts
from commonchart.web.present import dates, people

OLD_DAYS = 365
OTHERS = 1000
RACES = [("white", "White or another"), ("black", "Black")]
SEXES = [("female", "female"), ("male", "male")]
LABELS = {
    "ascvd": "Known cardiovascular disease", "smoker": "Smokes now", "statin": "Takes a statin", "hdl": "HDL cholesterol",
    "egfr": "eGFR", "inr": "INR", "ast": "AST", "alt": "ALT", "systolic": "Systolic pressure",
}  # fmt: skip


class Row(Struct, frozen=True):
    """One input: what stands in its field, and what the record has. `old` says how old it is where that is much."""

    name: str
    id: str
    label: str
    unit: str
    value: str
    recorded: str
    ref: str
    old: str
    passed: str
    typed: bool = False


class Answer(Struct, frozen=True):
    """One calculator's answer as shown. `why_not` says why it cannot be kept."""

    id: str
    result: Result
    review: str
    why_not: str
    typed: bool


async def page(call: Call) -> Response:
    """Everything that can be computed from the record, and what is missing for the rest."""
    return await _page(call, None, [])


async def act(call: Call) -> Response:
    """Compute with other values, which are not stored; or keep an answer as an Observation."""
    sent = await texts(call)
    keep = sent.get("keep", "")
    try:
        made = next((one for one in CALCULATORS if one.id == keep), None)
        if keep and made is None:
            raise Invalid("There is no such calculator")
        return await _keep(call, made, sent) if made else await _page(call, sent, [])
    except (Invalid, Conflict) as refusal:
        issues = [(_id(one.at) if one.at else "", one.message) for one in refusal.issues]
        return await _page(call, {} if keep else sent, issues, refusal.status, read=not keep)


async def _keep(call: Call, made: Calculator, sent: Mapping[str, str]) -> Response:
    chart = await opened(call, "calculators", rail=False)
    if not chart.may_write or not call.may("create", "Observation"):
        raise Forbidden("Your role does not allow you to record this")
    known, _, _ = await _known(chart)
    given, race = _given(known, sent)
    result = made.run(given, race, chart.on)
    if why := why_not_kept(result):
        raise Conflict(f"{result.name} cannot be kept: {why}")
    body = observation(made, result, chart.id, call.zone.iso(call.now))
    (written,) = await call.records.commit([Create(validate(body))])
    return go(f"/patients/{chart.id}/calculators?saved=Observation/{written.stored.id}")


async def _known(chart: Chart) -> tuple[Inputs, dict[str, str], list[dict[str, Any]]]:
    """The inputs of the record, what is in quarantine, and the resources that were looked at."""
    taken = [fact_of(one) for one in await chart.call.records.latest(chart.id, as_of=chart.as_of, per_code=4)]
    others, total = await chart.facts(
        ["Condition", "MedicationRequest", "MedicationStatement", "Medication"], limit=OTHERS, named=False
    )
    if total > len(others):
        raise Conflict(f"This chart has more than {OTHERS:,} problems and medications: nothing was computed")
    marks = await quarantine.marks(chart.call.records, chart.id)
    doubted = {
        one.key: marks[one.key].reason for one in taken if one.key in marks and marks[one.key].vid == one.vid
    }
    bodies = [one.body for one in (*taken, *others)]
    return (
        inputs(chart.patient.body | {"id": chart.id}, bodies, built_in(), chart.on, doubted),
        doubted,
        bodies,
    )


def _given(known: Inputs, sent: Mapping[str, str] | None) -> tuple[Inputs, Given | None]:
    """The inputs to compute with: what was left as it stood is the record's, the rest is what was typed. Raises Invalid."""
    if sent is None:
        return known, None
    numbers = {name: found for name in NUMBERS if (found := _number(known, name, sent)) is not None}
    truths = {name: found for name in TRUTHS if (found := _truth(known, name, sent)) is not None}
    sex = known.sex or (Given(sent["sex"]) if sent.get("sex") in ("female", "male") else None)
    race = Given(sent["race"]) if sent.get("race") in ("white", "black") else None
    return replace(known, numbers=numbers, truths=truths, sex=sex), race


def _number(known: Inputs, name: str, sent: Mapping[str, str]) -> Given | None:
    text = sent.get(_id(name), _shown(known, name)).strip()
    if text == _shown(known, name):
        return known.numbers.get(name)
    if not text:
        return None
    try:
        value = Decimal(text.replace(",", "."))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or len(text) > 20:
        raise Invalid(f"{_label(name)} must be a number", at=name)
    return Given(value, NUMBERS[name].unit)


def _truth(known: Inputs, name: str, sent: Mapping[str, str]) -> Given | None:
    said = sent.get(_id(name), _word(known.truths.get(name)))
    if said == _word(known.truths.get(name)):
        return known.truths.get(name)
    return Given(said == "yes") if said in ("yes", "no") else None


def _id(name: str) -> str:
    return name.replace(" ", "-")


def _label(name: str) -> str:
    return LABELS.get(name, name[:1].upper() + name[1:])


def _shown(known: Inputs, name: str) -> str:
    """A recorded number as its field shows it, in the calculator's unit; empty where it cannot be used."""
    found = known.numbers.get(name)
    if found is None or not isinstance(found.value, Decimal) or found.comparator:
        return ""
    value = NUMBERS[name].convert(found.value, found.unit)
    return "" if value is None else written(value)


def _word(found: Given | None) -> str:
    return "" if found is None else "yes" if found.value else "no"


async def _page(
    call: Call,
    sent: Mapping[str, str] | None,
    issues: list[tuple[str, str]],
    status: int = 200,
    *,
    read: bool = True,
) -> Response:
    chart = await opened(call, "calculators", rail=False)
    known, doubted, bodies = await _known(chart)
    given, race = _given(known, None if issues or not read else sent)
    answers = [_answer(one, one.run(given, race, chart.on)) for one in CALCULATORS]
    values = sent or {}
    return chart.page(
        "chart/calculators.html", "Calculators", status, answers=answers, issues=issues, errors={at: said for at, said in issues if at},
        numbers=[_row(known, name, values, doubted, chart.on) for name in NUMBERS], truths=[_choice(known, name, values, chart.on) for name in TRUTHS],
        sex=_word_sex(known, values), sex_known=known.sex is not None, sexes=SEXES, races=RACES, race=values.get("race", ""),
        problems=known.problems, mme=_opioids(chart, bodies), corrected=_corrected(chart, bodies), tried=bool(sent) and not issues,
        may_keep=chart.may_write and call.may("create", "Observation"), age=people.banner(chart.patient.body | {"id": chart.id}, chart.on).age,
    )  # fmt: skip


def _word_sex(known: Inputs, values: Mapping[str, str]) -> str:
    return str(known.sex.value) if known.sex else values.get("sex", "")


def _answer(made: Calculator, result: Result) -> Answer:
    typed = any(not one.given.ref and one.name not in ("age", "sex") for one in result.inputs)
    return Answer(made.id, result, made.review, why_not_kept(result), typed)


def _row(known: Inputs, name: str, values: Mapping[str, str], doubted: Mapping[str, str], on: date) -> Row:
    found, quantity = known.numbers.get(name), NUMBERS[name]
    here = _shown(known, name)
    value = values.get(_id(name), here)
    recorded = (
        f"{found.comparator}{written(found.value)} {found.unit}".strip()
        if found and isinstance(found.value, Decimal)
        else ""
    )
    passed = known.passed.get(name, "")
    return Row(
        name, _id(name), _label(name), quantity.unit, value, recorded + (f", {dates.of_date(found.day)}" if found and found.day else ""),
        found.ref if found else "", _old(found, on), doubted.get(passed, "") if passed else "", value != here,
    )  # fmt: skip


def _choice(known: Inputs, name: str, values: Mapping[str, str], on: date) -> Row:
    found = known.truths.get(name)
    value = values.get(_id(name), _word(found))
    day = f", {dates.of_date(found.day)}" if found and found.day else ""
    return Row(
        name, _id(name), _label(name), "", value, f"{_word(found)}{day}" if found else "", found.ref if found else "",
        _old(found, on) if name == "smoker" else "", "", value != _word(found),
    )  # fmt: skip


def _old(found: Given | None, on: date) -> str:
    days = (on - found.day).days if found and found.day else 0
    return f"{days // 30} months old" if days > OLD_DAYS else ""


def _opioids(chart: Chart, bodies: list[dict[str, Any]]) -> Result:
    taken = record(chart.patient.body | {"id": chart.id}, bodies, medicines(), chart.on)
    return load(Meeting(medicines(), taken.medications, None, chart.on, frozenset()))


def _corrected(chart: Chart, bodies: list[dict[str, Any]]) -> tuple[str, str]:
    """The corrected age of a child under two, in words, with how it came about; else why there is none."""
    child = growth(chart.patient.body | {"id": chart.id}, bodies, chart.on).child
    if child.born is None:
        return "cannot compute: missing date of birth", ""
    found = corrected_age(child.born, chart.on, child.gestation_days)
    if found.corrected:
        weeks, days = divmod(found.days, 7)
        return f"{weeks} weeks {days} days", found.why
    return (
        "cannot compute: missing gestational age at birth"
        if found.why
        else "not corrected: born at term, or older than 24 months"
    ), ""
