"""What is known of those who might be contacted, read for many at once: records of the person, facts, due rows, last contact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from commonchart.care.outreach.decide import Known, Reminder, known_of, reminder
from commonchart.care.outreach.reach import full_name
from commonchart.care.schema import Pack
from commonchart.fhir import json
from commonchart.record import outreach, rules, store
from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

VACCINES = "immunization"
"""Rows of this kind rest on a schedule, which has its own versions."""
FACTS = ("Patient", "Condition", "Encounter", "Procedure", "ServiceRequest")
TAKEN = ("sending", "sent", "doubt")
"""States of a message that may have reached somebody."""
PROMISED = ("waiting", *TAKEN)


async def known(
    conn: Connection,
    records: Records,
    wanted: Mapping[str, Sequence[str]],
    *,
    states: Sequence[str],
    but: str = "",
) -> dict[str, Known]:
    """Patient -> what is known of them, for the rules that they were selected by; nothing of a Patient not visible.

    `states` are those of earlier messages that count as a contact; messages of the campaign `but` do not.
    """
    tenant = records.actor.tenant
    people, kept = await _linked(conn, tenant, list(wanted))
    everyone = sorted({one for linked in people.values() for one in linked})
    bodies = await _bodies(conn, records, everyone)
    due = await _reminders(conn, records, list(wanted))
    contacts = await outreach.last_contacts(conn, tenant, everyone, states, but)
    portals = await _portals(conn, tenant, everyone)
    out: dict[str, Known] = {}
    for patient, asked in wanted.items():
        linked = people[patient]
        found = [one for id in linked for one in bodies.get(id, ())]
        patients = _patients(linked, found)
        if not patients or patients[0].get("id") != patient:
            continue
        last = max((contacts[id] for id in linked if id in contacts), default=None)
        mine = [one for one in due.get(patient, ()) if one.rule in asked]
        out[patient] = known_of(
            patients, found, mine, survivor=_survivor(patients, kept.get(patient, "")), last_contact=last,
            portal=any(id in portals for id in linked),
        )  # fmt: skip
    return out


def _patients(linked: Sequence[str], found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    by_id = {one.get("id"): one for one in found if one.get("resourceType") == "Patient"}
    return [by_id[id] for id in linked if id in by_id]


def _survivor(patients: Sequence[Mapping[str, Any]], person: str) -> str:
    """The one record through which a person with several is contacted: the one the merge kept, else the first living one."""
    if len(patients) < 2:
        return ""
    ids = {str(one["id"]) for one in patients}
    if person in ids:
        return person
    living = [
        str(one["id"])
        for one in patients
        if one.get("active") is not False
        and all(x.get("type") != "replaced-by" for x in one.get("link") or ())
    ]
    return min(living or ids)


async def _linked(
    conn: Connection, tenant: int, patients: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Patient -> every record of the person, this one first; and patient -> the person's id."""
    cursor = await conn.execute(
        "SELECT mine.patient, mine.person, other.patient FROM person_link mine JOIN person_link other "
        "ON other.tenant = mine.tenant AND other.person = mine.person AND other.unlinked_at IS NULL "
        "WHERE mine.tenant = %s AND mine.patient = ANY(%s) AND mine.unlinked_at IS NULL ORDER BY other.patient",
        (tenant, list(patients)),
    )
    people, persons = {one: [one] for one in patients}, {}
    for patient, person, other in await cursor.fetchall():
        persons[patient] = person
        if other not in people[patient]:
            people[patient].append(other)
    return people, persons


async def _bodies(
    conn: Connection, records: Records, patients: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    predicate, args = records.visible.predicate("r")
    cursor = await conn.execute(
        f"SELECT r.patient, r.body FROM resource r WHERE {predicate} AND r.pk = ANY(%s) AND r.patient = ANY(%s) "
        "AND NOT r.deleted AND r.rtype = ANY(%s)",
        (*args, [patient_key(one) for one in patients], list(patients), list(FACTS)),
    )
    out: dict[str, list[dict[str, Any]]] = {}
    for patient, body in await cursor.fetchall():
        out.setdefault(patient, []).append(json.decode(body.encode()))
    return out


async def _reminders(
    conn: Connection, records: Records, patients: Sequence[str]
) -> dict[str, list[Reminder]]:
    deciding, args = records.visible.due("d")
    tenant = records.actor.tenant
    cursor = await conn.execute(
        "SELECT patient, rule, title, status, why, kind, version FROM due d WHERE pk = ANY(%s) AND patient = ANY(%s) "
        f"AND {deciding} ORDER BY rule",
        ([patient_key(one) for one in patients], list(patients), *args),
    )
    out: dict[str, list[Reminder]] = {}
    pack = (await rules.active(conn, tenant)).pack
    approved = await rules.standing(conn, tenant)
    for patient, rule, title, status, why, kind, version in await cursor.fetchall():
        said, of_rule = msgspec.json.decode(why or "{}"), version.rpartition("/")[2]
        out.setdefault(patient, []).append(
            reminder(
                rule,
                title,
                status,
                said,
                pack,
                approved=(rule, of_rule) in approved,
                current=kind == VACCINES or _used(pack, rule) == of_rule,
            )
        )
    return out


def _used(pack: Pack, rule: str) -> str:
    """The version of the rule that is used now, "" for one that is not used any more."""
    return pack.by_id[rule].version if rule in pack.by_id else ""


async def _portals(conn: Connection, tenant: int, patients: Sequence[str]) -> set[str]:
    cursor = await conn.execute(
        "SELECT patient FROM app_user WHERE tenant = %s AND active AND patient = ANY(%s)",
        (tenant, list(patients)),
    )
    return {row[0] for row in await cursor.fetchall()}


async def names_of(conn: Connection, records: Records, patients: Sequence[str]) -> dict[str, str]:
    """Patient -> name, of those that exist and may be seen. The caller leaves the audit row."""
    predicate, args = records.visible.predicate("r")
    cursor = await conn.execute(
        f"{store.READ_MANY} WHERE {predicate}",
        (["Patient"] * len(patients), list(patients), records.actor.tenant, *args),
    )
    found = [store.row_stored(row) for row in await cursor.fetchall()]
    return {one.id: full_name(json.decode(one.body)) or "Name not recorded" for one in found if one.body}
