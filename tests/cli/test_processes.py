from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from commonchart.cli.processes import Crew, Post


def until(crew: Crew, true: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        crew.mend()
        time.sleep(0.02)
    return true()


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def noting(path: Path, then: Callable[[], None]) -> Callable[[], None]:
    def work() -> None:
        with path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        then()

    return work


def test_one_who_dies_is_started_again_and_later_each_time(tmp_path: Path) -> None:
    crew = Crew([Post("dies", noting(tmp_path / "dies", lambda: os._exit(3)))], before=lambda: None)
    crew.start()
    try:
        assert until(crew, lambda: lines(tmp_path / "dies") >= 3)
        assert not crew.failing("dies")
        assert until(crew, lambda: crew.failing("dies"))
        assert not crew.failing("web")
    finally:
        crew.stop()


def test_what_is_to_be_done_once_is_not_begun_again_unless_it_failed(tmp_path: Path) -> None:
    def fails_at_first() -> None:
        if lines(tmp_path / "fails") == 1:
            raise RuntimeError("not yet")

    once = Post("once", noting(tmp_path / "once", lambda: None), once=True)
    fails = Post("fails", noting(tmp_path / "fails", fails_at_first), once=True)
    crew = Crew([once, fails], before=lambda: None)
    crew.start()
    try:
        assert until(crew, lambda: once.done and fails.done)
        crew.mend()
        assert (lines(tmp_path / "once"), lines(tmp_path / "fails")) == (1, 2)
    finally:
        crew.stop()


def test_stopping_ends_everybody(tmp_path: Path) -> None:
    posts = [Post(f"sleeps-{n}", noting(tmp_path / "pids", lambda: time.sleep(60))) for n in range(3)]
    crew = Crew(posts, before=lambda: None)
    crew.start()
    assert until(crew, lambda: lines(tmp_path / "pids") == 3)
    crew.stop()
    assert not any(Path(f"/proc/{pid}").exists() for pid in (tmp_path / "pids").read_text().split())
