"""Whole messages out: the header, VXU^V04 (profile Z22), and ACK^V04 (profile Z23). CDC implementation guide 2.5.1 r1.5."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from commonchart.exchange.v2 import segments, tables, writing
from commonchart.exchange.v2.message import Message, Segment, Value, built, numbered
from commonchart.exchange.v2.reading import OTHER, Element, Note
from commonchart.exchange.v2.vxu import Sender

MAX_TOLD = 100
ERROR_WORDS = {
    "0": "Message accepted",
    "101": "Required field missing", "102": "Data type error", "103": "Table value not found",
    "200": "Unsupported message type", "201": "Unsupported event code", "203": "Unsupported version",
    "204": "Unknown key identifier", "205": "Duplicate key identifier", "207": "Application internal error",
}  # fmt: skip
_AT = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+))?(?:\((\d+)\))?(?:\.(\d+))?(?:\.(\d+))?")

_PATIENT = frozenset(
    [
        "resourceType",
        "id",
        "meta",
        "text",
        "identifier",
        "name",
        "birthDate",
        "gender",
        "address",
        "telecom",
        "communication",
        "maritalStatus",
        "extension",
        "multipleBirthInteger",
        "multipleBirthBoolean",
        "deceasedDateTime",
        "deceasedBoolean",
        "active",
    ]
)
_DOSE = frozenset(
    [
        "resourceType",
        "id",
        "meta",
        "text",
        "identifier",
        "patient",
        "status",
        "statusReason",
        "vaccineCode",
        "occurrenceDateTime",
        "recorded",
        "primarySource",
        "reportOrigin",
        "location",
        "manufacturer",
        "lotNumber",
        "expirationDate",
        "site",
        "route",
        "doseQuantity",
        "performer",
        "contained",
        "note",
        "reasonCode",
        "isSubpotent",
        "subpotentReason",
        "education",
        "programEligibility",
        "fundingSource",
        "protocolApplied",
    ]
)


class Site(Struct, frozen=True):
    """Who we are in a message: MSH-3 and MSH-4; the keeper of numbers that name none."""

    application: str = "Commonchart"
    facility: str = "Commonchart"

    @property
    def authority(self) -> str:
        """The system of our own numbers."""
        return tables.authority(self.facility, "", "")


class Sent(Struct, frozen=True):
    """A message to send, and what of the record it does not carry, as `Immunization/1.encounter`."""

    message: Message
    left: tuple[str, ...]


class Envelope(Struct, frozen=True):
    """What a message of ours says of itself: from, to, its control id, and when."""

    site: Site
    to: Sender
    id: str
    now: datetime


def header(envelope: Envelope, kind: tuple[str, str, str], profile: str, *, answer: bool = False) -> Segment:
    """The MSH of a message of ours, in UTF-8. `answer`: nobody acknowledges an answer."""
    now = envelope.now.strftime("%Y%m%d%H%M%S%z")
    fields: dict[int, Value] = {
        3: envelope.site.application, 4: envelope.site.facility, 5: envelope.to.application[:199], 6: envelope.to.facility[:199],
        7: now, 9: kind, 10: envelope.id[:20], 11: "P", 12: "2.5.1", 15: "NE" if answer else "ER",
        16: "NE" if answer else "AL", 18: "UNICODE UTF-8", 21: (profile, "CDCPHINVS"),
    }  # fmt: skip
    return built("MSH", fields)


def vxu(
    envelope: Envelope,
    patient: Element,
    doses: Sequence[Element],
    observations: Sequence[Element] = (),
    related: Sequence[Element] = (),
    people: Mapping[str, Element] | None = None,
) -> Sent:
    """VXU^V04 of a patient's doses. `people`: the Practitioners that performers refer to, by reference."""
    head = header(envelope, ("VXU", "V04", "VXU_V04"), "Z22")
    out = [head, segments.pid(patient, envelope.site.authority)]
    out += [segments.nk1(one, n) for n, one in enumerate(related, 1)]
    out += history(doses, observations, envelope, people or {})
    left = [*_left(patient, _PATIENT), *(at for dose in doses for at in _left(dose, _DOSE))]
    return Sent(numbered(out), tuple(left))


