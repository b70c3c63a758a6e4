"""Whether another process lives, what it is, and how it is ended: for one that is not a child of this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not: where PID 1 reaps nobody, a killed one stays a zombie for ever."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _state(pid) not in ("Z", "X", "")


def works_in(pid: int, folder: Path) -> bool:
    """Whether the process has `folder` as its working directory, as a postgres of that folder has."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except OSError:
        return not sys.platform.startswith("linux") and "postgres" in _ps(pid, "command=")


def end(pid: int, how: signal.Signals, seconds: float) -> bool:
    """Send a signal and wait; says whether the process has gone."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return True
    return gone_within(pid, seconds)


def gone_within(pid: int, seconds: float) -> bool:
    """Wait until the process has gone; False when it has not after so many seconds."""
    deadline = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _state(pid: int) -> str:
    if not sys.platform.startswith("linux"):
        return _ps(pid, "stat=")[:1]
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(") ")[2][:1]
    except OSError:
        return ""


def _ps(pid: int, column: str) -> str:
    return subprocess.run(
        ["/bin/ps", "-o", column, "-p", str(pid)], capture_output=True, text=True
    ).stdout.strip()
