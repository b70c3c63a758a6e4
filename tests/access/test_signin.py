"""Signing in: the same answer for every wrong one, sessions that end, tokens that can be taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from commonchart.access import credentials, passwords, signin, users
from commonchart.access.people import guessing
from commonchart.fhir.outcome import Conflict, Invalid, Refused, Unauthenticated
from commonchart.record.database import Database
from tests.conftest import Clock

PASSWORD = "a long enough password"


@pytest.fixture
async def sage(database: Database, clock: Clock) -> users.User:
    return await users.create(
        database,
        tenant=1,
        login="sage",
        name="Sage",
        role="clinician",
        org="o",
        now=clock(),
        password=PASSWORD,
    )


async def test_a_session_knows_who_and_carries_a_token_of_its_own(
    database: Database, clock: Clock, sage: users.User
) -> None:
    session = await signin.sign_in(database, "sage", PASSWORD, clock())
    again = await signin.sign_in(database, "sage", PASSWORD, clock())
    assert session.actor.user == sage.id
    assert len({session.token, session.csrf, again.token, again.csrf}) == 4
    assert (await signin.resume(database, session.token, clock())).actor == session.actor


async def test_only_digests_are_kept(database: Database, clock: Clock, sage: users.User) -> None:
    session = await signin.sign_in(database, "sage", PASSWORD, clock())
    async with database.connection() as conn:
        row = await (await conn.execute("SELECT c::text || u::text FROM credential c, app_user u")).fetchone()
    assert row
    assert session.token not in row[0]
    assert PASSWORD not in row[0]
    assert "argon2id" in row[0]


@pytest.mark.usefixtures("sage")
@pytest.mark.parametrize(
    ("login", "password"),
    [("sage", "wrong"), ("nobody", PASSWORD), ("sage", ""), ("", ""), ("SAGE' --", PASSWORD)],
)
async def test_every_wrong_sign_in_gets_the_same_words(
    database: Database, clock: Clock, login: str, password: str
) -> None:
    with pytest.raises(Unauthenticated, match=signin.WRONG):
        await signin.sign_in(database, login, password, clock())


async def test_failing_waits_but_not_for_long(database: Database, clock: Clock, sage: users.User) -> None:
    for _ in range(12):
        with pytest.raises(Unauthenticated):
            await signin.sign_in(database, "sage", "wrong", clock())
    with pytest.raises(Unauthenticated):
        await signin.sign_in(database, "sage", PASSWORD, clock())
    clock.advance(seconds=61)
    assert (await signin.sign_in(database, "sage", PASSWORD, clock())).actor.user == sage.id


async def test_a_guesser_never_outlasts_the_waiting(
    database: Database, clock: Clock, sage: users.User
) -> None:
    async with database.connection() as conn:
        await conn.execute("UPDATE app_user SET failures = 5000")
    with pytest.raises(Unauthenticated, match=signin.WRONG):
        await signin.sign_in(database, "sage", "wrong", clock())
    with pytest.raises(Unauthenticated, match=signin.WRONG):
        await signin.sign_in(database, "sage", PASSWORD, clock())
    later = clock() + guessing.LONGEST_WAIT + timedelta(seconds=1)
    assert (await signin.sign_in(database, "sage", PASSWORD, later)).actor.user == sage.id


@pytest.mark.usefixtures("sage")
async def test_an_idle_session_ends_and_a_used_one_goes_on_until_its_absolute_end(
    database: Database, clock: Clock
) -> None:
    session = await signin.sign_in(database, "sage", PASSWORD, clock())
    for _ in range(71):
        clock.advance(minutes=10)
        await signin.resume(database, session.token, clock())
    clock.advance(minutes=10)
    with pytest.raises(Unauthenticated) as ended:
        await signin.resume(database, session.token, clock())
    assert ended.value.issues[0].code == "expired"
    other = await signin.sign_in(database, "sage", PASSWORD, clock())
    clock.advance(minutes=16)
    with pytest.raises(Unauthenticated):
        await signin.resume(database, other.token, clock())


@pytest.mark.usefixtures("sage")
async def test_signing_out_and_leaving_end_everything(database: Database, clock: Clock) -> None:
    one, two = [await signin.sign_in(database, "sage", PASSWORD, clock()) for _ in range(2)]
    await signin.sign_out(database, one.token, clock())
    with pytest.raises(Unauthenticated):
        await signin.resume(database, one.token, clock())
    await users.set_active(database, "sage", False, clock())
    with pytest.raises(Unauthenticated):
        await signin.resume(database, two.token, clock())
    with pytest.raises(Unauthenticated):
        await signin.sign_in(database, "sage", PASSWORD, clock())


async def test_a_new_password_ends_sessions(database: Database, clock: Clock, sage: users.User) -> None:
    session = await signin.sign_in(database, "sage", PASSWORD, clock())
    await users.set_password(database, "sage", "another long password", clock())
    with pytest.raises(Unauthenticated):
        await signin.resume(database, session.token, clock())
    assert (await signin.sign_in(database, "sage", "another long password", clock())).actor.user == sage.id


async def test_tokens_expire_and_can_be_revoked(database: Database, clock: Clock, sage: users.User) -> None:
    token = await credentials.issue(
        database, sage.id, clock(), kind="token", client="t", lives=timedelta(days=1), label="lab"
    )
    assert (await credentials.actor_of(database, token, clock())).user == sage.id
    (listed,) = await credentials.tokens(database)
    assert token not in str(listed)
    assert await credentials.revoke_handle(database, listed.handle, clock())
    with pytest.raises(Unauthenticated):
        await credentials.actor_of(database, token, clock())
    late = await credentials.issue(
        database, sage.id, clock(), kind="token", client="t", lives=timedelta(days=1)
    )
    await credentials.actor_of(database, late, clock())
    clock.advance(days=1)
    with pytest.raises(Unauthenticated):
        await credentials.actor_of(database, late, clock())


async def test_a_session_is_no_token(database: Database, clock: Clock, sage: users.User) -> None:
    session = await signin.sign_in(database, "sage", PASSWORD, clock())
    with pytest.raises(Unauthenticated):
        await credentials.actor_of(database, session.token, clock())


@pytest.mark.parametrize(
    "wrong",
    [
        {"login": "A"},
        {"login": "x y"},
        {"role": "king"},
        {"role": "patient"},
        {"patient": "p1"},
        {"password": "short"},
    ],
)
async def test_users_are_checked(database: Database, clock: Clock, wrong: dict[str, str]) -> None:
    fields = {"login": "ada", "role": "clinician", "password": PASSWORD} | wrong
    with pytest.raises(Invalid):
        await users.create(database, tenant=1, name="Ada", org="o", now=clock(), **fields)  # type: ignore[arg-type]


async def test_a_login_is_taken_once(database: Database, clock: Clock, sage: users.User) -> None:
    with pytest.raises(Conflict):
        await users.create(
            database, tenant=1, login="sage", name="Other", role="clinician", org="o", now=clock()
        )


async def test_unknown_users_take_as_long_as_wrong_passwords(costly_passwords: None) -> None:
    from time import process_time

    stored = await passwords.hashed(PASSWORD)
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in stored
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in passwords._NOBODY
    times = []
    for known in (stored, None):
        begin = process_time()
        for _ in range(5):
            assert not await passwords.matches(known, "wrong password")
        times.append(process_time() - begin)
    assert 0.5 < times[0] / times[1] < 2


def test_a_refusal_is_one_family() -> None:
    assert issubclass(Unauthenticated, Refused)
