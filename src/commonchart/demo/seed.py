"""Filling a data folder with the synthetic practice, replaying its years by the record's own clock.

Ids are the same every time and what is unchanged is not written again, so a seeding that was cut off goes on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, date, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.demo import practice
from commonchart.demo.courses import PRACTICE, Entry
from commonchart.fhir.outcome import Conflict
from commonchart.fhir.validate import validate
from commonchart.record import site

if TYPE_CHECKING:
    from commonchart.record.database import Database

TENANT = 1
PROGRESS = "demo.progress"
ACCOUNTS = "demo.accounts"


class Account(Struct, frozen=True):
    """Somebody to sign in as, with the password that the sign-in page of a demo shows."""

    login: str
    password: str
    name: str
    role: str


def accounts() -> tuple[Account, ...]:
    """The demo accounts. They exist in demo data folders only."""
    return (
        Account("clinician", "alder-street", "Sara Wrenfield", "clinician"),
        Account("frontdesk", "alder-street", "Mina Hale", "front-desk"),
        Account("admin", "alder-street", "Robin Ashe", "administrator"),
        Account("patient", "alder-street", "Ines Hallowbrook", "patient"),
    )


async def prepare(database: Database, now: datetime) -> bool:
    """Make the accounts and say that this is a demo; whether seeding is still to be done."""
    first = practice.patient_id(0)
    for one in accounts():
        patient = first if one.role == "patient" else None
        doctor = practice.practitioner(0) if one.role == "clinician" else None
        try:
            await users.create(
                database, tenant=TENANT, login=one.login, name=one.name, role=one.role, org=PRACTICE, now=now,
                password=one.password, patient=patient, practitioner=doctor,
            )  # fmt: skip
        except Conflict:
            continue
    async with database.connection() as conn:
        shown = [{"login": a.login, "password": a.password, "role": a.role} for a in accounts()]
        await site.put(conn, TENANT, ACCOUNTS, json.dumps(shown))
        await site.put(conn, TENANT, "name", "Alder Street Practice")
        if not await site.get(conn, TENANT, site.MODE):
            await site.put(conn, TENANT, site.MODE, "network")
        progress = json.loads(await site.get(conn, TENANT, PROGRESS, "{}"))
    return bool(progress.get("state") != "done")


async def seed(
    database: Database, until: date, count: int = practice.PATIENTS
) -> AsyncIterator[tuple[int, int]]:
    """Store everybody; yields (patients done, patients in all) after each."""
    async with database.connection() as conn:
        known = json.loads(await site.get(conn, TENANT, PROGRESS, "{}"))
    day = date.fromisoformat(known["until"]) if known.get("until") else until
    begun = int(known.get("done", 0)) if known.get("total") == count else 0
    if not begun:
        await _store(database, practice.staff())
        await _say(database, 0, count, "running", day)
    for n in range(begun, count):
        await _store(database, practice.member(n, day).entries)
        await _say(database, n + 1, count, "running" if n + 1 < count else "done", day)
        yield n + 1, count


async def _say(database: Database, done: int, total: int, state: str, until: date) -> None:
    said = {"done": done, "total": total, "state": state, "until": until.isoformat()}
    async with database.connection() as conn:
        await site.put(conn, TENANT, PROGRESS, json.dumps(said))


async def _store(database: Database, entries: Iterable[Entry]) -> None:
    for (recorded, org, actor), batch in _moments(entries):
        who = Actor(TENANT, actor, actor, "system", org, "demo")
        records = Records(database, who, lambda now=recorded: now)  # type: ignore[misc]
        puts = [Put(validate(entry.resource), entry.resource["id"], skip_unchanged=True) for entry in batch]
        await records.commit(puts, source="demo")


def _moments(entries: Iterable[Entry]) -> Iterator[tuple[tuple[datetime, str, str], list[Entry]]]:
    """Entries recorded together: same moment, organisation and user."""

    def key(entry: Entry) -> tuple[datetime, str, str]:
        return entry.recorded, entry.org, entry.actor

    for moment, group in groupby(entries, key):
        yield moment, list(group)


def today(now: datetime) -> date:
    """The day until which the practice has lived."""
    return now.astimezone(UTC).date()
