"""The form by which a patient's consent is taken down: who, what, for what, until when, and how it was given.

One Consent of one or two provisions: what is asked for at large, and inside it what is specially protected, which crosses to
another organisation only where a provision names it. https://hl7.org/fhir/R4/consent.html; a consent by 42 CFR Part 2 has
the elements of 42 CFR 2.31.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from commonchart.access.consent import APPS, ROLES
from commonchart.care.labels import ACT_CODE, labels
from commonchart.fhir.outcome import Invalid, Issue
from commonchart.web.forms.fhir import TERM, subject
from commonchart.web.forms.fields import Context, Field, Option, Values, options, problem

GIVEN = "http://commonchart.org/StructureDefinition/consent-given"
ENDED = "http://commonchart.org/StructureDefinition/consent-withdrawn"
PART2 = {"system": ACT_CODE, "code": "42CFRPart2"}
PART2_RULE = {
    "authority": "https://www.ecfr.gov",
    "uri": "https://www.ecfr.gov/current/title-42/chapter-I/subchapter-A/part-2",
}
# 42 CFR 2.32(a)(2), the short form that goes with what is disclosed
NOTICE = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."

Pairs = Sequence[tuple[str, str]]
PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "problems": ("Problems and diagnoses", ("Condition",)),
    "medicines": ("Medicines", ("MedicationRequest", "MedicationStatement")),
    "allergies": ("Allergies", ("AllergyIntolerance",)),
    "results": ("Results and measurements", ("Observation", "DiagnosticReport")),
    "visits": ("Visits", ("Encounter",)),
    "vaccines": ("Vaccinations", ("Immunization",)),
    "procedures": ("Procedures and surgeries", ("Procedure",)),
    "documents": ("Documents and notes", ("DocumentReference", "Composition")),
    "family": ("Family history", ("FamilyMemberHistory",)),
    "insurance": ("Insurance", ("Coverage",)),
}
PURPOSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "any": ("Any purpose", ()),
    "treat": ("Treatment", ("TREAT",)),
    "tpo": ("Treatment, payment and operations", ("TREAT", "HPAYMT", "HOPERAT")),
    "pay": ("Payment", ("HPAYMT",)),
    "research": ("Research", ("HRESCH",)),
}
HOW = {"paper": "On paper, signed", "spoken": "Spoken", "portal": "In the portal"}
ROLE_NAMES = {
    "clinician": "Clinicians", "nurse": "Nurses", "front-desk": "Front desk", "billing": "Billing", "lab": "Laboratory staff",
}  # fmt: skip
# what a consent may name; the others are levels of a sender
_LABELS = (
    "part2",
    "psychotherapy",
    "hiv",
    "reproductive",
    "mental-health",
    "adolescent",
    "violence",
    "very-restricted",
)


class Known(Struct, frozen=True):
    """What may be chosen: (id, name) of organisations, practitioners, apps, and documents of the chart; `own` is ours."""

    organizations: Pairs = ()
    people: Pairs = ()
    apps: Pairs = ()
    documents: Pairs = ()
    own: str = ""


def label_codes() -> dict[str, tuple[str, str]]:
    """Label -> (its code in meta.security, its title), of those a consent may name."""
    return {name: (labels()[name].security[0], labels()[name].title) for name in _LABELS}


def fields(known: Known) -> tuple[Field, ...]:
    """The questions, with what may be chosen here."""
    return (
        Field("decision", "Decision of the patient", "choice", True, options=options("permit=Permits", "deny=Denies")),
        Field("whom", "Kind of recipient", "choice", True, group="Who", options=options(
            "organization=One organisation", "person=One person", "role=A role", "app=An app", "anybody=Anybody else"),
            hint="A role or an app is meant in other organisations; one person is meant in your own as well."),
        Field("organization", "Organisation", "choice", group="Who", options=_pairs(known.organizations), hint="With a role: of this organisation only."),
        Field("person", "Person", "choice", group="Who", options=_pairs(known.people)),
        Field("role", "Role", "choice", group="Who", options=_pairs(tuple(ROLE_NAMES.items()))),
        Field("app", "App", "choice", group="Who", options=_pairs(known.apps), hint="As staff use it. What a patient allowed an app is ended under Apps."),
        Field("what", "Extent", "choice", True, group="What", options=options(
            "all=Everything that is not specially protected", "parts=The parts ticked below", "protected=Only the specially protected parts ticked below")),
        *(Field(f"part-{key}", title, "tick", group="What") for key, (title, _) in PARTS.items()),
        *(Field(f"label-{key}", title, "tick", group="Specially protected", hint="Needed for another organisation to see it at all." if key in ("part2", "psychotherapy", "very-restricted") else "") for key, (_, title) in label_codes().items()),
        Field("purpose", "Purpose", "choice", True, options=_pairs(tuple((key, title) for key, (title, _) in PURPOSES.items()))),
        Field("from", "From", "date", group="When", future=True, hint="Empty: from now on."),
        Field("until", "Until", "date", group="When", future=True, hint="Empty: until it is withdrawn."),
        Field("how", "Form of the consent", "choice", True, group="How it was given", options=_pairs(tuple(HOW.items()))),
        Field("given", "Day it was given", "date", True, group="How it was given", default="@today"),
        Field("document", "The document in this chart", "choice", group="How it was given", options=_pairs(known.documents)),
        Field("paper", "Where the signed paper is kept", group="How it was given", max_length=200, hint="Such as: consent folder, front desk."),
        Field("part2", "This is a consent by 42 CFR Part 2 (substance use treatment)", "tick", group="How it was given",
              hint=f"In writing, to somebody named, or for treatment, payment and operations. It carries the notice: {NOTICE}"),
    )  # fmt: skip


def _pairs(pairs: Pairs) -> tuple[Option, ...]:
    return tuple(Option(value, label) for value, label in pairs)


def checked(values: Values, known: Known) -> None:
    """Raises Invalid with an issue at each field that does not go with the others."""
    issues = [*_who(values, known), *_what(values), *_when(values), *_how(values)]
    if issues:
        raise Invalid(issues=issues)


def _who(values: Values, known: Known) -> list[Issue]:
    whom = values["whom"]
    if whom in ("organization", "person", "role", "app") and not values[whom]:
        return [problem(whom, "Choose which one")]
    if whom == "role" and values["decision"] == "permit" and not values["organization"]:
        return [problem("organization", "Choose the organisation whose people with this role are permitted")]
    own = whom in ("organization", "role") and values["organization"] == known.own != ""
    if own and values["decision"] == "deny":
        words = "A consent does not shut out the organisation that treats the patient: name one person, or record a restriction"
        return [problem("organization", words)]
    return []


def _ticked(values: Values, kind: str) -> list[str]:
    return [name.removeprefix(f"{kind}-") for name in values if name.startswith(f"{kind}-") and values[name]]


def _what(values: Values) -> list[Issue]:
    what, named = values["what"], _labels(values)
    if what == "parts" and not _ticked(values, "part"):
        return [problem("part-problems", "Tick the parts that are meant")]
    if what != "parts" and _ticked(values, "part"):
        return [problem("what", "Parts are ticked: choose “The parts ticked below”, or untick them")]
    if what == "protected" and not named:
        return [problem("label-part2", "Tick what is meant of the specially protected parts")]
    if what != "protected" and named and values["decision"] == "deny":
        words = "To deny only what is specially protected, choose “Only the specially protected parts”; else untick them"
        return [problem("what", words)]
    return []


def _labels(values: Values) -> list[str]:
    """The labels that are named; a Part 2 consent names its own."""
    found = _ticked(values, "label")
    return ["part2", *found] if values["part2"] and "part2" not in found else found


def _when(values: Values) -> list[Issue]:
    start, end = values["from"], values["until"]
    if start and end and start[: len(end)] > end[: len(start)]:
        return [problem("until", "The end lies before the beginning")]
    return []


def _how(values: Values) -> list[Issue]:
    issues: list[Issue] = []
    if values["how"] == "paper" and not (values["document"] or values["paper"]):
        issues.append(problem("paper", "Say where the signed paper is kept, or choose the document"))
    if not values["part2"]:
        return issues
    if values["decision"] != "permit":
        issues.append(problem("part2", "A consent by 42 CFR Part 2 permits: to deny, leave this unticked"))
    if values["how"] == "spoken":
        issues.append(problem("how", "A consent by 42 CFR Part 2 is in writing (2.31)"))
    if values["whom"] == "anybody" and values["purpose"] != "tpo":
        words = "Name who receives it, or choose treatment, payment and operations as the purpose (2.31)"
        issues.append(problem("whom", words))
    if values["purpose"] == "any":
        issues.append(problem("purpose", "A consent by 42 CFR Part 2 names its purpose (2.31)"))
    return issues


def built(values: Values, context: Context) -> dict[str, Any]:
    """The Consent."""
    how = values["how"]
    made: dict[str, Any] = {
        "resourceType": "Consent",
        "status": "active",
        "extension": [{"url": GIVEN, "valueCode": how}],
        "scope": {"coding": [{"system": f"{TERM}consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": subject(context),
        "dateTime": values["given"],
        "performer": [subject(context)],
        "policyRule": {"text": "As the provisions say"},
        "provision": _provision(values),
    }
    if context.organization:
        made["organization"] = [{"reference": f"Organization/{context.organization}"}]
    if values["document"]:
        made["sourceReference"] = {"reference": values["document"]}
    elif values["paper"]:
        made["sourceAttachment"] = {"title": values["paper"]}
    if values["part2"]:
        made["category"].append({"coding": [PART2]})
        made["policy"] = [PART2_RULE]
    return made


def _provision(values: Values) -> dict[str, Any]:
    """The outermost provision. With a role of an organisation, the organisation is outside and the role within."""
    said = _said(values)
    period = {name: values[key] for name, key in (("start", "from"), ("end", "until")) if values[key]}
    within = _within(values)
    if values["whom"] == "role" and values["organization"]:
        said |= {"actor": [_actor(values, "role")]}
        outer: dict[str, Any] = {"actor": [_actor(values, "organization")]}
        return outer | ({"period": period} if period else {}) | {"provision": [said | within]}
    if values["whom"] != "anybody":
        said |= {"actor": [_actor(values, values["whom"])]}
    return said | ({"period": period} if period else {}) | within


def _said(values: Values) -> dict[str, Any]:
    out: dict[str, Any] = {"type": values["decision"]}
    purposes = PURPOSES[values["purpose"]][1]
    if purposes:
        out["purpose"] = [{"system": f"{TERM}v3-ActReason", "code": code} for code in purposes]
    classes = [code for key in _ticked(values, "part") for code in PARTS[key][1]]
    if classes:
        out["class"] = [{"system": "http://hl7.org/fhir/resource-types", "code": code} for code in classes]
    if values["what"] == "protected":
        out["securityLabel"] = _security(values)
    return out


def _within(values: Values) -> dict[str, Any]:
    """What is permitted beside of the specially protected parts: the provision inside that names their labels."""
    if values["what"] == "protected" or values["decision"] != "permit" or not _labels(values):
        return {}
    return {"provision": [{"type": "permit", "securityLabel": _security(values)}]}


def _security(values: Values) -> list[dict[str, str]]:
    return [{"system": ACT_CODE, "code": label_codes()[name][0]} for name in _labels(values)]


def _actor(values: Values, whom: str) -> dict[str, Any]:
    chosen = values[whom]
    if whom in ("role", "app"):
        named = {"system": ROLES if whom == "role" else APPS, "value": chosen}
        reference: dict[str, Any] = {"type": "Group" if whom == "role" else "Device", "identifier": named}
        if whom == "role":
            reference["display"] = ROLE_NAMES[chosen]
    else:
        reference = {"reference": f"{'Organization' if whom == 'organization' else 'Practitioner'}/{chosen}"}
    return {
        "role": {"coding": [{"system": f"{TERM}v3-ParticipationType", "code": "IRCP"}]},
        "reference": reference,
    }
