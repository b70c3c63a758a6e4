"""Changes to one resource: JSON Patch (RFC 6902), JSON Merge Patch (RFC 7396), FHIRPath Patch (http://hl7.org/fhir/R4/fhirpatch.html).

All are pure: the resource given is never changed, decimals stay exact, and all operations happen or none. What is
refused names the operation by its index: Malformed for what is no patch, Invalid for one that does not fit the resource.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from commonchart.fhir.definitions import Element, r4
from commonchart.fhir.outcome import Invalid, Malformed, Refused, TooCostly
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.nodes import Collection, root
from commonchart.fhir.path.parser import Node, parse
from commonchart.fhir.path.tree import step

MAX_OPERATIONS = 1_000
MAX_VALUES = 1_000_000
MAX_DEPTH = 64
Json = Any


# ---- JSON Patch ------------------------------------------------------------------------------------------------


def json_patch(resource: dict[str, Any], operations: Json) -> dict[str, Any]:
    """The resource after these operations (RFC 6902). Raises Malformed, Invalid, TooCostly."""
    if not isinstance(operations, list):
        raise Malformed("A JSON Patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise TooCostly(f"A patch has at most {MAX_OPERATIONS} operations")
    document = _Document(resource)
    for at, operation in enumerate(operations):
        try:
            _apply(document, operation)
        except Refused as refused:
            raise type(refused)(
                f"operation {at}: {refused}", at=f"[{at}]", code=refused.issues[0].code
            ) from None
    return _resource(document.value)


def _resource(value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("A patch leaves a resource, not another value")
    return value


class _Document:
    """A copy that is changed, with a count of what was copied into it."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self.copied = 0
        self.value: Json = self.copy(resource)

    def copy(self, value: Json, depth: int = 0) -> Json:
        """The value again, sharing nothing that can change."""
        self.copied += 1
        if self.copied > MAX_VALUES or depth > MAX_DEPTH:
            raise TooCostly("The patch makes the resource too large")
        if isinstance(value, dict):
            return {name: self.copy(held, depth + 1) for name, held in value.items()}
        return [self.copy(held, depth + 1) for held in value] if isinstance(value, list) else value

    def get(self, path: list[str]) -> Json:
        """The value at a pointer."""
        value = self.value
        for token in path:
            value = value[_index(value, token)] if isinstance(value, list) else _member(value, token)
        return value

    def add(self, path: list[str], value: Json) -> None:
        """Put it there: a member set, an item inserted."""
        if not path:
            self.value = value
            return
        if len(path) > MAX_DEPTH:
            raise TooCostly("The patch makes the resource too deep")
        inside = self.get(path[:-1])
        if isinstance(inside, list):
            inside.insert(len(inside) if path[-1] == "-" else _index(inside, path[-1], len(inside)), value)
        elif isinstance(inside, dict):
            inside[path[-1]] = value
        else:
            raise Invalid("the path leads into a value that holds nothing")

    def remove(self, path: list[str]) -> Json:
        """Take it away, and give it back."""
        if not path:
            raise Invalid("the whole resource cannot be removed")
        inside = self.get(path[:-1])
        if isinstance(inside, list):
            return inside.pop(_index(inside, path[-1]))
        _member(inside, path[-1])
        return inside.pop(path[-1])


def _member(value: Json, token: str) -> Json:
    if not isinstance(value, dict) or token not in value:
        raise Invalid("the path leads nowhere")
    return value[token]


def _index(value: list[Json], place: str, last: int | None = None) -> int:
    plain = place.isascii() and place.isdigit() and len(place) < 10 and (place == "0" or place[0] != "0")
    if not plain or int(place) > (len(value) - 1 if last is None else last):
        raise Invalid("the path names no item of the list")
    return int(place)


def _pointer(operation: dict[str, Json], name: str) -> list[str]:
    """A JSON Pointer as its tokens (RFC 6901)."""
    text = operation.get(name)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise Malformed(f"`{name}` is a JSON Pointer")
    out = []
    for token in text.split("/")[1:]:
        if "~" in token.replace("~0", "").replace("~1", ""):
            raise Malformed(f"`{name}` has a ~ that escapes nothing")
        out.append(token.replace("~1", "/").replace("~0", "~"))
    return out


