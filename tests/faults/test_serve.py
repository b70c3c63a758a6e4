"""The installed program as people run it: `commonchart serve` as a process, and what may happen to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.kill import COMMONCHART, Server, main

pytestmark = pytest.mark.fault


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path / "a practice" / "data")
    started.start()
    yield started
    started.stop()


def asked(server: Server, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def commonchart(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMONCHART, *words], capture_output=True, text=True, timeout=60)


def processes_of(data: Path) -> list[str]:
    """The command lines that name the folder, and the postgres that works in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if int(entry.name) != os.getpid() and (
                f"--data {data}" in command or (entry / "cwd").readlink() == data / "postgres"
            ):
                found.append(command)
    return found


def test_it_answers_and_ends_without_leaving_anybody(server: Server) -> None:
    status, body = asked(server, "/health")
    assert status == 200
    assert json.loads(body)["status"] == "ok"
    assert processes_of(server.data)
    server.stop()
    assert processes_of(server.data) == []


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


def test_while_postgres_is_away_the_answer_is_503_and_then_200_again(server: Server) -> None:
    postmaster = int((server.data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(postmaster, signal.SIGSTOP)
    os.kill(postmaster, signal.SIGKILL)
    seen: list[int] = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (503 in seen and seen[-1] == 200):
        seen.append(asked(server, "/health")[0])
    assert set(seen) == {200, 503}
    assert seen[-1] == 200


def test_a_parent_that_is_killed_takes_its_children_with_it_and_the_next_adopts_postgres(
    server: Server,
) -> None:
    before = (server.data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0]
    server.kill("server")
    server.start()
    assert (server.data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0] == before
    assert asked(server, "/health")[0] == 200
    server.stop()
    assert processes_of(server.data) == []


def test_killed_at_any_moment_of_its_first_start_it_starts_the_next_time(tmp_path: Path) -> None:
    data = tmp_path / "data"
    words = [*COMMONCHART, "serve", "--port", "0", "--data", str(data)]
    for seconds in (0.2, 0.5, 0.8, 1.1):
        first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        first.kill()
        first.wait()
    server = Server(data)
    server.start()
    assert asked(server, "/health")[0] == 200
    server.stop()
    assert processes_of(data) == []


async def test_nothing_acknowledged_is_lost_and_nothing_is_half_written(tmp_path: Path) -> None:
    """The short form; `benchmarks/kill.py` is the long one."""
    found = await main(rounds=2, writers=4, data=tmp_path / "data", seed=int(time.time()))
    assert found["acknowledged"] > 20
    assert (found["lost"], found["half"], found["not_in_feed"]) == (0, 0, 0)
    assert processes_of(tmp_path / "data") == []


def test_the_log_holds_no_ids_and_no_queries(server: Server) -> None:
    asked(server, "/patients/ada-lovelace?q=lovelace")
    asked(server, "/fhir/Patient/ada-lovelace?family=lovelace")
    server.stop()
    assert "lovelace" not in server.log.read_text()
