"""A person's medicines, allergies and facts as a check is given them: as the actor sees them, and what is withheld."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access.actors import Actor
from commonchart.access.withheld import Split, nothing_hidden, withheld
from commonchart.care.medications.from_fhir import OBSERVATIONS, record
from commonchart.care.medications.inputs import Record, Withheld
from commonchart.care.medications.pack import built_in
from commonchart.record.bounds import Bounds
from commonchart.record.due import referenced_medications
from commonchart.record.keys import token
from commonchart.record.people import linked_on

if TYPE_CHECKING:
    from commonchart.record.database import Connection
    from commonchart.record.rows import Write

MEDICINES = ("MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration")
TYPES = (*MEDICINES, "AllergyIntolerance", "Condition", "Observation", "Patient")
TOKENS = tuple(
    token(param, f"http://loinc.org|{code}")
    for code in sorted(OBSERVATIONS)
    for param in ("code", "component-code")
)
Body = dict[str, Any]


class Known(Struct, frozen=True):
    """What a check is asked with. `seen` are the resources behind `record` by `Type/id`."""

    record: Record
    withheld: Withheld | None
    seen: Mapping[str, Body]


async def known(
    conn: Connection, actor: Actor, now: datetime, patient: str, as_of: date, pending: Iterable[Body] = ()
) -> Known | None:
    """The person's records, all that are linked; None where the actor sees no such Patient.

    `pending` are resources that are about to be stored, which take the place of their stored versions.
    """
    async with conn.within(Bounds(actor.tenant)):
        return await _known(conn, actor, now, patient, as_of, pending)


async def _known(
    conn: Connection, actor: Actor, now: datetime, patient: str, as_of: date, pending: Iterable[Body]
) -> Known | None:
    same = await linked_on(conn, actor.tenant, patient)
    split = await withheld(conn, actor, now, same, TYPES, TOKENS)
    new = {_key(one): one for one in pending}
    seen = {**{_key(one): one for one in split.seen}, **new}
    own = seen.get(f"Patient/{patient}")
    if own is None:
        return None
    for one in await referenced_medications(conn, actor.tenant, list(seen.values())):
        seen.setdefault(_key(one), one)
    return Known(
        record(own, seen.values(), built_in(), as_of),
        await _withheld(conn, actor, own, seen, split, as_of),
        seen,
    )


async def all_seen(conn: Connection, actor: Actor, now: datetime, patient: str) -> bool:
    """Whether nothing that a check of this person reads is hidden from the actor."""
    same = await linked_on(conn, actor.tenant, patient)
    return await nothing_hidden(conn, actor, now, same, TYPES, TOKENS)


async def _withheld(
    conn: Connection, actor: Actor, own: Body, seen: Mapping[str, Body], split: Split, as_of: date
) -> Withheld | None:
    """The engine's word for what is hidden; without a hint the whole is not even put together."""
    if not split.hidden:
        return None
    if not split.hint:
        return Withheld()
    whole = {**{_key(one): one for one in split.hidden}, **seen}
    for one in await referenced_medications(conn, actor.tenant, list(split.hidden)):
        whole.setdefault(_key(one), one)
    return Withheld(record(own, whole.values(), built_in(), as_of), True)


def pending(writes: Sequence[Write], patient: str) -> list[Body]:
    """Of what is about to be stored, what a check of this patient reads: theirs, and Medications."""
    return [
        one.body
        for one in writes
        if one.body is not None
        and (one.rtype == "Medication" or (one.rtype in TYPES and one.index.patient == patient))
    ]


def _key(body: Mapping[str, Any]) -> str:
    return f"{body['resourceType']}/{body.get('id', '')}"
