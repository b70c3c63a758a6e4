"""The form for a medication order: what is prescribed, and why it goes on where an alert stopped it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commonchart.access.medications.gate import with_override
from commonchart.fhir.outcome import Issue
from commonchart.web.forms.fhir import (
    RXNORM,
    author,
    code_of,
    concept,
    display,
    encountered,
    first,
    merged,
    note,
    note_text,
    recoded,
    subject,
)
from commonchart.web.forms.fields import Context, Field, Form, Values, ends_before, options
from commonchart.web.present.medications import dosage

OTHER = "other"
REASONS = options(
    "benefit=The benefit outweighs the risk, and the patient will be watched",
    "tolerated=The patient has taken them together, or has tolerated it, before",
    "apart=Not taken at the same time: the patient knows when to take which",
    "instead=It takes the place of the other medicine, which is being stopped",
    "wrong=The alert does not apply to this patient",
    "other=Another reason: type it",
)


def reason_of(sent: Mapping[str, str]) -> str:
    """The reason that was chosen or typed under the alerts, in words; "" where there is none."""
    more = sent.get("override_words", "").strip()
    chosen = sent.get("override", "")
    label = next((one.label for one in REASONS if one.value == chosen and chosen != OTHER), "")
    return ": ".join(filter(None, (label, more)))


def overriding(body: dict[str, Any], sent: Mapping[str, str]) -> dict[str, Any]:
    """An order as it is to be stored: with the reason only where the button under the alerts was pressed."""
    if body["resourceType"] != "MedicationRequest":
        return body
    going_on = sent.get("do") == "override"
    return with_override(body, sent.get("alerts_seen", ""), reason_of(sent) if going_on else "")


def _order(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    old = base or {}
    start = {
        "resourceType": "MedicationRequest",
        "intent": "order",
        "subject": subject(context),
        "requester": author(context) or None,
        "encounter": encountered(context),
    }
    change: dict[str, Any] = {
        "status": values["status"],
        "medicationCodeableConcept": recoded(
            old.get("medicationCodeableConcept"), values["name"], (RXNORM, values["rxnorm"])
        ),
        "dosageInstruction": _dosage(values, old),
        "note": note(values["note"], context, old.get("note")),
    }
    if values["day"] != str(old.get("authoredOn") or "")[:10]:
        change["authoredOn"] = values["day"]
    if values["reason"] != display(first(old.get("reasonCode"))):
        change["reasonCode"] = [concept(values["reason"])] if values["reason"] else []
    reference = old.get("medicationReference")
    if reference and values["name"] == reference.get("display", ""):
        change.pop("medicationCodeableConcept")
    elif reference:
        change["medicationReference"] = None
    return [merged(base, {k: v for k, v in start.items() if v}, change)]


def _dosage(values: Values, old: dict[str, Any]) -> list[dict[str, Any]]:
    """As it was while the words are the same: a structured dose is not lost by looking at it."""
    known = old.get("dosageInstruction") or []
    needed = bool(values["needed"])
    if known and values["dose"] == dosage(old) and needed == _needed(old) and values["until"] == _until(old):
        return list(known)
    out: dict[str, Any] = {"text": values["dose"]}
    if needed:
        out["asNeededBoolean"] = True
    if values["until"]:
        out["timing"] = {"repeat": {"boundsPeriod": {"end": values["until"]}}}
    return [out]


def _needed(resource: dict[str, Any]) -> bool:
    line = first(resource.get("dosageInstruction"))
    return bool(line.get("asNeededBoolean") or line.get("asNeededCodeableConcept"))


def _until(resource: dict[str, Any]) -> str:
    repeat = (first(resource.get("dosageInstruction")).get("timing") or {}).get("repeat") or {}
    return str((repeat.get("boundsPeriod") or {}).get("end") or "")[:10]


def _read(resource: dict[str, Any]) -> Values:
    code = resource.get("medicationCodeableConcept")
    return {
        "name": display(code) or (resource.get("medicationReference") or {}).get("display", ""),
        "rxnorm": code_of(code, RXNORM),
        "dose": dosage(resource),
        "needed": "yes" if _needed(resource) else "",
        "status": resource.get("status", "active"),
        "day": str(resource.get("authoredOn") or "")[:10],
        "until": _until(resource),
        "reason": display(first(resource.get("reasonCode"))),
        "note": note_text(resource),
    }


def _check(values: Values, context: Context) -> list[Issue]:
    return ends_before(values, "until", "day", "order")


ORDER = Form(
    key="order",
    title="Medication order",
    rtype="MedicationRequest",
    section="medications",
    noun="medication order",
    intro="It is checked before it is stored: against the allergies, the other medicines, age, kidney function and pregnancy.",
    fields=(
        Field("name", "Medicine", required=True, hint="Name, strength and form: metformin 500 mg tablet"),
        Field("rxnorm", "RxNorm code", pattern=r"\d{1,8}", pattern_hint="up to 8 digits"),
        Field(
            "dose",
            "How it is taken",
            required=True,
            hint="For example 1 tablet twice a day with food",
            max_length=1000,
        ),
        Field("needed", "Only when needed", "tick"),
        Field(
            "status",
            "Status",
            "choice",
            required=True,
            default="active",
            options=options(
                "active=Ordered",
                "draft=Draft: not ordered yet",
                "on-hold=On hold",
                "stopped=Stopped",
                "completed=Completed",
                "cancelled=Cancelled",
                "unknown=Not known",
            ),
        ),
        Field("day", "Ordered on", "date", required=True, default="@today"),
        Field("until", "Until", "date", future=True),
        Field("reason", "For what"),
        Field("note", "Note", "long", max_length=4000),
    ),
    build=_order,
    read=_read,
    check=_check,
)
