"""Overlays: a site's own rules, or cited corrections of known defects, laid over a pack. None is applied unless it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from commonchart.care.immunizations.schema import AntigenFile, Pack, ScheduleFile
from commonchart.fhir.outcome import Invalid, NotFound


class Change(Struct, frozen=True, forbid_unknown_fields=True):
    """One value put in place of another: where it is, what it must be now, what it becomes, and who says so.

    `at` starts with "schedule" or an antigen; series are addressed by name, doses by number, other rows by position.
    """

    at: tuple[str | int, ...]
    was: Any
    value: Any
    cite: str
    dated: str


class Overlay(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of one kind for one pack."""

    name: str
    kind: Literal["errata", "local"]
    pack: str
    changes: tuple[Change, ...]


def read(path: Path) -> Overlay:
    """The overlay in a file. Raises NotFound or Invalid naming file and field."""
    if not path.is_file():
        raise NotFound(f"There is no overlay {path.name}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Overlay)
    except msgspec.DecodeError as error:
        raise Invalid(f"{path.name}: {error}", at=path.name) from None


def applied(pack: Pack, overlay: Overlay) -> Pack:
    """The pack with the changes made, its name saying so; check it before use (`pack.checked`).

    Raises Invalid for another pack's overlay, a place that does not exist, or a value that is not what the change expects.
    """
    if overlay.pack != pack.name:
        raise Invalid(
            f"the overlay {overlay.name} is for the pack {overlay.pack}, not {pack.name}", at=overlay.name
        )
    schedule = _plain(pack.schedule)
    antigens = {name: _plain(antigen) for name, antigen in pack.antigens.items()}
    for n, change in enumerate(overlay.changes):
        _apply({"schedule": schedule, **antigens}, change, f"{overlay.name} changes[{n}]")
    try:
        changed = {name: msgspec.convert(value, AntigenFile) for name, value in antigens.items()}
        return Pack(
            f"{pack.name}+{overlay.name}", pack.source, msgspec.convert(schedule, ScheduleFile), changed
        )
    except msgspec.ValidationError as error:
        raise Invalid(f"{overlay.name}: {error}", at=overlay.name) from None


def _plain(file: ScheduleFile | AntigenFile) -> Any:
    return msgspec.json.decode(msgspec.json.encode(file))


def _apply(place: Any, change: Change, at: str) -> None:
    *way, last = change.at
    for step in way:
        place = _step(place, step, at)
    found = _get(place, last)
    if found != change.was:
        raise Invalid(
            f"{at}: expects {change.was!r} at {'/'.join(map(str, change.at))}, found {found!r}", at=at
        )
    if not isinstance(place, dict) and not (isinstance(place, list) and isinstance(last, int)):
        raise Invalid(f"{at}: {last!r} cannot be set here", at=at)
    place[last] = change.value  # type: ignore[index]


def _get(place: Any, step: str | int) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    return (
        place[step] if isinstance(place, list) and isinstance(step, int) and 0 <= step < len(place) else None
    )


def _step(place: Any, step: str | int, at: str) -> Any:
    if isinstance(place, list) and isinstance(step, str):
        found = next((one for one in place if isinstance(one, dict) and one.get("name") == step), None)
    else:
        found = _get(place, step)
    if found is None:
        raise Invalid(f"{at}: there is no {step!r}", at=at)
    return found
