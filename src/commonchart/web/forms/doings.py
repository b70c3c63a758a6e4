"""The form that records what a rule asks for as done, here or elsewhere, with the type and code that the rule counts.

What came out is written so that the rule reads it as it was meant; where words would be read otherwise, the form says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from commonchart.care.acts import Act, Measure, read_back
from commonchart.care.schema import Pack, Rule
from commonchart.fhir.outcome import Issue
from commonchart.web.forms.fhir import (
    SNOMED,
    TERM,
    author,
    concept,
    encountered,
    note,
    quantity,
    subject,
    term,
)
from commonchart.web.forms.fields import Context, Field, Form, Option, Values, options, problem

WHERE = options(
    "here=Here", "report=Elsewhere: a report or letter was seen", "told=Elsewhere, as the patient says",
)  # fmt: skip
OUTCOMES = options("normal=Normal or negative", "abnormal=Not normal, or positive", "unknown=Not known yet")
_VITAL = {
    "systolic",
    "diastolic",
    "weight",
    "bmi",
    "oxygen-saturation",
    "length",
    "head-circumference",
    "bmi-percentile",
}


def record(rule: Rule, pack: Pack, ways: Sequence[Act]) -> Form:
    """The form for one rule; `ways` are what can be recorded, at least one."""
    return Form(
        key="record", title=f"Record: {rule.title}", rtype=ways[0].type, section="due", noun="this",
        fields=tuple(_fields(pack, ways)),
        build=lambda values, context, base: _resources(pack, _chosen(ways, values), values, context),
        read=lambda resource: {},
        check=lambda values, context: list(_check(rule, pack, ways, values, context)),
    )  # fmt: skip


def _fields(pack: Pack, ways: Sequence[Act]) -> Iterator[Field]:
    if len(ways) > 1:
        choices = tuple(Option(one.key, one.label) for one in ways)
        yield Field("way", "Test or procedure", "choice", required=True, options=choices)
    yield Field("when", "When", "date", required=True, default="@today", hint="The day it was done. A month or a year, if no more is known.")  # fmt: skip
    for one in {m.analyte: m for way in ways for m in way.measures}.values():
        yield from _number(pack, one)
    answers = next((way.answers for way in ways if way.answers), ())
    if answers:
        yield Field("answer", "Answer", "choice", options=tuple(Option(*pair) for pair in answers))
    if any(way.reads_results and not way.measures for way in ways):
        yield Field("outcome", "Result", "choice", options=OUTCOMES)
    if any(not way.answers for way in ways):
        yield Field("words", "Result in words", "long", max_length=1000)
    yield Field("where", "Where", "choice", required=True, default="here", options=WHERE)
    yield Field("source", "Who did it, and where", max_length=200, hint="Needed for what was done elsewhere")
    yield Field("note", "Note", "long", max_length=2000)


def _number(pack: Pack, one: Measure) -> Iterator[Field]:
    group = one.label
    yield Field(
        f"v-{one.analyte}",
        f"{one.label}, {one.unit}" if len(units(pack, one)) == 1 else one.label,
        "number",
        group=group,
    )
    if len(units(pack, one)) > 1:
        yield Field(f"u-{one.analyte}", f"Unit of {one.label}", "choice", default=one.unit, group=group, options=tuple(Option(u, u) for u in units(pack, one)))  # fmt: skip


def units(pack: Pack, one: Measure) -> list[str]:
    """The units in which a number can be read: the analyte's own first."""
    analyte = pack.analytes[one.analyte]
    return list(dict.fromkeys([analyte.unit, *analyte.ucum, *analyte.factors]))


def _chosen(ways: Sequence[Act], values: Values) -> Act:
    return next((one for one in ways if one.key == values.get("way", ways[0].key)), ways[0])


def _check(rule: Rule, pack: Pack, ways: Sequence[Act], values: Values, context: Context) -> Iterator[Issue]:
    act = _chosen(ways, values)
    if values["where"] != "here" and not values["source"]:
        yield problem("source", "Enter who did it and where: a result without a source cannot be traced")
    wrong = [*_wrong_result(pack, act, values)]
    yield from wrong
    if (
        not wrong
        and act.reads_results
        and values.get("outcome") in ("normal", "abnormal")
        and not act.measures
    ):
        made = _resources(pack, act, values, context)[0]
        if read_back(rule, act, pack, made) != values["outcome"]:
            yield problem(
                "words",
                f"These words would be read as something else than “{values['outcome']}”: write the finding itself",
            )


def _wrong_result(pack: Pack, act: Act, values: Values) -> Iterator[Issue]:
    if act.answers and not values.get("answer"):
        yield problem("answer", "Choose the answer")
    if act.measures:
        yield from _wrong_numbers(pack, act, values)
    elif act.reads_results:
        yield from _wrong_outcome(act, values)


def _wrong_numbers(pack: Pack, act: Act, values: Values) -> Iterator[Issue]:
    typed = [one for one in act.measures if values[f"v-{one.analyte}"]]
    if not typed and not (values.get("words") and len(act.measures) == 1):
        yield problem(f"v-{act.measures[0].analyte}", "Enter the number")
    for one in act.measures if typed else ():
        analyte, text = pack.analytes[one.analyte], values[f"v-{one.analyte}"]
        if not text:
            yield problem(f"v-{one.analyte}", f"{one.label} is missing: one half of a pair cannot be judged")
        elif _unit(one, values) == analyte.unit and not analyte.low <= Decimal(text) <= analyte.high:
            yield problem(
                f"v-{one.analyte}",
                f"{one.label} must be between {analyte.low} and {analyte.high} {analyte.unit}",
            )


