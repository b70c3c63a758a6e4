"""What an operation is given: by the query, by a Parameters body, or as the one resource in the body."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid, Malformed

MAX_ARGUMENTS = 2000
_INTEGER = re.compile(r"-?\d{1,9}")


class Arguments(Struct, frozen=True):
    """Named values in order: texts from the query, values or resources or lists of parts from Parameters."""

    values: tuple[tuple[str, Any], ...]
    body: dict[str, Any] | None = None

    def every(self, name: str) -> list[Any]:
        """Every value under this name."""
        return [value for held, value in self.values if held == name]

    def one(self, name: str) -> Any:
        """The value under this name, None without it. Raises Malformed when there are several."""
        found = self.every(name)
        if len(found) > 1:
            raise Malformed(f"{name} may be given once", at=name)
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """The value as text, None without it. Raises Malformed for what is no text."""
        value = self.one(name)
        if value is not None and not isinstance(value, str):
            raise Malformed(f"{name} is a text", at=name)
        return value

    def number(self, name: str) -> int | None:
        """The value as a whole number. Raises Malformed."""
        value = self.one(name)
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            return int(value)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise Malformed(f"{name} is a whole number", at=name)

    def flag(self, name: str) -> bool | None:
        """The value as true or false. Raises Malformed."""
        value = self.one(name)
        if value is None or isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return bool(value == "true")
        raise Malformed(f"{name} is true or false", at=name)

    def span(self, name: str) -> dates.Bounds | None:
        """The value as a date or moment, from its beginning to its end. Raises Malformed."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return dates.bounds(text.replace(" ", "+"))
        except Invalid:
            raise Malformed(f"{name} is a date or a moment such as 2026-11-18T10:00:00Z", at=name) from None

    def resource(self, name: str) -> dict[str, Any] | None:
        """The resource under this name, or the body itself where it is no Parameters. Raises Malformed."""
        value = self.one(name)
        if value is None and self.body is not None and self.body.get("resourceType") != "Parameters":
            return self.body
        if value is None:
            return None
        if not isinstance(value, dict) or "resourceType" not in value:
            raise Malformed(f"{name} is a resource", at=name)
        return value


def arguments(params: tuple[tuple[str, str], ...], body: dict[str, Any] | None) -> Arguments:
    """The query's parameters, then those of a Parameters body. Raises Malformed naming the one that cannot be read."""
    values: list[tuple[str, Any]] = [pair for pair in params if pair[0] not in ("_format", "_pretty")]
    if body is not None and body.get("resourceType") == "Parameters":
        entries = body.get("parameter", [])
        if not isinstance(entries, list) or len(entries) > MAX_ARGUMENTS:
            raise Malformed(f"parameter is an array of at most {MAX_ARGUMENTS} entries", at="parameter")
        values += [_parameter(entry, n) for n, entry in enumerate(entries)]
    return Arguments(tuple(values), body)


def _parameter(entry: Any, n: int) -> tuple[str, Any]:
    at = f"Parameters.parameter[{n}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise Malformed("A parameter needs a name", at=f"{at}.name")
    if "resource" in entry:
        return entry["name"], entry["resource"]
    if "part" in entry:
        return entry["name"], entry["part"]
    values = [value for key, value in entry.items() if key.startswith("value")]
    if len(values) != 1 or values[0] is None:
        raise Malformed("A parameter needs one value, a resource or parts", at=at)
    return entry["name"], values[0]


def parameters(*pairs: tuple[str, str, Any]) -> dict[str, Any]:
    """A Parameters resource of (name, `valueX` | `resource` | `part`, value); values of None are left out."""
    listed = [{"name": name, kind: value} for name, kind, value in pairs if value is not None]
    return {"resourceType": "Parameters", **({"parameter": listed} if listed else {})}
