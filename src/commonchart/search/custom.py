"""Search parameters of a tenant's own: a SearchParameter resource checked, and made to be searched by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid, Refused
from commonchart.fhir.path.engine import Step
from commonchart.fhir.path.nodes import Collection, root
from commonchart.fhir.path.parser import Node, parse
from commonchart.search.parameters import UNSUPPORTED, Kind, Offered, Parameter, parameters, step_of

MAX_EXPRESSION = 1000
MAX_NODES = 60
MAX_BASES = 20
MAX_OWN = 100
KINDS = ("token", "reference", "string", "date", "number", "quantity", "uri")
# what looks at each node once: nothing that walks a whole resource again and again
FUNCTIONS = frozenset(
    {
        "where",
        "exists",
        "extension",
        "ofType",
        "as",
        "is",
        "resolve",
        "first",
        "last",
        "not",
        "empty",
        "hasValue",
    }
)
_CODE = re.compile(r"[a-z][A-Za-z0-9-]{0,63}")


class Own(Struct, frozen=True):
    """One parameter as it is registered."""

    id: str
    code: str
    base: tuple[str, ...]
    kind: str
    expression: str
    target: tuple[str, ...]
    url: str


def own(resource: Mapping[str, Any], id: str) -> Own | None:
    """What a SearchParameter resource offers; None when it is not active, or is one that R4 has anyway.

    Raises Invalid, naming the rule, for an active one that cannot be searched by.
    """
    if resource.get("status") != "active" or resource.get("url") in r4().parameters_by_url:
        return None
    code, base = str(resource.get("code", "")), tuple(resource.get("base") or ())
    typed = [rtype for rtype in base if rtype in r4().resource_types]
    if typed and all(code in parameters(rtype) or code in UNSUPPORTED for rtype in typed):
        return None
    _check_name(code, base)
    kind, expression = str(resource.get("type", "")), str(resource.get("expression", ""))
    if kind not in KINDS:
        raise _broken("type", f"an own parameter is one of {', '.join(KINDS)}")
    _check_expression(base, expression)
    return Own(
        id, code, base, kind, expression, tuple(resource.get("target") or ()), str(resource.get("url", ""))
    )


def _broken(at: str, rule: str) -> Invalid:
    return Invalid(f"This search parameter cannot be used: {rule}", at=f"SearchParameter.{at}")


def _check_name(code: str, base: tuple[str, ...]) -> None:
    if not _CODE.fullmatch(code):
        raise _broken("code", "its code is letters, digits and hyphens, a small letter first, at most 64")
    unknown = [rtype for rtype in base if rtype not in r4().resource_types]
    if not base or unknown or len(base) > MAX_BASES:
        raise _broken("base", f"it is for 1 to {MAX_BASES} resource types, each named")
    for rtype in base:
        if code in parameters(rtype) or code in UNSUPPORTED:
            raise _broken("code", f"{rtype} has a parameter {code} of R4, which is not replaced")


def _check_expression(base: tuple[str, ...], expression: str) -> None:
    if not expression or len(expression) > MAX_EXPRESSION:
        raise _broken("expression", f"it needs a FHIRPath expression of at most {MAX_EXPRESSION} characters")
    try:
        nodes = list(_nodes(parse(expression)))
        for rtype in base:
            step_of(rtype, expression)(root({"resourceType": rtype}))
    except Refused as refusal:
        raise _broken("expression", str(refusal)) from None
    if len(nodes) > MAX_NODES:
        raise _broken("expression", f"the expression has more than {MAX_NODES} parts")
    for node in nodes:
        if node.kind == "call" and node.value not in FUNCTIONS:
            raise _broken(
                "expression", f"{node.value}() is not allowed here, only {', '.join(sorted(FUNCTIONS))}"
            )


def _nodes(node: Node) -> Iterable[Node]:
    yield node
    for part in node.parts:
        if isinstance(part, Node):
            yield from _nodes(part)


def offered(held: Sequence[Own], waiting: Mapping[str, str], behind: str | None) -> Offered:
    """R4's parameters and these; `waiting`: id -> how far its index is."""
    custom: dict[str, dict[str, Parameter]] = {}
    unready: dict[tuple[str, str], str] = {}
    for one in held:
        for rtype in one.base:
            custom.setdefault(rtype, {})[one.code] = parameter(one, rtype)
            if one.id in waiting:
                unready[rtype, one.code] = waiting[one.id]
    return Offered(custom, unready, behind)


def parameter(one: Own, rtype: str) -> Parameter:
    """A registered parameter for one of its types."""
    kind: Kind = one.kind  # type: ignore[assignment]
    return Parameter(
        one.code, kind, _gentle(step_of(rtype, one.expression)), one.target, expression=one.expression
    )


def _gentle(step: Step) -> Step:
    """A client's expression never stands in the way of a write: what it cannot evaluate has no value."""

    def tried(focus: Collection) -> Collection:
        try:
            return step(focus)
        except Refused:
            return []

    return tried
