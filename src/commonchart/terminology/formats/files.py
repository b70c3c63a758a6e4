"""A folder, a zip, a tar or a single file as named texts, within bounds of size and ratio, nothing unpacked on disk."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from commonchart.fhir.outcome import Malformed, NotFound, TooLarge

MAX_FILE = 4_000_000_000
MAX_RESOURCE = 64_000_000
MAX_NAMES = 50_000
MAX_RATIO = 200
MAX_LINE = 200_000

Row = dict[str, str]


class Files:
    """Named texts. Raises NotFound for a path that is not there, Malformed for an archive that cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._tar: dict[str, bytes] = {}
        if not path.exists():
            raise NotFound(f"{path} is not there")
        try:
            self.names = self._names()
        except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError) as error:
            raise Malformed(f"{path} cannot be read as an archive: {type(error).__name__}") from None
        if len(self.names) > MAX_NAMES:
            raise TooLarge(f"{path} holds more than {MAX_NAMES} files")

    def _names(self) -> list[str]:
        if self.path.is_dir():
            found = (one for one in self.path.rglob("*") if one.is_file() and not one.is_symlink())
            return sorted(str(one.relative_to(self.path)) for one in found)
        if zipfile.is_zipfile(self.path):
            self._zip = zipfile.ZipFile(self.path)
            return sorted(info.filename for info in self._zip.infolist() if not info.is_dir())
        if self.path.name.endswith((".tgz", ".tar.gz", ".tar")):
            self._tar = dict(_members(self.path))
            return sorted(self._tar)
        return [self.path.name]

    def find(self, start: str, end: str = "") -> str | None:
        """The first file whose own name begins and ends so, case aside."""
        for name in self.names:
            own = PurePosixPath(name).name.lower()
            if own.startswith(start.lower()) and own.endswith(end.lower()):
                return name
        return None

    def read(self, name: str) -> bytes:
        """A whole file of at most `MAX_RESOURCE` bytes. Raises TooLarge."""
        if name in self._tar:
            return self._tar[name]
        with self._open(name) as file:
            data = file.read(MAX_RESOURCE + 1)
        if len(data) > MAX_RESOURCE:
            raise TooLarge(f"{name} has more than {MAX_RESOURCE} bytes")
        return data

    def _open(self, name: str) -> IO[bytes]:
        if name in self._tar:
            return io.BytesIO(self._tar[name])
        if self._zip is not None:
            info = self._zip.getinfo(name)
            if info.file_size > MAX_FILE or info.file_size > MAX_RATIO * max(info.compress_size, 5000):
                raise TooLarge(f"{name} grows too much when unpacked")
            return self._zip.open(info)
        path = self.path / name if self.path.is_dir() else self.path
        if path.stat().st_size > MAX_FILE:
            raise TooLarge(f"{name} is larger than {MAX_FILE} bytes")
        return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """Numbered lines. Raises Malformed for one that is too long or not UTF-8."""
        with self._open(name) as file:
            number = 0
            while True:
                raw = file.readline(MAX_LINE + 1)
                if not raw:
                    return
                number += 1
                if len(raw) > MAX_LINE:
                    raise Malformed(f"{name}, line {number}: longer than {MAX_LINE} bytes")
                try:
                    yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError:
                    raise Malformed(f"{name}, line {number}: not UTF-8") from None

    def table(self, name: str, *columns: str, quoted: bool = False) -> Iterator[tuple[int, Row]]:
        """Rows of a file with a heading, by tab or (quoted) as CSV. Raises Malformed when a column or a field is missing."""
        lines = self.lines(name)
        texts = (text + "\n" for _, text in lines)
        try:
            rows = csv.reader(texts) if quoted else (text.rstrip("\n").split("\t") for text in texts)
            heading = next(rows, [])
            missing = [column for column in columns if column not in heading]
            if missing:
                raise Malformed(f"{name}, line 1: no column {', '.join(missing)}")
            for number, row in enumerate(rows, 2):
                if len(row) != len(heading):
                    raise Malformed(f"{name}, line {number}: {len(row)} fields and not {len(heading)}")
                yield number, dict(zip(heading, row, strict=True))
        except csv.Error as error:
            raise Malformed(f"{name}: {error}") from None

    def piped(self, name: str, least: int) -> Iterator[tuple[int, list[str]]]:
        """Rows of fields between bars. Raises Malformed for one with too few."""
        for number, text in self.lines(name):
            if not text.strip():
                continue
            fields = [field.strip() for field in text.split("|")]
            if len(fields) < least:
                raise Malformed(f"{name}, line {number}: {len(fields)} fields and not at least {least}")
            yield number, fields


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    with tarfile.open(path) as archive:
        for count, member in enumerate(archive):
            if count > MAX_NAMES:
                raise TooLarge(f"{path.name} holds more than {MAX_NAMES} files")
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or not member.name.endswith((".json", ".txt", ".csv", ".xml", ".RRF")):
                continue
            total += member.size
            if member.size > MAX_RESOURCE or total > 20 * MAX_RESOURCE:
                raise TooLarge(f"{path.name} grows too much when unpacked")
            yield member.name, file.read()
