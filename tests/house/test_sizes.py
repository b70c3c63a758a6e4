"""Functions stay small and files readable (DESIGN 5): p90 of function lengths, file length, forbidden names."""

from __future__ import annotations

import ast
from itertools import chain
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "commonchart"
FILES = sorted(SRC.rglob("*.py"))
VAGUE = {
    "utils",
    "helpers",
    "common",
    "core",
    "base",
    "lib",
    "misc",
    "manager",
    "service",
    "handler",
    "processor",
    "impl",
}


def _functions(path: Path) -> list[int]:
    tree = ast.parse(path.read_text())
    return [
        node.end_lineno - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]


def test_nine_functions_in_ten_fit_on_a_screen() -> None:
    lengths = sorted(chain.from_iterable(_functions(path) for path in FILES))
    assert lengths[int(len(lengths) * 0.9)] <= 36


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_file_is_at_most_600_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600, "make it a package of the same name"


def test_modules_have_names_that_someone_would_look_for() -> None:
    assert [path for path in FILES if path.stem in VAGUE or path.parent.name in VAGUE] == []


def test_a_package_marker_only_describes() -> None:
    """No re-exports in `__init__` (the command line's lazy group aside)."""
    markers = [path for path in FILES if path.name == "__init__.py" and path.parent.name != "cli"]
    assert [
        path
        for path in markers
        if any(isinstance(n, ast.ImportFrom) for n in ast.parse(path.read_text()).body)
    ] == []
