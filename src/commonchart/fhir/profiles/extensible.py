"""The extensible bindings of R4 itself, anywhere in a resource: told as warnings, or as not checked.

http://hl7.org/fhir/R4/terminologies.html#extensible. Another code is allowed where the set has none for what is meant, so
that only a person can say that it is wrong. Required bindings are seen to by `fhir.validate`.
"""

from __future__ import annotations

from functools import cache

from commonchart.fhir.definitions import r4
from commonchart.fhir.profiles.check import MAX_DEPTH, Check, Found, children

Row = tuple[str, str, bool]


@cache
def rows(type_name: str) -> tuple[Row, ...]:
    """(element, its value set where the binding is extensible, whether there may be more below) of a type."""
    if not r4().is_structure(type_name):
        return ()
    out = []
    for element in r4().elements(type_name).values():
        value_set = element.value_set.split("|")[0] if element.strength == "extensible" else ""
        below = any(not r4().is_primitive(one) for one in element.types)
        if value_set or below:
            out.append((element.name, value_set, below))
    return tuple(out)


def check(run: Check, found: Found, depth: int = 0) -> None:
    """Every coded value of the resource, or part of one."""
    if depth > MAX_DEPTH or not isinstance(found.value, dict):
        return
    for name, value_set, below in rows(found.type):
        for child in children(found, name):
            if value_set:
                run.bound(["extensible", value_set], child)
            if below:
                check(run, child, depth + 1)
