"""Whoever's way in has changed is told by e-mail, at the old address too: committed with the act, sent by the worker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyotp

from commonchart.access import signin, users
from commonchart.access.actors import Actor
from commonchart.access.people import factors, links, notices, staff
from commonchart.access.people.guessing import Origin
from commonchart.access.people.links import Person
from commonchart.access.people.staff import Change
from commonchart.access.records import Records
from commonchart.jobs import accounts
from commonchart.record import site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.inbox import SITE
from tests.outreach import mail_server
from tests.smart import an_app

PASSWORD, NEXT = "a long enough password", "another long enough password"
SECRET = b"s" * 32
ROOT = Actor(1, "root", "Root", "administrator", "alder", "web", network=False)


class Said:
    """What the site has said, for the mail server of tests."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def say(self, **said: str) -> None:
        async with self.database.connection() as conn:
            for name, value in said.items():
                await site.put(conn, 1, name, value)


async def waiting(database: Database) -> list[tuple[str, str, str]]:
    async with database.single() as conn:
        rows = await conn.fetch("SELECT kind, address, state FROM account_notice ORDER BY at, id", ())
    return [(row[0], row[1], row[2]) for row in rows]


async def test_every_change_of_the_way_in_is_told_and_nothing_else(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    root, said = Records(database, ROOT, clock), Said(database)
    await said.say(name="Alder Street")
    link = await links.invite(
        root, Person("wren", "Wren Quillfeather", "clinician", "alder", "wren@old.example"), channel="hand"
    )
    await links.accept(database, link.token, PASSWORD, clock())
    clock.advance(minutes=1)
    first = await signin.sign_in(database, "wren", PASSWORD, clock(), origin=Origin())
    clock.advance(minutes=1)
    again = await signin.sign_in(database, "wren", PASSWORD, clock(), origin=Origin(first.device))
    user = (await users.find(database, "wren")).id
    me = users.actor(await users.find(database, "wren"), "web")
    begun = await factors.begin(database, SECRET, me, "wren", clock())
    await factors.confirm(database, SECRET, me, pyotp.TOTP(begun.key).at(clock()), clock())
    clock.advance(minutes=1)
    async with database.connection() as conn:
        codes = await factors.renew(conn, SECRET, me, clock())
    await factors.remove(database, me, begun.id, clock())
    clock.advance(minutes=1)
    await signin.change_password(database, me, again.token, NEXT, clock())
    clock.advance(minutes=1)
    changed = Change("Wren Quillfeather", "clinician", "alder", "wren@new.example")
    await staff.change(root, user, changed)
    await staff.change(root, user, changed)  # nothing is another: nobody is told
    kinds = [(kind, address) for kind, address, _ in await waiting(database)]
    old, new = "wren@old.example", "wren@new.example"
    assert sorted(kinds) == sorted([
        ("password", old), ("browser", old), ("factor-added", old), ("codes", old), ("factor-removed", old), ("password", old),
        ("email", old), ("email", new),
    ])  # fmt: skip
    # a server that is away: tried again, and each is sent once
    await said.say(smtp_url="smtp://127.0.0.1:1", smtp_from="practice@alder.example")
    assert await accounts.drain(database, clock, SITE) == 0
    clock.advance(minutes=2)
    async with mail_server(said, tmp_path) as (box, _):
        while await accounts.drain(database, clock, SITE):
            pass
    assert sorted(letter["To"] for letter in box.messages) == sorted(address for _, address in kinds)
    assert {state for *_, state in await waiting(database)} == {"sent"}
    whole = "\n".join(letter.as_string() for letter in box.messages)
    assert "https://chart.example/account/sessions" in whole.replace("=\n", "")
    for secret in (PASSWORD, NEXT, link.token, first.token, begun.key, *codes, "Quillfeather", "wren "):
        assert secret not in whole, secret
    clock.advance(days=31)
    assert await accounts.drain(database, clock, SITE) == 0
    assert await waiting(database) == []


async def test_what_cannot_be_sent_is_given_up_after_a_day_and_no_act_waits_for_it(
    database: Database, clock: Clock
) -> None:
    user = await users.create(database, tenant=1, login="kim", name="Kim", role="nurse", org="alder", now=clock(), password=PASSWORD)  # fmt: skip
    await users.set_password(database, "kim", NEXT, clock())
    assert await waiting(database) == []  # no address
    async with database.connection() as conn:
        await conn.execute("UPDATE app_user SET email = 'kim@alder.example' WHERE id = %s", (user.id,))
    await users.set_password(database, "kim", PASSWORD, clock())
    assert await accounts.drain(database, clock, SITE) == 1
    assert await waiting(database) == [("password", "kim@alder.example", "none")]  # no mail server
    await Said(database).say(smtp_url="smtp://127.0.0.1:1", smtp_from="practice@alder.example")
    clock.now += timedelta(minutes=1)
    await users.set_password(database, "kim", NEXT, clock())
    for _ in range(2):
        assert await accounts.drain(database, clock, SITE) == 0
        clock.now += timedelta(days=1)
    assert [state for *_, state in await waiting(database)] == ["none", "failed"]


async def test_of_apps_that_wait_administrators_are_told_once_an_hour_and_developers_of_their_own(
    database: Database, clock: Clock
) -> None:
    for login, role in (("root", "administrator"), ("kim", "nurse"), ("gone", "administrator")):
        user = await users.create(
            database, tenant=1, login=login, name=login, role=role, org="alder", now=clock()
        )
        async with database.connection() as conn:
            await conn.execute(
                "UPDATE app_user SET email = %s, active = %s WHERE id = %s",
                (f"{login}@alder.example", login != "gone", user.id),
            )
    for minutes in (0, 30, 31):
        clock.advance(minutes=minutes)
        async with database.connection() as conn:
            await notices.to_administrators(conn, 1, "app-waiting", clock())
    told = ("app-waiting", "root@alder.example", "waiting")
    assert await waiting(database) == [told] * 2
    ours, _ = await an_app(database, clock)
    async with database.connection() as conn:
        await notices.to_developer(
            conn, ours.id, "app-disabled", clock()
        )  # an administrator's: nobody to tell
    assert await waiting(database) == [told] * 2
