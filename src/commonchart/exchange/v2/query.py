"""QBP^Q11: asking a registry for a history (Z34) or for an evaluated history and forecast (Z44), in and out.

CDC implementation guide 2.5.1 release 1.5, profiles Z34 and Z44.
"""

from __future__ import annotations

from msgspec import Struct

from commonchart.exchange.v2 import person, segments, tables
from commonchart.exchange.v2.compose import Envelope, header
from commonchart.exchange.v2.message import Message, Segment, Value, built, numbered
from commonchart.exchange.v2.reading import (
    REQUIRED,
    TABLE_VALUE,
    Element,
    Note,
    Reading,
    address,
    date_time,
    identifier,
    number,
    person_name,
    present,
    telecom,
    told,
    zone_of,
)
from commonchart.exchange.v2.vxu import Sender, sender_of

PROFILES = {"Z34": "Request Immunization History", "Z44": "Request Evaluated History and Forecast"}
MAX_CANDIDATES = 20


class Query(Struct, frozen=True):
    """Who is asked about: what is known of them as parts of a FHIR Patient. `limit`: candidates wanted at most."""

    profile: str
    tag: str
    patient: Element
    sender: Sender = Sender("", "")
    control_id: str = ""
    limit: int = MAX_CANDIDATES
    notes: tuple[Note, ...] = ()
    asked: Segment | None = None

    @property
    def errors(self) -> tuple[Note, ...]:
        """Why it cannot be answered."""
        return tuple(note for note in self.notes if note.severity == "E")


def read(message: Message) -> Query:
    """The query in a QBP^Q11; never raises for what a message holds."""
    notes: list[Note] = []
    segment = message.first("QPD")
    if segment is None:
        notes.append(Note("QPD", "A query says whom it asks about", "E", REQUIRED))
        return Query("", "", {}, sender_of(message), message.control_id, notes=tuple(notes))
    qpd = Reading(segment, notes, zone_of(message.header.text(7)))
    profile, tag = qpd.text(1), qpd.text(2)
    qpd.text(1, 2)
    qpd.text(1, 3)
    if profile not in PROFILES:
        qpd.note(1, "Only Z34 and Z44 are answered", "E", TABLE_VALUE)
    if not tag:
        qpd.note(2, "A query has a tag", "E", REQUIRED)
    patient = _asked_about(qpd)
    told(qpd)
    return Query(
        profile,
        tag,
        patient,
        sender_of(message),
        message.control_id,
        _limit(message, notes),
        tuple(notes),
        segment,
    )


def _asked_about(qpd: Reading) -> Element:
    mother = qpd.first(5)
    maiden = person_name(mother) if mother else None
    extension = (
        [{"url": person.MAIDEN, "valueString": maiden["family"]}] if maiden and "family" in maiden else []
    )
    sex = qpd.text(7)
    order, many = number(qpd.first(11)), {"Y": True, "N": False}.get(qpd.text(10))
    qpd.skip(12, 13)
    return present(
        identifier=[one for one in map(identifier, qpd.reps(3)) if one],
        name=[one for one in map(person_name, qpd.reps(4)) if one],
        extension=extension,
        birthDate=date_time(qpd.first(6), day_only=True, severity="E"),
        gender=tables.GENDERS.get(sex, ""),
        address=[one for one in map(address, qpd.reps(8)) if one],
        telecom=[one for one in map(telecom, qpd.reps(9)) if one],
        multipleBirthBoolean=many if order is None else None,
        multipleBirthInteger=int(order) if order is not None else None,
    )


def _limit(message: Message, notes: list[Note]) -> int:
    rcp = message.first("RCP")
    wanted = rcp.text(2) if rcp else ""
    if wanted and not (wanted.isascii() and wanted.isdigit() and 0 < len(wanted) < 6 and int(wanted) > 0):
        notes.append(Note("RCP-2", "Not a number of records; taken as the most there is", "W", TABLE_VALUE))
        return MAX_CANDIDATES
    return min(int(wanted or MAX_CANDIDATES), MAX_CANDIDATES)


def build(envelope: Envelope, query: Query) -> Message:
    """The QBP^Q11 of a query."""
    head = header(envelope, ("QBP", "Q11", "QBP_Q11"), query.profile)
    rcp = built("RCP", {1: "I", 2: (str(query.limit), ("RD", "Records", "HL70126"))})
    return numbered([head, query_segment(query, envelope.site.authority), rcp])


def query_segment(query: Query, authority: str) -> Segment:
    """The QPD: as it came, when it did, since an answer echoes it."""
    if query.asked is not None:
        return _restated(query.asked)
    pid = segments.pid({**query.patient}, authority)
    copied = {3: 3, 4: 5, 5: 6, 6: 7, 7: 8, 8: 11, 9: 13, 10: 24, 11: 25}
    values: dict[int, Value] = {n: [*pid.reps(field)] for n, field in copied.items()}
    values[1] = (query.profile, PROFILES.get(query.profile, ""), "CDCPHINVS")
    return built("QPD", values | {2: query.tag})


def _restated(segment: Segment) -> Segment:
    """The same segment in our own delimiters, every value escaped again."""
    return built(segment.name, {n: [*segment.reps(n)] for n in range(1, len(segment.raw) + 1)})
