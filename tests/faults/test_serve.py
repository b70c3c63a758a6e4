"""The installed program as people run it: `commonchart serve` as a process, and what may be wrong around it."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import psycopg
import pytest
from benchmarks.kill import Server

from commonchart.record import login
from commonchart.record.embedded import reached
from tests.faults.running import asked, commonchart, processes_of

pytestmark = pytest.mark.fault


def test_it_answers_and_ends_without_leaving_anybody(server: Server) -> None:
    status, body = asked(server, "/health")
    assert status == 200
    assert json.loads(body)["status"] == "ok"
    assert processes_of(server.data)
    server.stop()
    assert processes_of(server.data) == []


def test_it_works_with_the_login_that_owns_nothing(server: Server) -> None:
    assert asked(server, "/health")[0] == 200
    with reached(server.data) as url, psycopg.connect(url) as conn:
        logins = conn.execute(
            "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE application_name = 'commonchart'"
        ).fetchall()
    assert logins == [(login.LOGIN,)]


def test_ctrl_c_ends_it_too(server: Server) -> None:
    server.signal(signal.SIGINT)
    server.wait(30)
    assert processes_of(server.data) == []


def test_a_second_one_on_the_folder_is_refused(server: Server) -> None:
    second = commonchart("serve", "--port", "0", "--data", str(server.data))
    assert second.returncode == 1
    assert "already runs on the data folder" in second.stderr
    assert "Traceback" not in second.stderr
    assert asked(server, "/health")[0] == 200


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = commonchart("serve", "--port", str(port), "--data", str(tmp_path / "data"))
    assert refused.returncode == 1
    assert f"Port {port}" in refused.stderr
    assert processes_of(tmp_path / "data") == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = commonchart("serve", "--port", "0", "--data", str(tmp_path / "file" / "data"))
    assert refused.returncode == 1
    assert "data folder" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_log_holds_no_ids_and_no_queries(server: Server) -> None:
    asked(server, "/patients/ada-lovelace?q=lovelace")
    asked(server, "/fhir/Patient/ada-lovelace?family=lovelace")
    server.stop()
    assert "lovelace" not in server.log.read_text()
