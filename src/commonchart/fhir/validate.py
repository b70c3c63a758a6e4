"""Is this a FHIR R4 resource? Structure, cardinality, types, choices, required codes, reference targets.

http://hl7.org/fhir/R4/validation.html. Each type is compiled once into closures; all issues are collected, each with a
FHIRPath-style location such as `Patient.name[0].given[1]`. Messages name rules, never values. Only this module makes
`Valid`, and only a `Valid` can be stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from commonchart.fhir import invariants, narrative
from commonchart.fhir.bindings import bound
from commonchart.fhir.codes import Codes, Question
from commonchart.fhir.containing import domain
from commonchart.fhir.definitions import Element, r4
from commonchart.fhir.outcome import Invalid, Issue
from commonchart.fhir.primitives import CHECKS
from commonchart.fhir.primitives import Check as Wrong
from commonchart.fhir.profiles import extensible, extensions
from commonchart.fhir.profiles.check import Check, Found
from commonchart.fhir.profiles.known import Known, boxed
from commonchart.fhir.references import reference
from commonchart.fhir.validation import At, Full, Run, location


class Valid(Struct, frozen=True):
    """A resource that was validated; made by `validate` only.

    `modifiers` are urls of its modifier extensions that neither R4 nor the box defines: whoever stores it must know them.
    """

    rtype: str
    resource: dict[str, Any]
    modifiers: tuple[str, ...] = ()


Checker = Callable[[Any, "At", Run], None]


def validate(resource: Any, *, at: str = "", conditional: bool = False, rules: bool = True) -> Valid:
    """The resource as `Valid`. Raises Invalid with every issue found (at most `MAX_ISSUES`).

    `at` says where the resource lies, such as `Bundle.entry[3].resource`, and begins the locations; else its type does.
    `conditional`: references may still be searches, as in an entry of a transaction before it is resolved.
    `rules` False, without invariants, is for measuring only.
    """
    run = Run()
    run.conditional = conditional
    run.invariants = rules
    rtype = _looked_at(resource, at, run)
    if run.issues:
        raise Invalid(issues=run.issues)
    return Valid(rtype or "", resource, tuple(run.modifiers))


def findings(resource: Any, known: Known, *, at: str = "") -> list[Issue]:
    """Everything that the base specification has to say: what breaks it, and its warnings."""
    run = Run()
    run.warnings = []
    _looked_at(resource, at, run)
    unknown = [place for url, place in run.modifiers.items() if known.profile(url) is None]
    return [
        *run.issues,
        *(Issue("extension", MODIFIER, location(place)) for place in unknown),
        *run.warnings,
    ]


MODIFIER = "is a modifier extension that is not known here: what it changes cannot be told"


class Report(Struct, frozen=True):
    """All that was found. `not_checked` are profiles and value sets that are not loaded: no pass and no error.

    `questions` go to a terminology; with its answers `examine` is asked again.
    """

    issues: tuple[Issue, ...] = ()
    not_checked: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether nothing is broken, as far as it was checked."""
        return not any(issue.severity in ("error", "fatal") for issue in self.issues)


def examine(
    resource: Any,
    profiles: Sequence[str] = (),
    answers: Codes | None = None,
    known: Known | None = None,
) -> Report:
    """The resource against base R4, the profiles it states (`meta.profile`) and those named. Never raises for content."""
    known = known or boxed()
    issues = findings(resource, known)
    if any(issue.severity == "error" for issue in issues):
        return Report(tuple(issues), tuple(dict.fromkeys(profiles)))
    found = against(resource, profiles, answers, known)
    coded = Check(resource, known, answers)
    extensible.check(coded, Found(resource, resource["resourceType"], None, resource["resourceType"]))
    return Report(
        tuple(dict.fromkeys((*issues, *found.issues, *coded.issues))),
        tuple(dict.fromkeys((*found.not_checked, *coded.not_checked))),
        tuple(dict.fromkeys((*found.questions, *coded.questions))),
    )


def against(
    resource: dict[str, Any],
    profiles: Sequence[str] = (),
    answers: Codes | None = None,
    known: Known | None = None,
) -> Report:
    """The profiles' part of `examine`, for a resource that is valid R4; resources in a Bundle by what they state."""
    known = known or boxed()
    issues: list[Issue] = []
    missing: dict[str, None] = {}
    questions: dict[Question, None] = {}
    for one, at in _stated(resource):
        check = Check(one, known, answers)
        whole = Found(one, one["resourceType"], None, at)
        wanted = (*profiles, *_claimed(one)) if one is resource else _claimed(one)
        for url in dict.fromkeys(wanted):
            profile = known.profile(url)
            if profile is not None:
                check.profile(profile, whole)
            elif url.removeprefix(R4) != one["resourceType"]:
                check.unknown(at, url)
        extensions.check(check, whole)
        issues += check.issues
        missing.update(dict.fromkeys(check.not_checked))
        questions.update(dict.fromkeys(check.questions))
    return Report(tuple(issues), tuple(missing), tuple(questions))


