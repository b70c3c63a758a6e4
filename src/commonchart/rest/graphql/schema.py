"""The GraphQL schema of FHIR R4, made of the definitions for one document. http://hl7.org/fhir/R4/graphql.html.

The whole schema has some 900 types and would cost every process tens of megabytes; a document names a few dozen fields.
So it is made anew for each, of the fields, arguments and types that it names; an introspection gets all of it, but of the
searches inside resources only the lists with `_reference` and `_count`: 150 types that refer to each other by 40
parameters each would be half a million arguments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

from graphql import (
    DirectiveLocation,
    FieldNode,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLDirective,
    GraphQLField,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    Undefined,
    specified_directives,
    specified_scalar_types,
)
from graphql.language import (
    ArgumentNode,
    ConstValueNode,
    DocumentNode,
    ListValueNode,
    NamedTypeNode,
    Node,
    Visitor,
    visit,
)
from msgspec import Struct

from commonchart.fhir.definitions import Element, r4
from commonchart.search.parameters import R4_ONLY, Offered

_FIELD = DirectiveLocation.FIELD
DIRECTIVES = (
    GraphQLDirective("flatten", [_FIELD], description="Leave this object out and give what is in it"),
    GraphQLDirective("first", [_FIELD], description="Only the first, not as a list"),
    GraphQLDirective("singleton", [_FIELD], description="One value where flattening would make a list"),
    GraphQLDirective(
        "slice",
        [_FIELD],
        {"fhirpath": GraphQLArgument(GraphQLNonNull(GraphQLString))},
        description="A property for each value of the path, or for each $index",
    ),
)
ANY = ("Resource", "DomainResource")
ON_PAGES = ("_cursor", "_count", "_sort", "_total")
_SEARCH = re.compile(r"([A-Za-z]+)(List|Connection)")
_LITERALS = frozenset({"string_value", "int_value", "float_value", "enum_value", "boolean_value"})


class Named(Struct, frozen=True):
    """The names of fields, arguments and types in a document; None: every name."""

    fields: frozenset[str] | None
    arguments: frozenset[str] | None
    types: frozenset[str] | None

    def field(self, name: str) -> bool:
        """Whether this field is wanted."""
        return self.fields is None or name in self.fields

    def argument(self, name: str) -> bool:
        """Whether this argument is wanted."""
        return self.arguments is None or name in self.arguments


EVERY = Named(None, None, None)


def named(document: DocumentNode) -> Named:
    """What a document names; everything where it asks for the schema itself."""
    fields: set[str] = set()
    arguments: set[str] = set()
    types: set[str] = set()
    into: dict[type[Node], set[str]] = {FieldNode: fields, ArgumentNode: arguments, NamedTypeNode: types}

    class Collect(Visitor):
        def enter(self, node: Node, *_: Any) -> None:
            if type(node) in into:
                into[type(node)].add(node.name.value)  # type: ignore[attr-defined]

    visit(document, Collect())
    if fields & {"__schema", "__type"}:
        return EVERY
    return Named(frozenset(fields), frozenset(arguments), frozenset(types & r4().resource_types))


def texts(value: Any) -> list[str]:
    """The texts of a Value: one of a scalar, all of a list. Raises TypeError."""
    if isinstance(value, list | tuple):
        return [text for one in value for text in texts(one)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, str | int | float):
        return [str(value)]
    if value is None:
        return []
    raise TypeError("A value is a text, a number, a boolean, a name, or a list of these")


def _literal(node: ConstValueNode) -> Any:
    if isinstance(node, ListValueNode):
        return [text for one in node.values for text in texts(_literal(one))]
    found = getattr(node, "value", None) if node.kind in _LITERALS else Undefined
    return found if found is Undefined else texts(found)


VALUE = GraphQLScalarType(
    "Value",
    description="A text, number, boolean or name, or a list of these, as searches and filters take it",
    coerce_output_value=lambda value: value,
    coerce_input_value=texts,
    coerce_input_literal=_literal,
)


def schema(wanted: Named, offered: Offered, root: str = "") -> GraphQLSchema:
    """The schema for what a document names; `root` is the type of the resource it starts from, "" for all of them."""
    return _of_r4(wanted, root) if not offered.custom else _schema(wanted, offered, root)


@lru_cache(64)
def _of_r4(wanted: Named, root: str) -> GraphQLSchema:
    return _schema(wanted, R4_ONLY, root)


def _schema(wanted: Named, offered: Offered, root: str) -> GraphQLSchema:
    made = _Made(wanted, offered)
    types = r4().resource_types if wanted.types is None else wanted.types
    query = made.structure(root) if root else made.query()
    return GraphQLSchema(
        query=query,
        types=[*(made.structure(rtype) for rtype in sorted(types)), *specified_scalar_types.values()],
        directives=[*specified_directives, *DIRECTIVES],
    )


def graphql_name(fhir: str) -> str:
    """The GraphQL name of a FHIR type: `Patient.contact` is `PatientContact`."""
    return "".join(part[:1].upper() + part[1:] for part in fhir.split(".")) if "." in fhir else fhir


class _Made:
    """The types of one schema, each made when first met."""

    def __init__(self, wanted: Named, offered: Offered) -> None:
        self.wanted = wanted
        self.offered = offered
        self.types: dict[str, GraphQLObjectType] = {}
        self.scalars: dict[str, GraphQLScalarType] = {}
        self.arguments: dict[str, dict[str, GraphQLArgument]] = {}
        self.resource = GraphQLInterfaceType("Resource", partial(self._fields, "Resource"))

    def query(self) -> GraphQLObjectType:
        """The root: a resource by its id, and searches."""
        return GraphQLObjectType("Query", self._query)

    def structure(self, fhir: str) -> GraphQLObjectType:
        """The object type of a resource, a data type or a part of one."""
        if fhir not in self.types:
            resource = fhir in r4().resource_types
            self.types[fhir] = GraphQLObjectType(
                graphql_name(fhir),
                partial(self._fields, fhir),
                [self.resource] if resource else [],
                extensions={"fhir": fhir},
            )
        return self.types[fhir]

    def _query(self) -> dict[str, GraphQLField]:
        out: dict[str, GraphQLField] = {}
        for rtype in sorted(r4().resource_types):
            if self.wanted.field(rtype) or rtype == "Patient":  # so has the root
                out[rtype] = GraphQLField(
                    self.structure(rtype),
                    {"id": GraphQLArgument(GraphQLNonNull(GraphQLID))},
                    extensions={"does": "read", "rtype": rtype},
                )
        return out | dict(self._searches(""))

    def _fields(self, fhir: str) -> dict[str, GraphQLField]:
        out: dict[str, GraphQLField] = {}
        resource = fhir in r4().resource_types or fhir == "Resource"
        if resource:
            out["resourceType"] = GraphQLField(GraphQLString)
        for element in r4().elements(fhir).values():
            out |= self._element(element)
        if fhir == "Reference" and self.wanted.field("resource"):
            out["resource"] = GraphQLField(
                self.resource,
                {"optional": GraphQLArgument(GraphQLBoolean), "type": GraphQLArgument(VALUE)},
                extensions={"does": "resolve"},
            )
        if resource and fhir != "Resource":
            out |= dict(self._searches(fhir))
        return out

    def _element(self, element: Element) -> dict[str, GraphQLField]:
        out: dict[str, GraphQLField] = {}
        many = element.max is None or element.max > 1
        for name, fhir in element.spelled().items():
            if self.wanted.field(name) or name == "id":  # every type has a field, whatever is asked
                out[name] = self._field(fhir, many)
            if r4().is_primitive(fhir) and self.wanted.field(f"_{name}"):
                out[f"_{name}"] = self._field("Element", many)
        return out

    def _field(self, fhir: str, many: bool) -> GraphQLField:
        kind = self._type(fhir)
        return GraphQLField(GraphQLList(kind), self._filters(fhir)) if many else GraphQLField(kind)

    def _type(self, fhir: str) -> GraphQLOutputType:
        if fhir in ANY:
            return self.resource
        if r4().is_structure(fhir):
            return self.structure(fhir)
        if fhir not in self.scalars:
            name = re.sub(r"\W", "_", fhir.rpartition("/")[2])
            self.scalars[fhir] = GraphQLScalarType(
                name, coerce_output_value=lambda v: v, extensions={"fhir": fhir}
            )
        return self.scalars[fhir]

    def _filters(self, fhir: str) -> dict[str, GraphQLArgument]:
        """What a list may be narrowed by: a path, a part of it, or the value of a primitive child."""
        if fhir not in self.arguments:
            out = {"fhirpath": GraphQLString, "_offset": GraphQLInt, "_count": GraphQLInt}
            found = {name: GraphQLArgument(kind) for name, kind in out.items() if self.wanted.argument(name)}
            for element in r4().elements(fhir).values() if r4().is_structure(fhir) else ():
                plain = not element.choice and not r4().is_structure(element.types[0])
                if plain and element.types[0] not in ANY and self.wanted.argument(element.name):
                    found[element.name] = GraphQLArgument(VALUE)
            self.arguments[fhir] = found
        return self.arguments[fhir]

    # ---- searches

    def _searches(self, owner: str) -> Iterator[tuple[str, GraphQLField]]:
        """`PatientList` and `PatientConnection`; inside a resource, of what refers to it by `_reference`."""
        for rtype in self._searched(owner):
            arguments = self._search_arguments(rtype)
            whole = self.wanted.fields is None
            if owner:
                held = {"_count": arguments["_count"]} if whole else arguments
                arguments = {**held, "_reference": GraphQLArgument(GraphQLNonNull(VALUE))}
            how = {"rtype": rtype, "owner": owner}
            if self.wanted.field(f"{rtype}List"):
                kind = GraphQLList(self.structure(rtype))
                yield f"{rtype}List", GraphQLField(kind, arguments, extensions={**how, "does": "list"})
            if self.wanted.field(f"{rtype}Connection") and not (owner and whole):
                page = self._connection(rtype)
                yield (
                    f"{rtype}Connection",
                    GraphQLField(page, arguments, extensions={**how, "does": "connection"}),
                )

    def _searched(self, owner: str) -> list[str]:
        """The types that are searched: those that can refer to the owner."""
        every = sorted(r4().resource_types)
        if self.wanted.fields is not None:
            found = (_SEARCH.fullmatch(name) for name in self.wanted.fields)
            named = {one[1] for one in found if one}
            every = [rtype for rtype in every if rtype in named]
        return [rtype for rtype in every if not owner or self._refers(rtype, owner)]

    def _refers(self, rtype: str, owner: str) -> bool:
        known = self.offered.of(rtype).values()
        return any(p.kind == "reference" and (not p.target or owner in p.target) for p in known)

    def _search_arguments(self, rtype: str) -> dict[str, GraphQLArgument]:
        key = f"?{rtype}"
        if key not in self.arguments:
            names = [*ON_PAGES, *(code.replace("-", "_") for code in self.offered.of(rtype))]
            self.arguments[key] = {n: GraphQLArgument(VALUE) for n in names if self.wanted.argument(n)}
        return self.arguments[key]

    def _connection(self, rtype: str) -> GraphQLObjectType:
        key = f"{rtype}Connection"
        if key not in self.types:
            edge = GraphQLObjectType(
                f"{rtype}Edge",
                lambda: {
                    "mode": GraphQLField(GraphQLString),
                    "score": GraphQLField(GraphQLString),
                    "resource": GraphQLField(self.structure(rtype)),
                },
            )
            fields = {name: GraphQLField(GraphQLInt) for name in ("count", "offset", "pagesize")}
            fields |= {name: GraphQLField(GraphQLString) for name in ("first", "previous", "next", "last")}
            self.types[key] = GraphQLObjectType(key, {**fields, "edges": GraphQLField(GraphQLList(edge))})
        return self.types[key]
