"""The data folder: its lock, the place of the socket, and what PostgreSQL left there.

lock           held with flock by the one who runs PostgreSQL here; holds that process's number
postgres/      the cluster, owned by PostgreSQL's user
run/           the socket, unless its path would be too long or closed to that user
socket         the path of the folder that the socket is in
postgres.log   what PostgreSQL says; never a value out of a statement
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from commonchart.fhir.outcome import Conflict, Invalid
from commonchart.record.postgres.owner import Owner
from commonchart.record.postgres.process import alive, end, gone_within, works_in

LONGEST_SOCKET = 107
SOCKET_NAME = ".s.PGSQL.5432"
RESTORING = "restoring"
LOG_BYTES = 10_000_000


class Lock:
    """The right to run PostgreSQL on a data folder. Freed by the kernel when its holder dies."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "lock"
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Try to get it; says whether it is held now."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Invalid(f"The data folder {self.path.parent} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        with suppress(OSError):  # on a full disk nobody learns the number, and the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return True

    def demand(self) -> None:
        """Get it, or raise Conflict that says who has it."""
        if not self.take():
            raise Conflict(
                f"Another Commonchart{self._holder()} already runs on the data folder {self.path.parent}. "
                "Stop that one, or choose another folder with --data."
            )

    def free(self) -> None:
        """Give it back. In a forked child: close the child's copy."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _holder(self) -> str:
        try:
            return f" (process {int(self.path.read_text('ascii'))})"
        except (OSError, ValueError):
            return ""


def prepared(data_dir: Path) -> Path:
    """The data folder, made if it is not there. Raises Invalid when it cannot be made or written to."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"The data folder {data_dir} cannot be made: {error.strerror}") from None
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise Invalid(f"The data folder {data_dir} cannot be written to by this user")
    return data_dir.absolute()


def let_in(data_dir: Path, owner: Owner) -> None:
    """Let PostgreSQL's user pass through the data folder to what is its own, and read nothing else there."""
    if owner.other:
        data_dir.chmod(data_dir.stat().st_mode | 0o011)


def demand_whole(data_dir: Path) -> None:
    """Raise Conflict when a restore into this folder did not come to its end."""
    if (data_dir / RESTORING).is_dir() and any((data_dir / RESTORING).iterdir()):
        raise Conflict(
            f"A restore into {data_dir} was interrupted. Run it again: it begins anew, and nothing is lost."
        )


def written_by(cluster: Path) -> int | None:
    """The major version of PostgreSQL whose data these are; None when there are none."""
    try:
        return int((cluster / "PG_VERSION").read_text("ascii").split(".")[0])
    except FileNotFoundError:
        return None


def socket_folder(data_dir: Path, owner: Owner) -> Path:
    """The folder for the socket, 0700 and the owner's, recorded in the data folder."""
    usual = data_dir / "run"
    fits = len(os.fsencode(usual / SOCKET_NAME)) <= LONGEST_SOCKET and owner.may_enter(data_dir)
    folder = usual if fits else _elsewhere(data_dir, owner)
    folder.mkdir(mode=0o700, exist_ok=True)
    owner.give(folder)
    folder.chmod(0o700)
    (data_dir / "socket").write_text(str(folder), "utf-8")
    return folder


def recorded_socket(data_dir: Path) -> Path | None:
    """The folder that a running PostgreSQL's socket is in, as recorded."""
    try:
        return Path((data_dir / "socket").read_text("utf-8"))
    except FileNotFoundError:
        return None


def forget_socket(data_dir: Path) -> None:
    """Remove the record, and the folder if it lies elsewhere."""
    folder = recorded_socket(data_dir)
    (data_dir / "socket").unlink(missing_ok=True)
    if folder is not None and folder.parent != data_dir:
        shutil.rmtree(folder, ignore_errors=True)


def _elsewhere(data_dir: Path, owner: Owner) -> Path:
    recorded = recorded_socket(data_dir)
    if recorded is not None and recorded.parent != data_dir and _ours(recorded, owner):
        return recorded
    places = [os.environ.get("XDG_RUNTIME_DIR"), "/run", tempfile.gettempdir(), "/tmp"]  # noqa: S108
    for place in places:
        if place and os.access(place, os.W_OK | os.X_OK) and owner.may_enter(Path(place)) and len(place) < 70:
            return Path(tempfile.mkdtemp(prefix="commonchart-", dir=place))
    raise Invalid("There is no place for PostgreSQL's socket: set TMPDIR to a folder with a short path")


def _ours(folder: Path, owner: Owner) -> bool:
    try:
        about = folder.lstat()
    except OSError:
        return False
    return about.st_uid == owner.uid and (about.st_mode & 0o170777) == 0o040700


def postmaster(cluster: Path) -> int | None:
    """The process number of a PostgreSQL that lives on this cluster; None when there is none."""
    try:
        pid = int((cluster / "postmaster.pid").read_text("ascii").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if alive(pid) and works_in(pid, cluster) else None


def clear_dead(cluster: Path, sockets: Path) -> None:
    """Remove the lock files of a postmaster that is a zombie or whose number another process has now.

    One that has simply gone is left to PostgreSQL itself. The caller holds the lock of the data folder.
    """
    for path in (cluster / "postmaster.pid", sockets / f"{SOCKET_NAME}.lock"):
        try:
            pid = abs(int(path.read_text("ascii").split("\n", 1)[0]))
        except (FileNotFoundError, ValueError):
            continue
        if Path(f"/proc/{pid}").exists() and postmaster(cluster) is None:
            path.unlink(missing_ok=True)


def end_orphan(pid: int) -> None:
    """Stop a postmaster that is not this process's child: fast, and at once if that does not help."""
    if not end(pid, signal.SIGINT, 30) and not end(pid, signal.SIGQUIT, 10):
        end(pid, signal.SIGKILL, 5)


def leftovers_gone(cluster: Path, seconds: float) -> None:
    """Wait until the backends of a killed postmaster, which notice its death by themselves, have gone."""
    for entry in Path("/proc").glob("[0-9]*"):
        if works_in(int(entry.name), cluster):
            gone_within(int(entry.name), seconds)


def log_file(data_dir: Path) -> int:
    """A descriptor of the log to append to; a log that has grown is put aside first."""
    path = data_dir / "postgres.log"
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
