"""Where benchmarks run: a database of their own on a given server, or an embedded one below build/bench."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from commonchart.record.embedded import Embedded
from commonchart.record.upgrade import migrate

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
SHARED = ROOT.parent / "shared"
SERVER = "COMMONCHART_TEST_DATABASE_URL"


@contextmanager
def database(name: str, *, keep: bool = False) -> Iterator[str]:
    """The address of a migrated database called `name`; dropped afterwards unless it is to be kept."""
    server = os.environ.get(SERVER)
    if not server:
        embedded = Embedded(BUILD / name)
        try:
            url = embedded.start()
            migrate(url)
            yield url
        finally:
            embedded.stop()
            if not keep:
                shutil.rmtree(BUILD / name)
        return
    assert re.fullmatch(r"[a-z0-9_]+", name)
    with psycopg.connect(server, autocommit=True) as conn:
        if not conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            conn.execute(f"CREATE DATABASE {name}")
    url = make_conninfo(server, dbname=name)
    try:
        migrate(url)
        yield url
    finally:
        if not keep:
            with psycopg.connect(server, autocommit=True) as conn:
                conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def size(url: str) -> int:
    """Bytes that the database takes on disk."""
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row
    return int(row[0])


def postmaster(url: str) -> int:
    """The process id of PostgreSQL on this machine: the parent of the process that serves us."""
    with psycopg.connect(url) as conn:
        backend = conn.info.backend_pid
        stat = Path(f"/proc/{backend}/stat").read_text()
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def cpu_seconds(*roots: int) -> float:
    """User and system time of these processes, their living children, and those that were reaped."""
    found = dict(_processes())
    tree = set(roots)
    while more := {pid for pid, (parent, _) in found.items() if parent in tree} - tree:
        tree |= more
    ticks = sum(found[pid][1] for pid in tree if pid in found)
    return ticks / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Its children, those that were started first first."""
    return sorted(child for child, (parent, _) in _processes() if parent == pid)


def resident(root: int) -> int:
    """Bytes of memory that this process and its descendants hold; what they share counts for each."""
    tree = {root}
    found = dict(_processes())
    while more := {pid for pid, (parent, _) in found.items() if parent in tree} - tree:
        tree |= more
    pages = 0
    for pid in tree:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def _processes() -> Iterator[tuple[int, tuple[int, int]]]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                text = (path / "stat").read_text()
            except OSError:
                continue
            parts = text[text.rindex(")") + 2 :].split()
            yield int(path.name), (int(parts[1]), sum(int(part) for part in parts[11:15]))
