"""Persons as what follows of decisions about pairs of records: whoever is connected is one human.

Taking a decision back leaves exactly what all others say, in whichever order they were made.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import NAMESPACE_URL, uuid5

Pair = tuple[str, str]


def ordered(one: str, other: str) -> Pair:
    """A pair in the order in which it is kept."""
    return (one, other) if one < other else (other, one)


def persons(pairs: Iterable[Pair]) -> dict[str, str]:
    """Record -> person, for every record that is connected with another. A person's id follows from its records alone."""
    groups: dict[str, set[str]] = {}
    for one, other in pairs:
        joined = groups.get(one, {one}) | groups.get(other, {other})
        for member in joined:
            groups[member] = joined
    return {member: _name(group) for member, group in groups.items() if len(group) > 1}


def _name(group: Iterable[str]) -> str:
    return str(uuid5(NAMESPACE_URL, "commonchart:person:" + "\n".join(sorted(group))))
