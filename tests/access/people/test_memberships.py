"""What ends with one place of work, and what belongs to the other; what goes along when an organisation is changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from commonchart.access import credentials, drafts, users
from commonchart.access.people import leaving, memberships, sessions, staff
from commonchart.access.people.leaving import Place
from commonchart.access.people.staff import Change
from commonchart.access.records import Put, Records
from commonchart.access.standing import OVER
from commonchart.exchange.bulk import runs
from commonchart.exchange.bulk.wanted import Export
from commonchart.exchange.subscriptions import state, tickets
from commonchart.exchange.subscriptions.plan import Plan
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.fhir.validate import validate
from commonchart.record import site
from commonchart.record.database import Connection, Database
from tests.access.people.test_staff import by
from tests.conftest import Clock
from tests.joining import asked

KIM = users.id_of("kim")
ROWS = (
    "INSERT INTO app_grant (id, tenant, app, actor, scopes, created, used, expires, membership) "
    "VALUES (%(org)s, 1, 'app', %(kim)s, '', %(now)s, %(now)s, %(later)s, %(place)s)",
    "INSERT INTO app_launch (sha256, tenant, app, actor, patient, context, expires, membership) "
    "VALUES (%(sum)s, 1, 'app', %(kim)s, 'p', '{}', %(later)s, %(place)s)",
    "INSERT INTO account_link (sha256, tenant, actor, kind, made_by, org, created, expires) "
    "VALUES (%(sum)s, 1, 'new', 'invite', %(kim)s, %(org)s, %(now)s, %(later)s)",
    "INSERT INTO emergency_access (id, tenant, actor, org, patient, purpose, reason, starts, ends) "
    "VALUES (%(org)s, 1, %(kim)s, %(org)s, 'p', 'ETREAT', 'x', %(now)s, %(later)s)",
    "INSERT INTO inbox_cover (tenant, id, absent, cover, begins, ends, why, set_by, set_at, org) "
    "VALUES (1, %(org)s, 'x', %(kim)s, %(now)s, %(later)s, '', 'x', %(now)s, %(org)s)",
    "INSERT INTO draft (tenant, actor, org, key, body, saved) VALUES (1, %(kim)s, %(org)s, 'k', %(org)s, %(now)s)",
)


async def _all_of(database: Database, clock: Clock, who: Records) -> str:
    """One of everything, for the organisation that Kim acts for; the ticket of a websocket."""
    actor, now = who.actor, clock()
    given = {
        "kim": KIM, "org": actor.org, "sum": actor.org.encode(), "now": now, "later": now + timedelta(minutes=30), "place": actor.membership,
    }  # fmt: skip
    async with database.connection() as conn:
        await sessions.begin(conn, KIM, actor.membership, now, kind="session", factor="password and totp")
        for sql in ROWS:
            await conn.execute(sql, given)
        await state.begin(
            conn, 1, f"sub-{actor.org}", 1, (KIM, actor.org), Plan("http://t", "websocket"), now
        )
        ticket = await tickets.issue(conn, actor, [f"sub-{actor.org}"], now)
    await credentials.issue(database, KIM, now, kind="token", client="t", lives=timedelta(days=1), org=actor.org)  # fmt: skip
    await runs.begin(who, Export(), "http://t")
    return ticket


@pytest.fixture
async def places(database: Database, clock: Clock) -> dict[str, Records]:
    """Kim, who works for Alder and Birch in a network, by organisation."""
    kim = await users.create(
        database, tenant=1, login="kim", name="Kim", role="administrator", org="alder", now=clock()
    )
    async with database.connection() as conn:
        await site.put(conn, 1, site.MODE, "network")
        await conn.execute(
            "INSERT INTO membership (id, tenant, actor, org, role, asked, since) VALUES ('b', 1, %s, 'birch', 'administrator', %s, %s)",
            (KIM, clock(), clock()),
        )
    for org in ("alder", "birch"):
        await users.create(database, tenant=1, login=f"a-{org}", name="A", role="administrator", org=org, now=clock(), password="a long enough password")  # fmt: skip
    actor = users.actor(kim, "web", network=True)
    found = {"alder": actor, "birch": replace(actor, org="birch", membership="b")}
    return {org: Records(database, one, clock) for org, one in found.items()}


async def test_what_ends_with_one_is_of_that_one(
    database: Database, clock: Clock, places: dict[str, Records]
) -> None:
    held = {org: await _all_of(database, clock, who) for org, who in places.items()}

    async def of(org: str) -> leaving.Ends:
        async with database.single() as conn:
            return await leaving.held(conn, 1, KIM, clock(), Place(places[org].actor.membership, org))

    one = leaving.Ends(1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1)
    assert (await of("alder"), await of("birch")) == (one, one)
    await staff.leave(by(database, clock, network=True), KIM)
    left = replace(await of("alder"), subscriptions=0)  # the worker says so in the Subscription
    assert (left, await of("birch")) == (leaving.Ends(*[0] * 11, 1), one)
    async with database.connection() as conn:
        rows = await conn.fetch("SELECT org, ends, error FROM subscription_state ORDER BY org")
        assert rows == [("alder", clock(), OVER), ("birch", None, "")]
        assert await tickets.redeem(conn, held["alder"], clock()) is None
        assert await tickets.redeem(conn, held["birch"], clock()) is not None
        assert [one.org for one in await memberships.mine(conn, KIM)] == ["birch"]
        with pytest.raises(Forbidden):
            await memberships.of(conn, places["alder"].actor)
    with pytest.raises(NotFound):
        await staff.leave(by(database, clock, network=True), KIM, membership="b")


async def test_what_is_typed_goes_along_when_the_organisation_is_changed(
    database: Database, clock: Clock, places: dict[str, Records]
) -> None:
    """By whoever runs the program: a draft, unless one of this name is there, and what was subscribed to."""
    await _all_of(database, clock, places["alder"])
    ours = by(database, clock, role="system", client="cli", org="", user="cli")
    await ours.commit(
        [Put(validate({"resourceType": "Organization", "id": "cedar", "name": "Cedar"}), "cedar")]
    )
    place = await asked(database, "kim", "alder")
    await staff.change(ours, KIM, Change("Kim", "administrator", "cedar", membership=place))
    async with database.connection() as conn:
        assert await _drafts(conn) == [("cedar", "alder")]
        row = await (await conn.execute("SELECT org FROM subscription_state")).fetchone()
    assert row == ("cedar",)
    await _all_of(database, clock, places["birch"])
    async with database.connection() as conn:
        await leaving.moved(conn, 1, KIM, "cedar", "birch")
        assert await _drafts(conn) == [("birch", "birch"), ("cedar", "alder")]
    assert await drafts.find(places["alder"], "k") is None


async def _drafts(conn: Connection) -> list[tuple[str, str]]:
    cursor = await conn.execute("SELECT org, body FROM draft ORDER BY org")
    return [(str(row[0]), str(row[1])) for row in await cursor.fetchall()]
