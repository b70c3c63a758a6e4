"""CDC's supporting data (one XML an antigen, one for the schedule) as a pack of ours: facts only, no sentences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import date

from commonchart.care.immunizations.schema import (
    AgeRow,
    AntigenFile,
    BornRow,
    ConflictRow,
    CvxRow,
    DoseRow,
    GapRow,
    GroupRow,
    ObservationRow,
    Pack,
    PairRow,
    ScheduleFile,
    SeriesRow,
    SetRow,
    SkipRow,
    Source,
    StopVaccineRow,
    VaccineRow,
    WhenRow,
    Window,
)
from commonchart.exchange.schedules.shape import filled, parsed, text
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.xml import Element

_OFFSET = re.compile(r"([+-]?)\s*(\d+)\s*(year|month|week|day)s?", re.IGNORECASE)
_SHARED_AGES = re.compile(
    r"shared clinical decision-making \(scdm\) is recommended [^.]* for persons (\d+)-(\d+) years"
)
_SYSTEMS = {
    "SNOMED": "http://snomed.info/sct",
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "CDCPHINVS": "urn:oid:2.16.840.1.114222.4.5.274",
}
_KINDS = {"Standard": "standard", "Risk": "risk", "Evaluation Only": "evaluation"}
_LOGIC = {"greater than": ">", "equal to": "=", "less than": "<"}
_CONTEXT = {"evaluation": "evaluation", "forecast": "forecast", "both": "both"}
_TYPES = {
    "age": "age",
    "interval": "interval",
    "vaccine count by age": "count",
    "vaccine count by date": "count",
    "vaccine count by date and age": "count",
    "completed series": "completed",
}


def pack(files: Mapping[str, bytes], name: str, version: str, published: str, program: str) -> Pack:
    """The pack of a release's XML files by name. Raises Invalid naming the file and what is not understood."""
    schedule: ScheduleFile | None = None
    antigens: dict[str, AntigenFile] = {}
    for file in sorted(files):
        root = parsed(files[file], file)
        try:
            if root.tag == "scheduleSupportingData":
                schedule = _schedule(root)
            else:
                found = _antigen(root)
                antigens[found.antigen] = found
        except Invalid as bad:
            raise Invalid(f"{file}: {bad}", at=file) from None
    if schedule is None or not antigens:
        raise Invalid(
            "There is no schedule file or no antigen file here: CDC's release has one and about thirty"
        )
    digest = hashlib.sha256(b"".join(files[file] for file in sorted(files))).hexdigest()
    source = Source("CDC", version, published, "CDSi supporting data", digest, program)
    return Pack(name, source, schedule, antigens)


# ---- values ----------------------------------------------------------------------------------------------------


def _offset(said: str) -> str:
    """ "13 years + 4 weeks" as "13y+4w"."""
    if not said:
        return ""
    if _OFFSET.sub("", said).strip():
        raise Invalid(f"{said!r} is no age or interval")
    out = "".join(
        f"{sign or '+'}{int(number)}{unit[0].lower()}" for sign, number, unit in _OFFSET.findall(said)
    )
    return out.removeprefix("+")


def _day(said: str) -> str:
    """20250827 or 01/31/1957 as an ISO date."""
    if not said:
        return ""
    try:
        if "/" in said:
            month, day, year = said.split("/")
            return date(int(year), int(month), int(day)).isoformat()
        return date.fromisoformat(said).isoformat()
    except ValueError:
        raise Invalid(f"{said!r} is no date") from None


def _cvx(said: str) -> str:
    if not re.fullmatch(r"\d{1,3}", said):
        raise Invalid(f"{said!r} is no CVX code")
    return said.zfill(2)


def _list(said: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in said.split(";") if part.strip())


def _codes(said: str) -> tuple[str, ...]:
    return tuple(sorted(_cvx(part) for part in _list(said)))


def _one(known: Mapping[str, str], said: str, what: str) -> str:
    if said not in known:
        raise Invalid(f"{what} {said!r} is not one this program knows ({', '.join(known)})")
    return known[said]


def _whole(said: str) -> int:
    if not re.fullmatch(r"\d{1,4}", said):
        raise Invalid(f"{said!r} is no whole number")
    return int(said)


def _yes(element: Element | None, name: str) -> bool:
    return text(element, name).lower() in ("yes", "y")


def _window(element: Element, code: str) -> Window:
    return code, _offset(text(element, "beginAge")), _offset(text(element, "endAge"))


# ---- the schedule ----------------------------------------------------------------------------------------------


