"""Reading what is to be loaded: Bundles, NDJSON and single resources, plain or gzip, files or folders, within bounds."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from commonchart.fhir import json
from commonchart.fhir.outcome import Invalid, Malformed, Refused, TooLarge

ENDINGS = (".json", ".ndjson", ".json.gz", ".ndjson.gz")
MAX_FILE = 1_000_000_000
MAX_BUNDLE = 256_000_000
MAX_LINE = 16_000_000
CHUNK = 500


class Entry(Struct, frozen=True):
    """One resource as it stands in a file; `problem` instead of `resource` when it cannot be read."""

    file: str
    place: str
    full_url: str
    resource: dict[str, Any] | None
    problem: str = ""


class Unit(Struct, frozen=True):
    """Entries that are prepared together, because they may refer to each other. `atomic`: a transaction Bundle."""

    file: str
    entries: tuple[Entry, ...]
    atomic: bool = False


def found(paths: Iterable[Path]) -> list[Path]:
    """The files below these paths, in order. Raises Invalid for a path that is not there, or where nothing can be loaded."""
    out: list[Path] = []
    for path in paths:
        if path.is_dir():
            out += sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(ENDINGS))
        elif path.is_file():
            out.append(path)
        else:
            raise Invalid(f"There is no file or folder {path}", at="path")
    if not out:
        raise Invalid(f"Nothing to load: no file ends in {', '.join(ENDINGS)}", at="path")
    return out


def units(path: Path) -> Iterator[Unit]:
    """The units of a file: one for a Bundle, one per few hundred lines of NDJSON. What cannot be read becomes an Entry."""
    try:
        with opened(path) as file:
            if ".ndjson" in path.name:
                yield from _lines(path.name, file)
            else:
                yield _document(path.name, _read(file))
    except Refused as refusal:
        yield _unreadable(path.name, "file", str(refusal))
    except (OSError, EOFError, zlib.error) as error:
        yield _unreadable(path.name, "file", f"The file cannot be read to its end: {type(error).__name__}")


def opened(path: Path) -> IO[bytes]:
    """The file, uncompressed as it is read."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, plain or gzip. Raises Invalid where there is none, TooLarge for a line beyond bounds, Malformed for a torn file."""
    if not path.is_file():
        raise Invalid(f"There is no file {path}", at="path")
    try:
        with opened(path) as file:
            total = 0
            while line := file.readline(MAX_LINE + 1):
                total += len(line)
                if len(line) > MAX_LINE or total > MAX_FILE:
                    raise TooLarge(f"{path.name} has a line over {MAX_LINE} bytes, or over {MAX_FILE} in all")
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise Malformed(f"{path.name} cannot be read to its end: {type(error).__name__}") from None


def _unreadable(file: str, place: str, problem: str) -> Unit:
    return Unit(file, (Entry(file, place, "", None, problem),))


def _read(file: IO[bytes]) -> bytes:
    data = file.read(MAX_BUNDLE + 1)
    if len(data) > MAX_BUNDLE:
        raise TooLarge(f"A Bundle has at most {MAX_BUNDLE} bytes uncompressed: send NDJSON instead")
    return data


def _document(name: str, data: bytes) -> Unit:
    try:
        document = json.decode(data, max_bytes=MAX_BUNDLE)
    except Malformed as bad:
        raise Malformed(f"{bad} ({len(data)} bytes in {data.count(10) + 1} lines)") from None
    if document.get("resourceType") != "Bundle":
        return Unit(name, (Entry(name, "the whole file", "", document),))
    listed = document.get("entry", [])
    if not isinstance(listed, list):
        raise Malformed("Bundle.entry is not an array")
    entries = tuple(_entry(name, n, one) for n, one in enumerate(listed))
    return Unit(name, entries, document.get("type") == "transaction")


def _entry(name: str, n: int, one: Any) -> Entry:
    place = f"Bundle.entry[{n}]"
    if not isinstance(one, dict) or not isinstance(one.get("resource"), dict):
        return Entry(name, place, "", None, "The entry holds no resource")
    method = (one.get("request") or {}).get("method") if isinstance(one.get("request"), dict) else None
    if method not in (None, "POST", "PUT"):
        return Entry(
            name, place, "", None, "Only entries that store a resource are loaded, not " + str(method)[:10]
        )
    full = one.get("fullUrl")
    return Entry(name, place, full if isinstance(full, str) else "", one["resource"])


def _lines(name: str, file: IO[bytes]) -> Iterator[Unit]:
    held: list[Entry] = []
    n = 0
    while True:
        try:
            line = file.readline(MAX_LINE + 1)
        except (OSError, EOFError, zlib.error) as error:
            held.append(Entry(name, f"line {n + 1}", "", None, f"The file ends here: {type(error).__name__}"))
            break
        if not line:
            break
        n += 1
        if line.strip():
            held.append(_line(name, n, line))
        if len(held) >= CHUNK:
            yield Unit(name, tuple(held))
            held = []
    if held:
        yield Unit(name, tuple(held))


def _line(name: str, n: int, line: bytes) -> Entry:
    place = f"line {n}"
    try:
        return Entry(name, place, "", json.decode(line, max_bytes=MAX_LINE))
    except Refused as refusal:
        return Entry(name, place, "", None, str(refusal))
