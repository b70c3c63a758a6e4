"""Invitations and resets: once, for a while, and without telling who has an account."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from commonchart.access import signin, users
from commonchart.access.actors import Actor
from commonchart.access.people import links
from commonchart.access.people.links import Person
from commonchart.access.records import Records
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from commonchart.record.database import Database
from tests.conftest import Clock

PASSWORD = "a long enough password"
NEW = Person("ada", "Ada Birch", "clinician", "alder", "ada@example.org")


def by(database: Database, clock: Clock, role: str = "administrator") -> Records:
    return Records(database, Actor(1, "root", "Root", role, "alder", "web"), clock)  # type: ignore[arg-type]


async def _acts(database: Database) -> list[str]:
    async with database.single() as conn:
        cursor = await conn.execute("SELECT action || coalesce(': ' || detail, '') FROM audit ORDER BY seq")
        return [row[0] for row in await cursor.fetchall()]


async def test_an_invitation_is_used_once_and_leaves_its_trail(database: Database, clock: Clock) -> None:
    link = await links.invite(by(database, clock), NEW, channel="email")
    with pytest.raises(Unauthenticated):
        await signin.sign_in(database, "ada", "", clock())
    assert (await links.look(database, link.token, clock())).login == "ada"
    await links.accept(database, link.token, PASSWORD, clock())
    assert (await signin.sign_in(database, "ada", PASSWORD, clock())).actor.name == "Ada Birch"
    for again in (
        links.look(database, link.token, clock()),
        links.accept(database, link.token, PASSWORD, clock()),
    ):
        with pytest.raises(NotFound, match=r"has been used"):
            await again
    acts = await _acts(database)
    assert "invite: clinician by email" in acts
    assert "password: by invite" in acts


async def test_a_link_runs_out_and_a_newer_one_ends_it(database: Database, clock: Clock) -> None:
    first = await links.invite(by(database, clock), NEW, lives=timedelta(days=30))
    assert first.expires == clock() + links.INVITED
    second = await links.again(by(database, clock), "ada")
    assert second.kind == "invite"
    with pytest.raises(NotFound):
        await links.look(database, first.token, clock())
    clock.advance(hours=72)
    with pytest.raises(NotFound):
        await links.look(database, second.token, clock())


async def test_a_reset_ends_sessions_and_only_hashes_are_kept(database: Database, clock: Clock) -> None:
    link = await links.invite(by(database, clock), NEW)
    await links.accept(database, link.token, PASSWORD, clock())
    session = await signin.sign_in(database, "ada", PASSWORD, clock())
    reset = await links.forgotten(database, 1, "Ada", "10.0.0.1", clock())
    assert reset is not None
    assert reset.expires == clock() + links.RESET
    async with database.single() as conn:
        row = await (await conn.execute("SELECT string_agg(l::text, '') FROM account_link l")).fetchone()
    assert row
    assert reset.token not in row[0]
    await links.accept(database, reset.token, "quite another password", clock())
    with pytest.raises(Unauthenticated):
        await signin.resume(database, session.token, clock())


async def test_forgetting_says_nothing_about_who_is_there(database: Database, clock: Clock) -> None:
    assert await links.forgotten(database, 1, "nobody", "10.0.0.1", clock()) is None
    await users.create(database, tenant=1, login="mute", name="M", role="clinician", org="o", now=clock())
    assert await links.forgotten(database, 1, "mute", "10.0.0.1", clock()) is None


@pytest.mark.parametrize("role", ["clinician", "front-desk", "patient"])
async def test_only_administrators_invite_staff(database: Database, clock: Clock, role: str) -> None:
    with pytest.raises(Forbidden):
        await links.invite(by(database, clock, role), NEW)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"login": "A b"}, "login"), ({"role": "king"}, "role"), ({"role": "system"}, "role"), ({"name": " "}, "name"),
        ({"email": "nowhere"}, "email"), ({"email": "a@b\nbcc: c@d"}, "email"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_by_field(
    database: Database, clock: Clock, wrong: dict[str, str], field: str
) -> None:

    with pytest.raises(Invalid) as refused:
        await links.invite(by(database, clock), msgspec.structs.replace(NEW, **wrong))
    assert refused.value.issues[0].at == field


async def test_a_patient_is_invited_only_by_whoever_sees_them(database: Database, clock: Clock) -> None:
    with pytest.raises(NotFound):
        await links.invite(
            by(database, clock, "clinician"), Person("p", "P", "patient", "alder", patient="none")
        )


async def test_a_login_is_taken_once(database: Database, clock: Clock) -> None:
    await links.invite(by(database, clock), NEW)
    with pytest.raises(Conflict):
        await links.invite(by(database, clock), NEW)