def history(
    doses: Sequence[Element],
    observations: Sequence[Element],
    envelope: Envelope,
    people: Mapping[str, Element],
) -> list[Segment]:
    """The order groups of the doses, and one of "no vaccine administered" for observations of no dose."""
    out: list[Segment] = []
    alone = [one for one in observations if not _part_of(one, doses)]
    for dose in doses:
        seen = [one for one in observations if _part_of(one, [dose])]
        out += segments.order(dose, envelope.site.authority, people)
        out += segments.observed(dose, seen)
        out += _remarks(dose)
    if alone:
        out += nothing_given(envelope)
        out += segments.observed({}, alone)
    return out


def nothing_given(envelope: Envelope) -> list[Segment]:
    """ORC and RXA under which a message says what belongs to no dose."""
    day = envelope.now.strftime("%Y%m%d")
    number = ("9999", envelope.site.facility)
    fields: dict[int, Value] = {
        1: "0",
        2: "1",
        3: day,
        5: segments.NOTHING_GIVEN,
        6: "999",
        20: "NA",
        21: "A",
    }
    return [built("ORC", {1: "RE", 3: number}), built("RXA", fields)]


def _part_of(one: Element, doses: Sequence[Element]) -> bool:
    refs = {part.get("reference", "") for part in one.get("partOf", [])}
    return any(f"Immunization/{dose.get('id')}" in refs for dose in doses)


def _remarks(dose: Element) -> list[Segment]:
    texts = [one.get("text", "") for one in dose.get("note", [])]
    return [built("NTE", {1: str(n), 3: text}) for n, text in enumerate(texts, 1) if text]


def _left(resource: Element, carried: frozenset[str]) -> list[str]:
    where = f"{resource.get('resourceType')}/{resource.get('id', '')}"
    names = [name for name in resource if name not in carried]
    if resource.get("meta", {}).get("security"):
        names.append("meta.security")
    kinds = [writing.kind_of(one) for one in resource.get("identifier", [])]
    if carried is _DOSE and any(kind not in ("FILL", "PLAC") or kinds.count(kind) > 1 for kind in kinds):
        names.append("identifier")
    return [f"{where}.{name}" for name in names]


# ---- acknowledgements ------------------------------------------------------------------------------------------


def ack(envelope: Envelope, code: str, about: str, notes: Sequence[Note], event: str = "V04") -> Message:
    """ACK: MSA-1 is AA (stored), AE (refused for what it holds) or AR (refused as a whole); an ERR for each note."""
    out = [
        header(envelope, ("ACK", event, "ACK"), "Z23", answer=True),
        built("MSA", {1: code, 2: about[:199]}),
        *errors(notes),
    ]
    return numbered(out)


def errors(notes: Sequence[Note]) -> list[Segment]:
    """An ERR for each note, the worst first, at most `MAX_TOLD` and then how many more there are."""
    ordered = sorted(notes, key=lambda note: "EWI".index(note.severity))
    told = [_error(note) for note in ordered[:MAX_TOLD]]
    rest = len(ordered) - len(told)
    return told + ([_error(Note("", f"and {rest} more", "I"))] if rest > 0 else [])


def _error(note: Note) -> Segment:
    found = _AT.fullmatch(note.at)
    name, n, field, rep, component, sub = found.groups() if found else (None,) * 6
    place: Any = (
        name or "",
        (n or "1") if name else "",
        field or "",
        (rep or "1") if field else "",
        component or "",
        sub or "",
    )
    code = "0" if note.code == OTHER and note.severity != "E" else note.code
    words = ERROR_WORDS.get(code, "")
    text = note.why if found or not note.at else f"{note.at}: {note.why}"
    return built("ERR", {2: place, 3: (code, words, "HL70357"), 4: note.severity, 8: text})


def notes_of(message: Message) -> list[Note]:
    """The ERR segments of an answer as notes."""
    out = []
    for one in message.named("ERR"):
        name, n, field, component = (one.text(2, part) for part in (1, 2, 3, 5))
        at = name + (f"[{n}]" if n not in ("", "1") else "") + (f"-{field}" if field else "")
        at += f".{component}" if component else ""
        severity = one.text(4) if one.text(4) in ("E", "W", "I") else "E"
        out.append(Note(at, one.text(8) or one.text(3, 2), severity, one.text(3)))
    return out
