"""The flowsheet: tests down, days across, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from commonchart.web.present import dates
from commonchart.web.present.readings import Reading

ROW_BYTES, CELL_BYTES, ROOM_BYTES = 240, 150, 42_000
# Order within a group; bare LOINC codes.
_VITALS = ["85354-9", "55284-4", "8480-6", "8462-4", "8867-4", "9279-1", "59408-5", "2708-6", "8310-5", "8331-1",
           "29463-7", "3141-9", "8302-2", "39156-5", "59576-9", "8289-1", "9843-4", "72514-3"]  # fmt: skip
_LABS: dict[str, list[str]] = {
    "Glucose control": ["4548-4", "17856-6", "2339-0", "2345-7", "1558-6"],
    "Kidney and electrolytes": ["2160-0", "38483-4", "33914-3", "62238-1", "98979-8", "48642-3", "48643-1", "69405-9", "50044-7", "9318-7",
                                "14959-1", "13705-9", "3094-0", "6299-2", "2947-0", "2951-2", "6298-4", "2823-3", "2069-3", "2075-0", "20565-8",
                                "2028-9", "49765-1", "17861-6"],
    "Lipids": ["2093-3", "18262-6", "13457-7", "2089-1", "2085-9", "2571-8"],
    "Liver": ["1742-6", "1920-8", "6768-6", "1975-2", "1751-7", "2885-2", "10834-0"],
    "Blood count": ["718-7", "20570-8", "4544-3", "789-8", "6690-2", "777-3", "787-2", "785-6", "786-4", "788-0", "21000-5", "32207-3", "32623-1"],
}  # fmt: skip
_GROUPS = [
    "Vital signs",
    *_LABS,
    "Other laboratory tests",
    "Social history",
    "Questionnaires",
    "Imaging",
    "Examination",
    "Other",
]
_BY_CATEGORY = {"laboratory": "Other laboratory tests", "social-history": "Social history", "survey": "Questionnaires",
                "imaging": "Imaging", "exam": "Examination", "vital-signs": "Vital signs"}  # fmt: skip
_PLACE = {code: (name, i) for name, listed in _LABS.items() for i, code in enumerate(listed)} | {
    code: ("Vital signs", i) for i, code in enumerate(_VITALS)
}


class Spot(Struct, frozen=True):
    """One cell: the newest reading of that test on that day, and how many more there were."""

    reading: Reading
    more: int = 0


class Line(Struct, frozen=True):
    """One test: its cells in the order of the days, None where not measured."""

    key: str
    name: str
    unit: str
    range: str
    spots: tuple[Spot | None, ...]


class Group(Struct, frozen=True):
    """Tests that belong together."""

    name: str
    lines: tuple[Line, ...]


class Sheet(Struct, frozen=True):
    """What is drawn: the days (ISO), the groups, and where the older days begin."""

    days: tuple[str, ...]
    groups: tuple[Group, ...]
    older: str = ""
    dropped: int = 0
    ranges: bool = False
    undated: tuple[Reading, ...] = ()


def sheet(found: Sequence[Reading], *, days: int = 9, lines: int = 70, whole: bool = True) -> Sheet:
    """A sheet of the newest days that fit a page (at most `days`, at least one).

    `whole` says that `found` is everything there is; if not, its oldest day may be cut and is left for the next page.
    """
    dated = [one for one in found if len(one.day) == 10]
    every = sorted({one.day for one in dated}, reverse=True)
    complete = every if whole or len(every) < 2 else every[:-1]
    shown = _fitting(dated, complete[:days])
    rest = len(every) > len(shown) or not whole
    grid: dict[str, list[Reading]] = {}
    for one in dated:
        if one.day in shown:
            grid.setdefault(one.key, []).append(one)
    drawn = sorted((_line(key, cells, shown) for key, cells in grid.items()), key=lambda pair: pair[0])
    kept = drawn[:lines]
    groups = [
        Group(name, tuple(line for order, line in kept if _GROUPS[order[0]] == name)) for name in _GROUPS
    ]
    return Sheet(
        tuple(shown),
        tuple(group for group in groups if group.lines),
        shown[-1] if rest and shown else "",
        len(drawn) - len(kept),
        any(line.range for _, line in kept),
        tuple(one for one in found if len(one.day) < 10),
    )


def _fitting(found: Sequence[Reading], days: Sequence[str]) -> list[str]:
    """As many of the newest days as the page has room for (ui.md: 60 kB)."""
    keys: set[str] = set()
    kept: list[str] = []
    cells = 0
    for day in days:
        new = {one.key for one in found if one.day == day}
        cells += len(new)
        keys |= new
        if kept and len(keys) * ROW_BYTES + cells * CELL_BYTES > ROOM_BYTES:
            break
        kept.append(day)
    return kept


def place(reading: Reading) -> tuple[int, int, str]:
    """Where a test stands: group, order in the group, name."""
    for code in _codes(reading):
        if code in _PLACE:
            group, order = _PLACE[code]
            return _GROUPS.index(group), order, reading.name.casefold()
    return _GROUPS.index(_BY_CATEGORY.get(reading.category, "Other")), 999, reading.name.casefold()


def _codes(reading: Reading) -> Iterable[str]:
    return (part.rsplit("|", 1)[-1] for part in reversed(reading.key.split(">")[-1:]))


def _line(key: str, cells: list[Reading], days: Sequence[str]) -> tuple[tuple[int, int, str], Line]:
    newest = max(cells, key=lambda one: dates.order(one.at))
    units = {one.unit for one in cells if one.unit}
    ranges = {one.range for one in cells if one.range}
    return place(newest), Line(
        key,
        newest.name,
        next(iter(units)) if len(units) == 1 else "",
        newest.range or (ranges.pop() if len(ranges) == 1 else ""),
        tuple(_spot([one for one in cells if one.day == day], len(units) > 1) for day in days),
    )


def _spot(cells: list[Reading], units_differ: bool) -> Spot | None:
    if not cells:
        return None
    standing = [one for one in cells if not one.struck] or cells
    newest = max(standing, key=lambda one: (dates.order(one.at), one.fact.id))
    return Spot(_with_unit(newest) if units_differ else newest, len(cells) - 1)


def _with_unit(one: Reading) -> Reading:
    return replace(one, text=f"{one.text} {one.unit}".strip())


def heading(day: str) -> tuple[str, str]:
    """A column's head in two lines: `18-Nov` and `2026`."""
    text = dates.day(day)
    return text[:6], text[7:]
