"""Required bindings: which codes an element may hold. http://hl7.org/fhir/R4/terminologies.html#required.

A required CodeableConcept needs at least one coding of the set; text alone is not enough, unless an extension on the
concept says why (data-absent-reason). In a Coding the system counts too; in a code it is implied.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from commonchart.fhir.definitions import Codes, r4

Bound = Callable[[Any], str | None]


class Stated(Struct, frozen=True):
    """The rule of a value set that the definitions cannot list: the code system, and the shape of its codes."""

    system: str
    pattern: re.Pattern[str]
    words: str


_STATED: dict[str, Stated] = {
    "http://hl7.org/fhir/ValueSet/currencies": Stated(
        "urn:iso:std:iso:4217", re.compile(r"[A-Z]{3}"), "must be an ISO 4217 currency code such as USD"
    ),
    "http://hl7.org/fhir/ValueSet/mimetypes": Stated(
        "urn:ietf:bcp:13",
        re.compile(r"[\w!#$&^.+-]+(/[\w!#$&^.+*-]+)?(\s*;\s*[\w.-]+=(\"[^\"]*\"|[^\s;]+))*", re.ASCII),
        "must be a MIME type (BCP 13) such as text/plain",
    ),
    "http://hl7.org/fhir/ValueSet/ucum-units": Stated(
        "http://unitsofmeasure.org", re.compile(r"[\x21-\x7e]+"), "must be a UCUM unit"
    ),
    "http://loinc.org/vs/LL379-9": Stated(
        "http://loinc.org", re.compile(r"LA\d{4,6}-\d", re.ASCII), "must be an answer of LOINC list LL379-9"
    ),
}


def bound(type_name: str, value_set: str) -> Bound | None:
    """The check of a value of this type against a required value set; None where nothing can be checked."""
    if value_set in _STATED:
        return _stated(type_name, _STATED[value_set])
    codes = r4().value_sets.get(value_set)
    if codes is None:
        return None
    name = value_set.rpartition("/")[2]
    if type_name in ("code", "string", "uri"):
        return _code(frozenset().union(*codes.values()), name)
    if type_name == "Coding":
        return lambda value: None if _coding_in(value, codes) else _outside(name)
    if type_name == "CodeableConcept":
        return lambda value: _concept(value, codes, name)
    return None


def _outside(name: str) -> str:
    return f"must be a code of the value set {name}"


def _code(codes: frozenset[str], name: str) -> Bound:
    few = f": one of {', '.join(sorted(codes))}" if len(codes) <= 12 else ""
    words = f"{_outside(name)}{few}"

    def check(value: Any) -> str | None:
        return None if isinstance(value, str) and value in codes else words

    return check


def _coding_in(value: Any, codes: Codes) -> bool:
    if not isinstance(value, dict):
        return True  # the structure says so
    found = codes.get(value.get("system", ""))
    return found is not None and value.get("code") in found


def _concept(value: Any, codes: Codes, name: str) -> str | None:
    if not isinstance(value, dict) or value.get("extension"):
        return None
    codings = value.get("coding")
    if not isinstance(codings, list) or not codings:
        return f"needs a coding: {_outside(name)}"
    return (
        None
        if any(_coding_in(coding, codes) for coding in codings)
        else f"{_outside(name)}, at least in one coding"
    )


def _stated(type_name: str, rule: Stated) -> Bound | None:
    fits = rule.pattern.fullmatch

    def coding(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and value.get("system") == rule.system
            and fits(str(value.get("code", ""))) is not None
        )

    def concept(value: Any) -> str | None:
        if not isinstance(value, dict) or value.get("extension"):
            return None
        codings = value.get("coding")
        return None if isinstance(codings, list) and any(map(coding, codings)) else rule.words

    if type_name == "code":
        return lambda value: None if isinstance(value, str) and fits(value) else rule.words
    if type_name == "Coding":
        return lambda value: None if not isinstance(value, dict) or coding(value) else rule.words
    return concept if type_name == "CodeableConcept" else None
