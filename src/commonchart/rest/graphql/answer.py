"""A GraphQL document carried out: every resource comes through Records, so that it answers what a search would.

http://hl7.org/fhir/R4/graphql.html. What cannot be had is null, with an error that says why; what costs too much is
refused as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError, GraphQLField, GraphQLList, get_argument_values, get_named_type
from graphql.language import FieldNode, SelectionSetNode
from msgspec import Struct

from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.outcome import Busy, Malformed, NotFound, Refused, TooCostly, operation_outcome
from commonchart.fhir.path.engine import compiled
from commonchart.fhir.path.nodes import Collection, truth
from commonchart.record.rows import Stored
from commonchart.rest.graphql.document import Document
from commonchart.rest.graphql.found import Found
from commonchart.rest.graphql.schema import texts
from commonchart.search.page import Page
from commonchart.search.parameters import Offered

MAX_FIELDS = 50_000
MAX_CHARACTERS = 50_000_000
COST_OF_PATH = 20
ARGUMENTS = ("fhirpath", "_offset", "_count")

Json = Any


class Thing(Struct, frozen=True):
    """One object as it is answered: its value, the name of its type, and the resource it is part of."""

    value: dict[str, Any]
    type: str
    home: dict[str, Any]


class Answering:
    """One document for one actor. `errors` is filled on the way."""

    def __init__(self, document: Document, records: Records, offered: Offered) -> None:
        self.document = document
        self.found = Found(records, offered)
        self.errors: list[dict[str, Any]] = []
        self.left = MAX_FIELDS
        self.characters = MAX_CHARACTERS

    async def of(self, start: dict[str, Any] | None) -> dict[str, Any]:
        """The data, from the root or from one resource. Raises TooCostly."""
        name = start["resourceType"] if start is not None else "Query"
        home = start or {}
        out: dict[str, Any] = {}
        try:
            await self._fill(out, Thing(home, name, home), [self.document.operation.selection_set], [])
        except GraphQLError as error:
            self._note(error.message, [], None)
        return out

    async def _fill(
        self,
        out: dict[str, Any],
        thing: Thing,
        sets: Sequence[SelectionSetNode],
        path: list[Any],
        listed: bool = False,
        tail: str = "",
    ) -> None:
        """Answer a selection of one object into `out`; `listed` and `tail` are what flattening and slicing hand down."""
        for key, nodes in self.document.fields(sets, thing.type).items():
            self._spend(1)
            where = [*path, key]
            try:
                await self._field(out, thing, nodes, key, where, listed, tail)
            except (TooCostly, Busy):
                raise
            except Refused as refusal:
                out[key + tail] = None
                self._note(str(refusal), where, operation_outcome(refusal))
            except GraphQLError as error:
                out[key + tail] = None
                self._note(error.message, where, None)

    def _spend(self, fields: int) -> None:
        self.left -= fields
        if self.left < 0:
            raise TooCostly(f"A GraphQL query is answered with at most {MAX_FIELDS} fields", at="query")

    def _note(self, message: str, path: list[Any], outcome: dict[str, Any] | None) -> None:
        error: dict[str, Any] = {"message": message, "path": path}
        if outcome is not None:
            error["extensions"] = {"resource": outcome}
        self.errors.append(error)

    async def _field(
        self,
        out: dict[str, Any],
        thing: Thing,
        nodes: list[FieldNode],
        key: str,
        where: list[Any],
        listed: bool,
        tail: str,
    ) -> None:
        node = nodes[0]
        if node.name.value == "__typename":
            put(out, key + tail, thing.type, listed)
            return
        field = self._definition(thing, node)
        arguments = get_argument_values(field, node, self.document.variables)
        many, items = await self._items(thing, node.name.value, field, arguments)
        place = _Place(self.document, node, many, listed)
        sets = [one.selection_set for one in nodes if one.selection_set]
        if place.first:
            items = items[:1]
        self._spend(COST_OF_PATH * len(items) if place.slice else 0)
        if not items and not place.flatten and not place.slice:
            out.setdefault(key + tail, None)
        made: list[Any] = []
        for n, item in enumerate(items):
            suffix = tail + place.suffix(item, n)
            if place.flatten:
                await self._fill(out, item.thing(), sets, where, place.hands_down, suffix)
            else:
                made.append((key + suffix, self._value(item, sets, [*where, n] if many else where)))
        # together, so that references of all of them are looked up at once
        for (name, _), value in zip(made, await _all([one for _, one in made]), strict=True):
            put(out, name, value, place.listed)

    def _definition(self, thing: Thing, node: FieldNode) -> GraphQLField:
        kind: Any = self.document.schema.type_map.get(thing.type) or self.document.schema.type_map["Resource"]
        found: GraphQLField = kind.fields[node.name.value]
        return found

    async def _value(self, item: _Item, sets: Sequence[SelectionSetNode], path: list[Any]) -> Json:
        if not sets or not isinstance(item.value, dict):
            self.characters -= len(item.value) if isinstance(item.value, str) else 10
            if self.characters < 0:
                raise TooCostly(f"A GraphQL answer has at most {MAX_CHARACTERS} characters", at="query")
            return item.value
        out: dict[str, Any] = {}
        await self._fill(out, item.thing(), sets, path)
        return out

    async def _items(
        self, thing: Thing, name: str, field: GraphQLField, arguments: dict[str, Any]
    ) -> tuple[bool, list[_Item]]:
        """Whether a field is a list, and what is in it."""
        does = field.extensions.get("does", "")
        many = isinstance(field.type, GraphQLList)
        type_name = get_named_type(field.type).name
        if does == "read":
            return many, _resources([await self.found.read(field.extensions["rtype"], arguments["id"])])
        if does == "resolve":
            return many, await self._resolved(thing, arguments)
        if does:
            if field.extensions["owner"] and thing.value is not thing.home:
                raise Malformed("Nothing refers to a resource inside another")
            page = await self.found.search(field.extensions["rtype"], arguments, thing.home)
            if does == "list":
                return many, _resources([_decoded(one) for one in page.matches])
            return many, [_Item(_connection(page), type_name, {})]
        value = thing.value.get(name)
        if value is None:
            return many, []
        fhir = str(get_named_type(field.type).extensions.get("fhir", ""))
        items = [
            _Item(v, type_name, thing.home, fhir) for v in (value if isinstance(value, list) else [value])
        ]
        if "fhirpath" in arguments:
            self._spend(COST_OF_PATH * len(items))
        return many, _narrowed(items, arguments) if arguments else items

    async def _resolved(self, thing: Thing, arguments: dict[str, Any]) -> list[_Item]:
        """What a reference leads to, contained or stored. Raises NotFound unless that is optional."""
        wanted = next(iter(texts(arguments.get("type"))), "")
        text = thing.value.get("reference", "")
        if wanted and not str(text).startswith(("#", f"{wanted}/")):
            return []
        found = _contained(thing.home, text) if str(text).startswith("#") else await self.found.referred(text)
        if found is not None and (not wanted or found["resourceType"] == wanted):
            return _resources([found])
        if arguments.get("optional") or (found is not None and wanted):
            return []
        raise NotFound("What the reference leads to is not here")


class _Item(Struct, frozen=True):
    """One value of a field, with its GraphQL type, its FHIR type and the resource it is part of."""

    value: Json
    type: str
    home: dict[str, Any]
    fhir: str = ""

    def thing(self) -> Thing:
        """The same as an object that is selected from."""
        return Thing(self.value, self.value.get("resourceType") or self.type, self.home or self.value)

    def focus(self) -> Collection:
        """The same as the focus of a path."""
        fhir = self.value.get("resourceType", self.fhir) if isinstance(self.value, dict) else self.fhir
        return [(self.value, fhir, None)]


class _Place:
    """Where the values of a field go, by its directives."""

    def __init__(self, document: Document, node: FieldNode, many: bool, listed: bool) -> None:
        said = {directive.name.value for directive in node.directives or ()}
        self.flatten = "flatten" in said
        self.first = "first" in said
        self.slice = ""
        if "slice" in said:
            definition = document.schema.get_directive("slice")
            directive = next(d for d in node.directives or () if d.name.value == "slice")
            assert definition is not None
            self.slice = str(get_argument_values(definition, directive, document.variables)["fhirpath"])
        if self.first and self.slice:
            raise GraphQLError("@first and @slice do not go together", node)
        single = "singleton" in said
        several = many and not self.first
        self.listed = (several or listed) and not single
        self.hands_down = self.listed

    def suffix(self, item: _Item, n: int) -> str:
        """What @slice adds to the name."""
        if not self.slice:
            return ""
        if self.slice == "$index":
            return f".{n}"
        values = [value for value, _, _ in compiled(self.slice)(item.focus())]
        return f".{values[0]}" if values else ""


def put(out: dict[str, Any], name: str, value: Json, listed: bool) -> None:
    """A value under its name, in a list where there may be several. Raises GraphQLError for a second single one."""
    if listed:
        held = out.get(name)
        if isinstance(held, list):
            held.append(value)
        else:
            out[name] = [value]
    elif out.get(name) is not None:
        raise GraphQLError(f"There are several values of `{name}`, and one is asked for")
    else:
        out[name] = value


async def _all(waiting: list[Any]) -> list[Json]:
    """Every value; one alone without a task of its own."""
    if len(waiting) == 1:
        return [await waiting[0]]
    tasks = [asyncio.ensure_future(one) for one in waiting]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _decoded(stored: Stored) -> dict[str, Any]:
    return json.decode(stored.body or b"{}")


def _resources(values: Sequence[dict[str, Any]]) -> list[_Item]:
    return [_Item(one, "Resource", one) for one in values]


def _contained(home: dict[str, Any], text: str) -> dict[str, Any] | None:
    found = [one for one in home.get("contained", ()) if one.get("id") == text[1:]]
    return found[0] if found else None


def _narrowed(items: list[_Item], arguments: dict[str, Any]) -> list[_Item]:
    """The items of a list that its arguments ask for. Raises Malformed."""
    path = arguments.get("fhirpath")
    out = [one for one in items if path is None or truth(compiled(path)(one.focus())) is True]
    for name, text in arguments.items():
        if name not in ARGUMENTS and text is not None:
            asked = texts(text)
            out = [one for one in out if isinstance(one.value, dict) and _same(one.value.get(name), asked)]
    offset, count = arguments.get("_offset") or 0, arguments.get("_count")
    if offset < 0 or (count is not None and count < 0):
        raise Malformed("_offset and _count are not negative")
    return out[offset : None if count is None else offset + count]


def _same(value: Json, asked: list[str]) -> bool:
    """Whether a primitive, or one of a list, is one of the texts."""
    if isinstance(value, list):
        return any(_same(one, asked) for one in value)
    return value is not None and (str(value).lower() if isinstance(value, bool) else str(value)) in asked


def _connection(page: Page) -> dict[str, Any]:
    edges = [{"mode": "match", "score": None, "resource": _decoded(one)} for one in page.matches]
    return {
        "count": page.total,
        "offset": None if page.previous_cursor else 0,
        "pagesize": len(edges),
        "first": None,
        "previous": page.previous_cursor,
        "next": page.next_cursor,
        "last": None,
        "edges": edges,
    }
