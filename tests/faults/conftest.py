from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.kill import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path / "a practice" / "data")
    started.start()
    yield started
    started.stop()
