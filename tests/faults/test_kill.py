"""`kill -9` of the server, of its parts and of PostgreSQL: what was acknowledged is there, and it goes on by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from benchmarks.kill import COMMONCHART, Server, main

from tests.faults.running import asked, processes_of

pytestmark = pytest.mark.fault


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
