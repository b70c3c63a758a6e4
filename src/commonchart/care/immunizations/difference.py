"""What differs between two schedule packs, clinically: series, ages, intervals, vaccines, contraindications; as data and lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from commonchart.care.immunizations.offsets import in_words
from commonchart.care.immunizations.schema import AntigenFile, DoseRow, Pack, SeriesRow, VaccineRow

_AGES = {
    "abs": "absolute minimum age",
    "min": "minimum age",
    "rec": "recommended age",
    "late": "latest recommended age",
    "max": "maximum age",
}
_GAPS = {
    "abs": "absolute minimum interval",
    "min": "minimum interval",
    "rec": "recommended interval",
    "late": "latest recommended interval",
}
_SERIES = {
    "kind": "kind", "group": "series group", "sex": "sex", "equivalent": "equivalent groups", "default": "default series",
    "product": "product path", "priority": "priority", "prefer": "preference", "start": "age to start", "needs": "indications",
    "shared": "shared decision",
}  # fmt: skip
_ANTIGEN = {
    "group": "vaccine group", "immune_if": "evidence of immunity", "immune_born": "immunity by birth date",
    "stop_if": "contraindications", "stop_vaccine_if": "vaccine contraindications",
}  # fmt: skip


class Difference(Struct, frozen=True):
    """One difference: where (antigen, series, dose), what, and its value in either pack ("" for none)."""

    antigen: str
    series: str
    dose: int
    what: str
    before: str
    after: str

    @property
    def line(self) -> str:
        """The difference as one readable line."""
        where = ": ".join(filter(None, (self.antigen, self.series, f"dose {self.dose}" if self.dose else "")))
        if not self.before:
            return f"{where}: {self.what} added: {self.after}"
        if not self.after:
            return f"{where}: {self.what} removed (was {self.before})"
        return f"{where}: {self.what}: {self.before} becomes {self.after}"


def differences(a: Pack, b: Pack) -> list[Difference]:
    """Everything clinical in which pack b differs from pack a."""
    out: list[Difference] = []
    for name in sorted(a.antigens.keys() | b.antigens.keys()):
        out += _antigens(name, a.antigens.get(name), b.antigens.get(name))
    out += _shared("vaccine", a.schedule.cvx, b.schedule.cvx)
    out += _shared("observation", a.schedule.observations, b.schedule.observations)
    if a.schedule.conflicts != b.schedule.conflicts:
        out.append(Difference("", "", 0, "conflicts between live vaccines", "one table", "another"))
    return out


def _shared(what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for code in sorted(before.keys() | after.keys()):
        if before.get(code) != after.get(code):
            yield Difference("", "", 0, f"{what} {code}", _said(before.get(code)), _said(after.get(code)))


def _antigens(name: str, a: AntigenFile | None, b: AntigenFile | None) -> Iterator[Difference]:
    if a is None or b is None:
        yield Difference(name, "", 0, "antigen", "present" if a else "", "present" if b else "")
        return
    yield from _fields(_ANTIGEN, a, b, name, "", 0)
    before = {series.name: series for series in a.series}
    after = {series.name: series for series in b.series}
    for title in (*before, *(title for title in after if title not in before)):
        one, other = before.get(title), after.get(title)
        if one is None or other is None:
            yield Difference(name, title, 0, "series", _doses(one), _doses(other))
        else:
            yield from _series(name, one, other, a, b)


def _doses(series: SeriesRow | None) -> str:
    return f"{len(series.doses)} doses" if series else ""


def _series(
    name: str, one: SeriesRow, other: SeriesRow, a: AntigenFile, b: AntigenFile
) -> Iterator[Difference]:
    yield from _fields(_SERIES, one, other, name, one.name, 0)
    for n in range(max(len(one.doses), len(other.doses))):
        before = one.doses[n] if n < len(one.doses) else None
        after = other.doses[n] if n < len(other.doses) else None
        if before is None or after is None:
            yield Difference(
                name, one.name, n + 1, "dose", "asked for" if before else "", "asked for" if after else ""
            )
        else:
            for what, was, becomes in _dose(before, after, a, b):
                yield Difference(name, one.name, n + 1, what, was, becomes)


def _dose(one: DoseRow, other: DoseRow, a: AntigenFile, b: AntigenFile) -> Iterator[tuple[str, str, str]]:
    yield from _rows(_AGES, one.age, other.age, "ages")
    yield from _rows(_GAPS, one.gap, other.gap, "intervals")
    yield from _rows(_GAPS, one.gap_ok, other.gap_ok, "allowable intervals")
    for what, name, other_name in (
        ("preferable vaccines", one.prefer, other.prefer),
        ("allowable vaccines", one.allow, other.allow),
    ):
        was, becomes = a.vaccines.get(name, ()), b.vaccines.get(other_name, ())
        if was != becomes:
            yield what, _vaccines(was, becomes), _vaccines(becomes, was)
    for field, what in (
        ("never", "inadvertent vaccines"),
        ("skip", "conditional skip"),
        ("repeat", "recurring"),
        ("season", "season"),
    ):
        before, after = getattr(one, field), getattr(other, field)
        if before != after:
            yield what, _said(before), _said(after)


def _vaccines(rows: tuple[VaccineRow, ...], others: tuple[VaccineRow, ...]) -> str:
    """The rows that the other list has not: the part of the list that differs."""
    return "; ".join(" ".join(filter(None, (row.cvx, row.from_ and f"from {row.from_}", row.to and f"until {row.to}", row.mvx)))
                     for row in rows if row not in others)  # fmt: skip


def _rows(
    names: dict[str, str], one: tuple[Any, ...], other: tuple[Any, ...], what: str
) -> Iterator[tuple[str, str, str]]:
    """Field by field where both have the same rows in number, else all rows as one difference."""
    if len(one) != len(other):
        yield what, _said(one), _said(other)
        return
    for before, after in zip(one, other, strict=True):
        for field, title in names.items():
            was, becomes = getattr(before, field), getattr(after, field)
            if was != becomes:
                yield title, in_words(was) or "none", in_words(becomes) or "none"
        rest = {name for name in before.__struct_fields__ if name not in names}
        if any(getattr(before, name) != getattr(after, name) for name in rest):
            yield f"{what}: in force, from what or priority", _said(before), _said(after)


def _fields(
    names: dict[str, str], one: Any, other: Any, antigen: str, series: str, dose: int
) -> Iterator[Difference]:
    for field, title in names.items():
        before, after = getattr(one, field), getattr(other, field)
        if before != after:
            yield Difference(antigen, series, dose, title, _said(before) or "none", _said(after) or "none")


def _said(value: Any) -> str:
    if value is None or value == () or value == ("", ""):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    return msgspec.json.encode(value).decode()
