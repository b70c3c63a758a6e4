"""A constraint table as a tree of nodes: children by element name, slices by slice name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commonchart.fhir import invariants
from commonchart.fhir.definitions import r4


class Node:
    """What a profile says of one element, or of one slice of it. `types` are [code, profiles, target profiles].

    `unread` are keys of rules whose expression cannot be evaluated: told as not checked, never passed over.
    """

    __slots__ = ("children", "facts", "max", "min", "name", "rules", "slices", "types", "unread")

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: dict[str, Node] = {}
        self.slices: dict[str, Node] = {}
        self.facts: Mapping[str, Any] = {}
        self.min = 0
        self.max: int | None = None
        self.types: list[list[Any]] = []
        self.rules: tuple[invariants.Rule, ...] = ()
        self.unread: tuple[str, ...] = ()

    def say(self, facts: Mapping[str, Any], type_name: str) -> None:
        """Take over what the table says."""
        self.facts = facts
        self.min, self.max = facts.get("min", 0), facts.get("max")
        self.types = facts.get("types", [])
        rows = facts.get("rules", ())
        made = [invariants.rule(type_name, *row) for row in rows]
        self.rules = tuple(rule for rule in made if rule is not None)
        self.unread = tuple(
            row[0]
            for row, rule in zip(rows, made, strict=True)
            if rule is None and row[0] not in invariants.NATIVE
        )


class Profile:
    """One profile, ready to be checked."""

    __slots__ = ("base", "root", "type", "url", "version")

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.url: str = table["url"]
        self.type: str = table["type"]
        self.base: str = table.get("base", "")
        self.version: str = table.get("version", "")
        self.root = Node(self.type)
        for id_, facts in table["elements"].items():
            self._place(id_).say(facts, self.type if "." not in id_ else "Element")

    def _place(self, id_: str) -> Node:
        node = self.root
        for segment in id_.split(".")[1:]:
            name, _, slice_ = segment.partition(":")
            node = node.children.setdefault(name, Node(name))
            for part in slice_.split("/") if slice_ else ():
                node = node.slices.setdefault(part, Node(name))
        return node


def spelled(type_name: str, name: str) -> dict[str, str]:
    """JSON name -> type of an element of a type; empty where there is no such element."""
    if not r4().is_structure(type_name):
        return {}
    elements = r4().elements(type_name)
    element = elements.get(name) or elements.get(f"{name}[x]")
    if element is not None:
        return element.spelled()
    for one in elements.values():
        if one.choice and name in (found := one.spelled()):
            return {name: found[name]}
    return {}
