"""Schedule packs as files: read with every check, written in a form whose differences can be reviewed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from commonchart.care.immunizations import compact
from commonchart.care.immunizations.check import problems
from commonchart.care.immunizations.compile import Schedule, compiled
from commonchart.care.immunizations.schema import AntigenFile, Pack, ScheduleFile, Source
from commonchart.fhir.outcome import Invalid, Issue, NotFound

PACKS = Path(__file__).parents[1] / "packs"
BUILT_IN = "cdc-4.64"
MAX_FILE = 2_000_000
_File = TypeVar("_File", Source, ScheduleFile, AntigenFile)


def files(pack: Pack) -> dict[str, str]:
    """The pack's files by relative name, as text."""
    out = {
        "pack.json": compact.text(msgspec.to_builtins(pack.source)),
        "schedule.json": compact.text(msgspec.to_builtins(pack.schedule)),
    }
    for name, antigen in pack.antigens.items():
        out[f"antigens/{_file_name(name)}.json"] = compact.text(msgspec.to_builtins(antigen))
    return out


def _file_name(antigen: str) -> str:
    return antigen.lower().replace(" ", "-").replace("/", "-")


def write(pack: Pack, folder: Path) -> None:
    """Write the pack as `folder`. Raises Invalid if the folder holds anything: packs are never overwritten."""
    if folder.exists() and any(folder.iterdir()):
        raise Invalid(f"{folder} is not empty: a pack is never written over another", at=str(folder))
    for name, content in files(pack).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def read(folder: Path) -> Pack:
    """The pack in a folder, checked. Raises NotFound without one, Invalid naming file, field and rule for each fault."""
    if not (folder / "pack.json").is_file():
        raise NotFound(f"There is no immunization schedule pack in {folder}")
    source = _decoded(folder / "pack.json", Source)
    schedule = _decoded(folder / "schedule.json", ScheduleFile)
    antigens: dict[str, AntigenFile] = {}
    for path in sorted((folder / "antigens").glob("*.json")):
        found = _decoded(path, AntigenFile)
        antigens[found.antigen] = found
    return checked(Pack(folder.name, source, schedule, antigens))


def checked(pack: Pack) -> Pack:
    """The pack itself. Raises Invalid with an issue for every rule it breaks."""
    found = [Issue("invalid", f"{at}: {what}", at) for at, what in problems(pack)]
    if found:
        raise Invalid(issues=found[:50])
    return pack


def _decoded(path: Path, kind: type[_File]) -> _File:
    name = path.name if kind is not AntigenFile else f"antigens/{path.name}"
    if not path.is_file():
        raise Invalid(f"{name} is missing", at=name)
    content = path.read_bytes()
    if len(content) > MAX_FILE:
        raise Invalid(f"{name} has more than {MAX_FILE} bytes", at=name, code="too-long")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{name}: {error}", at=name) from None


def available(folder: Path = PACKS) -> list[str]:
    """The names of the schedule packs in a folder."""
    return sorted(path.parent.name for path in folder.glob("*/pack.json"))


def found(name: str, site: Path | None = None) -> Pack:
    """A pack by name, in the site's folder or in the box, or by the path of its folder. Raises NotFound."""
    for folder in (*((site / name,) if site is not None else ()), PACKS / name, Path(name)):
        if (folder / "pack.json").is_file():
            return read(folder)
    raise NotFound(f"There is no schedule pack {name}; in the box: {', '.join(available())}")


def opened(name: str, site: Path | None = None) -> Schedule:
    """The compiled schedule of a pack by name or path."""
    return load(name) if name in available() else compiled(found(name, site))


@cache
def load(name: str = BUILT_IN) -> Schedule:
    """The compiled schedule of a pack in the box, by name. Raises NotFound."""
    if name not in available():
        raise NotFound(f"There is no schedule pack {name}; in the box: {', '.join(available())}")
    return compiled(read(PACKS / name))
