"""A record that an earlier program wrote opens in this one, whole: `tests/fixtures/written.backup`, made by `make.py`."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from benchmarks.kill import COMMONCHART, Server, token

from commonchart.record import backup
from commonchart.record.embedded import reached
from commonchart.record.upgrade import current, head
from tests.fixtures.make import WRITTEN


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import subprocess

    data = tmp_path_factory.mktemp("upgraded") / "data"
    subprocess.run([*COMMONCHART, "restore", str(WRITTEN), "--data", str(data)], check=True, timeout=120)
    server = Server(data)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def bearer(served: Server) -> str:
    return token(served.data)


def asked(served: Server, bearer: str, path: str) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.port}/fhir{path}", headers={"Authorization": f"Bearer {bearer}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_file_is_whole_and_of_no_newer_program() -> None:
    summary = backup.verify(WRITTEN)
    assert summary.about.schema <= head()
    assert WRITTEN.stat().st_size < 100_000


def test_the_schema_is_todays(served: Server) -> None:
    with reached(served.data) as url:
        assert current(url) == head()


def test_the_schema_is_that_of_a_new_record(served: Server, database_url: str) -> None:
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name !~ '^audit_[0-9]' ORDER BY table_name, column_name"
    )
    with reached(served.data) as url, psycopg.connect(url) as old, psycopg.connect(database_url) as new:
        assert old.execute(columns).fetchall() == new.execute(columns).fetchall()


def test_every_version_is_readable(served: Server, bearer: str) -> None:
    assert asked(served, bearer, "/Patient/ada")[1]["birthDate"] == "1986-12-10"
    assert "birthDate" not in asked(served, bearer, "/Patient/ada/_history/1")[1]
    assert asked(served, bearer, "/Patient/ada/_history/2")[1]["birthDate"] == "1985-12-10"
    assert asked(served, bearer, "/Observation/ben")[1]["valueQuantity"]["value"] == 72
    assert asked(served, bearer, "/Observation/cleo")[0] == 410


def test_it_is_found_by_search(served: Server, bearer: str) -> None:
    status, found = asked(served, bearer, "/Observation?subject=Patient/ben")
    assert status == 200
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["ben"]
