"""Files that unpack to far more than they are (hostile list E3): every reader of files refuses them soon, in bounded memory."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from commonchart.exchange.load.files import units
from commonchart.exchange.schedules import release
from commonchart.fhir import packages
from commonchart.fhir.outcome import Refused
from commonchart.terminology.formats.files import Files

SIZE = 300_000_000
MOST_MEMORY = 280_000_000
BLOCK = b"7" * 4_000_000


class Endless(io.RawIOBase):
    """So many letters, made as they are read."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        size = min(len(view), self.left)
        view[:size] = b"7" * size
        self.left -= size
        return size


def zipped(path: Path, name: str) -> Path:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        for _ in range(SIZE // len(BLOCK)):
            file.write(BLOCK)
    return path


def packed(path: Path, size: int = SIZE) -> Path:
    """Members one after another, which is one stream to a reader."""
    path.write_bytes(gzip.compress(BLOCK, 9, mtime=0) * (size // len(BLOCK)))
    return path


def tarred(path: Path, name: str) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo(name)
        info.size = SIZE
        archive.addfile(info, io.BufferedReader(Endless(SIZE)))  # type: ignore[type-var]
    return path


def _terminology(path: Path) -> None:
    files = Files(path)
    for name in files.names:
        files.read(name)


def _loaded(path: Path) -> None:
    problems = [entry.problem for unit in units(path) for entry in unit.entries]
    if any(problems):
        raise Refused(str(problems[0]))


READERS: list[tuple[str, Callable[[Path], Path], Callable[[Path], object]]] = [
    ("a terminology as zip", lambda f: zipped(f / "t.zip", "LOINC.csv"), _terminology),
    ("a terminology as tgz", lambda f: tarred(f / "t.tgz", "package/a.json"), _terminology),
    ("a terminology as gz", lambda f: packed(f / "t.json.gz"), _terminology),
    ("a schedule release", lambda f: zipped(f / "s-4.6.zip", "Antigen.xml"), release.files),
    (
        "a FHIR package",
        lambda f: tarred(f / "p.tgz", "package/package.json"),
        lambda p: packages.read(p.read_bytes()),
    ),
    ("a Bundle to load", lambda f: packed(f / "b.json.gz"), _loaded),
    ("lines to load", lambda f: packed(f / "b.ndjson.gz", 60_000_000), _loaded),
]


@pytest.mark.parametrize(("name", "make", "read"), READERS, ids=[name for name, _, _ in READERS])
def test_what_unpacks_to_too_much_is_refused(
    name: str, make: Callable[[Path], Path], read: Callable[[Path], object], tmp_path: Path
) -> None:
    path = make(tmp_path)
    assert path.stat().st_size < 3_000_000
    tracemalloc.start()
    try:
        with pytest.raises(Refused):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY, name
    finally:
        tracemalloc.stop()
