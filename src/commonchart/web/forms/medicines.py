"""Forms for medications and immunizations."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from commonchart.fhir.outcome import Issue
from commonchart.web.forms.fhir import (
    CVX,
    RXNORM,
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
from commonchart.web.forms.fields import Context, Field, Form, Option, Values, ends_before, options, problem

_NOTE = Field("note", "Note", "long", max_length=4000)


def _medication(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    start = {
        "resourceType": "MedicationStatement",
        "subject": subject(context),
        "dateAsserted": context.now.isoformat(timespec="seconds"),
        "informationSource": author(context) or None,
        "context": encountered(context),
    }
    old = base or {}
    change: dict[str, Any] = {
        "status": values["status"],
        "medicationCodeableConcept": recoded(
            old.get("medicationCodeableConcept"), values["name"], (RXNORM, values["rxnorm"])
        ),
        "dosage": _dosage(values, old.get("dosage", [])),
        "note": note(values["note"], context, old.get("note")),
    }
    if (values["start"], values["end"]) != _taken(old):
        change["effectiveDateTime"] = None
        change["effectivePeriod"] = {
            k: v for k, v in (("start", values["start"]), ("end", values["end"])) if v
        }
    if values["reason"] != display(first(old.get("reasonCode"))):
        change["reasonCode"] = [concept(values["reason"])] if values["reason"] else []
    if old.get("medicationReference") and values["name"] == old["medicationReference"].get("display", ""):
        change.pop("medicationCodeableConcept")
    elif old.get("medicationReference"):
        change["medicationReference"] = None
    return [merged(base, {k: v for k, v in start.items() if v}, change)]


def _dosage(values: Values, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = first(old)
    same = values["dose"] == known.get("text", "") and bool(values["needed"]) == bool(
        known.get("asNeededBoolean")
    )
    if same or not (values["dose"] or values["needed"]):
        return old if same else []
    out: dict[str, Any] = {"text": values["dose"]} if values["dose"] else {}
    if values["needed"]:
        out["asNeededBoolean"] = True
    return [out]


def _taken(resource: dict[str, Any]) -> tuple[str, str]:
    period = resource.get("effectivePeriod") or {}
    return str(resource.get("effectiveDateTime") or period.get("start") or "")[:10], str(
        period.get("end") or ""
    )[:10]


def _read_medication(resource: dict[str, Any]) -> Values:
    dosage = first(resource.get("dosage"))
    start, end = _taken(resource)
    code = resource.get("medicationCodeableConcept")
    return {
        "name": display(code) or (resource.get("medicationReference") or {}).get("display", ""),
        "rxnorm": code_of(code, RXNORM),
        "dose": dosage.get("text", ""),
        "needed": "yes" if dosage.get("asNeededBoolean") else "",
        "status": resource.get("status", "active"),
        "start": start,
        "end": end,
        "reason": display(first(resource.get("reasonCode"))),
        "note": note_text(resource),
    }


def _check_medication(values: Values, context: Context) -> list[Issue]:
    if issues := ends_before(values):
        return issues
    today = context.now.date().isoformat()
    if values["status"] == "active" and values["end"] and values["end"] < today[: len(values["end"])]:
        return [
            problem(
                "end", "A medication being taken cannot have ended: clear the date or choose another status"
            )
        ]
    return []


MEDICATION = Form(
    key="medication",
    title="Medication",
    rtype="MedicationStatement",
    section="medications",
    noun="medication",
    intro="What the patient takes, as known here. It does not prescribe.",
    fields=(
        Field("name", "Medicine", required=True, hint="Name, strength and form: metformin 500 mg tablet"),
        Field("rxnorm", "RxNorm code", pattern=r"\d{1,8}", pattern_hint="up to 8 digits"),
        Field("dose", "How it is taken", hint="For example 1 tablet twice a day with food", max_length=1000),
        Field("needed", "Only when needed", "tick"),
        Field(
            "status",
            "Status",
            "choice",
            required=True,
            default="active",
            options=options(
                "active=Being taken",
                "completed=Course finished",
                "stopped=Stopped",
                "on-hold=Paused",
                "intended=Going to be taken",
                "not-taken=Not taken",
                "unknown=Not known whether it is taken",
            ),
        ),
        Field("start", "Since", "date", future=True),
        Field("end", "Until", "date", future=True),
        Field("reason", "For what"),
        _NOTE,
    ),
    build=_medication,
    read=_read_medication,
    check=_check_medication,
)

VACCINES: tuple[Option, ...] = options(
    "08=Hepatitis B, child", "43=Hepatitis B, adult", "189=Hepatitis B, adjuvanted", "44=Hepatitis B, dialysis",
    "119=Rotavirus, 2 doses", "116=Rotavirus, 3 doses", "20=DTaP", "106=DTaP, 5 antigens", "110=DTaP-HepB-IPV",
    "120=DTaP-Hib-IPV", "130=DTaP-IPV", "146=DTaP-IPV-Hib-HepB", "115=Tdap", "113=Td, preservative free", "09=Td",
    "48=Hib, PRP-T", "49=Hib, PRP-OMP", "133=Pneumococcal PCV13", "215=Pneumococcal PCV15", "216=Pneumococcal PCV20",
    "327=Pneumococcal PCV21", "33=Pneumococcal PPSV23", "10=Polio, inactivated", "03=MMR", "94=MMRV", "21=Varicella",
    "83=Hepatitis A, child", "52=Hepatitis A, adult", "104=Hepatitis A and B", "165=HPV, 9 types", "62=HPV, 4 types",
    "114=Meningococcal ACWY (D)", "136=Meningococcal ACWY (CRM)", "203=Meningococcal ACWY (TT)", "162=Meningococcal B, FHbp",
    "163=Meningococcal B, 4 components", "187=Zoster, recombinant", "121=Zoster, live", "140=Influenza, preservative free",
    "150=Influenza, quadrivalent", "155=Influenza, recombinant", "135=Influenza, high dose", "111=Influenza, live nasal",
    "88=Influenza, kind not known", "208=COVID-19, Pfizer", "207=COVID-19, Moderna", "213=COVID-19, kind not known",
    "303=RSV, older adult (A)", "305=RSV, bivalent", "25=Typhoid, oral", "101=Typhoid, injected", "37=Yellow fever",
    "175=Rabies", "134=Japanese encephalitis", "999=Vaccine not known",
)  # fmt: skip

SITES = options(
    "LA=Left arm", "RA=Right arm", "LT=Left thigh", "RT=Right thigh", "LG=Left buttock", "RG=Right buttock"
)
ROUTES = options(
    "IM=Into the muscle", "SC=Under the skin", "IDINJ=Into the skin", "NASINHLC=Nose", "PO=Mouth"
)
REASONS = options(
    "PATOBJ=Patient or parent declined",
    "MEDPREC=Medical reason",
    "IMMUNE=Already immune",
    "OSTOCK=Not in stock",
)


def _label(choices: tuple[Option, ...], value: str) -> str:
    return next((option.label for option in choices if option.value == value), "")


def _coded(choices: tuple[Option, ...], system: str, value: str) -> dict[str, Any] | None:
    return concept(_label(choices, value), (TERM + system, value)) if value else None


def _immunization(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    old = base or {}
    given = values["status"] == "completed"
    start = {
        "resourceType": "Immunization",
        "patient": subject(context),
        "recorded": context.now.isoformat(timespec="seconds"),
        "encounter": encountered(context),
    }
    same_vaccine = code_of(old.get("vaccineCode"), CVX) == values["vaccine"] and base is not None
    change: dict[str, Any] = {
        "status": values["status"],
        "statusReason": None if given else _coded(REASONS, "v3-ActReason", values["reason"]),
        "vaccineCode": old["vaccineCode"]
        if same_vaccine
        else concept(_label(VACCINES, values["vaccine"]), (CVX, values["vaccine"])),
        "primarySource": values["source"] != "history",
        "reportOrigin": concept("Reported, not given here") if values["source"] == "history" else None,
        "lotNumber": values["lot"],
        "expirationDate": values["expiry"],
        "site": _coded(SITES, "v3-ActSite", values["site"]),
        "route": _coded(ROUTES, "v3-RouteOfAdministration", values["route"]),
        "doseQuantity": quantity(values["amount"], "mL") if values["amount"] else None,
        "note": note(values["note"], context, old.get("note")),
    }
    if values["when"] != str(old.get("occurrenceDateTime", ""))[:10]:
        change |= {"occurrenceString": None, "occurrenceDateTime": values["when"]}
    old_performer = first(old.get("performer")).get("actor", {})
    if values["performer"] != old_performer.get("display", ""):
        change["performer"] = [{"actor": {"display": values["performer"]}}] if values["performer"] else []
    return [merged(base, {k: v for k, v in start.items() if v}, change)]


def _read_immunization(resource: dict[str, Any]) -> Values:
    known = {option.value for option in VACCINES}
    code = code_of(resource.get("vaccineCode"), CVX)
    return {
        "vaccine": code if code in known else "999",
        "status": resource.get("status", "completed"),
        "when": str(resource.get("occurrenceDateTime", ""))[:10],
        "source": "history" if resource.get("primarySource") is False else "here",
        "reason": code_of(resource.get("statusReason"), TERM + "v3-ActReason"),
        "lot": resource.get("lotNumber", ""),
        "expiry": str(resource.get("expirationDate", ""))[:10],
        "site": code_of(resource.get("site"), TERM + "v3-ActSite"),
        "route": code_of(resource.get("route"), TERM + "v3-RouteOfAdministration"),
        "amount": number_text(resource.get("doseQuantity", {}).get("value")),
        "performer": first(resource.get("performer")).get("actor", {}).get("display", ""),
        "note": note_text(resource),
    }


def _check_immunization(values: Values, context: Context) -> list[Issue]:
    issues = []
    if values["status"] == "not-done" and not values["reason"]:
        issues.append(problem("reason", "Choose why it was not given"))
    if values["status"] == "completed" and values["reason"]:
        issues.append(problem("reason", "A reason belongs to a dose that was not given: clear it"))
    return issues


IMMUNIZATION = Form(
    key="immunization",
    title="Immunization",
    rtype="Immunization",
    section="immunizations",
    noun="immunization",
    fields=(
        Field("vaccine", "Vaccine", "choice", required=True, options=VACCINES),
        Field(
            "status",
            "Given",
            "choice",
            required=True,
            default="completed",
            options=options("completed=Given", "not-done=Not given"),
        ),
        Field("when", "When", "date", required=True, default="@today"),
        Field(
            "source",
            "Where known from",
            "choice",
            required=True,
            default="here",
            options=options("here=Given here", "history=Reported by the patient or another place"),
        ),
        Field("reason", "Why not given", "choice", options=REASONS),
        Field("lot", "Lot", max_length=40),
        Field("expiry", "Expires", "date", future=True),
        Field("site", "Site", "choice", options=SITES),
        Field("route", "Route", "choice", options=ROUTES),
        Field("amount", "Dose, mL", "number", low=Decimal("0.05"), high=Decimal(5), unit="mL"),
        Field("performer", "Given by"),
        _NOTE,
    ),
    build=_immunization,
    read=_read_immunization,
    check=_check_immunization,
)
