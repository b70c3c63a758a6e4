"""What a schedule pack's files hold: facts in our own compact form, checked field by field when read.

A pack is a folder: `pack.json` (whose schedule it is), `schedule.json` (vaccines, groups, conflicts, observations) and
`antigens/*.json`. Ages and intervals are offsets ("18y-4d"), days are ISO dates, "" is none.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Window = tuple[str, str, str]
"""A code and two ages: from (included) and to (not included)."""


class _Rows(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}):
    """What all rows share: unknown fields are refused, what is empty is left out."""


class Source(_Rows, frozen=True):
    """Whose schedule a pack is. `sha256` is that of the files it was made from."""

    authority: str
    version: str
    published: str
    source: str
    sha256: str
    generated_by: str


class AgeRow(_Rows, frozen=True):
    """The ages of a dose: absolute minimum, minimum, recommended from, recommended until, maximum; in force from and to."""

    abs: str = ""
    min: str = ""
    rec: str = ""
    late: str = ""
    max: str = ""
    from_: str = ""
    to: str = ""


class GapRow(_Rows, frozen=True):
    """An interval: `since` is "prev", "dose:2", "obs:170" or "cvx:03,94"; `priority` marks the overriding kind."""

    since: str
    abs: str = ""
    min: str = ""
    rec: str = ""
    late: str = ""
    priority: bool = False
    from_: str = ""
    to: str = ""


class WhenRow(_Rows, frozen=True):
    """One condition of a skip: by age, interval, count of vaccines, or completed series."""

    t: Literal["age", "interval", "count", "completed"]
    age: tuple[str, str] = ("", "")
    date: tuple[str, str] = ("", "")
    gap: str = ""
    n: str = ""
    valid: bool = False
    cvx: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class SetRow(_Rows, frozen=True):
    """Conditions that hold together: any of them, or all."""

    when: tuple[WhenRow, ...]
    any: bool = False
    from_: str = ""
    to: str = ""


class SkipRow(_Rows, frozen=True):
    """When a dose is not needed: while evaluating, forecasting or both; any of the sets, or all."""

    ctx: Literal["evaluation", "forecast", "both"]
    sets: tuple[SetRow, ...]
    any: bool = True


class DoseRow(_Rows, frozen=True):
    """One dose of a series. `prefer` and `allow` name vaccine lists of the file; `never` are inadvertent vaccines."""

    age: tuple[AgeRow, ...] = ()
    gap: tuple[GapRow, ...] = ()
    gap_ok: tuple[GapRow, ...] = ()
    prefer: str = ""
    allow: str = ""
    never: tuple[str, ...] = ()
    skip: tuple[SkipRow, ...] = ()
    repeat: bool = False
    season: tuple[str, str] = ("", "")


class SeriesRow(_Rows, frozen=True):
    """One series: whom it is for, how it is chosen among others, its doses. `shared` are the ages at
    which it is a decision to share with the patient.
    """

    name: str
    kind: Literal["standard", "risk", "evaluation"]
    group: str
    doses: tuple[DoseRow, ...]
    group_name: str = ""
    sex: tuple[Literal["female", "male", "unknown"], ...] = ()
    equivalent: tuple[str, ...] = ()
    default: bool = False
    product: bool = False
    priority: str = "A"
    prefer: int | None = None
    start: tuple[str, str] = ("", "")
    needs: tuple[Window, ...] = ()
    shared: tuple[str, str] = ("", "")


class BornRow(_Rows, frozen=True):
    """Immune by birth before a day, in a country, unless one of these observations holds."""

    before: str
    country: str = ""
    unless: tuple[str, ...] = ()


class StopVaccineRow(_Rows, frozen=True):
    """Vaccines that an observation forbids."""

    obs: str
    cvx: tuple[Window, ...]


class VaccineRow(_Rows, frozen=True, array_like=True):
    """A vaccine of a list: code, ages, manufacturer, trade name, whether it is recommended in forecasts."""

    cvx: str
    from_: str = ""
    to: str = ""
    mvx: str = ""
    trade: str = ""
    forecast: bool = False


class AntigenFile(_Rows, frozen=True):
    """One antigen: immunity, contraindications, vaccine lists and series."""

    antigen: str
    group: str
    series: tuple[SeriesRow, ...]
    vaccines: dict[str, tuple[VaccineRow, ...]] = {}
    immune_if: tuple[str, ...] = ()
    immune_born: tuple[BornRow, ...] = ()
    stop_if: tuple[Window, ...] = ()
    stop_vaccine_if: tuple[StopVaccineRow, ...] = ()


class PairRow(_Rows, frozen=True):
    """Earlier vaccines that conflict with later ones."""

    prev: tuple[str, ...]
    cur: tuple[str, ...]


class ConflictRow(_Rows, frozen=True):
    """Conflicting pairs with one window: from, shortest end, end."""

    window: Window
    pairs: tuple[PairRow, ...]


class CvxRow(_Rows, frozen=True):
    """A vaccine code: its short name, and the antigens it is given against with the ages at which it counts."""

    name: str
    antigens: tuple[Window, ...]


class ObservationRow(_Rows, frozen=True):
    """An observation of the schedule: its title, and the codes of record systems that mean it ([system, code])."""

    title: str
    codes: tuple[tuple[str, str], ...] = ()


class GroupRow(_Rows, frozen=True):
    """A vaccine group: its antigens; `full` where the whole group is given when one antigen is due."""

    antigens: tuple[str, ...]
    full: bool = False


class ScheduleFile(_Rows, frozen=True):
    """What the antigens share."""

    groups: dict[str, GroupRow]
    cvx: dict[str, CvxRow]
    observations: dict[str, ObservationRow]
    conflicts: tuple[ConflictRow, ...] = ()


class Pack(Struct, frozen=True):
    """A pack as read: its name (that of its folder), source, schedule and antigens by name."""

    name: str
    source: Source
    schedule: ScheduleFile
    antigens: dict[str, AntigenFile]