def _schedule(root: Element) -> ScheduleFile:
    full = {
        text(group, "name"): _yes(group, "administerFullVaccineGroup")
        for group in root.iterfind(".//vaccineGroup")
    }
    groups = {
        text(row, "name"): GroupRow(
            tuple(text(one) for one in row.findall("antigen")), full.get(text(row, "name"), False)
        )
        for row in root.iterfind(".//vaccineGroupMap")
    }
    cvx = {
        _cvx(text(row, "cvx")): CvxRow(
            text(row, "shortDescription"), tuple(_association(a) for a in row.findall("association"))
        )
        for row in root.iterfind(".//cvxMap")
    }
    for row in root.iterfind(".//liveVirusConflict/*"):
        if row.tag in (
            "previous",
            "current",
        ):  # BCG and others count in conflicts although they protect against no antigen here
            cvx.setdefault(_cvx(text(row, "cvx")), CvxRow(text(row, "vaccineType"), ()))
    observations = {
        text(row, "observationCode"): ObservationRow(
            text(row, "observationTitle"), tuple(sorted(_coded(one) for one in row.iterfind(".//codedValue")))
        )
        for row in root.iterfind(".//observation")
    }
    return ScheduleFile(groups, cvx, observations, _conflicts(root))


def _association(row: Element) -> Window:
    begin, end = text(row, "associationBeginAge"), text(row, "associationEndAge")
    return text(row, "antigen"), _offset(begin), _offset(end)


def _coded(row: Element) -> tuple[str, str]:
    system = text(row, "codeSystem")
    code = text(row, "code")
    return _one(_SYSTEMS, system, "code system"), code.zfill(2) if system == "CVX" else code


def _conflicts(root: Element) -> tuple[ConflictRow, ...]:
    later: dict[Window, dict[str, set[str]]] = {}
    for row in root.iterfind(".//liveVirusConflict"):
        names = ("conflictBeginInterval", "minConflictEndInterval", "conflictEndInterval")
        begin, shortest, end = (_offset(text(row, name)) for name in names)
        pairs = later.setdefault((begin, shortest, end), {})
        pairs.setdefault(_cvx(text(row, "previous/cvx")), set()).add(_cvx(text(row, "current/cvx")))
    return tuple(ConflictRow(window, _grouped(later[window])) for window in sorted(later))


def _grouped(later: Mapping[str, set[str]]) -> tuple[PairRow, ...]:
    earlier: dict[tuple[str, ...], list[str]] = {}
    for previous in sorted(later):
        earlier.setdefault(tuple(sorted(later[previous])), []).append(previous)
    return tuple(PairRow(tuple(previous), current) for current, previous in sorted(earlier.items()))


# ---- an antigen ------------------------------------------------------------------------------------------------


class _Lists:
    """The vaccine lists of a file, each kept once."""

    def __init__(self) -> None:
        self.names: dict[tuple[VaccineRow, ...], str] = {}

    def name(self, rows: tuple[VaccineRow, ...]) -> str:
        """What the list is called, "" for an empty one."""
        return self.names.setdefault(rows, f"v{len(self.names) + 1}") if rows else ""


def _antigen(root: Element) -> AntigenFile:
    lists = _Lists()
    series = tuple(_series(row, lists) for row in root.findall("series"))
    if not series:
        raise Invalid("this antigen has no series")
    first = root.find("series")
    stop = "contraindications/vaccineGroup/contraindication"
    return AntigenFile(
        text(first, "targetDisease"),
        text(first, "vaccineGroup"),
        series,
        {name: rows for rows, name in lists.names.items()},
        tuple(
            sorted(
                text(row, "guidelineCode") for row in root.iterfind("immunity/clinicalHistory") if len(row)
            )
        ),
        tuple(_born(row) for row in root.iterfind("immunity/dateOfBirth") if len(row)),
        tuple(sorted(_window(row, text(row, "observationCode")) for row in root.iterfind(stop) if len(row))),
        tuple(
            _stop_vaccine(row)
            for row in root.iterfind("contraindications/vaccine/contraindication")
            if len(row)
        ),
    )


def _born(row: Element) -> BornRow:
    unless = tuple(sorted(text(one, "exclusionCode") for one in filled(row, "exclusion")))
    return BornRow(_day(text(row, "immunityBirthDate")), text(row, "birthCountry"), unless)


def _stop_vaccine(row: Element) -> StopVaccineRow:
    vaccines = sorted(_window(one, _cvx(text(one, "cvx"))) for one in filled(row, "contraindicatedVaccine"))
    return StopVaccineRow(text(row, "observationCode"), tuple(vaccines))


def _series(row: Element, lists: _Lists) -> SeriesRow:
    select = row.find("selectSeries")
    preference = text(select, "seriesPreference")
    guidance = " ".join(text(one) for one in row.findall("seriesAdminGuidance")).lower()
    sexes = {"Female": "female", "Male": "male", "Unknown": "unknown"}
    return SeriesRow(
        name=text(row, "seriesName"),
        kind=_one(_KINDS, text(row, "seriesType"), "series type"),  # type: ignore[arg-type]
        group=text(select, "seriesGroup"),
        group_name=text(select, "seriesGroupName"),
        doses=tuple(_dose(one, lists) for one in row.findall("seriesDose")),
        sex=tuple(sorted(_one(sexes, text(one), "gender") for one in row.findall("requiredGender") if text(one))),  # type: ignore[misc]
        equivalent=_list(text(row, "equivalentSeriesGroups")),
        default=_yes(select, "defaultSeries"),
        product=_yes(select, "productPath"),
        priority=text(select, "seriesPriority") or "A",
        prefer=_whole(preference) if preference else None,
        start=(_offset(text(select, "minAgeToStart")), _offset(text(select, "maxAgeToStart"))),
        needs=tuple(sorted(_window(one, text(one, "observationCode/code")) for one in filled(row, "indication"))),
        shared=_shared(text(row, "seriesName").lower(), guidance),
    )  # fmt: skip