def _apply(document: _Document, operation: Json) -> None:
    if not isinstance(operation, dict):
        raise Malformed("an operation is an object")
    name, path = operation.get("op"), _pointer(operation, "path")
    if name in ("add", "replace", "test"):
        if "value" not in operation:
            raise Malformed(f"`{name}` needs a value")
        _with_value(document, name, path, operation["value"])
    elif name == "remove":
        document.remove(path)
    elif name in ("move", "copy"):
        _from(document, name, _pointer(operation, "from"), path)
    else:
        raise Malformed("`op` is one of add, remove, replace, move, copy, test")


def _with_value(document: _Document, name: str, path: list[str], value: Json) -> None:
    if name == "test":
        if not _same(document.get(path), value):
            raise Invalid("the test fails", code="conflict")
        return
    if name == "add":
        document.add(path, document.copy(value))
        return
    document.get(path)
    if path and isinstance(document.get(path[:-1]), list):
        document.remove(path)
    document.add(path, document.copy(value))


def _from(document: _Document, name: str, source: list[str], path: list[str]) -> None:
    if name == "copy":
        document.add(path, document.copy(document.get(source)))
        return
    if path[: len(source)] == source and len(path) > len(source):
        raise Invalid("nothing is moved into itself")
    if path != source:
        document.add(path, document.remove(source))
    else:
        document.get(source)


def _same(a: Json, b: Json) -> bool:
    """Equality of JSON values: true is not 1, 1.0 is 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    numbers = isinstance(a, int | Decimal) and isinstance(b, int | Decimal)
    return bool(a == b) if numbers or type(a) is type(b) else False


# ---- JSON Merge Patch ------------------------------------------------------------------------------------------


def merge_patch(resource: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The resource with these members set, and those that are null taken away (RFC 7396). A list replaces a list."""
    out = dict(resource)
    for name, value in changes.items():
        if value is None:
            out.pop(name, None)
        elif isinstance(value, dict):
            held = out.get(name)
            out[name] = merge_patch(held if isinstance(held, dict) else {}, value)
        else:
            out[name] = value
    return out


# ---- FHIRPath Patch --------------------------------------------------------------------------------------------


def fhirpath_patch(resource: dict[str, Any], parameters: Json) -> dict[str, Any]:
    """The resource after the operations of a Parameters resource. Raises Malformed, Invalid, TooCostly."""
    if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
        raise Malformed("A FHIRPath Patch is a Parameters resource")
    operations = parameters.get("parameter", [])
    if not isinstance(operations, list):
        raise Malformed("`parameter` is a list", at="Parameters.parameter")
    if len(operations) > MAX_OPERATIONS:
        raise TooCostly(f"A patch has at most {MAX_OPERATIONS} operations")
    document = _Document(resource)
    for at, operation in enumerate(operations):
        try:
            _change(document, _Asked(operation))
        except Refused as refused:
            where = f"Parameters.parameter[{at}]"
            raise type(refused)(f"operation {at}: {refused}", at=where, code=refused.issues[0].code) from None
    return _resource(document.value)


class _Asked:
    """The parts of one operation."""

    def __init__(self, operation: Json) -> None:
        if not isinstance(operation, dict) or operation.get("name") != "operation":
            raise Malformed("each parameter is named `operation`")
        self.parts: dict[str, dict[str, Any]] = {}
        for part in _parts(operation):
            if part["name"] in self.parts:
                raise Malformed("a part is given twice")
            self.parts[part["name"]] = part

    def text(self, name: str) -> str:
        """A part that is text."""
        found = _single(self.parts.get(name, {}))
        if not isinstance(found, str) or not found:
            raise Malformed(f"`{name}` is missing or no text")
        return found

    def number(self, name: str) -> int:
        """A part that is an index."""
        found = _single(self.parts.get(name, {}))
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise Malformed(f"`{name}` is missing or no index")
        return found


