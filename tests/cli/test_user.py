"""`commonchart user`: from an invitation to the end of an account and back, without a page."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commonchart.access import signin
from commonchart.access.people import links
from commonchart.cli.user import user
from commonchart.fhir.outcome import Refused
from commonchart.record.database import Database

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
