"""Authenticators and recovery codes: once each, encrypted, and between password and session."""

from __future__ import annotations

import pyotp
import pytest

from commonchart.access import signin, users
from commonchart.access.people import factors, guessing, sessions
from commonchart.access.people.passkeys import Site
from commonchart.access.signin import Proof
from commonchart.fhir.outcome import Invalid, Throttled, Unauthenticated
from commonchart.record import site as decisions
from commonchart.record.database import Database
from tests.conftest import Clock

PASSWORD = "a long enough password"
SECRET = b"s" * 32
SITE = Site("chart.example", "https://chart.example")


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


async def enrolled(database: Database, clock: Clock, sage: users.User) -> tuple[str, list[str]]:
    actor = users.actor(sage, "web")
    begun = await factors.begin(database, SECRET, actor, "sage", clock())
    codes = await factors.confirm(database, SECRET, actor, pyotp.TOTP(begun.key).at(clock()), clock())
    return begun.key, codes


async def test_a_password_alone_opens_nothing_once_there_is_a_second_factor(
    database: Database, clock: Clock, sage: users.User
) -> None:
    key, _ = await enrolled(database, clock, sage)
    clock.advance(seconds=60)
    waiting = await signin.sign_in(database, "sage", PASSWORD, clock())
    assert waiting.wants == "factor"
    with pytest.raises(Unauthenticated):
        await signin.resume(database, waiting.token, clock())
    code = pyotp.TOTP(key).at(clock())
    session = await signin.second(database, SECRET, waiting.token, Proof(code), clock(), SITE)
    assert session.token != waiting.token
    assert (await signin.resume(database, session.token, clock())).actor.user == sage.id
    with pytest.raises(Unauthenticated):
        await signin.pending(database, waiting.token, clock())
    again = await signin.sign_in(database, "sage", PASSWORD, clock())
    with pytest.raises(Unauthenticated, match="used already"):
        await signin.second(database, SECRET, again.token, Proof(code), clock(), SITE)


async def test_who_has_lost_them_starts_again_and_is_signed_out(
    database: Database, clock: Clock, sage: users.User
) -> None:
    session = await signin.sign_in(database, "sage", PASSWORD, clock())
    await enrolled(database, clock, sage)
    async with database.connection() as conn:
        assert await factors.take_away(conn, users.system(1, "command line"), sage.id, clock()) == 1
        assert await factors.take_away(conn, users.system(1, "command line"), sage.id, clock()) == 0
    with pytest.raises(Unauthenticated):
        await signin.resume(database, session.token, clock())
    assert not (await signin.sign_in(database, "sage", PASSWORD, clock())).wants


async def test_a_recovery_code_counts_once_and_new_ones_end_the_old(
    database: Database, clock: Clock, sage: users.User
) -> None:
    _, codes = await enrolled(database, clock, sage)
    assert len(set(codes)) == factors.CODES
    for times in range(2):
        waiting = await signin.sign_in(database, "sage", PASSWORD, clock())
        proof = Proof(codes[0].upper().replace("-", " "))
        if times == 0:
            await signin.second(database, SECRET, waiting.token, proof, clock(), SITE)
        else:
            with pytest.raises(Unauthenticated):
                await signin.second(database, SECRET, waiting.token, proof, clock(), SITE)
    async with database.connection() as conn:
        await factors.renew(conn, SECRET, users.actor(sage, "web"), clock())
        assert not await factors.verify(conn, SECRET, sage.id, codes[1], clock())


async def test_neither_keys_nor_codes_are_kept_in_the_clear(
    database: Database, clock: Clock, sage: users.User
) -> None:
    key, codes = await enrolled(database, clock, sage)
    async with database.single() as conn:
        rows = await (await conn.execute("SELECT id, kind, secret FROM factor")).fetchall()
        await conn.execute("UPDATE factor SET id = 'moved' WHERE kind = 'totp'")
    held = b"".join(bytes(row[2]) for row in rows)
    assert key.encode() not in held
    assert not any(code.replace("-", "").encode() in held for code in codes)
    async with database.connection() as conn:
        with pytest.raises(Invalid):
            await factors.verify(conn, SECRET, sage.id, "123456", clock())


async def test_guessing_codes_ends_after_ten(database: Database, clock: Clock, sage: users.User) -> None:
    key, _ = await enrolled(database, clock, sage)
    clock.advance(minutes=1)
    waiting = await signin.sign_in(database, "sage", PASSWORD, clock())
    right = pyotp.TOTP(key).at(clock())
    for _ in range(guessing.PER_FACTOR):
        with pytest.raises(Unauthenticated):
            await signin.second(database, SECRET, waiting.token, Proof("abcde-fghjk"), clock(), SITE)
    with pytest.raises(Throttled):
        await signin.second(database, SECRET, waiting.token, Proof(right), clock(), SITE)


@pytest.mark.usefixtures("sage")
async def test_a_role_that_must_have_one_is_held_at_the_door(database: Database, clock: Clock) -> None:
    async with database.connection() as conn:
        await decisions.put(conn, 1, signin.SECOND_FACTOR, "administrator clinician")
    waiting = await signin.sign_in(database, "sage", PASSWORD, clock())
    assert waiting.wants == "enrol"
    with pytest.raises(Unauthenticated):
        await signin.resume(database, waiting.token, clock())
    with pytest.raises(Unauthenticated):
        await signin.second(database, SECRET, waiting.token, Proof("123456"), clock(), SITE)