def _parts(parameter: dict[str, Any]) -> list[dict[str, Any]]:
    parts = parameter.get("part", [])
    if not isinstance(parts, list) or not all(
        isinstance(part, dict) and isinstance(part.get("name"), str) for part in parts
    ):
        raise Malformed("`part` is a list of named parts")
    return parts


def _spelled_value(part: dict[str, Any]) -> tuple[str, Json] | None:
    found = [(name, held) for name, held in part.items() if name.startswith("value") and name != "value"]
    if len(found) > 1:
        raise Malformed("a part has one value")
    return found[0] if found else None


def _single(part: dict[str, Any]) -> Json:
    found = _spelled_value(part)
    return found[1] if found else None


def _value(part: dict[str, Any] | None, type_name: str, depth: int = 0) -> tuple[str, Json]:
    """The value of a part and the suffix of its type (`Boolean`); without value[x], an element made of its parts."""
    if part is None or depth > MAX_DEPTH:
        raise Malformed("the value is missing")
    found = _spelled_value(part)
    if found is not None:
        return found[0].removeprefix("value"), found[1]
    if "resource" in part:
        return "", part["resource"]
    made: dict[str, Any] = {}
    for inner in _parts(part):
        element = _element(type_name, inner["name"])
        suffix, value = _value(inner, element.types[0], depth + 1)
        key = _key(element, suffix)
        if element.max is None or element.max > 1:
            made.setdefault(key, []).append(value)
        elif key in made:
            raise Invalid("an element that occurs once is given twice")
        else:
            made[key] = value
    if not made:
        raise Malformed("the value is missing")
    return "", made


def _element(type_name: str, name: str) -> Element:
    elements = r4().elements(type_name) if r4().is_structure(type_name) else {}
    found = elements.get(name) or elements.get(f"{name}[x]") or elements.get(name.removesuffix("[x]") + "[x]")
    if found is None:
        raise Invalid("there is no element of that name")
    return found


def _key(element: Element, suffix: str) -> str:
    """The JSON name of an element, a choice by the type of the value."""
    if not element.choice:
        return element.name
    key = element.name[:-3] + suffix
    if key not in element.spelled():
        raise Invalid("the element does not take a value of that type")
    return key


def _change(document: _Document, asked: _Asked) -> None:
    kind = asked.text("type")
    change = {"add": _add, "insert": _insert, "delete": _delete, "replace": _replace, "move": _move}.get(kind)
    if change is None:
        raise Malformed("`type` is one of add, insert, delete, replace, move")
    change(document, asked, parse(asked.text("path")))


def _found(document: _Document, node: Node | None) -> Collection:
    focus = root(document.value)
    if node is None:
        return focus
    environment = Environment(document.value, strict=True)
    environment.context = focus
    return step(node)(focus, environment)


def _one(nodes: Collection) -> tuple[dict[str, Any], str]:
    if len(nodes) != 1 or not isinstance(nodes[0][0], dict):
        raise Invalid("the path finds no element, or several")
    return nodes[0][0], nodes[0][1]


def _add(document: _Document, asked: _Asked, path: Node) -> None:
    inside, type_name = _one(_found(document, path))
    element = _element(type_name, asked.text("name"))
    suffix, value = _value(asked.parts.get("value"), element.types[0])
    key = _key(element, suffix)
    if element.max is None or element.max > 1:
        held = inside.setdefault(key, [])
        beside = inside.get(f"_{key}")
        held.append(document.copy(value))
        if isinstance(beside, list):
            beside.extend([None] * (len(held) - len(beside)))
        return
    if any(spelled in inside for spelled in element.spelled()):
        raise Invalid("the element is there already and occurs once: replace it")
    inside[key] = document.copy(value)


def _list_at(document: _Document, path: Node) -> tuple[dict[str, Any], str, Element]:
    """The parent, the key and the element of a path that names a list."""
    if path.kind != "child":
        raise Invalid("the path names a list")
    inside, type_name = _one(_found(document, path.parts[0] if path.parts else None))
    element = _element(type_name, path.value)
    if element.max is not None and element.max <= 1:
        raise Invalid("the path names a list")
    return inside, element.name, element