def _shared(name: str, guidance: str) -> tuple[str, str]:
    """The ages at which a series is a shared decision: all where its name says so, or those that its guidance names."""
    if "shared clinical decision" in name:
        return "0d", ""
    found = _SHARED_AGES.search(guidance)
    return (f"{found.group(1)}y", f"{int(found.group(2)) + 1}y") if found else ("", "")


def _dose(row: Element, lists: _Lists) -> DoseRow:
    season = row.find("seasonalRecommendation")
    return DoseRow(
        age=tuple(_age(one) for one in filled(row, "age")),
        gap=tuple(_gap(one) for one in filled(row, "interval")),
        gap_ok=tuple(_gap(one) for one in filled(row, "allowableInterval")),
        prefer=lists.name(tuple(_preferable(one) for one in filled(row, "preferableVaccine"))),
        allow=lists.name(tuple(VaccineRow(*_window(one, _cvx(text(one, "cvx")))) for one in filled(row, "allowableVaccine"))),
        never=tuple(sorted(_cvx(text(one, "cvx")) for one in filled(row, "inadvertentVaccine"))),
        skip=tuple(_skip(one) for one in filled(row, "conditionalSkip")),
        repeat=_yes(row, "recurringDose"),
        season=(_day(text(season, "startDate")), _day(text(season, "endDate"))),
    )  # fmt: skip


def _age(row: Element) -> AgeRow:
    least, usual, wanted, late, most = (
        _offset(text(row, name))
        for name in ("absMinAge", "minAge", "earliestRecAge", "latestRecAge", "maxAge")
    )
    return AgeRow(least, usual, wanted, late, most, *_in_force(row))


def _in_force(row: Element) -> tuple[str, str]:
    return _day(text(row, "effectiveDate")), _day(text(row, "cessationDate"))


def _gap(row: Element) -> GapRow:
    least, usual, wanted, late = (
        _offset(text(row, name)) for name in ("absMinInt", "minInt", "earliestRecInt", "latestRecInt")
    )
    priority = text(row, "intervalPriority")
    if priority not in ("", "override"):
        raise Invalid(f"interval priority {priority!r} is not one this program knows (override)")
    return GapRow(_since(row), least, usual, wanted, late, bool(priority), *_in_force(row))


def _since(row: Element) -> str:
    if text(row, "fromPrevious") == "Y":
        return "prev"
    if target := text(row, "fromTargetDose"):
        return f"dose:{_whole(target)}"
    if vaccines := text(row, "fromMostRecent"):
        return "cvx:" + ",".join(_codes(vaccines))
    if seen := text(row, "fromRelevantObs/code"):
        return f"obs:{seen}"
    raise Invalid("an interval does not say from what it counts")


def _preferable(row: Element) -> VaccineRow:
    return VaccineRow(
        *_window(row, _cvx(text(row, "cvx"))),
        text(row, "mvx"),
        text(row, "tradeName"),
        _yes(row, "forecastVaccineType"),
    )


def _skip(row: Element) -> SkipRow:
    context = _one(_CONTEXT, text(row, "context").lower(), "skip context")
    any_set = _one({"and": "", "or": "y", "": "y"}, text(row, "setLogic").lower(), "set logic")
    return SkipRow(context, tuple(_set(one) for one in filled(row, "set")), bool(any_set))  # type: ignore[arg-type]


def _set(row: Element) -> SetRow:
    any_when = _one({"and": "", "or": "y", "": ""}, text(row, "conditionLogic").lower(), "condition logic")
    return SetRow(tuple(_when(one) for one in filled(row, "condition")), bool(any_when), *_in_force(row))


def _when(row: Element) -> WhenRow:
    count, logic = text(row, "doseCount"), text(row, "doseCountLogic").lower()
    return WhenRow(
        _one(_TYPES, text(row, "conditionType").lower(), "condition type"),  # type: ignore[arg-type]
        (_offset(text(row, "beginAge")), _offset(text(row, "endAge"))),
        (_day(text(row, "startDate")), _day(text(row, "endDate"))),
        _offset(text(row, "interval")),
        f"{_one(_LOGIC, logic, 'dose count logic')}{_whole(count)}" if count else "",
        _one({"valid": "y", "total": "", "": ""}, text(row, "doseType").lower(), "dose type") == "y",
        _codes(text(row, "vaccineTypes")),
        _list(text(row, "seriesGroups")),
    )
