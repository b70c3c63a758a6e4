"""The wordings of a site, kept as versions, and what stands in their placeholders for one person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit
from commonchart.access.outreach import staff
from commonchart.care.outreach import reach, wording
from commonchart.care.outreach.decide import Contact
from commonchart.care.outreach.wording import Wording, Words
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden, Invalid, Issue
from commonchart.record import store

if TYPE_CHECKING:
    from commonchart.access.outreach.policy import Policy
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

_COLUMNS = "name, channel, language, level, subject, general, detail"
BUILT_IN = "reminder"


class Content(Struct, frozen=True):
    """What is sent to one person: to which lines or address, in which words."""

    to: tuple[str, ...]
    subject: str
    text: str
    language: str
    confidential: bool = False


async def all_of(conn: Connection, tenant: int) -> list[Wording]:
    """The newest version of every wording of the site, and those in the box that it has not replaced."""
    cursor = await conn.execute(
        f"SELECT DISTINCT ON (name, channel, language, level) {_COLUMNS} FROM outreach_wording WHERE tenant = %s "
        "ORDER BY name, channel, language, level, n DESC",
        (tenant,),
    )
    own = [Wording(*row) for row in await cursor.fetchall()]
    taken = {_key(one) for one in own}
    every = [*own, *(one for one in wording.built_in() if _key(one) not in taken)]
    return sorted(every, key=_key)


def _key(one: Wording) -> tuple[str, str, str, str]:
    return one.name, one.channel, one.language, one.level


async def listed(records: Records) -> list[Wording]:
    """The wordings. Raises Forbidden."""
    await staff.required(records)
    async with records.database.single() as conn:
        return await all_of(conn, records.actor.tenant)


async def save(records: Records, new: Wording) -> None:
    """Keep a wording as its next version. Raises Forbidden for all but administrators, Invalid by field."""
    actor, now = records.actor, records.clock()
    if actor.role != "administrator":
        raise Forbidden("Only administrators change the words that people get")
    wording.check(new)
    async with records.database.connection() as conn:
        await conn.execute(
            f"INSERT INTO outreach_wording (tenant, {_COLUMNS}, n, actor, at) SELECT %s, %s, %s, %s, %s, %s, %s, %s, "
            "coalesce(max(n), 0) + 1, %s, %s FROM outreach_wording WHERE tenant = %s AND name = %s AND channel = %s "
            "AND language = %s AND level = %s",
            (actor.tenant, new.name, new.channel, new.language, new.level, new.subject.strip(), new.general.strip(),
             new.detail.strip(), actor.user, now, actor.tenant, *_key(new)),
        )  # fmt: skip
        await audit.note(conn, actor, now, "change-wording", detail="/".join(_key(new)))


async def clinicians(conn: Connection, tenant: int, patients: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Practitioner id -> name, of everybody's first clinician."""
    ids = sorted({id for id in map(clinician_of, patients) if id})
    found = await store.read_many(conn, tenant, [("Practitioner", id) for id in ids]) if ids else {}
    return {one.id: reach.full_name(json.decode(one.body)) for one in found.values() if one.body}


def clinician_of(patient: Mapping[str, Any]) -> str:
    """The id of somebody's first clinician, "" without one."""
    for one in patient.get("generalPractitioner") or ():
        rtype, _, id = str(one.get("reference", "")).partition("/")
        if rtype == "Practitioner" and id:
            return id
    return ""


def content(
    wordings: Sequence[Wording], channel: str, contact: Contact, patient: Mapping[str, Any], site: Policy,
    names: Mapping[str, str], now: datetime,
) -> Content:  # fmt: skip
    """What this person gets. Raises Invalid naming every placeholder without a value, or that there is no wording."""
    chosen = wording.choose(wordings, channel, contact.language, contact.level, site.language)
    if chosen is None:
        raise Invalid("There are no words for this channel: write them first", at="wording")
    name = reach.full_name(patient)
    values = {
        "given": reach.given(patient), "name": name, "practice": site.practice, "phone": site.phone,
        "date": f"{site.day(now):%d-%b-%Y}", "clinician": names.get(clinician_of(patient), ""),
    }  # fmt: skip
    words: Words = wording.fill(chosen, values, contact.details)
    to = contact.point.lines
    if channel == "letter":
        to = (_addressee(name, contact.minor, words.language), *to)
        if not name:
            raise Invalid(issues=[Issue("required", "There is no value for {name}", "name")])
    return Content(to, words.subject, words.text, words.language, contact.point.confidential)


def _addressee(name: str, minor: bool, language: str) -> str:
    if not minor:
        return name
    return f"{'A los padres o tutores de' if language == 'es' else 'To the parent or guardian of'} {name}"