def _lists(inside: dict[str, Any], key: str) -> list[list[Any]]:
    """The list and, where primitives have siblings, the list of these, made equally long."""
    held = inside.setdefault(key, [])
    out = [held]
    if isinstance(inside.get(f"_{key}"), list):
        beside = inside[f"_{key}"]
        beside.extend([None] * (len(held) - len(beside)))
        held.extend([None] * (len(beside) - len(held)))
        out.append(beside)
    return out


def _insert(document: _Document, asked: _Asked, path: Node) -> None:
    inside, key, element = _list_at(document, path)
    index = asked.number("index")
    _, value = _value(asked.parts.get("value"), element.types[0])
    if index > len(inside.get(key, [])):
        raise Invalid("the index is beyond the end of the list")
    held, *beside = _lists(inside, key)
    held.insert(index, document.copy(value))
    for other in beside:
        other.insert(index, None)


def _move(document: _Document, asked: _Asked, path: Node) -> None:
    inside, key, _ = _list_at(document, path)
    source, destination = asked.number("source"), asked.number("destination")
    if max(source, destination) >= len(inside.get(key, [])):
        raise Invalid("an index is beyond the end of the list")
    for held in _lists(inside, key):
        held.insert(destination, held.pop(source))


def _delete(document: _Document, asked: _Asked, path: Node) -> None:
    nodes = _found(document, path)
    if not nodes:
        return
    if len(nodes) > 1:
        raise Invalid("the path finds several elements")
    inside, key, index = _place(document, path, nodes)
    if index is None:
        inside.pop(key, None)
        inside.pop(f"_{key}", None)
        return
    for name in (key, f"_{key}"):
        held = inside.get(name)
        if isinstance(held, list) and index < len(held):
            held.pop(index)
            if not any(one is not None for one in held):
                del inside[name]


def _replace(document: _Document, asked: _Asked, path: Node) -> None:
    nodes = _found(document, path)
    if len(nodes) != 1:
        raise Invalid("the path finds no element, or several")
    inside, key, index = _place(document, path, nodes)
    suffix, value = _value(asked.parts.get("value"), nodes[0][1])
    if index is not None:
        inside[key][index] = document.copy(value)
        return
    if path.kind == "child" and key != path.value:
        del inside[key]
        inside.pop(f"_{key}", None)
        key = _key(_element(_one(_found(document, _parent(path)))[1], path.value), suffix)
    inside[key] = document.copy(value)


def _parent(path: Node) -> Node | None:
    return path.parts[0] if path.parts else None


def _place(document: _Document, path: Node, nodes: Collection) -> tuple[dict[str, Any], str, int | None]:
    """Where the one node found is: its parent, its key, and its index in a list."""
    value = nodes[0][0]
    if value is document.value:
        raise Invalid("the whole resource is not patched away")
    if isinstance(value, dict):
        return _place_of(document.value, value)
    index: int | None = None
    if path.kind == "at" and path.parts[1].kind == "literal" and path.parts[0].kind == "child":
        path, index = path.parts[0], path.parts[1].value
    if path.kind != "child":
        raise Invalid("a plain value is named by its element and an index")
    inside, type_name = _one(_found(document, _parent(path)))
    for key in _element(type_name, path.value).spelled():
        if key in inside or f"_{key}" in inside:
            many = isinstance(inside.get(key, inside.get(f"_{key}")), list)
            return inside, key, (index or 0) if many else None
    raise Invalid("the path finds no element")


def _place_of(inside: dict[str, Any], value: dict[str, Any]) -> tuple[dict[str, Any], str, int | None]:
    """Where this very object is in a tree."""
    waiting: list[dict[str, Any]] = [inside]
    while waiting:
        parent = waiting.pop()
        for key, held in parent.items():
            if held is value:
                return parent, key, None
            items: Sequence[Any] = held if isinstance(held, list) else (held,)
            for index, one in enumerate(items):
                if one is value:
                    return parent, key, index
                if isinstance(one, dict):
                    waiting.append(one)
    raise Invalid("the path finds an element that is not in the resource")
