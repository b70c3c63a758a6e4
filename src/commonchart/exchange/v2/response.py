"""RSP^K11: a history (Z32), candidates (Z31), nothing found or an error (Z33), evaluated history and forecast (Z42).

CDC implementation guide 2.5.1 release 1.5. What an evaluation and a forecast need is said by `EvaluatedDose` and
`Forecast`, which whoever evaluates fills; without them Z42 says in an ERR that nothing was evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.exchange.v2 import compose, dose, segments, tables, vxu
from commonchart.exchange.v2.compose import Envelope, errors, header, notes_of
from commonchart.exchange.v2.dose import Dose, Group
from commonchart.exchange.v2.message import Message, Segment, Value, built, numbered
from commonchart.exchange.v2.query import Query, query_segment
from commonchart.exchange.v2.reading import TABLE_VALUE, Element, Note, Reading, date_time, zone_of
from commonchart.exchange.v2.segments import Observed

Status = Literal[
    "complete", "on-schedule", "overdue", "too-old", "immune", "contraindicated", "not-recommended", ""
]

# LOINC answer list LL940-8 of 59783-1
STATUSES: dict[str, tuple[Status, str]] = {
    "LA13421-5": ("complete", "Complete"),
    "LA13422-3": ("on-schedule", "On schedule"),
    "LA13423-1": ("overdue", "Overdue"),
    "LA13424-9": ("too-old", "Too old"),
    "LA27183-5": ("immune", "Immune"),
    "LA4216-3": ("contraindicated", "Contraindicated"),
    "LA4695-8": ("not-recommended", "Not recommended"),
}
ACIP = ("VXC16", "ACIP", "CDCPHINVS")
WORDS = {"OK": "AA", "NF": "AA", "TM": "AA", "AE": "AE", "AR": "AR", "PD": "AA"}


class EvaluatedDose(Struct, frozen=True):
    """What one dose counts for, once per vaccine group or antigen.

    `dose`: the id of the Immunization (its `url` when it was read from a message). `vaccine`: (CVX, text, system name).
    `valid`: None when it could not be told. `number` of `doses` in the series.
    """

    dose: str
    vaccine: tuple[str, str, str]
    valid: bool | None = None
    number: int | None = None
    doses: int | None = None
    series: str = ""
    schedule: tuple[str, str, str] = ACIP
    reasons: tuple[str, ...] = ()


class Forecast(Struct, frozen=True):
    """What is due next of one vaccine group, and when."""

    vaccine: tuple[str, str, str]
    status: Status = ""
    number: int | None = None
    doses: int | None = None
    earliest: date | None = None
    due: date | None = None
    overdue: date | None = None
    latest: date | None = None
    series: str = ""
    schedule: tuple[str, str, str] = ACIP
    reasons: tuple[str, ...] = ()


class Answer(Struct, frozen=True):
    """What is answered: Z31 with `candidates`, Z32 and Z42 with one `patient` and the doses, Z33 with neither."""

    profile: str
    status: str = "OK"
    candidates: tuple[Element, ...] = ()
    patient: Element = {}
    doses: tuple[Element, ...] = ()
    observations: tuple[Element, ...] = ()
    related: tuple[Element, ...] = ()
    evaluated: tuple[EvaluatedDose, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    notes: tuple[Note, ...] = ()


def build(
    envelope: Envelope, query: Query, answer: Answer, people: Mapping[str, Element] | None = None
) -> Message:
    """The RSP^K11 of an answer to a query."""
    authority = envelope.site.authority
    asked = query_segment(query, authority)
    head = header(envelope, ("RSP", "K11", "RSP_K11"), answer.profile, answer=True)
    name: Value = [*asked.reps(1)]
    out = [
        head,
        built("MSA", {1: WORDS[answer.status], 2: query.control_id[:199]}),
        *errors(answer.notes),
        built("QAK", {1: query.tag, 2: answer.status, 3: name}),
        asked,
    ]
    out += [segments.pid(one, authority, n) for n, one in enumerate(answer.candidates, 1)]
    if answer.profile in ("Z32", "Z42"):
        out.append(segments.pid(answer.patient, authority))
        out += [segments.nk1(one, n) for n, one in enumerate(answer.related, 1)]
        out += (
            _evaluated(envelope, answer, people or {})
            if answer.profile == "Z42"
            else compose.history(answer.doses, answer.observations, envelope, people or {})
        )
    return numbered(out)


# ---- the evaluated history -------------------------------------------------------------------------------------


def _evaluated(envelope: Envelope, answer: Answer, people: Mapping[str, Element]) -> list[Segment]:
    out: list[Segment] = []
    for one in answer.doses:
        out += segments.order(one, envelope.site.authority, people)
        held = Observed(envelope.now.strftime("%Y%m%d"))
        for evaluated in answer.evaluated:
            if evaluated.dose == one.get("id"):
                _evaluation(held, evaluated)
        out += held.segments
    if answer.forecasts:
        held = Observed(envelope.now.strftime("%Y%m%d"))
        for forecast in answer.forecasts:
            _forecast(held, forecast)
        out += [*compose.nothing_given(envelope), *held.segments]
    return out


def _evaluation(out: Observed, one: EvaluatedDose) -> None:
    out.add(tables.VACCINE_TYPE, "CE", one.vaccine)
    _series(out, one)
    valid: Value = "" if one.valid is None else ("Y" if one.valid else "N")
    out.add(tables.VALIDITY, "ID", valid)
    _reasons(out, one.reasons)


def _forecast(out: Observed, one: Forecast) -> None:
    out.add(tables.DUE_NEXT, "CE", one.vaccine)
    _series(out, one)
    code = next((code for code, (status, _) in STATUSES.items() if status == one.status), "")
    out.add(tables.STATUS, "CE", (code, STATUSES[code][1], "LN") if code else "")
    for loinc, day in _days(one):
        out.add(loinc, "DT", day.strftime("%Y%m%d") if day else "")
    _reasons(out, one.reasons)


def _days(one: Forecast) -> list[tuple[str, date | None]]:
    return [
        (tables.EARLIEST, one.earliest), (tables.DUE, one.due), (tables.OVERDUE, one.overdue), (tables.LATEST, one.latest),
    ]  # fmt: skip


def _series(out: Observed, one: EvaluatedDose | Forecast) -> None:
    out.add(tables.SCHEDULE, "CE", one.schedule)
    out.add(tables.SERIES, "ST", one.series)
    out.add(tables.DOSE_NUMBER, "NM", "" if one.number is None else str(one.number))
    out.add(tables.DOSES, "NM", "" if one.doses is None else str(one.doses))


def _reasons(out: Observed, reasons: Sequence[str]) -> None:
    for one in reasons:
        out.add(tables.REASON, "ST", one)
    out.group += 1


# ---- reading ---------------------------------------------------------------------------------------------------


class Read(Struct, frozen=True):
    """An RSP^K11 that was read: what it answers to, and the answer."""

    tag: str
    acknowledged: str
    about: str
    answer: Answer
    doses: tuple[Dose, ...] = ()


def read(message: Message) -> Read:
    """The answer in an RSP^K11; never raises for what a message holds."""
    notes = list(notes_of(message))
    qak, msa = message.first("QAK"), message.first("MSA")
    profile = message.header.text(21)
    status = qak.text(2) if qak else "AE"
    if status not in WORDS:
        notes.append(Note("QAK-2", "This response status is not known", "E", TABLE_VALUE))
        status = "AE"
    answer = Answer(profile, status)
    doses: tuple[Dose, ...] = ()
    if profile == "Z31":
        answer = replace(answer, candidates=tuple(_candidates(message, notes)))
    elif profile in ("Z32", "Z42"):
        answer, doses = _history(message, answer, notes)
    answer = replace(answer, notes=tuple(notes))
    return Read(
        qak.text(1) if qak else "", msa.text(1) if msa else "", msa.text(2) if msa else "", answer, doses
    )


def _candidates(message: Message, notes: list[Note]) -> list[Element]:
    zone = zone_of(message.header.text(7))
    return [vxu.patient(one, notes, zone) for one in message.named("PID")]


def _history(message: Message, answer: Answer, notes: list[Note]) -> tuple[Answer, tuple[Dose, ...]]:
    evaluations = _Evaluations(notes, zone_of(message.header.text(7)))
    whole = evaluations.without(message) if answer.profile == "Z42" else message
    found = vxu.read(whole)
    notes += [one for one in found.notes if not one.at.startswith("ERR")]
    read_answer = replace(
        answer,
        patient=found.patient,
        doses=tuple(one.resource for one in found.doses),
        observations=found.observations,
        related=found.related,
        evaluated=tuple(evaluations.doses),
        forecasts=tuple(evaluations.forecasts),
    )
    return read_answer, found.doses


_OURS = frozenset(
    {tables.VACCINE_TYPE, tables.DUE_NEXT, tables.SCHEDULE, tables.SERIES, tables.VALIDITY, tables.DOSE_NUMBER, tables.DOSES,
     tables.STATUS, tables.DUE, tables.EARLIEST, tables.OVERDUE, tables.LATEST, tables.REASON}
)  # fmt: skip


class _Evaluations:
    """The OBX sets of a Z42: a new set begins with a vaccine type, or when OBX-4 changes."""

    def __init__(self, notes: list[Note], zone: str) -> None:
        self.notes = notes
        self.zone = zone
        self.doses: list[EvaluatedDose] = []
        self.forecasts: list[Forecast] = []

    def without(self, message: Message) -> Message:
        """The message without those OBX, which are taken here."""
        kept: list[Segment] = []
        groups = vxu.groups(message.segments)
        for n, group in enumerate(groups):
            self._group(n, group)
        for one in message.segments:
            if one.name != "OBX" or one.text(3) not in _OURS:
                kept.append(one)
        return Message(tuple(kept))

    def _group(self, n: int, group: Group) -> None:
        rxa = group.rxa
        if rxa is None:
            return
        for one in _sets([obx for obx in group.segments if obx.name == "OBX" and obx.text(3) in _OURS]):
            parts = {obx.text(3): Reading(obx, self.notes, self.zone) for obx in one}
            reasons = tuple(obx.text(5, 2) or obx.text(5) for obx in one if obx.text(3) == tables.REASON)
            if rxa.text(5) == tables.NO_VACCINE:
                self.forecasts.append(self._forecast(parts, reasons))
            else:
                self.doses.append(self._evaluated(dose.url_of(n), rxa, parts, reasons))

    def _evaluated(
        self, url: str, rxa: Segment, parts: Mapping[str, Reading], reasons: tuple[str, ...]
    ) -> EvaluatedDose:
        vaccine = _triple(parts.get(tables.VACCINE_TYPE)) or _codes(rxa, 5)
        valid = parts[tables.VALIDITY].text(5)[:1] if tables.VALIDITY in parts else ""
        if tables.VALIDITY in parts and valid not in ("Y", "N"):
            parts[tables.VALIDITY].note(5, "Valid is Y or N", "W", TABLE_VALUE)
        return EvaluatedDose(
            url, vaccine, {"Y": True, "N": False}.get(valid), _whole(parts.get(tables.DOSE_NUMBER)),
            _whole(parts.get(tables.DOSES)), _words(parts.get(tables.SERIES)),
            _triple(parts.get(tables.SCHEDULE)) or ("", "", ""), reasons,
        )  # fmt: skip

    def _forecast(self, parts: Mapping[str, Reading], reasons: tuple[str, ...]) -> Forecast:
        vaccine = _triple(parts.get(tables.DUE_NEXT)) or _triple(parts.get(tables.VACCINE_TYPE))
        earliest, due, overdue, latest = (
            _day(parts.get(code)) for code in (tables.EARLIEST, tables.DUE, tables.OVERDUE, tables.LATEST)
        )
        return Forecast(
            vaccine or ("", "", ""), self._status(parts.get(tables.STATUS)), _whole(parts.get(tables.DOSE_NUMBER)),
            _whole(parts.get(tables.DOSES)), earliest, due, overdue, latest, _words(parts.get(tables.SERIES)),
            _triple(parts.get(tables.SCHEDULE)) or ("", "", ""), reasons,
        )  # fmt: skip

    def _status(self, obx: Reading | None) -> Status:
        code = obx.text(5) if obx else ""
        if obx and code not in STATUSES:
            obx.note(5, "A status of no LOINC answer: not understood", "W", TABLE_VALUE)
        return STATUSES[code][0] if code in STATUSES else ""


def _sets(found: Sequence[Segment]) -> list[list[Segment]]:
    out: list[list[Segment]] = []
    for obx in found:
        begins = obx.text(3) in (tables.VACCINE_TYPE, tables.DUE_NEXT)
        if not out or begins or obx.text(4) != out[-1][-1].text(4):
            out.append([])
        out[-1].append(obx)
    return out


def _codes(segment: Segment, field: int) -> tuple[str, str, str]:
    return segment.text(field, 1), segment.text(field, 2), segment.text(field, 3)


def _triple(obx: Reading | None) -> tuple[str, str, str] | None:
    return _codes(obx.segment, 5) if obx else None


def _words(obx: Reading | None) -> str:
    return (obx.text(5, 2) or obx.text(5)) if obx else ""


def _whole(obx: Reading | None) -> int | None:
    text = obx.text(5) if obx else ""
    if obx and not (text.isascii() and text.isdigit() and len(text) < 6):
        obx.note(5, "Not a whole number: not understood", "W", TABLE_VALUE)
        return None
    return int(text) if obx else None


def _day(obx: Reading | None) -> date | None:
    text = date_time(obx.first(5), day_only=True) if obx else ""
    if obx and text and len(text) < 10:
        obx.note(5, "A date without its day: not understood", "W", TABLE_VALUE)
        return None
    return date.fromisoformat(text) if text else None
