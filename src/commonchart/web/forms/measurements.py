"""Forms for vitals and results. Limits refuse what cannot be a living person's value (clinical content notes, D/M)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from msgspec import Struct

from commonchart.fhir.outcome import Issue
from commonchart.web.forms.fhir import (
    LOINC,
    TERM,
    author,
    code_of,
    concept,
    display,
    encountered,
    first,
    merged,
    note,
    note_text,
    number_text,
    quantity,
    recoded,
    subject,
)
from commonchart.web.forms.fields import Context, Field, Form, Values, options, problem

_NOTE = Field("note", "Note", "long", max_length=4000)


class Vital(Struct, frozen=True):
    """One vital sign: field, LOINC code, words, unit and the limits of the believable."""

    field: str
    loinc: str
    label: str
    unit: str
    shown: str
    low: str
    high: str


VITALS = (
    Vital("systolic", "8480-6", "Systolic blood pressure", "mm[Hg]", "mmHg", "40", "320"),
    Vital("diastolic", "8462-4", "Diastolic blood pressure", "mm[Hg]", "mmHg", "10", "220"),
    Vital("pulse", "8867-4", "Heart rate", "/min", "/min", "10", "350"),
    Vital("breaths", "9279-1", "Respiratory rate", "/min", "/min", "2", "120"),
    Vital("temperature", "8310-5", "Body temperature", "Cel", "°C", "25", "45"),
    Vital("oxygen", "2708-6", "Oxygen saturation", "%", "%", "30", "100"),
    Vital("weight", "29463-7", "Body weight", "kg", "kg", "0.2", "650"),
    Vital("height", "8302-2", "Body height", "cm", "cm", "20", "272"),
)
_PRESSURE = {"systolic", "diastolic"}


def _vital_fields() -> tuple[Field, ...]:
    return tuple(
        Field(
            v.field, f"{v.label}, {v.shown}", "number", low=Decimal(v.low), high=Decimal(v.high), unit=v.shown
        )
        for v in VITALS
    )


def _observation(context: Context, category: str, moment: str) -> dict[str, Any]:
    out: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": TERM + "observation-category", "code": category}]}],
        "subject": subject(context),
        "encounter": encountered(context),
        "effectiveDateTime": moment,
        "issued": context.now.isoformat(timespec="milliseconds"),
        "performer": [author(context)] if author(context) else None,
    }
    return {name: value for name, value in out.items() if value is not None}


def _vitals(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    moment = values["when"]
    out: list[dict[str, Any]] = []
    if values["systolic"]:
        out.append(_pressure(values, context, moment))
    for vital in VITALS:
        value = values[vital.field]
        if value and vital.field not in _PRESSURE:
            one = _observation(context, "vital-signs", moment)
            one["code"] = concept(vital.label, (LOINC, vital.loinc))
            out.append(one | {"valueQuantity": quantity(value, vital.shown, vital.unit)})
    if values["weight"] and values["height"]:
        out.append(_bmi(values, context, moment))
    for one in out:
        one |= {"note": found} if (found := note(values["note"], context)) else {}
    return out


def _pressure(values: Values, context: Context, moment: str) -> dict[str, Any]:
    parts = [v for v in VITALS if v.field in _PRESSURE]
    component = [
        {
            "code": concept(v.label, (LOINC, v.loinc)),
            "valueQuantity": quantity(values[v.field], v.shown, v.unit),
        }
        for v in parts
    ]
    code = concept("Blood pressure", (LOINC, "85354-9"))
    return _observation(context, "vital-signs", moment) | {"code": code, "component": component}


def body_mass_index(weight_kg: Decimal, height_cm: Decimal) -> Decimal:
    """Weight over height squared, kg/m2, to one decimal."""
    metres = height_cm / 100
    return (weight_kg / (metres * metres)).quantize(Decimal("0.1"), ROUND_HALF_UP)


def _bmi(values: Values, context: Context, moment: str) -> dict[str, Any]:
    index = body_mass_index(Decimal(values["weight"]), Decimal(values["height"]))
    return _observation(context, "vital-signs", moment) | {
        "code": concept("Body mass index", (LOINC, "39156-5")),
        "valueQuantity": quantity(str(index), "kg/m²", "kg/m2"),
        "method": concept("Computed from weight and height"),
    }


def _check_vitals(values: Values, context: Context) -> list[Issue]:
    issues = []
    top, bottom = values["systolic"], values["diastolic"]
    if not any(values[vital.field] for vital in VITALS):
        issues.append(problem(VITALS[0].field, "Enter at least one measurement"))
    if bool(top) != bool(bottom):
        missing, other = ("diastolic", "systolic") if top else ("systolic", "diastolic")
        issues.append(
            problem(missing, f"Blood pressure is a pair: enter the {missing} value beside the {other}")
        )
    if top and bottom and Decimal(bottom) >= Decimal(top):
        issues.append(problem("diastolic", "Diastolic must be lower than systolic: are the two swapped?"))
    return issues


VITALS_FORM = Form(
    key="vitals",
    title="Vitals",
    rtype="Observation",
    section="results",
    noun="vitals",
    intro="Leave empty what was not measured.",
    fields=(Field("when", "Measured", "moment", required=True, default="@now"), *_vital_fields(), _NOTE),
    build=_vitals,
    read=lambda resource: {},
    check=_check_vitals,
)


class Analyte(Struct, frozen=True):
    """A test that the result form offers: LOINC code, name in our words, UCUM unit and the limits of the believable."""

    loinc: str
    label: str
    unit: str
    low: str = ""
    high: str = ""


ANALYTES = (
    Analyte("4548-4", "Haemoglobin A1c", "%", "2", "25"),
    Analyte("1558-6", "Glucose, fasting", "mg/dL", "5", "2000"),
    Analyte("2339-0", "Glucose", "mg/dL", "5", "2000"),
    Analyte("2160-0", "Creatinine", "mg/dL", "0.05", "40"),
    Analyte("98979-8", "eGFR (CKD-EPI 2021)", "mL/min/{1.73_m2}", "1", "200"),
    Analyte("14959-1", "Albumin/creatinine ratio, urine", "mg/g", "0", "20000"),
    Analyte("2823-3", "Potassium", "mmol/L", "1", "12"),
    Analyte("2951-2", "Sodium", "mmol/L", "90", "200"),
    Analyte("2093-3", "Cholesterol, total", "mg/dL", "20", "1500"),
    Analyte("2089-1", "LDL cholesterol", "mg/dL", "5", "1000"),
    Analyte("2085-9", "HDL cholesterol", "mg/dL", "2", "300"),
    Analyte("2571-8", "Triglycerides", "mg/dL", "10", "20000"),
    Analyte("718-7", "Haemoglobin", "g/dL", "1", "25"),
    Analyte("6690-2", "White cells", "10*3/uL", "0", "1000"),
    Analyte("777-3", "Platelets", "10*3/uL", "0", "5000"),
    Analyte("3016-3", "TSH", "m[IU]/L", "0", "1000"),
    Analyte("6301-6", "INR", "{INR}", "0.5", "20"),
    Analyte("1742-6", "ALT", "U/L", "0", "50000"),
    Analyte("44261-6", "PHQ-9 score", "{score}", "0", "27"),
)
_BY_LOINC = {analyte.loinc: analyte for analyte in ANALYTES}


def _result(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    old = base or {}
    start = _observation(context, "laboratory", values["when"])
    change: dict[str, Any] = {
        "status": values["status"],
        "note": note(values["note"], context, old.get("note")),
    }
    if values["when"] != old.get("effectiveDateTime", ""):
        change |= {f"effective{kind}": None for kind in ("Period", "Timing", "Instant")}
        change["effectiveDateTime"] = values["when"]
    known = _BY_LOINC.get(values["test"])
    text = values["other"] or (known.label if known else display(old.get("code")))
    if values["test"] != "keep":
        change["code"] = recoded(old.get("code"), text, (LOINC, known.loinc if known else values["loinc"]))
    change |= _measured(values, old) | _range(values, old)
    return [merged(base, start, change)]


def _measured(values: Values, old: dict[str, Any]) -> dict[str, Any]:
    if (values["value"], values["unit"], values["words"]) == _value_of(old):
        return {}
    cleared = {name: None for name in old if name.startswith("value")} | {
        "interpretation": None,
        "dataAbsentReason": None,
    }
    if values["words"]:
        return cleared | {"valueQuantity": None, "valueString": values["words"]}
    return cleared | {"valueQuantity": quantity(values["value"], values["unit"])}


def _range(values: Values, old: dict[str, Any]) -> dict[str, Any]:
    known = first(old.get("referenceRange"))
    shown = tuple(number_text(known.get(end, {}).get("value")) for end in ("low", "high"))
    if (values["low"], values["high"]) == shown:
        return {}
    ends = {end: quantity(values[end], values["unit"]) for end in ("low", "high") if values[end]}
    return {"referenceRange": [ends] if ends else []}


def _value_of(resource: dict[str, Any]) -> tuple[str, str, str]:
    measured = resource.get("valueQuantity") or {}
    words = resource.get("valueString") or display(resource.get("valueCodeableConcept"))
    return number_text(measured.get("value")), measured.get("code") or measured.get("unit", ""), words


def _read_result(resource: dict[str, Any]) -> Values:
    value, unit, words = _value_of(resource)
    known = first(resource.get("referenceRange"))
    loinc = code_of(resource.get("code"), LOINC)
    return {
        "test": loinc if loinc in _BY_LOINC else "other",
        "other": "" if loinc in _BY_LOINC else display(resource.get("code")),
        "loinc": "" if loinc in _BY_LOINC else loinc,
        "value": value,
        "unit": unit,
        "words": words,
        "low": number_text(known.get("low", {}).get("value")),
        "high": number_text(known.get("high", {}).get("value")),
        "when": str(resource.get("effectiveDateTime", "")),
        "status": "corrected" if resource.get("status") == "final" else resource.get("status", "final"),
        "note": note_text(resource),
    }


def _check_result(values: Values, context: Context) -> list[Issue]:
    issues = []
    known = _BY_LOINC.get(values["test"])
    if values["test"] == "other" and not values["other"]:
        issues.append(problem("other", "Enter the name of the test"))
    if bool(values["value"]) == bool(values["words"]):
        issues.append(problem("value", "Enter either a number or a result in words"))
    if values["value"] and not values["unit"]:
        issues.append(problem("unit", "Enter the unit: a number without one cannot be used"))
    if known and _unbelievable(known, values):
        issues.append(
            problem("value", f"{known.label} must be between {known.low} and {known.high} {known.unit}")
        )
    return issues


def _unbelievable(known: Analyte, values: Values) -> bool:
    if not (known.low and values["value"] and values["unit"] == known.unit):
        return False
    return not Decimal(known.low) <= Decimal(values["value"]) <= Decimal(known.high)


RESULT = Form(
    key="result",
    title="Result",
    rtype="Observation",
    section="results",
    noun="result",
    fields=(
        Field(
            "test",
            "Test",
            "choice",
            required=True,
            options=options(*(f"{a.loinc}={a.label} ({a.unit})" for a in ANALYTES), "other=Another test"),
        ),
        Field("other", "Name of the other test"),
        Field("loinc", "Its LOINC code", pattern=r"\d{1,6}-\d", pattern_hint="4548-4"),
        Field("value", "Result", "number"),
        Field("unit", "Unit", hint="In UCUM spelling: mg/dL, mmol/L, %", max_length=40),
        Field("words", "Or the result in words", hint="For example not detected, > 14"),
        Field("low", "Reference range from", "number", group="Reference range"),
        Field("high", "to", "number", group="Reference range"),
        Field("when", "Taken", "moment", required=True),
        Field(
            "status",
            "Status",
            "choice",
            required=True,
            default="final",
            options=options(
                "final=Final", "preliminary=Preliminary", "corrected=Corrected", "amended=Added to"
            ),
        ),
        _NOTE,
    ),
    build=_result,
    read=_read_result,
    check=_check_result,
)


def _corrected_pressure(
    values: Values, context: Context, base: dict[str, Any] | None
) -> list[dict[str, Any]]:
    new = _pressure(values, context, values["when"])
    kept = [
        part for part in (base or {}).get("component", []) if code_of(part.get("code"), LOINC) not in _PAIR
    ]
    change = {
        "component": [*new["component"], *kept],
        "status": "corrected",
        "note": note(values["note"], context, (base or {}).get("note")),
    }
    if values["when"] != str((base or {}).get("effectiveDateTime", "")):
        change["effectiveDateTime"] = values["when"]
    return [merged(base, new, change)]


_PAIR = ("8480-6", "8462-4")


def _read_pressure(resource: dict[str, Any]) -> Values:
    parts = {
        code_of(part.get("code"), LOINC): part.get("valueQuantity", {})
        for part in resource.get("component", [])
    }
    return {
        "when": str(resource.get("effectiveDateTime", "")),
        "systolic": number_text(parts.get("8480-6", {}).get("value")),
        "diastolic": number_text(parts.get("8462-4", {}).get("value")),
        "note": note_text(resource),
    }


def _check_pressure(values: Values, context: Context) -> list[Issue]:
    if Decimal(values["diastolic"]) >= Decimal(values["systolic"]):
        return [problem("diastolic", "Diastolic must be lower than systolic: are the two swapped?")]
    return []


def _required(field: Field) -> Field:
    return Field(
        field.name, field.label, "number", required=True, low=field.low, high=field.high, unit=field.unit
    )


PRESSURE = Form(
    key="pressure",
    title="Blood pressure",
    rtype="Observation",
    section="results",
    noun="blood pressure",
    fields=(Field("when", "Measured", "moment", required=True), *map(_required, _vital_fields()[:2]), _NOTE),
    build=_corrected_pressure,
    read=_read_pressure,
    check=_check_pressure,
)


def is_pressure(resource: dict[str, Any]) -> bool:
    """Whether an Observation is a blood pressure panel."""
    return any(code_of(part.get("code"), LOINC) == "8480-6" for part in resource.get("component", []))
