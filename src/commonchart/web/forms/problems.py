"""Forms for conditions, allergies, procedures and family history."""

from __future__ import annotations

from typing import Any

from commonchart.fhir.outcome import Issue
from commonchart.web.forms.fhir import (
    ICD10CM,
    RXNORM,
    SNOMED,
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
    recoded,
    subject,
    term,
)
from commonchart.web.forms.fields import Context, Field, Form, Values, ends_before, options, problem

_NOTE = Field("note", "Note", "long", max_length=4000)
_ICD = Field(
    "icd10",
    "ICD-10-CM code",
    hint="Needed for reminders and reports to count it. For example E11.9",
    pattern=r"[A-TV-Za-tv-z]\d[0-9A-Za-z](\.[0-9A-Za-z]{1,4})?",
    pattern_hint="E11.9",
)
_SNOMED = Field("snomed", "SNOMED CT code", pattern=r"\d{6,18}", pattern_hint="6 to 18 digits")


def _condition(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    status = values["status"]
    start = {
        "resourceType": "Condition",
        "category": [term("condition-category", "problem-list-item")],
        "subject": subject(context),
        "recordedDate": context.now.isoformat(timespec="seconds"),
        "recorder": author(context),
        "encounter": encountered(context),
    }
    change: dict[str, Any] = {
        "clinicalStatus": term("condition-clinical", status),
        "verificationStatus": term("condition-ver-status", values["certainty"]),
        "code": recoded(
            (base or {}).get("code"),
            values["name"],
            (ICD10CM, values["icd10"].upper()),
            (SNOMED, values["snomed"]),
        ),
        "note": note(values["note"], context, (base or {}).get("note")),
    }
    if values["onset"] != onset_text(base or {}):
        change |= {"onsetPeriod": None, "onsetAge": None, "onsetRange": None, "onsetString": None}
        change["onsetDateTime"] = values["onset"]
    ended = status in ("inactive", "resolved", "remission")
    if not ended or values["ended"] != (base or {}).get("abatementDateTime", "")[:10]:
        change |= {f"abatement{kind}": None for kind in ("Age", "Period", "Range", "String")}
        change["abatementDateTime"] = values["ended"] if ended else None
    return [merged(base, _without_empty(start), change)]


def _without_empty(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if value not in (None, "", [], {})}


def onset_text(resource: dict[str, Any]) -> str:
    """When a condition began, as the form's date field shows it."""
    text = resource.get("onsetDateTime") or first([resource.get("onsetPeriod") or {}]).get("start") or ""
    return str(text)[:10]


def _read_condition(resource: dict[str, Any]) -> Values:
    code = resource.get("code")
    return {
        "name": display(code),
        "icd10": code_of(code, ICD10CM),
        "snomed": code_of(code, SNOMED),
        "status": code_of(resource.get("clinicalStatus"), TERM + "condition-clinical") or "active",
        "certainty": code_of(resource.get("verificationStatus"), TERM + "condition-ver-status")
        or "confirmed",
        "onset": onset_text(resource),
        "ended": str(resource.get("abatementDateTime", ""))[:10],
        "note": note_text(resource),
    }


def _check_condition(values: Values, context: Context) -> list[Issue]:
    if values["ended"] and values["status"] in ("active", "recurrence", "relapse"):
        return [
            problem("ended", "A condition that is active has no end: clear the date or choose another status")
        ]
    return ends_before(values, "ended", "onset")


CONDITION = Form(
    key="condition",
    title="Condition",
    rtype="Condition",
    section="conditions",
    noun="condition",
    fields=(
        Field("name", "Condition", required=True, hint="In the words you would use in a letter"),
        _ICD,
        _SNOMED,
        Field(
            "status",
            "Status",
            "choice",
            required=True,
            default="active",
            options=options(
                "active=Active",
                "recurrence=Active again",
                "relapse=Relapsed",
                "inactive=Not active now",
                "remission=In remission",
                "resolved=Resolved",
            ),
        ),
        Field(
            "certainty",
            "How certain",
            "choice",
            required=True,
            default="confirmed",
            options=options(
                "confirmed=Confirmed",
                "provisional=Provisional",
                "differential=One of several possibilities",
                "unconfirmed=Not confirmed",
                "refuted=Ruled out",
            ),
        ),
        Field("onset", "Since", "date", hint="A year is enough: 2014, 2014-05 or 2014-05-12"),
        Field("ended", "Until", "date"),
        _NOTE,
    ),
    build=_condition,
    read=_read_condition,
    check=_check_condition,
)


def _allergy(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    start = {
        "resourceType": "AllergyIntolerance",
        "patient": subject(context),
        "recordedDate": context.now.isoformat(timespec="seconds"),
        "recorder": author(context),
        "encounter": encountered(context),
    }
    none = values["kind"] == "none"
    text = "No known allergies" if none else values["substance"]
    codings = ((SNOMED, "716186003"),) if none else ((RXNORM, values["rxnorm"]),)
    change: dict[str, Any] = {
        "clinicalStatus": term("allergyintolerance-clinical", values["status"]),
        "verificationStatus": term("allergyintolerance-verification", values["certainty"]),
        "type": "" if none else values["kind"],
        "category": [] if none or not values["category"] else [values["category"]],
        "criticality": "" if none else values["criticality"],
        "code": recoded((base or {}).get("code"), text, *codings),
        "reaction": [] if none else _reactions(values, (base or {}).get("reaction", [])),
        "note": note(values["note"], context, (base or {}).get("note")),
    }
    if values["onset"] != str((base or {}).get("onsetDateTime", ""))[:10]:
        change["onsetDateTime"] = values["onset"]
    return [merged(base, _without_empty(start), change)]


def _reactions(values: Values, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not (values["reaction"] or values["severity"]):
        return old[1:]
    known = first(old)
    same = values["reaction"] == ", ".join(display(m) for m in known.get("manifestation", []))
    manifestation = (
        known.get("manifestation") if same and known else [concept(values["reaction"] or "Not recorded")]
    )
    out = {**known, "manifestation": manifestation, "severity": values["severity"]}
    return [_without_empty(out), *old[1:]]


def _read_allergy(resource: dict[str, Any]) -> Values:
    code = resource.get("code")
    reaction = first(resource.get("reaction"))
    none = code_of(code, SNOMED) == "716186003"
    return {
        "kind": "none" if none else resource.get("type", "allergy"),
        "substance": "" if none else display(code),
        "rxnorm": code_of(code, RXNORM),
        "category": (resource.get("category") or [""])[0],
        "criticality": resource.get("criticality", ""),
        "reaction": ", ".join(display(m) for m in reaction.get("manifestation", [])),
        "severity": reaction.get("severity", ""),
        "status": code_of(resource.get("clinicalStatus"), TERM + "allergyintolerance-clinical") or "active",
        "certainty": code_of(resource.get("verificationStatus"), TERM + "allergyintolerance-verification")
        or "unconfirmed",
        "onset": str(resource.get("onsetDateTime", ""))[:10],
        "note": note_text(resource),
    }


def _check_allergy(values: Values, context: Context) -> list[Issue]:
    if values["kind"] != "none" and not values["substance"]:
        return [problem("substance", "Enter the substance, or choose that there are no known allergies")]
    if values["kind"] == "none" and values["substance"]:
        return [problem("substance", "Clear the substance, or choose allergy or intolerance")]
    return []


ALLERGY = Form(
    key="allergy",
    title="Allergy or intolerance",
    rtype="AllergyIntolerance",
    section="allergies",
    noun="allergy",
    fields=(
        Field(
            "kind",
            "What is recorded",
            "choice",
            required=True,
            default="allergy",
            options=options("allergy=Allergy", "intolerance=Intolerance", "none=No known allergies (asked)"),
        ),
        Field("substance", "Substance", hint="For example penicillin, peanut, latex"),
        Field(
            "rxnorm", "RxNorm code", hint="For a medicine", pattern=r"\d{1,8}", pattern_hint="up to 8 digits"
        ),
        Field(
            "category",
            "Kind of substance",
            "choice",
            options=options(
                "medication=Medicine",
                "food=Food",
                "environment=Environment",
                "biologic=Biologic, vaccine, blood product",
            ),
        ),
        Field("reaction", "Reaction", hint="What happened: rash, swelling, anaphylaxis"),
        Field(
            "severity",
            "How severe it was",
            "choice",
            options=options("mild=Mild", "moderate=Moderate", "severe=Severe"),
        ),
        Field(
            "criticality",
            "Danger of another exposure",
            "choice",
            options=options("low=Low", "high=High", "unable-to-assess=Cannot be judged"),
        ),
        Field(
            "status",
            "Status",
            "choice",
            required=True,
            default="active",
            options=options("active=Active", "inactive=No longer", "resolved=Disproved by test or exposure"),
        ),
        Field(
            "certainty",
            "How certain",
            "choice",
            required=True,
            default="confirmed",
            options=options(
                "confirmed=Confirmed", "unconfirmed=Reported, not confirmed", "refuted=Ruled out"
            ),
        ),
        Field("onset", "First noticed", "date"),
        _NOTE,
    ),
    build=_allergy,
    read=_read_allergy,
    check=_check_allergy,
)


def _procedure(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    start = {
        "resourceType": "Procedure",
        "subject": subject(context),
        "recorder": author(context),
        "encounter": encountered(context),
    }
    change: dict[str, Any] = {
        "status": values["status"],
        "code": recoded((base or {}).get("code"), values["name"], (SNOMED, values["snomed"])),
        "note": note(values["note"], context, (base or {}).get("note")),
    }
    if values["when"] != _performed(base or {}):
        change |= {f"performed{kind}": None for kind in ("Period", "String", "Age", "Range")}
        change["performedDateTime"] = values["when"]
    old = first((base or {}).get("performer"))
    if values["performer"] != old.get("actor", {}).get("display", ""):
        change["performer"] = [{"actor": {"display": values["performer"]}}] if values["performer"] else []
    if values["site"] != display(first((base or {}).get("bodySite"))):
        change["bodySite"] = [concept(values["site"])] if values["site"] else []
    if values["outcome"] != display((base or {}).get("outcome")):
        change["outcome"] = concept(values["outcome"])
    return [merged(base, _without_empty(start), change)]


def _performed(resource: dict[str, Any]) -> str:
    text = resource.get("performedDateTime") or (resource.get("performedPeriod") or {}).get("start") or ""
    return str(text)[:10]


def _read_procedure(resource: dict[str, Any]) -> Values:
    return {
        "name": display(resource.get("code")),
        "snomed": code_of(resource.get("code"), SNOMED),
        "status": resource.get("status", "completed"),
        "when": _performed(resource),
        "performer": first(resource.get("performer")).get("actor", {}).get("display", ""),
        "site": display(first(resource.get("bodySite"))),
        "outcome": display(resource.get("outcome")),
        "note": note_text(resource),
    }


PROCEDURE = Form(
    key="procedure",
    title="Procedure or surgery",
    rtype="Procedure",
    section="procedures",
    noun="procedure",
    fields=(
        Field("name", "Procedure", required=True),
        _SNOMED,
        Field(
            "status",
            "Status",
            "choice",
            required=True,
            default="completed",
            options=options(
                "completed=Done",
                "preparation=Being prepared",
                "in-progress=Under way",
                "stopped=Stopped before it was finished",
                "not-done=Not done",
                "on-hold=On hold",
                "unknown=Not known",
            ),
        ),
        Field("when", "When", "date", required=True, hint="A year is enough"),
        Field("performer", "Done by"),
        Field("site", "Body site"),
        Field("outcome", "Outcome"),
        _NOTE,
    ),
    build=_procedure,
    read=_read_procedure,
)

RELATIVES = options(
    "MTH=Mother",
    "FTH=Father",
    "SIS=Sister",
    "BRO=Brother",
    "DAU=Daughter",
    "SON=Son",
    "MGRMTH=Mother's mother",
    "MGRFTH=Mother's father",
    "PGRMTH=Father's mother",
    "PGRFTH=Father's father",
    "MAUNT=Mother's sister",
    "MUNCLE=Mother's brother",
    "PAUNT=Father's sister",
    "PUNCLE=Father's brother",
    "COUSN=Cousin",
    "FAMMEMB=Another relative",
)


def _relative(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    start = {
        "resourceType": "FamilyMemberHistory",
        "patient": subject(context),
        "date": context.now.isoformat(timespec="seconds"),
    }
    label = next((option.label for option in RELATIVES if option.value == values["relation"]), "")
    change: dict[str, Any] = {
        "status": values["status"],
        "name": values["name"],
        "relationship": concept(label, (TERM + "v3-RoleCode", values["relation"])),
        "condition": _relative_conditions(values, (base or {}).get("condition", [])),
        "note": note(values["note"], context, (base or {}).get("note")),
    }
    if values["alive"] != _alive(base or {}):
        change |= {f"deceased{kind}": None for kind in ("Age", "Range", "Date", "String")}
        change["deceasedBoolean"] = {"yes": False, "no": True}.get(values["alive"])
    return [merged(base, _without_empty(start), change)]


def _relative_conditions(values: Values, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not values["condition"]:
        return old[1:]
    out = {
        **first(old),
        "code": recoded(first(old).get("code"), values["condition"], (ICD10CM, values["icd10"].upper())),
    }
    if values["age"] != _onset_age(first(old)):
        out.pop("onsetString", None)
        age = {
            "value": int(values["age"] or 0),
            "unit": "years",
            "system": "http://unitsofmeasure.org",
            "code": "a",
        }
        out["onsetAge"] = age if values["age"] else None
    return [_without_empty(out), *old[1:]]


def _onset_age(condition: dict[str, Any]) -> str:
    return number_text(condition.get("onsetAge", {}).get("value"))


def _alive(resource: dict[str, Any]) -> str:
    if any(resource.get(f"deceased{kind}") for kind in ("Boolean", "Age", "Range", "Date", "String")):
        return "no"
    return "yes" if resource.get("deceasedBoolean") is False else ""


def _read_relative(resource: dict[str, Any]) -> Values:
    condition = first(resource.get("condition"))
    return {
        "relation": code_of(resource.get("relationship"), TERM + "v3-RoleCode") or "FAMMEMB",
        "name": resource.get("name", ""),
        "condition": display(condition.get("code")),
        "icd10": code_of(condition.get("code"), ICD10CM),
        "age": _onset_age(condition),
        "alive": _alive(resource),
        "status": resource.get("status", "completed"),
        "note": note_text(resource),
    }


FAMILY = Form(
    key="family",
    title="Family history",
    rtype="FamilyMemberHistory",
    section="family",
    noun="relative",
    fields=(
        Field("relation", "Relative", "choice", required=True, options=RELATIVES),
        Field("name", "Name", hint="Only if it helps to tell relatives apart"),
        Field(
            "condition",
            "Condition",
            hint="Leave empty if the relative is known to be healthy and say so in the note",
        ),
        _ICD,
        Field("age", "Age when it began", "text", pattern=r"\d{1,3}", pattern_hint="a whole number of years"),
        Field("alive", "Alive", "choice", options=options("yes=Yes", "no=No")),
        Field(
            "status",
            "How complete",
            "choice",
            required=True,
            default="completed",
            options=options(
                "completed=All that is known",
                "partial=More is known elsewhere",
                "health-unknown=Health not known",
            ),
        ),
        _NOTE,
    ),
    build=_relative,
    read=_read_relative,
)
