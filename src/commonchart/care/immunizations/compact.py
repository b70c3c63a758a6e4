"""JSON that a reviewer can read in a difference: keys in order, one fact a line where it does not fit on one."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

WIDTH = 118


def text(value: Any) -> str:
    """The value as JSON text, ending in a new line."""
    return _written(_without_empty_pairs(value), 0) + "\n"


def _without_empty_pairs(value: Any) -> Any:
    """Pairs of nothing ("", "") left out of objects: they are the default."""
    if isinstance(value, dict):
        return {key: _without_empty_pairs(item) for key, item in value.items() if item != ("", "")}
    return [_without_empty_pairs(item) for item in value] if isinstance(value, tuple | list) else value


def _written(value: Any, depth: int) -> str:
    flat = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(flat) + depth <= WIDTH or not isinstance(value, dict | list | tuple):
        return flat
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(value, dict):
        rows = [f"{json.dumps(key)}: {_written(value[key], depth + 1)}" for key in sorted(value)]
        return "{\n" + ",\n".join(inner + row for row in rows) + f"\n{outer}}}"
    rows = _filled(value, depth) if _codes(value) else [_written(item, depth + 1) for item in value]
    return "[\n" + ",\n".join(inner + row for row in rows) + f"\n{outer}]"


def _codes(value: Any) -> bool:
    return all(isinstance(item, str) and " " not in item for item in value)


def _filled(codes: Sequence[str], depth: int) -> list[str]:
    """Lines of as many codes as fit."""
    lines = textwrap.wrap(
        ", ".join(json.dumps(code) for code in codes), WIDTH - depth - 1, break_on_hyphens=False
    )
    return [line.removesuffix(",") for line in lines]
