"""The program as a process, asked from outside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.kill import COMMONCHART, Server


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
