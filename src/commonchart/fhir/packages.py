"""Read an npm-style FHIR package (.tgz) from bytes: its name, version and definitions.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification. Only JSON files directly in `package/` are read; sizes,
entries and the ratio of compression are bounded, and nothing is written anywhere.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from msgspec import Struct

from commonchart.fhir.outcome import Malformed, TooLarge

MAX_PACKED = 100_000_000
MAX_UNPACKED = 600_000_000
MAX_FILE = 50_000_000
MAX_FILES = 30_000

TYPES = frozenset({"StructureDefinition", "ValueSet", "CodeSystem", "SearchParameter", "ConceptMap"})


class Package(Struct, frozen=True):
    """A package: `name`, `version`, and the definitions in it."""

    name: str
    version: str
    resources: tuple[dict[str, Any], ...]


def read(data: bytes) -> Package:
    """The package. Raises Malformed for what is none, TooLarge for one that unpacks to too much."""
    if len(data) > MAX_PACKED:
        raise TooLarge(f"A package may have at most {MAX_PACKED // 1_000_000} MB")
    try:
        files = dict(_files(data))
        manifest = _json(files.pop("package.json", b"{}"), "package.json")
    except (tarfile.TarError, zlib.error, EOFError, OSError):
        raise Malformed("This is no FHIR package: a .tgz with package/package.json is wanted") from None
    name, version = manifest.get("name"), manifest.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        raise Malformed("package/package.json must say the package's name and version")
    if not (name.isprintable() and version.isprintable() and 0 < len(name) < 200 > len(version)):
        raise Malformed("The package's name and version must be short and printable")
    found = (_json(body, path) for path, body in sorted(files.items()) if path.partition("-")[0] in TYPES)
    resources = tuple(one for one in found if one.get("resourceType") in TYPES)
    if not all(str(one.get("url", "")).isprintable() for one in resources):
        raise Malformed("A definition in the package has a url that is not printable")
    return Package(name, version, resources)


class _Unpacking:
    """The bytes of the tar file as they are asked for, of bounded length in all."""

    def __init__(self, data: bytes) -> None:
        self._unzip, self._packed, self._total = zlib.decompressobj(31), data, 0

    def read(self, size: int) -> bytes:
        """At most so many more. Raises TooLarge, zlib.error, EOFError for a torn file."""
        out = b"" if self._unzip.eof else self._unzip.decompress(self._packed, size)
        self._packed = self._unzip.unconsumed_tail
        self._total += len(out)
        if self._total > MAX_UNPACKED:
            raise TooLarge(f"A package may unpack to at most {MAX_UNPACKED // 1_000_000} MB")
        if not out and not self._unzip.eof:
            raise EOFError
        return out


def _files(data: bytes) -> Iterator[tuple[str, bytes]]:
    unpacking = _Unpacking(data)
    with tarfile.open(fileobj=cast(BinaryIO, unpacking), mode="r|") as archive:
        for count, member in enumerate(archive):
            if count >= MAX_FILES:
                raise TooLarge(f"A package may hold at most {MAX_FILES} files")
            folder, _, name = member.name.partition("/")
            if folder != "package" or "/" in name or not name.endswith(".json") or not member.isfile():
                continue
            if member.size > MAX_FILE:
                raise TooLarge(f"A file of a package may have at most {MAX_FILE // 1_000_000} MB")
            file = archive.extractfile(member)
            if file is not None:
                yield name, file.read()
    while unpacking.read(1_000_000):  # the sum at its end is checked too
        pass


def _json(body: bytes, path: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed(f"{path} in the package is no JSON") from None
    return found if isinstance(found, dict) else {}
