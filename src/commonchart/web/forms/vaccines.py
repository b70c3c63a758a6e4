"""Forms for a vaccine that is given now, and for one that is not wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from msgspec.structs import replace

from commonchart.access.lots import Lot
from commonchart.care.immunizations.from_fhir import REFUSED_UNTIL
from commonchart.fhir.outcome import Issue
from commonchart.web.forms.fhir import CVX, TERM, concept, encountered, merged, note, quantity, subject, term
from commonchart.web.forms.fields import Context, Field, Form, Option, Values, options, problem
from commonchart.web.forms.medicines import REASONS, ROUTES, SITES

MVX = "http://hl7.org/fhir/sid/mvx"
OTHER_LOT = "other"
FUNDING = options("private=Private", "vfc=Vaccines for Children", "state=State or other public")
ELIGIBLE = options(
    "V01=Not VFC eligible", "V02=VFC: Medicaid or managed care", "V03=VFC: uninsured",
    "V04=VFC: American Indian or Alaska Native", "V05=VFC: underinsured", "V23=Public, not VFC",
)  # fmt: skip
_ELIGIBILITY = "urn:oid:2.16.840.1.113883.12.64"
ASKED = options(
    "none=Yes: no known allergies", "recorded=Yes: as recorded", "will=Yes, and I will record them"
)

_GIVE = (
    Field("vaccine", "Vaccine", "choice", required=True),
    Field("lot", "Lot", "choice", required=True, hint="First to expire first."),
    Field("lot_number", "Lot number", max_length=40, hint="As on the box, if the lot is not in the list."),
    Field("expires", "Expires", "date", future=True, hint="Of a lot that is not in the list."),
    Field("when", "Date given", "date", required=True, default="@today"),
    Field("site", "Site", "choice", required=True, options=SITES),
    Field("route", "Route", "choice", required=True, options=ROUTES, default="IM"),
    Field("amount", "Dose, mL", "number", required=True, default="0.5"),
    Field("funding", "Paid by", "choice", required=True, options=FUNDING, default="private"),
    Field("eligibility", "VFC eligibility", "choice", options=ELIGIBLE),
    Field("statement", "Vaccine information statement of", "date", hint="The date printed on the sheet that was handed over."),
    Field("allergies", "Allergies asked about today", "choice", required=True, options=ASKED),
    Field("override", "Why give it all the same", max_length=400, hint="Only where something speaks against it."),
    Field("note", "Note", "long"),
)  # fmt: skip


def give(vaccines: Sequence[Option], lots: Sequence[Lot], day: date) -> Form:
    """The form for a vaccine given now: the vaccines and the lots on the shelf are those of the day."""
    shelf = tuple(Option(lot.id, _label(lot, day)) for lot in lots)
    chosen = {"vaccine": tuple(vaccines), "lot": (*shelf, Option(OTHER_LOT, "Another lot: type it below"))}
    fields = tuple(
        replace(field, options=chosen[field.name]) if field.name in chosen else field for field in _GIVE
    )
    known = {lot.id: lot for lot in lots}
    return Form(
        key="vaccine", title="Record a vaccine", rtype="Immunization", section="immunizations", noun="vaccine",
        fields=fields,
        build=lambda values, context, base: [_given(values, context, known, dict(vaccines_named(vaccines)))],
        read=lambda resource: {}, check=lambda values, context: _check(values, known),
    )  # fmt: skip


def vaccines_named(vaccines: Sequence[Option]) -> list[tuple[str, str]]:
    """(code, name) of the choices."""
    return [(option.value, option.label) for option in vaccines]


def _label(lot: Lot, day: date) -> str:
    refused = lot.refused(day)
    left = f"{lot.doses} left, expires {lot.expires:%d-%b-%Y}"
    return f"{lot.product}, lot {lot.lot}: {refused or left}"


def _check(values: Values, known: Mapping[str, Lot]) -> list[Issue]:
    issues = []
    lot = known.get(values["lot"])
    if lot is not None and lot.cvx != values["vaccine"]:
        issues.append(problem("lot", f"Lot {lot.lot} is {lot.product}: choose a lot of the vaccine"))
    if lot is None and not values["lot_number"]:
        issues.append(problem("lot_number", "Enter the lot number"))
    if len(values["when"]) != 10:
        issues.append(problem("when", "Date given must be a day, such as 2026-11-18"))
    if values["funding"] == "vfc" and values["eligibility"] in ("", "V01"):
        issues.append(problem("eligibility", "Choose why the patient is eligible for VFC vaccine"))
    return issues


def lot_of(values: Values, known: Mapping[str, Lot]) -> tuple[str, str, str]:
    """(lot number, last day, MVX code) of what is given."""
    lot = known.get(values["lot"])
    if lot is not None:
        return lot.lot, lot.expires.isoformat(), lot.manufacturer
    return values["lot_number"], values["expires"], ""


def _given(
    values: Values, context: Context, known: Mapping[str, Lot], names: Mapping[str, str]
) -> dict[str, Any]:
    number, expires, manufacturer = lot_of(values, known)
    start = {"resourceType": "Immunization", "status": "completed", "patient": subject(context)}
    return merged(
        None,
        start,
        {
            "vaccineCode": concept(names[values["vaccine"]], (CVX, values["vaccine"])),
            "occurrenceDateTime": values["when"],
            "recorded": context.now.isoformat(timespec="seconds"),
            "primarySource": True,
            "encounter": encountered(context),
            "lotNumber": number,
            "expirationDate": expires,
            "manufacturer": _maker(manufacturer),
            "site": term("v3-ActSite", values["site"]),
            "route": term("v3-RouteOfAdministration", values["route"]),
            "doseQuantity": quantity(values["amount"], "mL"),
            "performer": _performer(context),
            "fundingSource": _funding(values["funding"]),
            "programEligibility": [_eligible(values["eligibility"])] if values["eligibility"] else [],
            "education": _statement(values, names),
            "note": note(_notes(values), context),
        },
    )


def _maker(code: str) -> dict[str, Any] | None:
    return {"identifier": {"system": MVX, "value": code}} if code else None


def _performer(context: Context) -> list[dict[str, Any]]:
    actor = {"display": context.author} if context.author else {}
    if context.practitioner:
        actor = {"reference": f"Practitioner/{context.practitioner}"} | actor
    return (
        [{"function": {"coding": [{"system": f"{TERM}v2-0443", "code": "AP"}]}, "actor": actor}]
        if actor
        else []
    )


def _funding(funding: str) -> dict[str, Any]:
    return term("immunization-funding-source", "private" if funding == "private" else "public")


def _eligible(code: str) -> dict[str, Any]:
    label = next(option.label for option in ELIGIBLE if option.value == code)
    return concept(label, (_ELIGIBILITY, code))


def _statement(values: Values, names: Mapping[str, str]) -> list[dict[str, Any]]:
    if not values["statement"]:
        return []
    title = f"Vaccine information statement: {names[values['vaccine']]}"
    return [
        {"documentType": title, "publicationDate": values["statement"], "presentationDate": values["when"]}
    ]


def _notes(values: Values) -> str:
    said = [values["note"]] if values["note"] else []
    asked = next(option.label for option in ASKED if option.value == values["allergies"])
    said.append(f"Allergies asked about on the day. {asked}")
    if values["override"]:
        against = values.get("against") or "nothing that was checked"
        said.append(f"What spoke against it: {against}. Given all the same: {values['override']}")
    return "\n\n".join(said)


# ---- not wanted ------------------------------------------------------------------------------------------------

_REFUSE = (
    Field("vaccine", "Vaccine", "choice", required=True),
    Field("reason", "Why it is not given", "choice", required=True, options=REASONS),
    Field(
        "until", "Ask again on", "date", required=True, future=True, hint="Until then it is not shown as due."
    ),
    Field("note", "Note", "long"),
)


def refuse(vaccines: Sequence[Option]) -> Form:
    """The form for a vaccine that is not wanted or not possible now: why, and until when."""
    fields = tuple(
        replace(field, options=tuple(vaccines)) if field.name == "vaccine" else field for field in _REFUSE
    )
    names = dict(vaccines_named(vaccines))
    return Form(
        key="refusal", title="Not given", rtype="Immunization", section="immunizations", noun="refusal", fields=fields,
        build=lambda values, context, base: [_refused(values, context, names)], read=lambda resource: {},
        check=_check_refusal,
    )  # fmt: skip


def _check_refusal(values: Values, context: Context) -> list[Issue]:
    until = values["until"]
    if len(until) != 10 or until <= context.now.date().isoformat():
        return [problem("until", "Ask again on must be a day after today, such as 2027-02-01")]
    return []


def _refused(values: Values, context: Context, names: Mapping[str, str]) -> dict[str, Any]:
    label = next(option.label for option in REASONS if option.value == values["reason"])
    last = date.fromordinal(date.fromisoformat(values["until"]).toordinal() - 1)
    start = {"resourceType": "Immunization", "status": "not-done", "patient": subject(context)}
    return merged(
        None,
        start,
        {
            "extension": [{"url": REFUSED_UNTIL, "valueDate": last.isoformat()}],
            "statusReason": concept(label, (f"{TERM}v3-ActReason", values["reason"])),
            "vaccineCode": concept(names[values["vaccine"]], (CVX, values["vaccine"])),
            "occurrenceDateTime": context.at_once,
            "recorded": context.now.isoformat(timespec="seconds"),
            "encounter": encountered(context),
            "performer": _performer(context),
            "note": note(values["note"], context),
        },
    )
