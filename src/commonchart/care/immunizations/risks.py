"""What nobody has said about a person: the indications that would make a risk series apply, to be asked rather than assumed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from msgspec import Struct

from commonchart.care.immunizations.answer import Observation, Person
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.offsets import Ages


class Indication(Struct, frozen=True):
    """An observation that would make risk series of a group apply at this age: its code and title, and the series."""

    code: str
    title: str
    series: tuple[str, ...]


def untold(
    schedule: Schedule,
    group: str,
    person: Person,
    observations: Iterable[Observation],
    as_of: date,
    denied: Iterable[str] = (),
) -> tuple[Indication, ...]:
    """The indications of a group's risk series that could not be told from the record (5.1), for somebody of this age and sex.

    `denied` are the codes that were asked and answered with no. Without a birth date all are returned.
    """
    told = {one.code for one in observations} | set(denied)
    ages = Ages(person.born.toordinal()) if person.born is not None else None
    today = as_of.toordinal()
    sex = person.sex if person.sex in ("female", "male") else "unknown"
    found: dict[str, list[str]] = {}
    for antigen in next((one.antigens for one in schedule.groups if one.name == group), ()):
        for series in antigen.risk[sex]:
            for code, begin, end in series.needs:
                late = ages is not None and end is not None and today >= ages[end]
                early = ages is not None and begin is not None and today < ages[begin]
                if (
                    code not in told
                    and not late
                    and not early
                    and series.name not in found.setdefault(code, [])
                ):
                    found[code].append(series.name)
    rows = (
        Indication(code, schedule.observations[code].title, tuple(names))
        for code, names in found.items()
        if names
    )
    return tuple(sorted(rows, key=lambda row: row.title))


def birth_country_decides(schedule: Schedule, group: str, person: Person) -> str:
    """The country in which this person must have been born to count as immune in the group, where nobody recorded it; else "".

    Immunity by birth before a day (7.2) that holds for one country only is not assumed for a country that is not known.
    """
    if person.country or person.born is None:
        return ""
    born = person.born.toordinal()
    antigens = next((one.antigens for one in schedule.groups if one.name == group), ())
    countries = [
        country
        for antigen in antigens
        for before, country, _ in antigen.immune_born
        if country and born < before
    ]
    return countries[0] if countries else ""
