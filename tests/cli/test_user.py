"""`commonchart user`: from an invitation to the end of an account and back, without a page."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commonchart.access import signin
from commonchart.access.people import links, memberships
from commonchart.access.records import Records
from commonchart.cli.user import user
from commonchart.fhir.outcome import Refused
from commonchart.record import store
from commonchart.record.database import Database
from commonchart.record.rows import Stamp, Write
from commonchart.search.index import extract
from tests.conftest import Clock
from tests.joining import asked, enrolled, session_of

PASSWORD = "seven green bicycles"


def test_an_account_from_its_invitation_to_its_end_and_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COMMONCHART_DATA", str(tmp_path))

    def run(*words: str) -> Any:
        return CliRunner().invoke(user, [*words])

    def link(*words: str) -> str:
        done = run(*words)
        assert done.exit_code == 0, done.output
        return str(done.stdout.strip().rpartition("/welcome/")[2])

    async def use(token: str) -> None:
        database = await Database.open(database_url)
        await links.accept(database, token, PASSWORD, datetime.now(UTC))
        await signin.sign_in(database, "ada", PASSWORD, datetime.now(UTC))
        await database.close()

    invited = link("invite", "ada", "--name", "Ada", "--role", "nurse", "--organization", "alder")
    asyncio.run(use(invited))
    with pytest.raises(Refused):
        asyncio.run(use(invited))
    asyncio.run(use(link("reset", "ada")))
    assert run("deactivate", "ada").exit_code == 0
    assert "ended" in run("list").output
    with pytest.raises(Refused):
        asyncio.run(use(invited))
    assert run("reset", "ada").exception is not None
    asyncio.run(use(link("reactivate", "ada")))
    assert "ended" not in run("list").output


def test_somebody_works_for_two_organizations_and_then_for_one(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: Clock
) -> None:
    """Asked, yes said, both in the list; what is the person's own is changed here; one ends, and the other goes on."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COMMONCHART_DATA", str(tmp_path))
    monkeypatch.setenv("COMMONCHART_PASSWORD", PASSWORD)

    def run(*words: str) -> Any:
        done = CliRunner().invoke(user, [*words])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    async def organized() -> None:
        database = await Database.open(database_url)
        async with database.connection() as conn:
            body = {"resourceType": "Organization", "id": "birch"}
            await store.write(conn, Stamp(1, "birch", "load", clock()), [Write("Organization", "birch", body, extract("Organization", body))])  # fmt: skip
        await database.close()

    async def joined(word: str) -> None:
        database = await Database.open(database_url)
        session = await session_of(database, clock, "ada", await enrolled(database, clock, "ada"), PASSWORD)
        place = await asked(database, "ada", "birch")
        await memberships.accept(Records(database, session.actor, clock), place, session.token, word)
        await database.close()

    asyncio.run(organized())
    run("create", "ada", "--name", "Ada", "--role", "nurse", "--organization", "alder")
    assert (
        CliRunner().invoke(user, ["ask", "ada", "--role", "nurse", "--organization", "nowhere"]).exit_code
        != 0
    )
    word = run("ask", "ada", "--role", "clinician", "--organization", "birch")
    assert "birch" not in run("list")
    asyncio.run(joined(word))
    assert [line.split() for line in run("list").splitlines()] == [
        ["ada", "nurse", "alder"],
        ["ada", "clinician", "birch"],
    ]
    run("change", "ada", "--email", "ada@own.example", "--name", "Ada B")
    run("end-membership", "ada", "--organization", "alder")
    assert [line.split() for line in run("list").splitlines()] == [["ada", "clinician"]]
    assert CliRunner().invoke(user, ["end-membership", "ada", "--organization", "alder"]).exit_code != 0
    run("end-membership", "ada", "--organization", "birch")
    assert "ended" in run("list")
