"""A VXU^V04 into the record: validated, in one transaction, with the acknowledgement that goes back.

The same message twice changes nothing the second time: doses are found again by their filler order number, relatives and
observations by an id made of what they say. AA: stored; AE: refused for what it holds, nothing stored; AR: no message of
a kind that is taken here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct

from commonchart.access.records import Put, Records, Transaction
from commonchart.access.writes import new_id
from commonchart.exchange.v2 import compose, vxu
from commonchart.exchange.v2 import dose as dose_given
from commonchart.exchange.v2.compose import Envelope, Site
from commonchart.exchange.v2.dose import Dose
from commonchart.exchange.v2.match import match, plain
from commonchart.exchange.v2.message import Message
from commonchart.exchange.v2.reading import OTHER, TYPE, UNKNOWN_KEY, Element, Note, present
from commonchart.exchange.v2.vxu import PATIENT, Sender, Vxu
from commonchart.fhir import dates, json
from commonchart.fhir.links import references, rewrite
from commonchart.fhir.outcome import Busy, Forbidden, Invalid, Issue, Refused
from commonchart.fhir.validate import validate
from commonchart.record.rows import Written
from commonchart.search.query import parse

ZONES = timedelta(hours=14)
_SPACE = uuid5(NAMESPACE_URL, "https://commonchart.example/v2")
MAX_NAME = 199
VERSIONS = ("2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2")


class Taken(Struct, frozen=True):
    """What became of one message: its answer, and how many resources were created, changed, or the same already."""

    answer: Message
    accepted: bool
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    notes: tuple[Note, ...] = ()


class _Stop(Exception):
    """The message is not stored; the transaction ends."""

    def __init__(self, notes: Sequence[Note]) -> None:
        self.notes = tuple(notes)
        super().__init__()


def envelope(records: Records, site: Site, to: Sender) -> Envelope:
    """What an answer says of itself."""
    now = records.clock()
    return Envelope(site, to, new_id(now).replace("-", "")[-20:], now)


async def take(records: Records, message: Message, site: Site) -> Taken:
    """One message into the record. Raises Forbidden and Busy; any other refusal is in the answer."""
    outside = envelope(records, site, vxu.sender_of(message))
    wrong = _kind(message)
    if wrong is not None:
        answer = compose.ack(outside, "AR", message.control_id, [wrong], message.kind[1] or "V04")
        return Taken(answer, False, notes=(wrong,))
    read = vxu.read(message)
    try:
        if read.errors:
            raise _Stop(())
        _plausible(read, records.clock())
        written, notes = await _stored(records, read)
    except _Stop as stop:
        notes = (*stop.notes, *read.notes)
        return Taken(compose.ack(outside, "AE", message.control_id, notes), False, notes=notes)
    counts = {
        state: sum(one.state == state for one in written) for state in ("created", "updated", "unchanged")
    }
    answer = compose.ack(outside, "AA", message.control_id, notes)
    return Taken(answer, True, counts["created"], counts["updated"], counts["unchanged"], tuple(notes))


def _kind(message: Message) -> Note | None:
    """Why a message is not taken here at all."""
    code, event = message.kind
    if code != "VXU":
        return Note("MSH-9", "Only VXU^V04 is taken here", "E", "200")
    if event != "V04":
        return Note("MSH-9", "Only VXU^V04 is taken here", "E", "201")
    if message.header.text(12) not in VERSIONS:
        return Note("MSH-12", "This version of HL7 is not read here", "E", "203")
    if not message.control_id:
        return Note("MSH-10", "A message has a control id", "E", "101")
    long = next(
        (
            field
            for field in (3, 4, 10)
            if any(len(message.header.text(field, n)) > MAX_NAME for n in (1, 2, 3))
        ),
        0,
    )
    return Note(f"MSH-{long}", f"Longer than {MAX_NAME} characters", "E", TYPE) if long else None


def _plausible(read: Vxu, now: datetime) -> None:
    """A dose was not given before birth, nor after tomorrow, which somewhere is today. Raises _Stop."""
    born = read.patient.get("birthDate", "")
    wrong: list[Note] = []
    for dose in read.doses:
        given = dates.bounds(dose.resource["occurrenceDateTime"])
        if born and given[1] <= dates.bounds(born)[0] - ZONES:
            wrong.append(Note(f"{dose.at}-3", "Before the birth of the patient", "E", TYPE))
        elif given[0] > now + ZONES and dose.resource["status"] == "completed":
            wrong.append(Note(f"{dose.at}-3", "In the future", "E", TYPE))
    if wrong:
        raise _Stop(wrong)


async def _stored(records: Records, read: Vxu) -> tuple[list[Written], tuple[Note, ...]]:
    try:
        async with records.transaction(source=read.sender.uri) as tx:
            notes = list(read.notes)
            puts = await _wanted(tx, read, notes)
            return await tx.write(puts), tuple(notes)
    except Invalid as bad:
        raise _Stop([Note("", _words(issue), "E", "102") for issue in bad.issues[:20]]) from None
    except (Forbidden, Busy):
        raise
    except Refused as refusal:
        raise _Stop([Note("", str(refusal), "E", OTHER)]) from None


def _words(issue: Issue) -> str:
    return f"{issue.at} {issue.message}".strip()


async def _wanted(tx: Transaction, read: Vxu, notes: list[Note]) -> list[Put]:
    """Everything to be stored, in order. Raises Invalid, _Stop."""
    numbers = sorted(f"{one.get('system')}|{one.get('value')}" for one in read.patient.get("identifier", []))
    doses = sorted("|".join(dose.number) for dose in read.doses)
    for one in [*(f"patient {one}" for one in numbers), *(f"dose {one}" for one in doses)]:
        await tx.alone(f"v2 {one}")  # always in this order, so that two messages never wait for each other
    found = await match(tx, read.patient)
    if found.refused:
        raise _Stop([found.refused])
    id = str(found.patient["id"]) if found.patient else new_id(tx.records.clock())
    mapping = {PATIENT: f"Patient/{id}"}
    puts = _patient(read, found.patient, id, notes)
    for dose in read.doses:
        puts += await _dose(tx, read, dose, id, mapping)
    related = [(named(read, id, _relation(one)), one) for one in read.related]
    seen = [(named(read, id, _said(one, read)), one) for one in read.observations]
    for key, resource in [*related, *seen]:
        puts.append(_put(read, {**rewrite(resource, mapping).resource, "id": key}))
    return _once(puts)


def _once(puts: list[Put]) -> list[Put]:
    """Each resource once: a message that says the same twice says it once."""
    return list({(put.valid.rtype, put.id): put for put in puts}.values())


def _put(read: Vxu, resource: Element) -> Put:
    whole = {**resource, "meta": {**resource.get("meta", {}), "source": read.sender.uri}}
    return Put(validate(whole), str(resource["id"]), skip_unchanged=True)


def named(read: Vxu, patient: str, said: str) -> str:
    """The same id every time for the same sender, patient and statement."""
    return str(uuid5(_SPACE, f"{read.sender.uri}\x1f{patient}\x1f{said}"))


def _relation(related: Element) -> str:
    return "RelatedPerson" + repr((related.get("name"), related.get("relationship")))


def _said(one: Element, read: Vxu) -> str:
    """What makes an observation the same one again: what it is of, of which dose, when, and which of several."""
    of = {dose.url: dose.number for dose in read.doses}
    parts = [of.get(part["reference"], ()) for part in one.get("partOf", [])]
    alike = [other for other in read.observations if _key(other) == _key(one)]
    value = {name: part for name, part in one.items() if name.startswith("value")} if len(alike) > 1 else {}
    return "Observation" + repr((parts, _key(one)[1:], value))


def _key(one: Element) -> tuple[Any, ...]:
    codes = [(c.get("system"), c.get("code")) for c in one["code"].get("coding", [])] or one["code"].get(
        "text"
    )
    return [p["reference"] for p in one.get("partOf", [])], codes, one.get("effectiveDateTime")


# ---- the patient -----------------------------------------------------------------------------------------------


def _patient(read: Vxu, known: Element | None, id: str, notes: list[Note]) -> list[Put]:
    """A new Patient; or one that the same sender keeps, brought up to date; anybody else's stays as it is, and that is told."""
    if known is None:
        return [_put(read, {**read.patient, "id": id})]
    changed = [name for name, value in read.patient.items() if known.get(name) != value]
    if known.get("meta", {}).get("source") != read.sender.uri:
        notes += [
            Note("PID", f"Patient.{name} differs and was kept as it is here", "I", OTHER) for name in changed
        ]
        return []
    return [_put(read, {**known, **read.patient})] if changed else []


