"""What the record holds of one patient's immunizations, read through the one door, for a message."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from commonchart.access.records import Records
from commonchart.exchange.v2 import compose
from commonchart.exchange.v2.compose import Envelope, Sent
from commonchart.exchange.v2.reading import Element
from commonchart.fhir import json
from commonchart.fhir.outcome import TooCostly
from commonchart.record.rows import Stored
from commonchart.search.query import parse

MAX_DOSES = 1000
# evidence of immunity, contraindications and reactions that stand by themselves
TOLD = ("59784-9", "59785-6", "75505-8", "30945-0", "30946-8", "31044-1")


class History(Struct, frozen=True):
    """A patient's doses by date (those entered in error left out), what was observed of them, relatives, givers."""

    patient: Element
    doses: tuple[Element, ...] = ()
    observations: tuple[Element, ...] = ()
    related: tuple[Element, ...] = ()
    people: Mapping[str, Element] = {}


async def of(records: Records, id: str, *, retracted: bool = False) -> History:
    """The history of a patient. `retracted`: also what was entered in error. Raises NotFound, Forbidden, TooCostly."""
    patient = _body(await records.read("Patient", id))
    doses = await _facts(records, id, "Immunization", (), retracted)
    codes = [f"http://loinc.org|{code}" for code in TOLD]
    alone = await _facts(records, id, "Observation", codes, retracted)
    observations = _once([*alone, *await _of_doses(records, id, retracted)])
    related = await _facts(records, id, "RelatedPerson", (), retracted)
    return History(patient, doses, observations, related, await _people(records, doses))


async def _facts(
    records: Records, id: str, rtype: str, codes: list[str] | tuple[()], retracted: bool
) -> tuple[Element, ...]:
    found = await records.facts(id, [rtype], codes=codes, limit=MAX_DOSES, newest_first=False)
    if found.total > MAX_DOSES:
        raise TooCostly(f"More than {MAX_DOSES} {rtype} resources of one patient: this is no message")
    bodies = [_body(one) for one in found.items]
    return tuple(one for one in bodies if retracted or one.get("status") != "entered-in-error")


async def _of_doses(records: Records, id: str, retracted: bool) -> list[Element]:
    """Observations that are part of something: those of doses among them are told with their dose."""
    query = parse(
        "Observation",
        [("patient", id), ("part-of:missing", "false"), ("_count", str(MAX_DOSES))],
        strict=True,
    )
    page = await records.search(query)
    if page.next_cursor:
        raise TooCostly(f"More than {MAX_DOSES} observations of doses of one patient: this is no message")
    bodies = [_body(one) for one in page.matches]
    part_of_dose = [one for one in bodies if any(_is_dose(part) for part in one.get("partOf", []))]
    return [one for one in part_of_dose if retracted or one.get("status") != "entered-in-error"]


def _is_dose(part: Element) -> bool:
    return str(part.get("reference", "")).startswith("Immunization/")


def _once(found: list[Element]) -> tuple[Element, ...]:
    return tuple({str(one["id"]): one for one in found}.values())


async def _people(records: Records, doses: tuple[Element, ...]) -> dict[str, Element]:
    refs = {one.get("actor", {}).get("reference", "") for dose in doses for one in dose.get("performer", [])}
    keys = [
        ("Practitioner", ref.removeprefix("Practitioner/")) for ref in refs if ref.startswith("Practitioner/")
    ]
    found = await records.named(sorted(keys))
    return {f"{rtype}/{id}": _body(one) for (rtype, id), one in found.items()}


def _body(stored: Stored) -> Element:
    return json.decode(stored.body or b"{}")


def vxu(envelope: Envelope, history: History) -> Sent:
    """VXU^V04 of a history."""
    return compose.vxu(
        envelope, history.patient, history.doses, history.observations, history.related, history.people
    )
