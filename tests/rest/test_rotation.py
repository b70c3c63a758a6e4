"""What the database keeps of secrets: nothing in the clear, and all of it by the new secret after a change."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pyotp
import pytest
from click.testing import CliRunner, Result
from psycopg import sql

from commonchart.access import users
from commonchart.access.people import factors
from commonchart.cli.secrets import secrets
from commonchart.exchange import rotation
from commonchart.exchange.outreach import mail
from commonchart.fhir.outcome import Invalid
from commonchart.record import sealed, site
from commonchart.record.database import Database
from commonchart.record.sealed import Keys
from commonchart.settings import load
from tests.conftest import Clock
from tests.rest.test_subscriptions import House, hook, house, lab, subscription  # noqa: F401 - fixtures

SMTP = "smtp://user:tulip-9@mail.example:587"
TOKEN = "Bearer hyacinth-7"


async def everything(database: Database) -> str:
    """All rows of all tables as text."""
    async with database.single() as conn:
        tables = await conn.fetch("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace")  # fmt: skip
        out = []
        for (name,) in tables:
            cursor = await conn.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name)))
            out += [row[0] for row in await cursor.fetchall()]
    return "\n".join(out)


async def test_no_secret_lies_in_the_clear_and_a_change_seals_all_anew(
    house: House,  # noqa: F811
    clock: Clock,
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COMMONCHART_DATA", str(tmp_path))
    settings, database = load({}, data_dir=tmp_path), house.database
    sage = await users.create(
        database, tenant=1, login="sage", name="Sage", role="nurse", org="o", now=clock()
    )
    actor = users.actor(sage, "web")
    async with database.single() as conn:
        await site.put(conn, 1, site.SMTP, SMTP)
    await house.subscribe(channel={"header": [f"Authorization: {TOKEN}"]})
    assert "tulip-9" in await everything(database)

    database.keys = Keys(settings.secret_file)
    begun = await factors.begin(database, settings.secret, actor, "sage", clock())
    codes = await factors.confirm(
        database, settings.secret, actor, pyotp.TOTP(begun.key).at(clock()), clock()
    )
    await rotation.begun(database, database.keys)
    kept = await everything(database)
    for secret in ("tulip-9", "hyacinth-7", begun.key, codes[0], settings.secret.hex()):
        assert secret not in kept
    await house.put(lab("ada", "o1"))
    await house.work()
    assert f"authorization: {TOKEN}".lower() in house.hook.heads[-1].lower()
    async with database.single() as conn:
        assert (await mail.server_of(conn, 1)).url == SMTP

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, secrets, [*words])

    first = await run("rotate")
    assert "run this once more" in first.output, first.output
    assert (await run("rotate")).exit_code == 1
    both = load({}, data_dir=tmp_path)
    assert (len(sealed.ring(both.secret)), settings.secret_file.stat().st_mode & 0o777) == (2, 0o600)
    await rotation.begun(database, database.keys)
    second = await run("rotate")
    assert "10 recovery codes rest on the old secret" in second.output, second.output
    async with database.connection() as conn:
        assert await factors.verify(conn, both.secret, sage.id, codes[0], clock()) == "recovery"
    third = await run("rotate", "--finish")
    assert third.exit_code == 0, third.output
    now = load({}, data_dir=tmp_path)
    assert now.secret == both.secret[:32] != settings.secret
    clock.advance(minutes=2)
    async with database.connection() as conn:
        assert (await mail.server_of(conn, 1)).url == SMTP
        assert (
            await factors.verify(conn, now.secret, sage.id, pyotp.TOTP(begun.key).at(clock()), clock())
            == "totp"
        )
        assert await factors.verify(conn, now.secret, sage.id, codes[1], clock()) == ""
    await house.put(lab("ada", "o2"))
    await house.work()
    assert f"authorization: {TOKEN}".lower() in house.hook.heads[-1].lower()
    assert (await rotation.renew(database, database.keys)).lost == 0


async def test_a_sealed_header_is_good_for_its_endpoint_only(house: House, tmp_path: Path) -> None:  # noqa: F811
    house.database.keys = Keys(load({}, data_dir=tmp_path).secret_file)
    await house.subscribe(channel={"header": [f"Authorization: {TOKEN}"]})
    seen = (await house.client.get("/fhir/Subscription/s1")).json()
    (given,) = seen["channel"]["header"]
    assert given.startswith("Authorization: sealed:")
    assert (await house.client.put("/fhir/Subscription/s1", json=seen)).status_code == 200
    moved = json.loads(json.dumps(seen).replace("/hook", "/mine")) | {"id": "s2"}
    answer = await house.client.put("/fhir/Subscription/s2", json=moved)
    assert answer.status_code == 422
    assert "sealed for another endpoint" in answer.text
    renamed = subscription(house.hook.url, channel={"header": [given.replace("Authorization", "X-Echo")]}) | {"id": "s3"}  # fmt: skip
    assert (await house.client.put("/fhir/Subscription/s3", json=renamed)).status_code == 422


async def test_a_setting_of_another_installation_is_said_to_be_lost(
    database: Database, tmp_path: Path
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    database.keys = Keys(load({}, data_dir=tmp_path / "one").secret_file)
    async with database.single() as conn:
        await site.put(conn, 1, site.SMTP, SMTP)
    other = Keys(load({}, data_dir=tmp_path / "other").secret_file)
    assert (await rotation.renew(database, other)).lost == 1
    database.keys = other
    async with database.single() as conn:
        with pytest.raises(Invalid):
            await mail.server_of(conn, 1)
