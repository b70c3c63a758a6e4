"""Filling a data folder with the synthetic practice, replaying its years by the record's own clock.

Ids are the same every time and a patient who is there is left alone, so a seeding that was cut off goes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, date, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.portal import proxies
from commonchart.access.records import Put, Records, Transaction
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
TOGETHER = 3
CONNECTIONS = TOGETHER + 2
"""How many connections seeding needs: one a patient, and one to say how far it is, however long a patient takes."""


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
        Account("parent", "alder-street", "Dana Hallow", "proxy"),
    )


async def prepare(database: Database, now: datetime, count: int = practice.PATIENTS) -> bool:
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
        if one.role == "proxy":
            await _parent(database, one.login, now)
    async with database.connection() as conn:
        shown = [{"login": a.login, "password": a.password, "role": a.role} for a in accounts()]
        await site.put(conn, TENANT, ACCOUNTS, json.dumps(shown))
        await site.put(conn, TENANT, "name", "Alder Street Practice")
        await site.put(conn, TENANT, "practice_phone", "555 0100")
        await site.put(conn, TENANT, "practice_address", "12 Alder Street / Alder, OH 44001")
        if not await site.get(conn, TENANT, site.MODE):
            await site.put(conn, TENANT, site.MODE, "network")
        progress = json.loads(await site.get(conn, TENANT, PROGRESS, "{}"))
    return bool(progress.get("state") != "done" or progress.get("total", 0) < count)


async def _parent(database: Database, login: str, now: datetime) -> None:
    """The parent of the infant who is behind with the vaccines."""
    user = await users.find(database, login)
    wanted = proxies.Wanted(
        user.id, practice.patient_id(1), "parent", relation="child", why="Birth certificate seen"
    )
    async with database.connection() as conn:
        await proxies.give(conn, users.system(TENANT, "demo", PRACTICE), wanted, now)


async def seed(
    database: Database, until: date, count: int = practice.PATIENTS, now: datetime | None = None
) -> AsyncIterator[tuple[int, int]]:
    """Store everybody, some at a time; yields (patients done, patients in all) as they are.

    Of the last day only what happened until `now`, so that nothing is recorded in the future; None: all of it.
    A patient is one transaction, so after a kill at any moment each is there as a whole or not at all.
    """
    day = await _begun(database, until)
    await _store(database, practice.staff(), "Organization", practice.ORGANIZATIONS[0][0])
    await _say(database, 0, count, "running", day)
    done, running = 0, set[asyncio.Task[None]]()
    try:
        for n in range(count):
            running.add(asyncio.create_task(_member(database, n, day, now)))
            if len(running) < TOGETHER and n + 1 < count:
                continue
            left = 0 if n + 1 == count else TOGETHER - 1
            while len(running) > left:
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
                    done += 1
                await _say(database, done, count, "running" if done < count else "done", day)
                yield done, count
    finally:
        for task in running:
            task.cancel()


async def _begun(database: Database, until: date) -> date:
    """The day until which the practice lived when its seeding began: a later run goes on with that one."""
    async with database.connection() as conn:
        known = json.loads(await site.get(conn, TENANT, PROGRESS, "{}"))
    return date.fromisoformat(known["until"]) if known.get("until") else until


async def _say(database: Database, done: int, total: int, state: str, until: date) -> None:
    said = {"done": done, "total": total, "state": state, "until": until.isoformat()}
    async with database.connection() as conn:
        await site.put(conn, TENANT, PROGRESS, json.dumps(said))


async def _member(database: Database, n: int, until: date, now: datetime | None) -> None:
    member = practice.member(n, until)
    known = [one for one in member.entries if now is None or one.recorded <= now]
    await _store(database, known, "Patient", member.id)


async def _store(database: Database, entries: Iterable[Entry], rtype: str, id: str) -> None:
    """All of it in one transaction, each moment by its own clock; nothing if `rtype/id` is there already."""
    async with database.connection() as conn:
        for (recorded, org, actor), batch in _moments(entries):
            who = Actor(TENANT, actor, actor, "system", org, "demo")
            records = Records(database, who, lambda now=recorded: now)  # type: ignore[misc]
            transaction = Transaction(records, conn, "demo")
            if id and await transaction.read(rtype, id):
                return
            id = ""  # asked once, before anything is written
            await transaction.write([Put(validate(one.resource), one.resource["id"]) for one in batch])


def _moments(entries: Iterable[Entry]) -> Iterator[tuple[tuple[datetime, str, str], list[Entry]]]:
    """Entries recorded together: same moment, organisation and user."""

    def key(entry: Entry) -> tuple[datetime, str, str]:
        return entry.recorded, entry.org, entry.actor

    for moment, group in groupby(entries, key):
        yield moment, list(group)


def today(now: datetime) -> date:
    """The day until which the practice has lived."""
    return now.astimezone(UTC).date()
