from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.kill import Server


@pytest.fixture(scope="session")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that was started for the first time, and ended."""
    first = Server(tmp_path_factory.mktemp("first") / "data")
    first.start(120)
    first.stop()
    return first.data


@pytest.fixture
def server(practice: Path, tmp_path: Path) -> Iterator[Server]:
    """A server on a copy of that folder: it starts sooner than one that makes and migrates its database."""
    started = Server(tmp_path / "a practice" / "data")
    subprocess.run(["cp", "-a", practice, started.data], check=True)
    try:
        started.start()
        yield started
    finally:
        started.stop()
