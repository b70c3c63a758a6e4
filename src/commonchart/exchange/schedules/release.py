"""A schedule release as its publisher gives it: a folder or a zip of XML files, read within bounds."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from commonchart.exchange.schedules.shape import MAX_FILE
from commonchart.fhir.outcome import Invalid, NotFound

MAX_FILES = 200
MAX_TOTAL = 64_000_000
_VERSION = re.compile(r"(?<!\d)(\d{1,2}\.\d{1,3})(?!\d)")


def files(path: Path) -> dict[str, bytes]:
    """The XML files of a release by their own names. Raises NotFound, or Invalid for what is none or is too large."""
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise NotFound(f"There is no file or folder {path}")
    if not zipfile.is_zipfile(path):
        raise Invalid(f"{path} is no folder and no zip file", at=str(path))
    return _of_zip(path)


def version(path: Path) -> str:
    """The version that the name of a release says, "" if it says none."""
    found = _VERSION.search(path.name)
    return found.group(1) if found else ""


def _of_folder(path: Path) -> dict[str, bytes]:
    found = sorted(one for one in path.rglob("*.xml") if one.is_file())
    _bounded([one.stat().st_size for one in found], path)
    return {one.name: one.read_bytes() for one in found}


def _of_zip(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if one.filename.lower().endswith(".xml")]
            _bounded([one.file_size for one in members], path)
            return {Path(one.filename).name: _read(archive, one) for one in members}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise Invalid(f"{path} cannot be read: {error}", at=str(path)) from None


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """At most what one file may have, whatever the zip's directory says its size is."""
    with archive.open(member) as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise Invalid(
            f"{member.filename} has more than {MAX_FILE} bytes", at=member.filename, code="too-long"
        )
    return content


def _bounded(sizes: list[int], path: Path) -> None:
    if not sizes:
        raise Invalid(f"{path} holds no XML file", at=str(path))
    if len(sizes) > MAX_FILES or sum(sizes) > MAX_TOTAL or max(sizes) > MAX_FILE:
        raise Invalid(
            f"{path} is larger than a release: at most {MAX_FILES} files, {MAX_FILE} bytes each",
            at=str(path),
            code="too-long",
        )
