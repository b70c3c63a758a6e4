"""PostgreSQL that comes with the program and lives and dies with it, on a socket in the data folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import psycopg
from psycopg.conninfo import make_conninfo

from commonchart.fhir.outcome import Busy, Conflict, Invalid
from commonchart.record.login import LOGIN
from commonchart.record.postgres import folder
from commonchart.record.postgres.binaries import find_bindir, major, runnable
from commonchart.record.postgres.owner import Owner, owner_of, user_name
from commonchart.record.postgres.process import alive

NAME = "commonchart"
RECOVERY_SECONDS = 900
FIRST_WITH_BUILTIN_LOCALE = 17
PEER = f"local all all peer map={NAME}\n"


class Embedded:
    """A PostgreSQL of our own: `start()` gives the address of its database, `stop()` ends it.

    This process is its parent and must call `alive()` now and then to notice its end; `revive()` starts it again.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bindir: str = "",
        durable: bool = True,
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.data_dir = data_dir
        self.lock = folder.Lock(data_dir)
        self._bindir = bindir
        self._durable = durable
        self._given_up = given_up
        self._child: subprocess.Popen[bytes] | None = None
        self._adopted: int | None = None

    def start(self) -> str:
        """Lock the folder, make the cluster if there is none, start or adopt PostgreSQL, and wait until it answers.

        Raises Conflict when somebody else runs on the folder or another major version wrote it, Invalid when the
        folder or the programs cannot be used, Busy when PostgreSQL does not come up.
        """
        self.data_dir = folder.prepared(self.data_dir)
        folder.demand_whole(self.data_dir)
        self.lock.path = self.data_dir / "lock"
        self.lock.demand()
        try:
            return self._start()
        except OSError as error:
            self.stop()
            raise Invalid(f"The data folder {self.data_dir} cannot be used: {error.strerror}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End PostgreSQL, rolling back what is open, and free the folder."""
        if self._child is not None:
            self._end_child(self._child)
        elif self._adopted is not None:
            folder.end_orphan(self._adopted)
        ours = self._child is not None or self._adopted is not None
        self._child = self._adopted = None
        if ours:
            folder.forget_socket(self.data_dir)
        self.lock.free()

    def alive(self) -> bool:
        """Whether the postmaster runs; one that has died is reaped."""
        if self._child is not None:
            return self._child.poll() is None
        return self._adopted is not None and alive(self._adopted)

    def revive(self) -> str:
        """Start PostgreSQL again after it died; its own recovery loses nothing that was acknowledged."""
        self._child = self._adopted = None
        return self._start()

    @property
    def cluster(self) -> Path:
        """The folder with PostgreSQL's own data."""
        return self.data_dir / "postgres"

    @property
    def pid(self) -> int | None:
        """The postmaster's process number."""
        return self._child.pid if self._child is not None else self._adopted

    def _start(self) -> str:
        owner = owner_of(self.cluster)
        folder.let_in(self.data_dir, owner)
        bindir = runnable(find_bindir(self._bindir), owner)
        self._check_version(bindir)
        if folder.written_by(self.cluster) is None:
            self._make_cluster(bindir, owner)
        sockets = self._adopt() or self._launch(bindir, owner)
        return self._answering(sockets)

    def _check_version(self, bindir: Path) -> None:
        written, ours = folder.written_by(self.cluster), major(bindir)
        if written is not None and written != ours:
            raise Conflict(
                f"The data folder {self.data_dir} was written by PostgreSQL {written} and this is PostgreSQL {ours}. "
                "Make a backup with the Commonchart that wrote it and restore that into a new folder."
            )

    def _make_cluster(self, bindir: Path, owner: Owner) -> None:
        for left in self.data_dir.glob("postgres.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        # a new name each time: an initdb whose parent was killed may still be writing under the last one
        making = Path(mkdtemp(prefix="postgres.new-", dir=self.data_dir))
        owner.give(making)
        made = subprocess.run(
            [bindir / "initdb", "-D", _place(making, owner), *_cluster_options(major(bindir), self._durable)],
            cwd=making,
            env=_environment(),
            capture_output=True,
            text=True,
            **owner.as_user(),
        )
        if made.returncode != 0:
            shutil.rmtree(making, ignore_errors=True)
            raise Invalid(f"PostgreSQL could not make its data in {self.data_dir}: {_reason(made.stderr)}")
        making.rename(self.cluster)

    def _adopt(self) -> Path | None:
        """Take over a postmaster whose parent was killed, if one lives here and answers."""
        pid = folder.postmaster(self.cluster)
        if pid is None:
            return None
        sockets = folder.recorded_socket(self.data_dir)
        if sockets is None or not _answers(_url(sockets, "postgres")):
            folder.end_orphan(pid)
            return None
        self._adopted = pid
        self._write_access(owner_of(self.cluster))
        with psycopg.connect(_url(sockets, "postgres"), autocommit=True) as conn:
            conn.execute("SELECT pg_reload_conf()")
        return sockets

    def _launch(self, bindir: Path, owner: Owner) -> Path:
        sockets = folder.socket_folder(self.data_dir, owner)
        folder.leftovers_gone(self.cluster, 10)
        folder.clear_dead(self.cluster, sockets)
        self._write_access(owner)
        log = folder.log_file(self.data_dir)
        try:
            self._child = subprocess.Popen(
                [
                    bindir / "postgres",
                    "-D",
                    _place(self.cluster, owner),
                    *_server_options(sockets, self._durable),
                ],
                cwd=self.cluster,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **owner.as_user(),
            )
        finally:
            os.close(log)
        return sockets

    def _write_access(self, owner: Owner) -> None:
        people = sorted({user_name(os.geteuid()), owner.name})
        lines = "".join(f"{NAME} {name} {login}\n" for name in people for login in (NAME, LOGIN))
        for name, text in (("pg_hba.conf", PEER), ("pg_ident.conf", lines)):
            path = self.cluster / name
            path.write_text(text, "ascii")
            path.chmod(0o600)
            owner.give(path)

    def _answering(self, sockets: Path) -> str:
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not _answers(_url(sockets, "postgres")):
            if not self.alive() or self._given_up() or time.monotonic() > deadline:
                raise Busy(f"PostgreSQL did not start: {_reason(self._log_tail())}")
            time.sleep(0.03)
        with psycopg.connect(_url(sockets, "postgres"), autocommit=True) as conn:
            if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone() is None:
                conn.execute(f"CREATE DATABASE {NAME} TEMPLATE template0")
        return _url(sockets, NAME)

    def _log_tail(self) -> str:
        with suppress(OSError), (self.data_dir / "postgres.log").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
            return file.read().decode("utf-8", "replace")
        return ""

    def _end_child(self, child: subprocess.Popen[bytes]) -> None:
        for how, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 5)):
            with suppress(subprocess.TimeoutExpired):
                child.send_signal(how)
                child.wait(seconds)
                return