def stating(resource: Any) -> bool:
    """Whether a resource, or one in a Bundle, states a profile."""
    return isinstance(resource, dict) and any(_claimed(one) for one, _ in _stated(resource))


R4 = "http://hl7.org/fhir/StructureDefinition/"


def _claimed(resource: dict[str, Any]) -> tuple[str, ...]:
    return tuple(resource.get("meta", {}).get("profile", ()))


def _stated(resource: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The resource, and each entry of a Bundle, with its place."""
    yield resource, resource["resourceType"]
    if resource["resourceType"] == "Bundle":
        for index, entry in enumerate(resource.get("entry", ())):
            if "resource" in entry:
                yield entry["resource"], f"Bundle.entry[{index}].resource"


def _looked_at(resource: Any, at: str, run: Run) -> str | None:
    try:
        rtype = _typed(resource, (None, at, None) if at else None, run)
        if rtype is not None:
            _resource(rtype)(resource, (None, at or rtype, None), run)
    except Full:
        return None
    return rtype


def _typed(resource: Any, at: At | None, run: Run) -> str | None:
    if not isinstance(resource, dict):
        run.add(at, "structure", "must be a resource: a JSON object with a resourceType")
        return None
    rtype = resource.get("resourceType")
    if not isinstance(rtype, str) or rtype not in r4().resource_types:
        where: At = (at, "resourceType", None)
        run.add(where, "structure" if rtype is None else "value", "must name a resource type of FHIR R4")
        return None
    return rtype


def _any_resource(value: Any, at: At, run: Run) -> None:
    """A resource inside another (contained, in a Bundle, in Parameters): `#` references see their own container."""
    rtype = _typed(value, at, run)
    if rtype is None:
        return
    inside_contained = at[1] == "contained"
    if inside_contained:
        if "contained" in value:
            run.add((at, "contained", None), "structure", "must not be in a contained resource")
        _resource(rtype)(value, at, run)
        return
    contained, run.contained = run.contained, {}
    _resource(rtype)(value, at, run)
    run.contained = contained


@cache
def _resource(rtype: str) -> Checker:
    check = _structure(rtype)
    has_contained = "contained" in r4().elements(rtype)

    def checker(value: dict[str, Any], at: At, run: Run) -> None:
        environment = run.environment
        outer = environment.resource, environment.root_resource
        environment.resource = value
        if at[1] != "contained":
            environment.root_resource = value
        environment.left = invariants.MAX_STEPS
        if has_contained and "contained" in value:
            run.contained = _contained(value["contained"])
        check(value, at, run)
        if has_contained and run.invariants:
            domain(value, at, run)
        environment.resource, environment.root_resource = outer

    return _bundle(checker) if rtype == "Bundle" else checker


def _bundle(check: Checker) -> Checker:
    """Only in a transaction may a reference be a search (http://hl7.org/fhir/R4/http.html#trules)."""

    def checker(value: dict[str, Any], at: At, run: Run) -> None:
        outer, run.conditional = run.conditional, run.conditional or value.get("type") == "transaction"
        check(value, at, run)
        run.conditional = outer

    return checker


def _contained(found: Any) -> dict[str, str]:
    entries = found if isinstance(found, list) else []
    return {str(e.get("id")): str(e.get("resourceType")) for e in entries if isinstance(e, dict)}


# ---- structures ------------------------------------------------------------------------------------------------


class _Field(Struct, frozen=True):
    """How one JSON property is checked. `stem` names its choice, or the element itself.

    `wrong`, of primitives only, is the quick question: None means that `check` has nothing to say.
    """

    check: Checker
    wrong: Wrong | None
    many: bool
    primitive: bool
    stem: str
    choice: bool


class _Shape(Struct, frozen=True):
    """The properties of a type; `quick` are the questions of those that hold one primitive, `choices` their names."""

    fields: Mapping[str, _Field]
    quick: Mapping[str, Wrong]
    required: tuple[tuple[str, frozenset[str]], ...]
    choices: frozenset[str]


@cache
def _shape(type_name: str) -> _Shape:
    fields: dict[str, _Field] = {}
    required = []
    for element in r4().elements(type_name).values():
        names = element.spelled()
        for name, child_type in names.items():
            fields[name] = _Field(
                _value(element, child_type),
                _quick(element, child_type),
                element.max != 1,
                r4().is_primitive(child_type) or child_type in CHECKS,
                element.name,
                element.choice,
            )
        if element.min:
            required.append((element.name, frozenset((*names, *(f"_{name}" for name in names)))))
    quick = {name: one.wrong for name, one in fields.items() if one.wrong is not None and not one.many}
    choices = (spelled for name, one in fields.items() if one.choice for spelled in (name, f"_{name}"))
    return _Shape(fields, quick, tuple(required), frozenset(choices))


@cache
def _structure(type_name: str) -> Checker:
    is_resource = type_name in r4().resource_types
    beside_a_value = type_name == "Element"
    extra = _EXTRA.get(type_name)
    shapes: list[_Shape] = []

    def first() -> _Shape:
        shapes.append(_shape(type_name))
        return shapes[0]

    def checker(value: Any, at: At, run: Run) -> None:
        if type(value) is not dict:
            run.add(at, "structure", "must be a JSON object")
            return
        before = len(run.issues)
        if not value or (len(value) == 1 and "id" in value and not beside_a_value):
            run.add(at, "structure", "must not be empty: leave it out (ele-1)")
            return
        shape = shapes[0] if shapes else first()
        _properties(value, shape, is_resource, at, run)
        for name, names in shape.required:
            if names.isdisjoint(value):
                run.add((at, name, None), "required", "is required")
        if shape.choices and len(shape.choices & value.keys()) > 1:
            _one_of_a_choice(value, shape, at, run)
        if extra is not None:
            extra(value, at, run)
        if run.invariants and len(run.issues) == before:
            _rules(type_name, value, at, run)

    return checker


def _rules(type_name: str, value: dict[str, Any], at: At, run: Run) -> None:
    for rule in invariants.rules(type_name):
        needs = rule.needs
        if needs and needs.isdisjoint(value):
            continue
        if rule.severity == "warning" and run.warnings is None:
            continue
        if rule.holds(value, type_name, run.environment) is False:
            run.rule(at, rule)


def _properties(value: dict[str, Any], shape: _Shape, is_resource: bool, at: At, run: Run) -> None:
    fields, quick = shape.fields, shape.quick
    for name, child in value.items():
        wrong = quick.get(name)
        if wrong is not None and wrong(child) is None:
            continue
        field = fields.get(name)
        if field is None:
            _stray(name, value, at, run, shape, is_resource)
        elif field.many:
            _many(field, name, child, value, at, run)
        elif child is None:
            run.add((at, name, None), "structure", "must not be null: leave it out")
        else:
            field.check(child, (at, name, None), run)


def _stray(name: str, value: dict[str, Any], at: At, run: Run, shape: _Shape, is_resource: bool) -> None:
    """A property that is no element: resourceType, the id and extensions of a primitive, or unknown."""
    if name == "resourceType" and is_resource:
        return
    field = shape.fields.get(name[1:]) if name.startswith("_") else None
    if field is None or not field.primitive:
        run.add((at, name, None), "structure", "is not an element of this type")
        return
    _siblings(field, name, value, at, run)


def _siblings(field: _Field, name: str, value: dict[str, Any], at: At, run: Run) -> None:
    child, plain = value[name], value.get(name[1:])
    if not field.many:
        _primitive_element(child, (at, name, None), run)
        return
    if not isinstance(child, list) or not child:
        run.add((at, name, None), "structure", "must be an array with at least one entry")
        return
    if isinstance(plain, list) and len(plain) != len(child):
        run.add((at, name, None), "structure", f"must have as many entries as {name[1:]}")
    for index, entry in enumerate(child):
        if entry is not None:
            _primitive_element(entry, (at, name, index), run)
        elif not isinstance(plain, list) or index >= len(plain) or plain[index] is None:
            run.add((at, name, index), "structure", "must not be null where there is no value either")


def _primitive_element(value: Any, at: At, run: Run) -> None:
    if value is None or (isinstance(value, dict) and set(value) <= {"id", "extension"}):
        if not value:
            run.add(at, "structure", "must not be empty: leave it out")
            return
        _structure("Element")(value, at, run)
    else:
        run.add(at, "structure", "may only hold an id and extensions")


def _many(field: _Field, name: str, child: Any, value: dict[str, Any], at: At, run: Run) -> None:
    if type(child) is not list:
        run.add((at, name, None), "structure", "may repeat: must be an array")
        return
    if not child:
        run.add((at, name, None), "structure", "must not be an empty array: leave it out")
    check, wrong = field.check, field.wrong
    for index, entry in enumerate(child):
        if wrong is not None and wrong(entry) is None:
            continue
        if entry is not None:
            check(entry, (at, name, index), run)
        elif not field.primitive or not _stands_in(value.get(f"_{name}"), index):
            run.add((at, name, index), "structure", "must not be null")


def _stands_in(siblings: Any, index: int) -> bool:
    return isinstance(siblings, list) and index < len(siblings) and bool(siblings[index])


def _one_of_a_choice(value: dict[str, Any], shape: _Shape, at: At, run: Run) -> None:
    seen: dict[str, str] = {}
    for name in value:
        bare = name[1:] if name.startswith("_") else name
        field = shape.fields.get(bare)
        if field is not None and field.choice and seen.setdefault(field.stem, bare) != bare:
            run.add((at, name, None), "structure", f"only one of {field.stem} may be given")


# ---- values ----------------------------------------------------------------------------------------------------


def _value(element: Element, type_name: str) -> Checker:
    if type_name == "Resource":
        return _any_resource
    check = _primitive(CHECKS[type_name]) if type_name in CHECKS else _later(type_name)
    if type_name == "Reference":
        check = _both(check, reference(frozenset(element.targets)))
    if element.name == "modifierExtension":
        check = _both(check, _modifier)
    if element.strength == "required":
        codes = bound(type_name, element.value_set)
        if codes is not None:
            check = _coded(check, codes)
    return check


def _quick(element: Element, type_name: str) -> Wrong | None:
    """The check of a primitive as one call; of a code with a list, whether it is listed, which says enough."""
    if type_name not in CHECKS:
        return None
    if element.strength != "required":
        return CHECKS[type_name]
    listed = type_name == "code" and element.value_set in r4().value_sets
    return bound(type_name, element.value_set) if listed else None


def _primitive(wrong: Wrong) -> Checker:
    def checker(value: Any, at: At, run: Run) -> None:
        broken = wrong(value)
        if broken is not None:
            run.add(at, "value", broken)

    return checker


def _modifier(value: Any, at: At, run: Run) -> None:
    """http://hl7.org/fhir/R4/extensibility.html#modifierExtension: what nobody here knows is refused by who stores."""
    url = value.get("url") if isinstance(value, dict) else None
    if isinstance(url, str) and url not in MODIFIERS and boxed().profile(url) is None:
        run.modifiers.setdefault(url, (at, "url", None))


MODIFIERS = frozenset({f"{R4}capabilitystatement-prohibited", f"{R4}request-doNotPerform"})
"""The modifier extensions that R4 itself defines."""


def _later(type_name: str) -> Checker:
    made: list[Checker] = []

    def checker(value: Any, at: At, run: Run) -> None:
        if not made:
            made.append(_structure(type_name))
        made[0](value, at, run)

    return checker


def _both(first: Checker, second: Checker) -> Checker:
    def checker(value: Any, at: At, run: Run) -> None:
        first(value, at, run)
        second(value, at, run)

    return checker


def _coded(check: Checker, codes: Wrong) -> Checker:
    def checker(value: Any, at: At, run: Run) -> None:
        before = len(run.issues)
        check(value, at, run)
        if len(run.issues) == before:
            broken = codes(value)
            if broken is not None:
                run.add(at, "code-invalid", broken)

    return checker


# ---- rules of single types -------------------------------------------------------------------------------------


def _extension(value: dict[str, Any], at: At, run: Run) -> None:
    """ext-1: an extension has either a value or extensions of its own."""
    has_value = any(name.removeprefix("_").startswith("value") for name in value)
    if has_value == ("extension" in value):
        run.add(at, "invariant", "must have either a value or extensions, not both and not neither (ext-1)")


def _narrative(value: dict[str, Any], at: At, run: Run) -> None:
    """txt-1, txt-2."""
    div = value.get("div")
    if isinstance(div, str) and run.invariants:
        broken = narrative.wrong(div)
        if broken is not None:
            run.add((at, "div", None), "invariant", broken)


def _period(value: dict[str, Any], at: At, run: Run) -> None:
    if run.invariants and not invariants.period_in_order(value):
        run.add(at, "invariant", "must not start after its end (per-1)")


def _range(value: dict[str, Any], at: At, run: Run) -> None:
    if run.invariants and not invariants.range_in_order(value):
        run.add(at, "invariant", "low must not be above high (rng-2)")


def _observation(value: dict[str, Any], at: At, run: Run) -> None:
    if run.invariants and invariants.component_repeats_code(value):
        run.add(at, "invariant", "a component must not have the code of the whole beside its value (obs-7)")


_EXTRA: dict[str, Callable[[dict[str, Any], At, Run], None]] = {
    "Extension": _extension,
    "Narrative": _narrative,
    "Period": _period,
    "Range": _range,
    "Observation": _observation,
}