def _wrong_outcome(act: Act, values: Values) -> Iterator[Issue]:
    outcome = values.get("outcome", "")
    if not outcome:
        yield problem("outcome", "Choose what came out: a result decides, not only the date")
    elif outcome == "abnormal" and not values["words"]:
        yield problem("words", "Write what was not normal")
    elif outcome == "unknown" and act.type == "Procedure" and act.system != SNOMED:
        yield problem("outcome", "Record it when the result is known")


def _unit(one: Measure, values: Values) -> str:
    return values.get(f"u-{one.analyte}") or one.unit


# ---- resources -------------------------------------------------------------------------------------------------


def _resources(pack: Pack, act: Act, values: Values, context: Context) -> list[dict[str, Any]]:
    if act.type == "Procedure" and values.get("outcome") != "unknown":
        return [_procedure(act, values, context)]
    typed = [one for one in act.measures if values[f"v-{one.analyte}"]]
    if act.panel:
        return [_pair(act, typed, values, context)]
    if typed:
        return [
            _observation(one.label, one.system, one.code, one.analyte, values, context) | _value(one, values)
            for one in typed
        ]
    analyte = act.measures[0].analyte if act.measures else ""
    return [_observation(act.label, act.system, act.code, analyte, values, context) | _said(act, values)]


def _value(one: Measure, values: Values) -> dict[str, Any]:
    return {"valueQuantity": quantity(values[f"v-{one.analyte}"], _unit(one, values))}


def _pair(act: Act, typed: Sequence[Measure], values: Values, context: Context) -> dict[str, Any]:
    parts = [{"code": concept(one.label, (one.system, one.code))} | _value(one, values) for one in typed]
    return _observation("Blood pressure", act.system, act.code, "systolic", values, context) | {
        "component": parts
    }


def _said(act: Act, values: Values) -> dict[str, Any]:
    outcome, words = values.get("outcome", ""), values.get("words", "")
    if act.answers:
        label = dict(act.answers)[values["answer"]]
        return {"valueCodeableConcept": concept(label, (SNOMED, values["answer"]))}
    if outcome == "unknown":
        return {"dataAbsentReason": term("data-absent-reason", "unknown")}
    out: dict[str, Any] = {"valueString": words} if words else {}
    if outcome:
        code = "N" if outcome == "normal" else "A"
        out["interpretation"] = [term("v3-ObservationInterpretation", code)]
        out.setdefault("valueString", "Normal" if outcome == "normal" else words)
    return out


def _observation(
    label: str, system: str, code: str, analyte: str, values: Values, context: Context
) -> dict[str, Any]:
    out: dict[str, Any] = {
        "resourceType": "Observation", "status": "final", "code": concept(label, (system, code)), "subject": subject(context),
        "encounter": encountered(context), "effectiveDateTime": values["when"],
        "issued": context.now.isoformat(timespec="milliseconds"), "performer": _performers(values, context),
        "note": _notes(values, context), "category": _category(system, analyte),
    }  # fmt: skip
    return {name: value for name, value in out.items() if value}


def _category(system: str, analyte: str) -> list[dict[str, Any]]:
    code = "vital-signs" if analyte in _VITAL else "laboratory" if analyte else ""
    if not system.startswith("http://loinc"):
        code = "survey"
    return [{"coding": [{"system": f"{TERM}observation-category", "code": code}]}] if code else []


def _procedure(act: Act, values: Values, context: Context) -> dict[str, Any]:
    words = values.get("words", "")
    if values.get("outcome") == "abnormal":
        words = f"Abnormal: {words}"
    elif values.get("outcome") == "normal":
        words = words or "Normal"
    out: dict[str, Any] = {
        "resourceType": "Procedure", "status": "completed", "code": concept(act.label, (act.system, act.code)),
        "subject": subject(context), "encounter": encountered(context), "performedDateTime": values["when"],
        "recorder": _reference(author(context)), "asserter": subject(context) if values["where"] == "told" else None,
        "performer": [{"actor": one} for one in _performers(values, context)], "outcome": {"text": words} if words else None,
        "note": _notes(values, context),
    }  # fmt: skip
    return {name: value for name, value in out.items() if value}


def _reference(who: dict[str, Any]) -> dict[str, Any] | None:
    return who or None


def _performers(values: Values, context: Context) -> list[dict[str, Any]]:
    if values["where"] == "here":
        return [author(context)] if author(context) else []
    return [{"display": values["source"]}]


def _notes(values: Values, context: Context) -> list[dict[str, Any]]:
    """Where it is known from, and the note."""
    known = {
        "here": "",
        "report": f"Done elsewhere: {values['source']}. A report was seen.",
        "told": f"Done elsewhere: {values['source']}. As the patient says; no report was seen.",
    }
    return note("\n\n".join(filter(None, (known[values["where"]], values["note"]))), context)
