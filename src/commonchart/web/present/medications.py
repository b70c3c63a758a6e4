"""Medications: requests and statements, current and past, with the dose in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commonchart.web.present import codes, dates, values
from commonchart.web.present.absence import is_absence, known_none
from commonchart.web.present.tables import Cell, Fact, Row, Table, entered_in_error, errors_last, notes

Names = Mapping[str, str]
KINDS = ("MedicationRequest", "MedicationStatement")
_CURRENT = {"active", "on-hold", "draft", "intended", "unknown"}
_UNITS = {"s": "second", "min": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year"}
_TIMES = {1: "once", 2: "twice"}


def is_current(body: dict[str, Any]) -> bool:
    """Active, on hold, or of unknown state: what a prescriber must reckon with."""
    return body.get("status") in _CURRENT


def tables(facts: Sequence[Fact], names: Names) -> list[Table]:
    """Current medications, then past ones."""
    found = [fact for fact in facts if fact.rtype in KINDS and not is_absence(fact.body)]
    current = [_row(fact, names) for fact in found if is_current(fact.body)]
    past = [_row(fact, names) for fact in found if not is_current(fact.body)]
    none = known_none(facts, "MedicationRequest")
    empty = (
        f"Known to take none ({none})."
        if none
        else "None recorded. This does not mean that none are taken: ask."
    )
    columns = ("Medicine and dose", "From", "By", "Listed as")
    narrow = frozenset({2, 3})
    return [
        Table("current", "Current", columns, errors_last(current), empty=empty, narrow=narrow),
        Table("past", "Past", columns, errors_last(past), narrow=narrow),
    ]


def brief(facts: Sequence[Fact], names: Names) -> Table:
    """The current medications for the summary."""
    whole = tables(facts, names)[0]
    rows = tuple(Row(row.fact, row.title, row.cells[:1], sub=row.sub, warn=row.warn) for row in whole.rows)
    return Table(
        "medications",
        "Medications",
        ("Medicine and dose", "Since"),
        rows,
        f"{len(rows)} current",
        whole.empty,
    )


def medicine(body: Mapping[str, Any], names: Names) -> str:
    """The medicine: its concept, else the contained or referenced Medication, else the reference's words."""
    if body.get("medicationCodeableConcept"):
        return codes.concept(body["medicationCodeableConcept"])
    target = body.get("medicationReference") or {}
    for inside in body.get("contained") or ():
        if f"#{inside.get('id')}" == target.get("reference") and inside.get("code"):
            return codes.concept(inside["code"])
    return values.reference(target, names)


def dosage(body: Mapping[str, Any]) -> str:
    """All dosage instructions: the text as written, else composed from dose, route and timing."""
    lines = body.get("dosageInstruction") or body.get("dosage") or ()
    return "; ".join(text for one in lines if (text := _dose(one)))


def _dose(one: Mapping[str, Any]) -> str:
    if one.get("text"):
        return str(one["text"])
    rates = [values.chosen(rate, "dose") for rate in one.get("doseAndRate") or ()]
    needed = "as needed" if one.get("asNeededBoolean") else ""
    reason = codes.concept(one.get("asNeededCodeableConcept"), "")
    parts = [
        " or ".join(rate for rate in rates if rate),
        codes.concept(one.get("route"), ""),
        _timing(one.get("timing") or {}),
        f"as needed for {reason}" if reason else needed,
        str(one.get("patientInstruction") or ""),
    ]
    return " ".join(part for part in parts if part)


def _timing(timing: Mapping[str, Any]) -> str:
    repeat = timing.get("repeat") or {}
    words = codes.concept(timing.get("code"), "")
    if words or not repeat.get("period"):
        when = ", ".join(map(str, repeat.get("when") or ()))
        return words or when
    count = repeat.get("frequency", 1)
    times = _TIMES.get(count, f"{count} times")
    unit, period = _UNITS.get(str(repeat.get("periodUnit")), "period"), repeat["period"]
    if values.number(period) == "1":
        return (
            f"{times} a day"
            if unit == "day"
            else f"{times} an hour"
            if unit == "hour"
            else f"{times} a {unit}"
        )
    return f"{times} every {values.number(period)} {unit}s"


def _row(fact: Fact, names: Names) -> Row:
    body = fact.body
    request = fact.rtype == "MedicationRequest"
    start = (
        dates.day(body.get("authoredOn"))
        if request
        else values.chosen(body, "effective") or dates.day(body.get("dateAsserted"))
    )
    by = body.get("requester") if request else body.get("informationSource")
    status = str(body.get("status") or "status not recorded")
    said = [
        "" if status in ("active", "entered-in-error") else codes.plain(status),
        codes.concept(body.get("statusReason") if isinstance(body.get("statusReason"), dict) else None, ""),
        notes(body),
    ]
    return Row(
        fact,
        medicine(body, names),
        (
            Cell(start or codes.NOT_RECORDED, quiet=True, nowrap=True),
            Cell(values.reference(by, names) if by else codes.NOT_RECORDED, quiet=True, narrow=True),
            Cell(_kind(body, request), quiet=True, narrow=True),
        ),
        sub=" · ".join(part for part in (dosage(body) or "dose not recorded", *said) if part),
        warn="DO NOT give" if body.get("doNotPerform") else "",
        struck=entered_in_error(body),
    )


def _kind(body: Mapping[str, Any], request: bool) -> str:
    return codes.plain(str(body.get("intent") or "request")) if request else "statement"
