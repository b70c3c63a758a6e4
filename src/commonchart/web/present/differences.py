"""What changed between two versions: paths that were added, removed or changed, in reading order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from commonchart.web.present.values import number


class Difference(Struct, frozen=True):
    """One leaf that is not the same: empty `before` when added, empty `after` when removed."""

    path: str
    before: str
    after: str


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    """Every changed leaf; `meta` is ours and is left out."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    paths = [*before, *(path for path in after if path not in before)]
    return [
        Difference(path, before.get(path, ""), after.get(path, ""))
        for path in paths
        if before.get(path) != after.get(path)
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if path or name not in ("meta", "resourceType", "id"):
                yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{n}]")
    else:
        yield path, _words(value)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number(value)
