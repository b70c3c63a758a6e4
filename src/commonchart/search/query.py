"""What a client asks for: parameters parsed and checked. http://hl7.org/fhir/R4/search.html."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed, TooCostly
from commonchart.fhir.path.engine import Step
from commonchart.search.parameters import (
    R4_ONLY,
    TEXTS,
    UNSUPPORTED,
    Kind,
    Offered,
    Parameter,
    main_date,
)
from commonchart.search.values import MAX_LENGTH, Value, split, value
from commonchart.search.wanted import RESULT, Include, Sort, Wish, wish

MAX_VALUES = 500
MAX_TERMS = 50
MAX_HOPS = 3
MAX_PATHS = 40
COMPARTMENTS = frozenset({"Patient", "Encounter", "Practitioner", "RelatedPerson", "Device"})
PASSED = frozenset({"_format", "_pretty", "_type"})
# what every type can be searched by, so that a search across types can
_MODIFIERS: dict[str, frozenset[str]] = {
    "token": frozenset({"not", "missing", "text", "in", "not-in", "above", "below", "of-type"}),
    "reference": frozenset({"identifier", "missing", "above", "below"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "uri": frozenset({"above", "below", "missing"}),
    "date": frozenset({"missing"}),
    "number": frozenset({"missing"}),
    "quantity": frozenset({"missing"}),
    "composite": frozenset({"missing"}),
}
_NEW = frozenset({"text", "of-type"})


class Term(Struct, frozen=True):
    """One parameter: any of `values` must match.

    A chained one carries the queries on its targets instead, `_has` those on what refers here (`modifier` names the
    reference). `within` is such a query that is left to the statement, resolved in itself.
    """

    code: str
    kind: Kind
    values: tuple[Value, ...] = ()
    modifier: str = ""
    chain: tuple[Query, ...] = ()
    within: Query | None = None
    target: tuple[str, ...] = ()
    step: Step | None = None


class Query(Struct, frozen=True):
    """A whole search. `given` is what was understood, in order, for links; `ignored` what was not.

    `types`: several types at once, `rtype` being the first. `compartment`: only what is in that of (type, id).
    """

    rtype: str
    terms: tuple[Term, ...] = ()
    sort: tuple[Sort, ...] = ()
    count: int = 50
    includes: tuple[Include, ...] = ()
    revincludes: tuple[Include, ...] = ()
    total: str = "none"
    summary: str = ""
    elements: tuple[str, ...] = ()
    cursor: str = ""
    given: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    compartment: tuple[str, str] | None = None

    @property
    def every_type(self) -> tuple[str, ...]:
        """The types that are searched."""
        return self.types or (self.rtype,)


class _Scope(Struct):
    """While parsing: what may be searched by, and how much has been asked for."""

    offered: Offered
    strict: bool
    paths: int = 0


def parse(
    rtype: str,
    params: Sequence[tuple[str, str]],
    *,
    strict: bool = False,
    offered: Offered = R4_ONLY,
    types: Sequence[str] = (),
    compartment: tuple[str, str] | None = None,
) -> Query:
    """The query. Raises Malformed naming the parameter and rule, TooCostly; unknown ones are ignored or refused.

    `types`: search all of these at once, by what they have in common.
    """
    every = tuple(dict.fromkeys(types)) or (rtype,)
    if not r4().resource_types.issuperset(every):
        raise Malformed("The resource type is not one of FHIR R4", at="type")
    if len(params) > MAX_TERMS:
        raise TooCostly(f"A search has at most {MAX_TERMS} parameters")
    scope = _Scope(offered, strict)
    known = _common(offered, every)
    terms: list[Term] = []
    settings: dict[str, list[str]] = {}
    given, ignored = [], []
    for name, text in params:
        if text == "" or name in PASSED:
            if name == "_type" and types:
                given.append((name, text))
            continue
        if name in RESULT or name.startswith(("_include:", "_revinclude:")):
            settings.setdefault(name, []).append(text)
        elif _known(known, name):
            terms.append(_term(scope, every, known, name, text, 0))
        elif strict:
            raise Malformed(
                f"{', '.join(every[:5])} has no search parameter {name.partition(':')[0]}",
                at=name,
                code="not-supported",
            )
        else:
            ignored.append(name)
            continue
        if name != "_cursor":
            given.append((name, text))
    asked = wish(every, known, settings, offered)
    return _query(every, types, terms, asked, given, ignored, compartment)


def _query(
    every: tuple[str, ...],
    types: Sequence[str],
    terms: list[Term],
    asked: Wish,
    given: list[tuple[str, str]],
    ignored: list[str],
    compartment: tuple[str, str] | None,
) -> Query:
    return Query(
        every[0], tuple(terms), asked.sort, asked.count, asked.includes, asked.revincludes, asked.total,
        asked.summary, asked.elements, asked.cursor, tuple(given), tuple(ignored), every if types else (), compartment,
    )  # fmt: skip


def _common(offered: Offered, types: tuple[str, ...]) -> Mapping[str, Parameter]:
    """The parameters that all of the types have, of one kind."""
    first = offered.of(types[0])
    if len(types) == 1:
        return first
    others = [offered.of(rtype) for rtype in types[1:]]
    return {
        code: parameter
        for code, parameter in first.items()
        if all(code in held and held[code].kind == parameter.kind for held in others)
        and parameter.kind != "composite"
    }


def _known(known: Mapping[str, Parameter], name: str) -> bool:
    code = re.split(r"[:.]", name, maxsplit=1)[0]
    if code in UNSUPPORTED:
        raise Malformed(UNSUPPORTED[code], at=name, code="not-supported")
    return code in known or code == "_has"


def _term(
    scope: _Scope, types: tuple[str, ...], known: Mapping[str, Parameter], name: str, text: str, hops: int
) -> Term:
    if len(text) > MAX_LENGTH * 10:
        raise TooCostly(f"The value of {name} is too long", at=name)
    if name.startswith("_has:") or name == "_has":
        return _has(scope, types, name, text, hops)
    path, _, rest = name.partition(".")
    code, _, modifier = path.partition(":")
    parameter = known[code]
    _ready(scope, types, parameter, modifier, name)
    if rest:
        return _chained(scope, parameter, modifier, rest, text, name, hops)
    if modifier == "missing" and parameter.kind not in ("text", "list"):
        if text not in ("true", "false"):
            raise Malformed(f"{name} is true or false", at=name)
        return Term(code, parameter.kind, (Value(text),), "missing")
    modifier = _modifier(parameter, modifier, name)
    values = split(text, ",")
    if len(values) > MAX_VALUES:
        raise TooCostly(f"{name} has at most {MAX_VALUES} alternatives", at=name)
    made = tuple(value(parameter, one, name) for one in values)
    _checked(parameter, modifier, made, name)
    return Term(code, parameter.kind, made, modifier, target=parameter.target)


def _ready(scope: _Scope, types: tuple[str, ...], parameter: Parameter, modifier: str, name: str) -> None:
    """Refuse what its index does not hold whole yet: an answer with gaps would look like one without."""
    behind = next(
        (
            scope.offered.waiting[t, parameter.code]
            for t in types
            if (t, parameter.code) in scope.offered.waiting
        ),
        None,
    )
    if behind is None and (parameter.code in TEXTS or modifier in _NEW):
        behind = scope.offered.behind
    if behind is not None:
        raise Malformed(f"{name} is being indexed: {behind}. Ask again later.", at=name, code="incomplete")


def _modifier(parameter: Parameter, modifier: str, name: str) -> str:
    if not modifier or modifier in _MODIFIERS.get(parameter.kind, ()):
        return modifier
    if parameter.kind == "reference" and modifier in r4().resource_types:
        if parameter.target and modifier not in parameter.target:
            raise Malformed(f"{parameter.code} does not refer to {modifier}", at=name)
        return modifier
    raise Malformed(f"The modifier :{modifier} is not one of {parameter.code}", at=name)


def _checked(parameter: Parameter, modifier: str, values: tuple[Value, ...], name: str) -> None:
    """What a modifier asks of its values."""
    if parameter.kind == "token" and modifier in ("above", "below"):
        if any("|" not in one.text for one in values):
            raise Malformed(f"{name} needs system|code", at=name)
    elif modifier == "of-type" and any(one.text.count("|") < 2 for one in values):
        raise Malformed(f"{name} needs system|code|value: the type of the identifier and its value", at=name)
    elif parameter.code == "_list" and any(one.text.startswith("$") for one in values):
        raise Malformed(
            "Functional lists such as $current-problems are not offered", at=name, code="not-supported"
        )


def _deeper(scope: _Scope, hops: int, name: str) -> None:
    if hops >= MAX_HOPS:
        raise TooCostly(f"A chain has at most {MAX_HOPS} steps, _has among them", at=name)
    scope.paths += 1
    if scope.paths > MAX_PATHS:
        raise TooCostly(
            "The chain may lead through too many types: name them, as in subject:Patient.name", at=name
        )


def _chained(
    scope: _Scope, parameter: Parameter, modifier: str, rest: str, text: str, name: str, hops: int
) -> Term:
    if parameter.kind != "reference":
        raise Malformed(f"{parameter.code} is not a reference: nothing can follow it", at=name)
    code = re.split(r"[:.]", rest, maxsplit=1)[0]
    offered = scope.offered
    targets = [modifier] if modifier else _targets(offered, parameter, code)
    if modifier and (modifier not in r4().resource_types or not _leads(offered, modifier, code)):
        raise Malformed(f"{modifier} has no search parameter {code}", at=name)
    if modifier and parameter.target and modifier not in parameter.target:
        raise Malformed(f"{parameter.code} does not refer to {modifier}", at=name)
    if not targets:
        raise Malformed(f"No target of {parameter.code} has a search parameter {code}", at=name)
    queries = []
    for target in targets:
        _deeper(scope, hops, name)
        queries.append(Query(target, (_term(scope, (target,), offered.of(target), rest, text, hops + 1),)))
    return Term(parameter.code, "reference", chain=tuple(queries), target=parameter.target)


def _leads(offered: Offered, rtype: str, code: str) -> bool:
    return code == "_has" or code in offered.of(rtype)


def _targets(offered: Offered, parameter: Parameter, code: str) -> list[str]:
    if parameter.code == "patient":
        return ["Patient"] if _leads(offered, "Patient", code) else []
    return [
        target
        for target in parameter.target
        if target in r4().resource_types and _leads(offered, target, code)
    ]


def _has(scope: _Scope, types: tuple[str, ...], name: str, text: str, hops: int) -> Term:
    """`_has:Observation:patient:code=x`: something of that type refers here and matches."""
    pieces = name.split(":", 3)
    if len(pieces) < 4 or pieces[1] not in r4().resource_types:
        raise Malformed("_has is _has:Type:reference:parameter", at=name)
    _, source, reference, rest = pieces
    known = scope.offered.of(source)
    if reference not in known or known[reference].kind != "reference":
        raise Malformed(f"{source} has no reference parameter {reference}", at=name)
    if len(types) > 1:
        raise Malformed("_has needs a search on one type", at=name)
    targets = known[reference].target
    if targets and types[0] not in targets and not (reference == "patient" and types[0] == "Patient"):
        raise Malformed(f"{reference} of {source} does not refer to {types[0]}", at=name)
    if not _known(known, rest):
        raise Malformed(f"{source} has no search parameter {rest.partition(':')[0]}", at=name)
    _deeper(scope, hops, name)
    _ready(scope, (source,), known[reference], "", name)
    inner = Query(source, (_term(scope, (source,), known, rest, text, hops + 1),))
    return Term("_has", "reference", modifier=reference, chain=(inner,), step=known[reference].step)


def is_main_date(rtype: str, code: str) -> bool:
    """Whether this date is the one kept in the row."""
    return bool(code) and main_date(rtype) == code


def narrowed(query: Query, *terms: Term) -> Query:
    """The query with more terms."""
    return replace(query, terms=(*query.terms, *terms))