async def test_stepping_up_changes_the_cookie_and_lasts_five_minutes(
    database: Database, clock: Clock, sage: users.User
) -> None:
    session = await signin.sign_in(database, "sage", PASSWORD, clock())
    assert (await signin.resume(database, session.token, clock())).fresh(clock())
    clock.advance(minutes=5)
    assert not (await signin.resume(database, session.token, clock())).fresh(clock())
    args = (database, SECRET, session.actor, session.token)
    with pytest.raises(Unauthenticated):
        await signin.step_up(*args, "wrong", Proof(), clock(), SITE)
    new = await signin.step_up(*args, PASSWORD, Proof(), clock(), SITE)
    assert (await signin.resume(database, new, clock())).fresh(clock())
    with pytest.raises(Unauthenticated):
        await signin.resume(database, session.token, clock())
    assert (await signin.resume(database, new, clock())).csrf == session.csrf
    assert sage.id == session.actor.user


@pytest.mark.usefixtures("sage")
async def test_nobody_locks_out_a_browser_that_is_known(database: Database, clock: Clock) -> None:
    first = await signin.sign_in(database, "sage", PASSWORD, clock())
    for _ in range(40):
        with pytest.raises(Unauthenticated):
            await signin.sign_in(database, "sage", "guess", clock(), guessing.Origin("", "10.0.0.9", ""))
    with pytest.raises(Unauthenticated):
        await signin.sign_in(database, "sage", PASSWORD, clock())
    known = guessing.Origin(first.device, "10.0.0.9", "Firefox")
    assert not (await signin.sign_in(database, "sage", PASSWORD, clock(), known)).wants


@pytest.mark.usefixtures("sage")
async def test_an_address_that_fails_too_often_waits_whoever_it_names(
    database: Database, clock: Clock
) -> None:
    here = guessing.Origin("", "10.0.0.7", "")
    async with database.connection() as conn:
        for _ in range(guessing.PER_ADDRESS):
            await guessing.failed(conn, "", here, 0, False, clock())
    for login in ("sage", "nobody"):
        with pytest.raises(Throttled):
            await signin.sign_in(database, login, PASSWORD, clock(), here)
    clock.advance(minutes=16)
    assert (await signin.sign_in(database, "sage", PASSWORD, clock(), here)).actor.name == "Sage"


@pytest.mark.usefixtures("sage")
async def test_people_who_share_a_browser_are_both_known_there(database: Database, clock: Clock) -> None:
    await users.create(
        database, tenant=1, login="wren", name="Wren", role="nurse", org="o", now=clock(), password=PASSWORD
    )
    first = await signin.sign_in(database, "sage", PASSWORD, clock())
    second = await signin.sign_in(database, "wren", PASSWORD, clock(), guessing.Origin(first.device))
    assert second.device == first.device
    made_up = await signin.sign_in(database, "wren", PASSWORD, clock(), guessing.Origin("made up"))
    assert made_up.device not in ("made up", first.device)


def test_a_household_of_ipv6_counts_as_one() -> None:
    keys = [guessing._place(text) for text in ("2001:db8::1", "2001:db8::ffff", "2001:db8:1::1", "10.0.0.1")]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


@pytest.mark.usefixtures("sage")
async def test_the_eleventh_session_ends_the_one_used_longest_ago(database: Database, clock: Clock) -> None:
    begun = []
    for _ in range(sessions.MOST + 1):
        begun.append(await signin.sign_in(database, "sage", PASSWORD, clock()))
        clock.advance(seconds=1)
    with pytest.raises(Unauthenticated):
        await signin.resume(database, begun[0].token, clock())
    for one in begun[1:]:
        await signin.resume(database, one.token, clock())
    for _ in range(sessions.MOST + 1):  # at the same moment the one that begins is never the one that ends
        one = await signin.sign_in(database, "sage", PASSWORD, clock())
        await signin.resume(database, one.token, clock())


async def test_only_the_factor_that_was_shown_stays(
    database: Database, clock: Clock, sage: users.User
) -> None:
    """Of two passkeys the one that was shown at that moment; no password and no code on paper is one."""
    actor = users.actor(sage, "web")
    await enrolled(database, clock, sage)
    first, then = clock(), clock.advance(minutes=1)
    async with database.connection() as conn:
        for id, used in (("mine", first), ("theirs", then)):
            await conn.execute(
                "INSERT INTO factor (id, tenant, actor, kind, label, secret, credential, created, confirmed, used) "
                "VALUES (%s, 1, %s, 'passkey', %s, '', %s, %s, %s, %s)",
                (id, sage.id, id, id.encode(), first, first, used),
            )
        for kind in ("password", "recovery", "", "totp passkey"):
            assert not await factors.only(conn, actor, kind, first, then)
        assert not await factors.only(conn, actor, "passkey", clock.advance(seconds=1), then)
        assert await factors.only(conn, actor, "passkey", first, then)
        kept, codes = await factors.listed(conn, sage.id)
    assert ([one.id for one in kept], codes) == (["mine"], 0)
