"""Forms for insurance, contacts and demographics."""

from __future__ import annotations

from typing import Any

from commonchart.fhir.outcome import Issue
from commonchart.web.forms.fhir import TERM, code_of, concept, display, first, given, merged, subject
from commonchart.web.forms.fields import Context, Field, Form, Values, ends_before, options, problem

_PHONE = r"[+()\d .\-x]{5,30}"
_EMAIL = r"[^@\s]{1,64}@[^@\s]{1,190}"
GENDERS = options("female=Female", "male=Male", "other=Other", "unknown=Not known")


def _coverage(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    start = {"resourceType": "Coverage", "beneficiary": subject(context)}
    old_payor = first((base or {}).get("payor"))
    payor = old_payor if values["payer"] == old_payor.get("display", "") else {"display": values["payer"]}
    change: dict[str, Any] = {
        "status": values["status"],
        "subscriberId": values["member"],
        "payor": [payor],
        "period": {k: v for k, v in (("start", values["start"]), ("end", values["end"])) if v},
        "order": int(values["order"]) if values["order"] else None,
        "relationship": {
            "coding": [{"system": TERM + "subscriber-relationship", "code": values["relationship"]}]
        }
        if values["relationship"]
        else None,
        "class": _classes(values, (base or {}).get("class", [])),
    }
    return [merged(base, start, change)]


def _classes(values: Values, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    shown = {"group": values["group"], "plan": values["plan"]}
    kept = [entry for entry in old if code_of(entry.get("type"), TERM + "coverage-class") not in shown]
    made = [
        {"type": {"coding": [{"system": TERM + "coverage-class", "code": code}]}, "value": value}
        for code, value in shown.items()
        if value
    ]
    return [*made, *kept]


def _class(resource: dict[str, Any], code: str) -> str:
    entries = resource.get("class", [])
    found = (e.get("value", "") for e in entries if code_of(e.get("type"), TERM + "coverage-class") == code)
    return next(found, "")


def _read_coverage(resource: dict[str, Any]) -> Values:
    period = resource.get("period", {})
    payor = first(resource.get("payor"))
    return {
        "payer": payor.get("display", ""),
        "member": resource.get("subscriberId", ""),
        "group": _class(resource, "group"),
        "plan": _class(resource, "plan"),
        "relationship": code_of(resource.get("relationship"), TERM + "subscriber-relationship"),
        "order": str(resource.get("order", "")),
        "start": str(period.get("start", ""))[:10],
        "end": str(period.get("end", ""))[:10],
        "status": resource.get("status", "active"),
    }


def _check_period(values: Values, context: Context) -> list[Issue]:
    return ends_before(values)


INSURANCE = Form(
    key="insurance",
    title="Insurance",
    rtype="Coverage",
    section="insurance",
    noun="insurance",
    fields=(
        Field("payer", "Insurer", required=True),
        Field("member", "Member number", max_length=60),
        Field("group", "Group", max_length=60),
        Field("plan", "Plan", max_length=120),
        Field(
            "relationship",
            "Patient is the member's",
            "choice",
            options=options(
                "self=Self",
                "spouse=Spouse",
                "child=Child",
                "parent=Parent",
                "common=Partner",
                "other=Other",
                "injured=Injured party",
            ),
        ),
        Field("order", "Billed", "choice", options=options("1=First", "2=Second", "3=Third")),
        Field("start", "From", "date", future=True),
        Field("end", "Until", "date", future=True),
        Field(
            "status",
            "Status",
            "choice",
            required=True,
            default="active",
            options=options("active=In force", "cancelled=Ended or cancelled", "draft=Not yet checked"),
        ),
    ),
    build=_coverage,
    read=_read_coverage,
    check=_check_period,
)


def _telecom(values: Values, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first phone and e-mail as the form has them; every other contact point is kept."""
    out = [dict(point) for point in old]
    for system, value in (("phone", values["phone"]), ("email", values["email"])):
        at = next((n for n, point in enumerate(out) if point.get("system") == system), None)
        if value and at is None:
            out.append({"system": system, "value": value})
        elif value and at is not None:
            out[at] |= {"value": value}
        elif at is not None:
            del out[at]
    return out


def _point(resource: dict[str, Any], system: str) -> str:
    return next((p.get("value", "") for p in resource.get("telecom", []) if p.get("system") == system), "")


def _address(values: Values, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    shown = {name: values[name] for name in ("city", "state", "postalCode")}
    now = {k: str(first(old).get(k, "")) for k in shown}
    if values["line"] == ", ".join(first(old).get("line", [])) and shown == now:
        return old
    entry = {
        **first(old),
        "line": [part.strip() for part in values["line"].split(",") if part.strip()],
        **shown,
    }
    entry.pop("text", None)
    kept = {name: value for name, value in entry.items() if value}
    return [kept, *old[1:]] if given(values, "line", "city", "state", "postalCode") else old[1:]


def _name(values: Values, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    entry = {**first(old), "family": values["family"], "given": values["given"].split()}
    same = values["family"] == first(old).get("family", "") and entry["given"] == first(old).get("given", [])
    if not same:
        entry.pop("text", None)
    return [{name: value for name, value in entry.items() if value}, *old[1:]]


_NAME_FIELDS = (
    Field("family", "Family name", required=True, autocomplete="off"),
    Field("given", "Given names", required=True, autocomplete="off"),
)
_REACH_FIELDS = (
    Field("phone", "Phone", pattern=_PHONE, pattern_hint="555 0142"),
    Field("email", "E-mail", pattern=_EMAIL, pattern_hint="name@example.org"),
    Field("line", "Street and number", group="Address"),
    Field("city", "City", group="Address"),
    Field("state", "State", group="Address", max_length=40),
    Field("postalCode", "Postal code", group="Address", max_length=20),
)


def _reach(resource: dict[str, Any]) -> Values:
    address = first(resource.get("address"))
    return {
        "family": first(resource.get("name")).get("family", ""),
        "given": " ".join(first(resource.get("name")).get("given", [])),
        "phone": _point(resource, "phone"),
        "email": _point(resource, "email"),
        "line": ", ".join(address.get("line", [])),
        "city": address.get("city", ""),
        "state": address.get("state", ""),
        "postalCode": address.get("postalCode", ""),
    }


RELATIONS = options(
    "SPS=Spouse or partner",
    "MTH=Mother",
    "FTH=Father",
    "CHILD=Child",
    "SIB=Brother or sister",
    "GRPRN=Grandparent",
    "GUARD=Guardian",
    "FRND=Friend",
    "NBOR=Neighbour",
    "FAMMEMB=Another relative",
)


def _contact(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    start = {"resourceType": "RelatedPerson", "active": True, "patient": subject(context)}
    label = next((o.label for o in RELATIONS if o.value == values["relation"]), "")
    roles = [concept(label, (TERM + "v3-RoleCode", values["relation"]))]
    if values["emergency"]:
        roles.append(concept("Emergency contact", (TERM + "v2-0131", "C")))
    old = base or {}
    change = {
        "relationship": roles,
        "name": _name(values, old.get("name", [])),
        "telecom": _telecom(values, old.get("telecom", [])),
        "address": _address(values, old.get("address", [])),
        "active": values["active"] != "no",
    }
    return [merged(base, start, change)]


def _read_contact(resource: dict[str, Any]) -> Values:
    roles = resource.get("relationship", [])
    codes = [code_of(role, TERM + "v3-RoleCode", "http://hl7.org/fhir/v3/RoleCode") for role in roles]
    known = {option.value for option in RELATIONS}
    return {
        **_reach(resource),
        "relation": next((code for code in codes if code in known), "FAMMEMB"),
        "emergency": "yes" if any(code_of(role, TERM + "v2-0131") == "C" for role in roles) else "",
        "active": "no" if resource.get("active") is False else "yes",
    }


CONTACT = Form(
    key="contact",
    title="Contact",
    rtype="RelatedPerson",
    section="contacts",
    noun="contact",
    fields=(
        *_NAME_FIELDS,
        Field("relation", "Relation to the patient", "choice", required=True, options=RELATIONS),
        Field("emergency", "Call in an emergency", "tick"),
        *_REACH_FIELDS,
        Field(
            "active",
            "In use",
            "choice",
            required=True,
            default="yes",
            options=options("yes=Yes", "no=No longer"),
        ),
    ),
    build=_contact,
    read=_read_contact,
)


def _patient(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    old = base or {}
    change: dict[str, Any] = {
        "name": _name(values, old.get("name", [])),
        "gender": values["gender"],
        "birthDate": values["born"],
        "telecom": _telecom(values, old.get("telecom", [])),
        "address": _address(values, old.get("address", [])),
    }
    if values["language"] != _language(old):
        change["communication"] = _communication(values["language"])
    return [merged(base, {"resourceType": "Patient", "active": True}, change)]


LANGUAGES = options(
    "en=English", "es=Spanish", "zh=Chinese", "vi=Vietnamese", "tl=Tagalog", "ar=Arabic", "fr=French", "ko=Korean",
    "ru=Russian", "pt=Portuguese", "ht=Haitian Creole", "hi=Hindi", "pl=Polish", "de=German", "ase=American Sign Language",
)  # fmt: skip


def _communication(language: str) -> list[dict[str, Any]]:
    if not language:
        return []
    return [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": language}]}, "preferred": True}]


def _language(resource: dict[str, Any]) -> str:
    spoken = resource.get("communication", [])
    entry = next((c for c in spoken if c.get("preferred")), first(spoken))
    code = code_of(entry.get("language"), "urn:ietf:bcp:47").split("-")[0]
    return code if code in {option.value for option in LANGUAGES} else ""


def _read_patient(resource: dict[str, Any]) -> Values:
    return {
        **_reach(resource),
        "gender": resource.get("gender", ""),
        "born": resource.get("birthDate", ""),
        "language": _language(resource),
    }


def _check_patient(values: Values, context: Context) -> list[Issue]:
    if values["born"] and len(values["born"]) == 10 and int(values["born"][:4]) < context.now.year - 130:
        return [problem("born", "Date of birth is more than 130 years ago: check the year")]
    return []


PATIENT = Form(
    key="patient",
    title="Demographics",
    rtype="Patient",
    section="contacts",
    noun="patient",
    fields=(
        *_NAME_FIELDS,
        Field("born", "Date of birth", "date", required=True),
        Field("gender", "Administrative sex", "choice", required=True, options=GENDERS),
        *_REACH_FIELDS,
        Field("language", "Preferred language", "choice", options=LANGUAGES),
    ),
    build=_patient,
    read=_read_patient,
    check=_check_patient,
)


def relation_words(resource: dict[str, Any]) -> str:
    """How a related person stands to the patient, in words."""
    return ", ".join(filter(None, (display(role) for role in resource.get("relationship", []))))
