"""The search parameters of a type as this server searches them: compiled expressions, hot columns, equivalences."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal

from msgspec import Struct

from commonchart.fhir.definitions import SearchParameter, r4
from commonchart.fhir.path.engine import Step, compiled, step_for
from commonchart.fhir.path.nodes import Collection, is_a
from commonchart.fhir.path.parser import Node, parse

Kind = Literal[
    "token", "reference", "string", "date", "number", "quantity", "uri", "composite", "text", "list"
]

UNSUPPORTED = {
    "_filter": "A filter expression is not offered: say it with parameters, chains and _has",
    "_query": "A named query is not offered: say it with parameters, chains and _has",
    "near": "Search by distance is not offered: search by address",
}
# what every type has beside the definitions
TEXTS = ("_text", "_content")

# the date that a type is sorted and paged by, where it is not called `date`
MAIN_DATE = {
    "Claim": "created",
    "Communication": "sent",
    "Condition": "onset-date",
    "ExplanationOfBenefit": "created",
    "Goal": "start-date",
    "ImagingStudy": "started",
    "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon",
    "MedicationStatement": "effective",
    "Patient": "birthdate",
    "Provenance": "recorded",
    "ServiceRequest": "authored",
    "Specimen": "collected",
    "Task": "authored-on",
}
MAIN_CODE = ("code", "vaccine-code", "type")

# what US Core 6.1.0 adds to R4
US_CORE: dict[str, dict[str, tuple[Kind, str]]] = {
    "CareTeam": {"role": ("token", "CareTeam.participant.role")},
    "Condition": {
        "asserted-date": (
            "date",
            "Condition.extension('http://hl7.org/fhir/StructureDefinition/condition-assertedDate').value",
        )
    },
    "Encounter": {"discharge-disposition": ("token", "Encounter.hospitalization.dischargeDisposition")},
    "Goal": {"description": ("token", "Goal.description")},
}

# a parameter that is the union of others is searched as that union and not stored again
UNIONS = {
    "combo-code": ("code", "component-code"),
    "combo-value-concept": ("value-concept", "component-value-concept"),
    "combo-value-quantity": ("value-quantity", "component-value-quantity"),
    "combo-data-absent-reason": ("data-absent-reason", "component-data-absent-reason"),
    "combo-code-value-concept": ("code-value-concept", "component-code-value-concept"),
    "combo-code-value-quantity": ("code-value-quantity", "component-code-value-quantity"),
}


class Part(Struct, frozen=True):
    """One side of a composite: the parameter's kind and how its values are found from the base element."""

    code: str
    kind: Kind
    step: Step


class Parameter(Struct, frozen=True):
    """One parameter of one type. `whole` marks a composite on the resource itself: both parts must match, no rows."""

    code: str
    kind: Kind
    step: Step
    target: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    whole: bool = False
    expression: str = ""


class Offered(Struct, frozen=True):
    """What a tenant's clients may search by: R4's parameters, and those of their own (type -> code -> parameter).

    `waiting`: (type, code) -> how far its index is; `behind`: how far the index of this program's version is, None when
    it is whole.
    """

    custom: Mapping[str, Mapping[str, Parameter]] = {}
    waiting: Mapping[tuple[str, str], str] = {}
    behind: str | None = None

    def of(self, rtype: str) -> Mapping[str, Parameter]:
        """Every searchable parameter of a type by code."""
        own = self.custom.get(rtype)
        return {**parameters(rtype), **own} if own else parameters(rtype)


R4_ONLY = Offered()


def _nothing(focus: Collection) -> Collection:
    return []


def published(parameter: Parameter) -> str:
    """The kind as a CapabilityStatement names it."""
    return {"text": "string", "list": "special"}.get(parameter.kind, parameter.kind)


_SPECIAL = {
    "_text": Parameter("_text", "text", _nothing),
    "_content": Parameter("_content", "text", _nothing),
    "_list": Parameter("_list", "list", _nothing),
}


@cache
def parameters(rtype: str) -> dict[str, Parameter]:
    """Every searchable parameter of a type by code."""
    found: dict[str, Parameter] = dict(_SPECIAL)
    for code, (kind, expression) in US_CORE.get(rtype, {}).items():
        found[code] = Parameter(code, kind, step_of(rtype, expression), expression=expression)
    for parameter in r4().search_parameters(rtype).values():
        if parameter.code not in UNSUPPORTED and parameter.expression and parameter.code not in found:
            found[parameter.code] = _parameter(rtype, parameter)
    return found


def _parameter(rtype: str, definition: SearchParameter) -> Parameter:
    return Parameter(
        definition.code,
        _kind(definition),
        step_of(rtype, definition.expression),
        definition.target,
        tuple(_part(rtype, url, expression) for url, expression in definition.component),
        definition.expression == rtype,
        definition.expression,
    )


def _kind(definition: SearchParameter) -> Kind:
    return "token" if definition.type == "special" else definition.type  # type: ignore[return-value]


def _part(rtype: str, url: str, expression: str) -> Part:
    definition = r4().parameters_by_url[url]
    if expression.startswith("%resource."):
        expression = expression.removeprefix("%resource.")
    return Part(definition.code, _kind(definition), compiled(expression))


def alternatives(rtype: str, expression: str) -> list[Node]:
    """The alternatives of an expression that can apply to a type."""
    return [part for part in _alternatives(parse(expression)) if _applies(part, rtype)]


def step_of(rtype: str, expression: str) -> Step:
    """The expression with only those alternatives that can apply to this type."""
    steps = [step_for(part) for part in alternatives(rtype, expression)]
    if len(steps) == 1:
        return steps[0]

    def step(focus: Collection) -> Collection:
        return [node for one in steps for node in one(focus)]

    return step


def _alternatives(node: Node) -> list[Node]:
    if node.kind == "binary" and node.value == "|":
        return [*_alternatives(node.parts[0]), *_alternatives(node.parts[1])]
    return [node]


def _applies(node: Node, rtype: str) -> bool:
    while node.parts and isinstance(node.parts[0], Node):
        node = node.parts[0]
    name = node.value if node.kind == "child" else ""
    return not (isinstance(name, str) and name[:1].isupper()) or is_a(rtype, name)


@cache
def main_date(rtype: str) -> str:
    """The code of the date parameter kept in the row itself, "" if the type has none."""
    code = MAIN_DATE.get(rtype, "date")
    found = parameters(rtype).get(code)
    return code if found is not None and found.kind == "date" else ""


@cache
def main_code(rtype: str) -> str:
    """The code of the parameter whose first coding is kept in the row, "" if none."""
    known = parameters(rtype)
    return next((code for code in MAIN_CODE if code in known and known[code].kind == "token"), "")


@cache
def patient_parameter(rtype: str) -> str:
    """The parameter that says whom a resource is about, of those of the Patient compartment; "" if the type is in none.

    The compartment lists who holds a Coverage before whom it covers, so the first one will not do there.
    """
    codes = r4().compartment("Patient").get(rtype) or ()
    return next(
        (code for code in ("subject", "patient", "beneficiary") if code in codes), codes[0] if codes else ""
    )
