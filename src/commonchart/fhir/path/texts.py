"""The functions on text. http://hl7.org/fhirpath/N1/#string-manipulation.

Patterns run in RE2, which takes time linear in the text: no pattern can hang.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped, unused-ignore]

from commonchart.fhir.outcome import Invalid
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.nodes import Collection, system
from commonchart.fhir.path.operators import bounded
from commonchart.fhir.path.values import one

Eager = Callable[..., Collection]
MAX_PATTERN = 2_000


def text(nodes: Collection) -> str | None:
    """The single text, None when empty. Raises Invalid for anything else."""
    if len(nodes) == 1 and type(nodes[0][0]) is str:
        return nodes[0][0]
    value = one(nodes)
    if value is not None and not isinstance(value, str):
        raise Invalid("FHIRPath: a text was expected")
    return value


def whole(nodes: Collection) -> int | None:
    """The single integer, None when empty. Raises Invalid for anything else."""
    value = one(nodes)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise Invalid("FHIRPath: an integer was expected")
    return value


def _on_text(compute: Callable[..., Any]) -> Eager:
    """A function of texts: empty where any of them is."""

    def apply(nodes: Collection, environment: Environment, *arguments: Collection) -> Collection:
        texts = [text(nodes), *(text(argument) for argument in arguments)]
        if None in texts:
            return []
        return system(bounded(compute(*texts)))

    return apply


@lru_cache(1024)
def pattern(source: str) -> Any:
    """The compiled pattern, `.` matching every character. Raises Invalid where RE2 has no such pattern."""
    if len(source) > MAX_PATTERN:
        raise Invalid(f"FHIRPath: a pattern has at most {MAX_PATTERN} characters")
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        return re2.compile(source, options)
    except re2.error:
        raise Invalid("FHIRPath: this is no pattern that can be matched in linear time") from None


def _replaced(value: str, source: str, by: str) -> str:
    if not source:
        return value
    found = pattern(source)
    return str(found.sub(lambda match: _filled(match, by), value))


def _filled(match: Any, by: str) -> str:
    """The substitution with `$1` and `${name}` replaced by what the groups caught."""
    if "$" not in by:
        return by
    return str(_GROUP.sub(lambda group: _caught(match, group), by))


_GROUP = re2.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|(\d))|\\\$")


def _caught(match: Any, group: Any) -> str:
    name = group[1] or group[2]
    if name is None:
        return "$"
    try:
        return match.group(int(name) if name.isdigit() else name) or ""
    except (IndexError, KeyError, re2.error):
        return str(group[0])


def _substring(
    nodes: Collection, environment: Environment, start: Collection, *rest: Collection
) -> Collection:
    value, begin = text(nodes), whole(start)
    length = whole(rest[0]) if rest else None
    if value is None or begin is None or not 0 <= begin < len(value):
        return []
    if length is None:
        return system(value[begin:])
    return system(value[begin : begin + max(length, 0)])


def _joined(nodes: Collection, environment: Environment, *separator: Collection) -> Collection:
    between = (text(separator[0]) if separator else "") or ""
    found = [value for value, _, _ in nodes if value is not None]
    if any(not isinstance(value, str) for value in found):
        raise Invalid("FHIRPath: join() joins texts")
    return system(bounded(between.join(found))) if nodes else []


def _split(nodes: Collection, environment: Environment, separator: Collection) -> Collection:
    value, at = text(nodes), text(separator)
    if value is None or at is None:
        return []
    parts = value.split(at) if at else list(value)
    environment.spend(len(parts))
    return [(part, "System.String", None) for part in parts]


def _characters(nodes: Collection, environment: Environment) -> Collection:
    value = text(nodes) or ""
    environment.spend(len(value))
    return [(part, "System.String", None) for part in value]


def _encoded(value: str, form: str) -> str | None:
    raw = value.encode()
    if form == "hex":
        return raw.hex()
    if form == "base64":
        return base64.b64encode(raw).decode()
    if form == "urlbase64":
        return base64.urlsafe_b64encode(raw).decode()
    return None


def _decoded(value: str, form: str) -> str | None:
    try:
        if form == "hex":
            return bytes.fromhex(value).decode()
        padded = value + "=" * (-len(value) % 4)
        if form == "base64":
            return base64.b64decode(padded, validate=True).decode()
        if form == "urlbase64":
            return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        return None
    return None


def _escaped(value: str, form: str) -> str | None:
    if form == "html":
        return html.escape(value, quote=True).replace("&#x27;", "&#39;")
    return json.dumps(value, ensure_ascii=False)[1:-1] if form == "json" else None


def _unescaped(value: str, form: str) -> str | None:
    if form == "html":
        return html.unescape(value)
    if form != "json":
        return None
    try:
        found = json.loads(f'"{value}"', strict=False)
    except ValueError:
        return None
    return found if isinstance(found, str) else None


TEXTS: dict[str, tuple[Eager, int, int]] = {
    "contains": (_on_text(lambda value, part: part in value), 1, 1),
    "startsWith": (_on_text(str.startswith), 1, 1),
    "endsWith": (_on_text(str.endswith), 1, 1),
    "indexOf": (_on_text(str.find), 1, 1),
    "lastIndexOf": (_on_text(str.rfind), 1, 1),
    "upper": (_on_text(str.upper), 0, 0),
    "lower": (_on_text(str.lower), 0, 0),
    "length": (_on_text(len), 0, 0),
    "trim": (_on_text(str.strip), 0, 0),
    "replace": (_on_text(lambda value, part, by: _spelled(value, part, by)), 2, 2),
    "matches": (_on_text(lambda value, source: pattern(source).search(value) is not None), 1, 1),
    "matchesFull": (_on_text(lambda value, source: pattern(source).fullmatch(value) is not None), 1, 1),
    "replaceMatches": (_on_text(_replaced), 2, 2),
    "substring": (_substring, 1, 2),
    "join": (_joined, 0, 1),
    "split": (_split, 1, 1),
    "toChars": (_characters, 0, 0),
    "encode": (_on_text(_encoded), 1, 1),
    "decode": (_on_text(_decoded), 1, 1),
    "escape": (_on_text(_escaped), 1, 1),
    "unescape": (_on_text(_unescaped), 1, 1),
}


def _spelled(value: str, part: str, by: str) -> str:
    if value.count(part) * len(by) > 4_000_000:
        return " " * 4_000_000  # longer than may be made: `bounded` refuses it
    return value.replace(part, by)
