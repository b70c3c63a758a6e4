"""VXU^V04 (CDC implementation guide 2.5.1 release 1.5, profile Z22), and the doses of an RSP^K11, as FHIR resources.

Nothing is silently lost: what is not understood, or has no place in the record, is a `Note` with its segment and field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from commonchart.exchange.v2 import dose, person, tables
from commonchart.exchange.v2.dose import Dose, Group
from commonchart.exchange.v2.message import Message, Segment
from commonchart.exchange.v2.reading import OTHER, REQUIRED, Element, Note, Reading, told, zone_of

PATIENT = "urn:uuid:00000000-0000-4000-8000-000000000000"


class Sender(Struct, frozen=True):
    """Who sent a message, MSH-3 and MSH-4. `uri` names them as a source; `authority` is the keeper of their numbers."""

    application: str
    facility: str

    @property
    def uri(self) -> str:
        """For `meta.source`."""
        return tables.SENDER + quote(f"{self.application}/{self.facility}", safe="/")

    @property
    def authority(self) -> str:
        """The system of a number that names none."""
        return tables.authority(self.facility or self.application or "unnamed", "", "")


class Vxu(Struct, frozen=True):
    """What a VXU says. References to the patient are `PATIENT`, those to a dose are its `url`."""

    sender: Sender
    control_id: str
    patient: Element
    doses: tuple[Dose, ...]
    observations: tuple[Element, ...]
    related: tuple[Element, ...]
    notes: tuple[Note, ...]

    @property
    def errors(self) -> tuple[Note, ...]:
        """What forbids to store the message."""
        return tuple(note for note in self.notes if note.severity == "E")


def sender_of(message: Message) -> Sender:
    """MSH-3 and MSH-4."""
    head = message.header
    return Sender(head.text(3) or head.text(3, 2), head.text(4) or head.text(4, 2))


def read(message: Message) -> Vxu:
    """The message as resources and notes; never raises for what a message holds."""
    notes: list[Note] = []
    zone = zone_of(message.header.text(7))
    sender = sender_of(message)
    pid = message.first("PID")
    if pid is None:
        notes.append(Note("PID", "There is no patient in the message", "E", REQUIRED))
    who = patient(pid, notes, zone)
    related = _related(message, notes, zone)
    doses, observations = _doses(message, sender, notes, zone)
    _unread(message, notes)
    return Vxu(
        sender, message.control_id, who, tuple(doses), tuple(observations), tuple(related), tuple(notes)
    )


def patient(pid: Segment | None, notes: list[Note], zone: str) -> Element:
    """The Patient of a PID, what is not kept noted."""
    if pid is None:
        return {"resourceType": "Patient"}
    reading = Reading(pid, notes, zone)
    made = person.patient(reading)
    told(reading)
    return made


def _related(message: Message, notes: list[Note], zone: str) -> list[Element]:
    for segment in message.named("PD1"):
        reading = Reading(segment, notes, zone)
        person.protection(reading)
        told(reading)
    out = []
    for segment in message.named("NK1"):
        reading = Reading(segment, notes, zone)
        made = person.related_person(reading, PATIENT)
        told(reading)
        out += [made] if made else []
    return out


def _doses(message: Message, sender: Sender, notes: list[Note], zone: str) -> tuple[list[Dose], list[Any]]:
    doses: list[Dose] = []
    observations: list[Element] = []
    for n, group in enumerate(groups(message.segments)):
        made, seen = dose.read(group, n, PATIENT, sender.authority, notes, zone)
        doses += [made] if made else []
        observations += seen
    numbers = [one.number for one in doses]
    for one in doses:
        if numbers.count(one.number) > 1:
            notes.append(Note(one.at, "Two doses carry the same filler order number", "E", "205"))
    return doses, observations


def groups(segments: Sequence[Segment]) -> list[Group]:
    """The ORC/RXA groups, and before them one of what stands without an order."""
    out = [Group()]
    for one in segments:
        if one.name == "ORC" or (one.name == "RXA" and out[-1].rxa is not None):
            out.append(Group())
        if one.name in ("ORC", "RXA", "RXR", "OBX", "NTE"):
            out[-1].add(one)
    return [one for one in out if one.segments]


def _unread(message: Message, notes: list[Note]) -> None:
    """One note for each segment that nobody here reads."""
    known = {"MSH", "PID", "PD1", "NK1", "ORC", "RXA", "RXR", "OBX", "NTE", "MSA", "QAK", "QPD", "ERR"}
    for segment in message.segments:
        if segment.name not in known:
            notes.append(Note(segment.at(), "This segment is not kept", "I", OTHER))
