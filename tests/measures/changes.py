"""Definitions changed on purpose: what a mutation test puts in the place of the right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct, structs

from commonchart.measures.criteria import Not, Seek, When
from commonchart.measures.measure import Measure

Change = Callable[[Any], Any]


def rewritten(tree: Any, change: Change) -> Any:
    """The tree with every struct in it passed through `change`, leaves first."""
    if isinstance(tree, tuple):
        return tuple(rewritten(one, change) for one in tree)
    if not isinstance(tree, Struct):
        return tree
    fields = {name: rewritten(getattr(tree, name), change) for name in tree.__struct_fields__}
    return change(structs.replace(tree, **fields))


def any_status(one: Any) -> Any:
    return structs.replace(one, status=frozenset()) if isinstance(one, Seek) else one


def blind_to_do_not_perform(one: Any) -> Any:
    return structs.replace(one, negated=None) if isinstance(one, Seek) else one


def a_day(days: int) -> Change:
    """Every window moved by so many days."""
    return lambda one: structs.replace(one, days=days) if isinstance(one, When) else one


def inverted(measure: Measure) -> Measure:
    return structs.replace(measure, numerator=Not(measure.numerator))


def without_exclusion(measure: Measure, number: int) -> Measure:
    kept = (*measure.exclusions[:number], *measure.exclusions[number + 1 :])
    return structs.replace(measure, exclusions=kept)
