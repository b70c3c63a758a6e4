"""A GraphQL request as it is read: bounded, checked against its schema, and what each selection asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLIncludeDirective,
    GraphQLSchema,
    GraphQLSkipDirective,
    OperationType,
    Source,
    get_directive_values,
    get_named_type,
    parse,
    print_ast,
    specified_rules,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values
from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)
from graphql.validation import OverlappingFieldsCanBeMergedRule, VariablesInAllowedPositionRule
from msgspec import Struct

from commonchart.fhir.outcome import TooCostly
from commonchart.rest.graphql.schema import VALUE, named, schema
from commonchart.search.parameters import Offered

MAX_LENGTH = 50_000
MAX_TOKENS = 2_000
MAX_DEPTH = 20
MAX_ERRORS = 20


class Positions(VariablesInAllowedPositionRule):
    """Variables where they may stand; one of any type where a Value is taken, such as `$name: String`."""

    def leave_operation_definition(self, operation: OperationDefinitionNode, *args: Any) -> None:
        """Look at the others."""
        usages = self.context.get_recursive_variable_usages(operation)
        usages[:] = [one for one in usages if one.type is None or get_named_type(one.type) is not VALUE]
        super().leave_operation_definition(operation, *args)


# what the first compares is the square of the document; `_merged` finds the same while it carries out
_REPLACED = (OverlappingFieldsCanBeMergedRule, VariablesInAllowedPositionRule)
_RULES = (*(rule for rule in specified_rules if rule not in _REPLACED), Positions)

Fields = dict[str, list[FieldNode]]


class Refusal(Exception):
    """A document that is not carried out: the errors, as GraphQL tells them."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        self.errors = [error.formatted for error in errors]
        super().__init__("The document is refused")


class Document(Struct, frozen=True):
    """One operation with its schema, its variables and its fragments."""

    schema: GraphQLSchema
    tree: DocumentNode
    operation: OperationDefinitionNode
    variables: VariableValues
    fragments: Mapping[str, FragmentDefinitionNode]

    @property
    def introspects(self) -> bool:
        """Whether all that is asked is about the schema."""
        return any(name in ("__schema", "__type") for name in self._roots())

    def _roots(self) -> Iterator[str]:
        for selection in self.operation.selection_set.selections:
            if isinstance(selection, FieldNode):
                yield selection.name.value

    def fields(self, sets: Sequence[SelectionSetNode], rtype: str) -> Fields:
        """What is selected of an object of this type, by the name it is answered under. Raises GraphQLError."""
        out: Fields = {}
        seen: set[str] = set()
        for one in sets:
            self._collect(one, rtype, out, seen)
        return out

    def _collect(self, chosen: SelectionSetNode, rtype: str, out: Fields, seen: set[str]) -> None:
        for selection in chosen.selections:
            if not self._included(selection):
                continue
            if isinstance(selection, FieldNode):
                _merged(out, selection)
                continue
            fragment: Any = selection
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name in seen:
                    continue
                seen.add(name)
                fragment = self.fragments[name]
            condition = fragment.type_condition
            if condition is None or condition.name.value in (rtype, "Resource"):
                self._collect(fragment.selection_set, rtype, out, seen)

    def _included(self, selection: SelectionNode) -> bool:
        if not selection.directives:
            return True
        skip = get_directive_values(GraphQLSkipDirective, selection, self.variables)
        include = get_directive_values(GraphQLIncludeDirective, selection, self.variables)
        return not (skip and skip["if"]) and not (include and not include["if"])


def _merged(out: Fields, node: FieldNode) -> None:
    """Add a field to those of the same name, which must ask the same."""
    key = node.alias.value if node.alias else node.name.value
    held = out.setdefault(key, [])
    if held and _said(held[0]) != _said(node):
        raise GraphQLError(f"`{key}` is asked for in two ways: give one of them another name", node)
    held.append(node)


def _said(node: FieldNode) -> tuple[str, ...]:
    return (
        node.name.value,
        *sorted(print_ast(part) for part in (*(node.arguments or ()), *(node.directives or ()))),
    )


def read(
    text: str, variables: dict[str, Any], operation: str | None, offered: Offered, root: str
) -> Document:
    """The document, checked. Raises Refusal, TooCostly."""
    if len(text) > MAX_LENGTH:
        raise TooCostly(f"A GraphQL document has at most {MAX_LENGTH} characters", at="query")
    try:
        tree = parse(Source(text), max_tokens=MAX_TOKENS)
        made = schema(named(tree), offered, root)
        errors = validate(made, tree, _RULES, max_errors=MAX_ERRORS, hide_suggestions=True)
    except GraphQLError as error:
        raise Refusal([error]) from None
    except RecursionError:
        raise TooCostly("The GraphQL document is nested too deeply", at="query") from None
    if errors:
        raise Refusal(errors)
    return _chosen(made, tree, variables, operation)


def _chosen(made: GraphQLSchema, tree: DocumentNode, variables: dict[str, Any], name: str | None) -> Document:
    operations = [one for one in tree.definitions if isinstance(one, OperationDefinitionNode)]
    found = [one for one in operations if name is None or (one.name and one.name.value == name)]
    if len(found) != 1:
        raise Refusal([GraphQLError("Say with operationName which operation of the document to carry out")])
    if found[0].operation is not OperationType.QUERY:
        raise Refusal([GraphQLError("Only queries are offered: write through the FHIR API")])
    values = get_variable_values(made, found[0].variable_definitions or (), variables, 10, True)
    if isinstance(values, list):
        raise Refusal(values)
    fragments = {f.name.value: f for f in tree.definitions if isinstance(f, FragmentDefinitionNode)}
    if _depth(found[0].selection_set, fragments, {}) > MAX_DEPTH:
        raise TooCostly(f"A GraphQL document goes at most {MAX_DEPTH} levels deep", at="query")
    return Document(made, tree, found[0], values, fragments)


def _depth(
    chosen: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], known: dict[str, int]
) -> int:
    """The levels of a selection, fragments followed, each measured once (circles were refused before)."""
    deepest = 0
    for selection in chosen.selections:
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name not in known:
                known[name] = _depth(fragments[name].selection_set, fragments, known)
            deepest = max(deepest, known[name])
        else:
            inner: SelectionSetNode | None = selection.selection_set  # type: ignore[attr-defined]
            below = _depth(inner, fragments, known) if inner else 0
            deepest = max(deepest, below + isinstance(selection, FieldNode))
    return deepest
