"""The schema keeps the shard discipline (DESIGN 4, docs/decisions/0004): read from the DDL itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from commonchart.record.schema import LOCAL, LOOK_UP, PATIENT_SHARDED, SEARCH_ROWS

VERSIONS = Path(__file__).resolve().parents[2] / "src/commonchart/record/migrations/versions"
SQL = re.sub(r"--[^\n]*", "", "\n".join(path.read_text() for path in sorted(VERSIONS.glob("*.sql"))))
TABLES = dict(re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", re.sub(r"\);\s*(?=\n|$)", "\n);", SQL), re.S))


def test_every_table_has_a_class() -> None:
    assert set(TABLES) == PATIENT_SHARDED | LOOK_UP | LOCAL
    assert not PATIENT_SHARDED & (LOOK_UP | LOCAL)


@pytest.mark.parametrize("table", sorted(PATIENT_SHARDED))
def test_patient_tables_begin_with_the_shard_key(table: str) -> None:
    columns = TABLES[table]
    assert columns.split()[:2] == ["pk", "bigint"]
    key = re.search(r"PRIMARY KEY \(([^)]*)\)", columns)
    assert key
    assert key[1].split(", ")[:2] == ["pk", "tenant"]


@pytest.mark.parametrize("table", sorted(PATIENT_SHARDED))
def test_patient_tables_hold_nothing_that_a_shard_cannot(table: str) -> None:
    assert not re.search(r"REFERENCES|FOREIGN KEY|EXCLUDE|UNIQUE|serial|IDENTITY", TABLES[table])
    assert not re.search(rf"CREATE UNIQUE INDEX \w+ ON {table}\b(?! \(pk)", SQL)


def test_there_are_no_triggers_views_or_extensions() -> None:
    assert not re.search(r"CREATE (TRIGGER|EXTENSION|RULE|FUNCTION)", SQL)


@pytest.mark.parametrize("table", sorted(SEARCH_ROWS))
def test_search_rows_have_the_columns_that_are_written(table: str) -> None:
    declared = re.findall(r"(\w+) (?:bigint|int|text|numeric|timestamptz)", TABLES[table])
    assert tuple(declared) == ("pk", "tenant", "rtype", "id", "n", *SEARCH_ROWS[table])
