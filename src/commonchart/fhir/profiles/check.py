"""A resource against a profile: cardinality, types, slices, fixed and pattern values, bindings, rules.

Base R4 is checked elsewhere and first: here values have the shape of R4. A question of terminology that nobody can answer
is kept as a question and told as "not checked"; it is neither a pass nor an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec import Struct

from commonchart.fhir import codes, invariants
from commonchart.fhir.outcome import Issue
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.profiles import slices
from commonchart.fhir.profiles.known import Known
from commonchart.fhir.profiles.tree import Node, Profile, spelled

MAX_ISSUES = 200
MAX_DEPTH = 40
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


class Found(Struct, frozen=True):
    """A value with its type, the object that holds a primitive's id and extensions, and its place."""

    value: Any
    type: str
    sibling: Any
    at: str


class Check:
    """One resource against any number of profiles."""

    def __init__(self, resource: dict[str, Any], known: Known, answers: codes.Codes | None) -> None:
        self.known = known
        self.answers = answers or codes.NoCodes()
        self.environment = Environment(
            resource, terminology=self, profiles=self.fits, max_steps=invariants.MAX_STEPS
        )
        self.resource = resource
        self.issues: list[Issue] = []
        self.not_checked: list[str] = []
        self.questions: list[codes.Question] = []
        self.depth = 0

    def add(self, at: str, code: str, message: str, severity: str = "error") -> None:
        """Tell once, up to a bound."""
        issue = Issue(code, message, at, severity)
        if len(self.issues) < MAX_ISSUES and issue not in self.issues:
            self.issues.append(issue)

    def unknown(self, at: str, what: str) -> None:
        """Something could not be checked."""
        self.add(at, "not-found", f"NOT CHECKED: {what} is not loaded", "information")
        if what not in self.not_checked:
            self.not_checked.append(what)

    # ---- one value against one node --------------------------------------------------------------------------

    def profile(self, profile: Profile, found: Found) -> None:
        """A value against a whole profile."""
        if profile.type != found.type and profile.type not in ("Resource", "DomainResource", "Element"):
            self.add(found.at, "structure", f"is a {found.type}, and the profile is for {profile.type}")
            return
        self.value(profile.root, found)

    def value(self, node: Node, found: Found) -> None:
        """A value against what a node, its rules and its children say."""
        self.depth += 1
        if self.depth <= MAX_DEPTH:
            self._own(node, found)
            for child in node.children.values():
                self._element(child, found)
        self.depth -= 1

    def _own(self, node: Node, found: Found) -> None:
        facts = node.facts
        if "fixed" in facts and not slices.same(found.value, facts["fixed"]):
            self.add(found.at, "value", "must have the value that the profile fixes")
        if "pattern" in facts and not slices.fits_pattern(found.value, facts["pattern"]):
            self.add(found.at, "value", "must fit the pattern of the profile")
        if node.types:
            self._types(node, found)
        if "bind" in facts:
            self.bound(facts["bind"], found)
        if "length" in facts and isinstance(found.value, str) and len(found.value) > facts["length"]:
            self.add(found.at, "too-long", f"may have at most {facts['length']} characters")
        self._bounds(facts, found)
        for key in node.unread:
            self.unknown(found.at, f"what the rule {key} needs")
        for rule in node.rules:
            self.environment.left = invariants.MAX_STEPS
            if rule.holds(found.value, found.type, self.environment, found.sibling) is False:
                self.add(found.at, "invariant", f"breaks the rule {rule.key}", rule.severity)

    def _bounds(self, facts: Any, found: Found) -> None:
        for name, wrong in (("low", -1), ("high", 1)):
            if name in facts and _order(found.value, facts[name]) == wrong:
                self.add(found.at, "value", f"must be at {'least' if wrong < 0 else 'most'} {facts[name]}")

    def _types(self, node: Node, found: Found) -> None:
        fitting = [one for one in node.types if one[0] == found.type]
        if not fitting:
            self.add(
                found.at, "structure", f"must be of type {' or '.join(sorted(t[0] for t in node.types))}"
            )
            return
        if found.type == "Reference" and isinstance(found.value, dict):
            self._targets([target for one in fitting for target in one[2]], found)
        if found.type != "Extension":
            self._type_profiles([p for one in fitting for p in one[1]], found)

    def _type_profiles(self, urls: list[str], found: Found) -> None:
        known = [p for url in urls if (p := self.known.profile(url)) is not None]
        if known and len(known) == len(urls) and not any(self.conforms(p, found) for p in known):
            self.profile(known[0], found)

    def _targets(self, targets: list[str], found: Found) -> None:
        types = {self.known.type_of(target) for target in targets}
        if not targets or None in types or "Resource" in types:
            return
        actual = slices.target_type(found.value, self.resource)
        if actual is not None and actual not in types:
            words = " or ".join(sorted(t for t in types if t))
            self.add(f"{found.at}.reference", "value", f"must refer to {words} in this profile")

    def conforms(self, profile: Profile, found: Found) -> bool:
        """Whether a value conforms, without telling why not."""
        kept, self.issues = self.issues, []
        self.profile(profile, found)
        good = not any(issue.severity == "error" for issue in self.issues)
        self.issues = kept
        return good

    def fits(self, resource: dict[str, Any], profile: str) -> bool | None:
        """conformsTo() in a rule: None where the profile is not known."""
        known = self.known.profile(profile)
        if known is None or self.depth >= MAX_DEPTH:
            return None
        rtype = str(resource.get("resourceType"))
        return self.conforms(known, Found(resource, rtype, None, rtype))

    # ---- the children of a value ------------------------------------------------------------------------------

    def _element(self, node: Node, parent: Found) -> None:
        values = list(children(parent, node.name))
        place = f"{parent.at}.{node.name}"
        if len(values) < node.min:
            self.add(place, "required", "is required by the profile" if not values else f"needs {node.min}")
        if node.max is not None and len(values) > node.max:
            allowed = "is not allowed" if node.max == 0 else f"may be given {node.max} times at most"
            self.add(place, "structure", f"{allowed} in this profile")
        for value in values:
            self.value(node, value)
        if node.slices:
            self._slices(node, values, place)

    def _slices(self, node: Node, values: list[Found], place: str) -> None:
        slicing = node.facts.get("slicing", {})
        by = slicing.get("by") or ([["type", "$this"]] if node.name.endswith("[x]") else [])
        counts = dict.fromkeys(node.slices, 0)
        order = list(node.slices)
        last, unmatched_seen = -1, False
        for value in values:
            name = next((n for n, one in node.slices.items() if slices.matches(self, one, by, value)), None)
            if name is None:
                unmatched_seen = True
                if slicing.get("rules") == "closed":
                    self.add(
                        value.at, "structure", "fits no slice of the profile, and others are not allowed"
                    )
                continue
            counts[name] += 1
            if slicing.get("rules") == "openAtEnd" and unmatched_seen:
                self.add(value.at, "structure", "must stand before entries that fit no slice")
            if slicing.get("ordered") and order.index(name) < last:
                self.add(value.at, "structure", "must stand in the order of the profile's slices")
            last = max(last, order.index(name))
            self._sliced(node.slices[name], value)
        self._counted(node, counts, place)

    def _sliced(self, node: Node, value: Found) -> None:
        self.value(node, value)
        if node.slices:
            self._slices(node, [value], value.at)

    def _counted(self, node: Node, counts: dict[str, int], place: str) -> None:
        for name, count in counts.items():
            one = node.slices[name]
            if count < one.min:
                self.add(place, "required", f"needs an entry for the slice {name} of the profile")
            if one.max is not None and count > one.max:
                self.add(place, "structure", f"has more than {one.max} for the slice {name} of the profile")

    # ---- codes -------------------------------------------------------------------------------------------------

    def member(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in a value set, by the lists at hand or by the answers; None is kept as a question."""
        found = self.known.member(value_set, system, code)
        if found is None:
            found = self.answers.member_of(value_set, system, code)
        if found is None:
            question = codes.Question(value_set, system, code)
            if question not in self.questions:
                self.questions.append(question)
        return found

    def member_of(self, value_set: str, system: str | None, code: str) -> bool | None:
        """memberOf() in a rule; what nobody can answer is asked, and told as not checked."""
        found = self.member(value_set, system, code)
        if found is None:
            self.unknown("", value_set)
        return found

    def bound(self, bind: list[str], found: Found) -> None:
        """A coded value against a binding, (strength, value set)."""
        strength, value_set = bind
        verdicts = [self.member(value_set, *pair) for pair in slices.codings(found.value, found.type)]
        if True in verdicts or slices.absent(found.value, found.sibling):
            return
        name = value_set.rpartition("/")[2]
        if None in verdicts:
            self.unknown(found.at, value_set)
        elif strength == "required" and (verdicts or found.type in ("code", "Coding", "CodeableConcept")):
            if verdicts or found.value is not None:
                self.add(found.at, "code-invalid", f"must be a code of the value set {name}")
        elif verdicts:
            self.add(found.at, "code-invalid", f"should be a code of the value set {name}", "warning")


def children(parent: Found, name: str) -> Iterable[Found]:
    """The values of an element of a value, in order, with their types and places."""
    value = parent.value
    if name in ("extension", "id") and isinstance(parent.sibling, dict) and not isinstance(value, dict):
        value = parent.sibling
        names = {name: "Extension" if name == "extension" else "string"}
    elif isinstance(value, dict):
        names = spelled(parent.type, name)
    else:
        return
    for json_name, type_name in names.items():
        if json_name in value or f"_{json_name}" in value:
            yield from _each(value, json_name, type_name, parent.at)


def _each(value: dict[str, Any], name: str, type_name: str, at: str) -> Iterable[Found]:
    plain, beside = value.get(name), value.get(f"_{name}")
    if isinstance(plain, list) or isinstance(beside, list):
        ones = plain if isinstance(plain, list) else [None] * len(beside or ())
        besides = beside if isinstance(beside, list) else []
        for index, one in enumerate(ones):
            other = besides[index] if index < len(besides) else None
            yield Found(one, _actual(one, type_name), other, f"{at}.{name}[{index}]")
    else:
        yield Found(plain, _actual(plain, type_name), beside, f"{at}.{name}")


def _actual(value: Any, type_name: str) -> str:
    if type_name == "Resource" and isinstance(value, dict):
        return str(value.get("resourceType", "Resource"))
    return type_name


def _order(value: Any, bound: Any) -> int:
    """-1, 0, 1 as the value is less, the same, more than the bound; 0 where they cannot be compared."""
    numbers = (int, float, Decimal)
    if isinstance(value, dict) and isinstance(bound, dict):
        return _order(value.get("value"), bound.get("value")) if value.get("code") == bound.get("code") else 0
    if isinstance(value, numbers) and isinstance(bound, numbers):
        value, bound = Decimal(str(value)), Decimal(str(bound))
    elif not (isinstance(value, str) and isinstance(bound, str)):
        return 0
    return int(value > bound) - int(value < bound)