# ---- the doses -------------------------------------------------------------------------------------------------


async def _dose(tx: Transaction, read: Vxu, dose: Dose, patient: str, mapping: dict[str, str]) -> list[Put]:
    """The dose as it is to be stored, over the one with the same filler order number. Raises _Stop, Invalid."""
    known = await _known(tx, dose)
    if known is not None and known["patient"].get("reference") != f"Patient/{patient}":
        raise _Stop([_about(dose, "The filler order number is that of another patient's dose")])
    id = str(known["id"]) if known else new_id(tx.records.clock())
    mapping[dose.url] = f"Immunization/{id}"
    if dose.action == "D":
        return [_retracted(read, dose, known)]
    if known is not None and known["status"] == "entered-in-error":
        raise _Stop([_about(dose, "The dose was marked as entered in error and is not brought back")])
    resource = {**rewrite(dose.resource, mapping).resource, "id": id}
    return [_put(read, resource if known is None else over(known, resource, dose.cleared))]


def over(known: Element, sent: Element, cleared: Sequence[str] = ()) -> Element:
    """The dose as it is known here, with what the message says in its place, and without what it clears or contradicts."""
    kept = {name: value for name, value in known.items() if name not in cleared}
    if kept.get("status") != sent["status"]:
        kept.pop("statusReason", None)
    if sent.get("primarySource"):
        kept.pop("reportOrigin", None)
    if dose_given.partial(kept):  # RXA-20 says whether it was, and does not say so any more
        for name in ("isSubpotent", "subpotentReason"):
            kept.pop(name, None)
    whole = {**kept, **sent}
    held = {one["id"]: one for one in [*known.get("contained", []), *sent.get("contained", [])]}
    refs = {text for _, text in references({**whole, "contained": []})}
    whole["contained"] = [one for id, one in held.items() if f"#{id}" in refs]
    return present(**whole)


def _about(dose: Dose, why: str) -> Note:
    return Note(f"{dose.at}", why, "E", UNKNOWN_KEY)


def _retracted(read: Vxu, dose: Dose, known: Element | None) -> Put:
    if known is None:
        raise _Stop([_about(dose, "There is no dose with this filler order number to delete")])
    kept = {name: value for name, value in known.items() if name not in ("statusReason",)}
    return _put(read, {**kept, "status": "entered-in-error"})


async def _known(tx: Transaction, dose: Dose) -> Element | None:
    """The dose with this filler order number. Raises _Stop when there are several."""
    system, value = dose.number
    query = parse("Immunization", [("identifier", f"{plain(system)}|{plain(value)}")], strict=True)
    keys = await tx.search_ids(query)
    if len(keys) > 1:
        raise _Stop([_about(dose, "More than one dose here has this filler order number")])
    stored = await tx.read_many(keys)
    bodies = [one.body for one in stored.values() if one.body is not None]
    return json.decode(bodies[0]) if bodies else None