@contextmanager
def reached(
    data_dir: Path, *, database_url: str = "", bindir: str = "", patience: float = 60
) -> Iterator[str]:
    """The address of the database: the one given, the running server's, or that of a PostgreSQL for this block only.

    Raises what `Embedded.start` raises, and Busy when the server that holds the folder does not answer in time.
    """
    if database_url:
        yield database_url
        return
    embedded = Embedded(folder.prepared(data_dir), bindir=bindir)
    deadline = time.monotonic() + patience
    while not embedded.lock.take():
        sockets = folder.recorded_socket(embedded.data_dir)
        if sockets is not None and _answers(_url(sockets, NAME)):
            yield _url(sockets, NAME)
            return
        if time.monotonic() > deadline:
            raise Busy("The server that runs on this data folder does not answer. Try again in a moment.")
        time.sleep(0.1)
    try:
        yield embedded.start()
    finally:
        embedded.stop()


def _place(cluster: Path, owner: Owner) -> str:
    """How the cluster is named to PostgreSQL: where its user may not pass the folders above, it need not either."""
    return str(cluster) if owner.may_enter(cluster) else "/proc/self/cwd"


def _url(sockets: Path, database: str) -> str:
    return make_conninfo("", host=str(sockets), port=5432, user=NAME, dbname=database)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _cluster_options(version: int, durable: bool) -> list[str]:
    builtin = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if version >= FIRST_WITH_BUILTIN_LOCALE
        else []
    )
    locale = ["--locale=C", "--encoding=UTF8", *builtin]
    access = [f"--username={NAME}", "--auth=peer", "--no-instructions"]
    return [*locale, *access, *([] if durable else ["--no-sync"])]


def _server_options(sockets: Path, durable: bool) -> list[str]:
    on = "on" if durable else "off"
    quoted = '"' + str(sockets).replace('"', '""') + '"'
    settings = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": quoted,
        "unix_socket_permissions": "0700",
        "fsync": on,
        "synchronous_commit": on,
        "full_page_writes": on,
        "shared_buffers": f"{_shared_megabytes()}MB",
        "max_wal_size": "2GB",
        "max_connections": "200",
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_checkpoints": "off",
        "log_timezone": "UTC",
        "timezone": "UTC",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _shared_megabytes() -> int:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return max(128, min(1024, pages * size // 8 // 2**20))


def _reason(said: str) -> str:
    """The last thing PostgreSQL complained of, in words that say what to do when we know it."""
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return "the disk is full"
    complaints = [
        line for line in said.splitlines() if "FATAL:" in line or "PANIC:" in line or "error:" in line
    ]
    last = (complaints or said.splitlines() or ["no reason given"])[-1]
    return last.split("FATAL:")[-1].split("PANIC:")[-1].split("error:")[-1].strip()
