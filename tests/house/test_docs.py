"""The reference pages are complete: commands, settings, tables, decisions, hazards name what really exists."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from msgspec.structs import fields

from commonchart.cli import main
from commonchart.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"]


def _commands(group: click.Command, prefix: str = "commonchart") -> list[tuple[str, click.Command]]:
    if not isinstance(group, click.Group):
        return [(prefix, group)]
    context = click.Context(group)
    found: list[tuple[str, click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found += _commands(command, f"{prefix} {name}")
    return found


def test_every_command_and_option_is_on_the_reference_page() -> None:
    page = (DOCS / "reference" / "command-line.md").read_text()
    for path, command in _commands(main):
        assert f"## `{path}`" in page, f"run `make docs`: {path} is missing"
        for param in command.params:
            for option in (o for o in param.opts if o.startswith("--")):
                assert option in page, f"run `make docs`: {path} {option} is missing"


def test_every_setting_is_on_the_reference_page() -> None:
    page = (DOCS / "reference" / "settings.md").read_text()
    assert [field.name for field in fields(Settings) if f"`{field.name}`" not in page] == []


def test_every_table_is_on_the_reference_page() -> None:
    page = (DOCS / "reference" / "tables.md").read_text()
    sql = "".join(p.read_text() for p in (ROOT / "src/commonchart/record/migrations/versions").glob("*.sql"))
    tables = re.findall(r"^CREATE TABLE (\w+) \(", sql, re.M)
    assert [name for name in tables if f"`{name}`" not in page and not name.startswith("procrastinate")] == []


def test_every_decision_is_listed() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    assert [p.name for p in (DOCS / "decisions").glob("0*.md") if p.name not in index] == []


def test_every_hazard_names_a_test_that_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (DOCS / "safety" / "hazards.md").read_text())
    assert named
    for path, function in named:
        assert (ROOT / path).exists(), path
        assert not function or f"def {function}(" in (ROOT / path).read_text(), f"{path}::{function}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_requirement_of_asvs_has_a_state_and_names_what_exists() -> None:
    page = (DOCS / "safety" / "asvs.md").read_text()
    rows = re.findall(r"^\| (\d+\.\d+\.\d+[^|]*) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", page, re.M)
    assert len(rows) > 150
    assert {state for _, state, _ in rows} <= {"met", "partly", "not met", "n/a"}
    assert [number for number, state, shown in rows if state != "met" and len(shown) < 4] == []
    named = re.findall(r"`(tests/[\w/]+\.(?:py|toml))(?:::(\w+))?`", page)
    assert [
        f"{path}::{function}"
        for path, function in named
        if not (ROOT / path).exists() or (function and f"def {function}(" not in (ROOT / path).read_text())
    ] == []
