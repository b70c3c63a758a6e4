"""`commonchart app` and `commonchart tls dev`, in one folder without a database where that is enough."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from commonchart.access.developers import keeping
from commonchart.access.oauth import apps
from commonchart.cli import app as commands
from commonchart.cli.app import app
from commonchart.cli.tls import tls
from commonchart.fhir.outcome import Conflict, NotFound
from commonchart.record.database import Database
from commonchart.settings import load
from tests.developers import APP, DEE, registered
from tests.smart import ROOT


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COMMONCHART_DATA", str(tmp_path))

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, [*words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_an_app_is_registered_listed_approved_disabled(run: Any) -> None:
    said = run(
        "register",
        "Growth",
        "--kind",
        "secret",
        "--redirect",
        "https://growth.example/cb",
        "--scopes",
        "launch patient/*.rs",
    )
    id, secret = (line.split()[1] for line in said.splitlines())
    assert len(secret) > 30
    assert f"{id}  waiting" in run("list")
    run("approve", id)
    assert f"{id}  approved" in run("list")
    assert run("secret", id).strip() != secret
    run("disable", id)
    listed = run("list")
    assert f"{id}  disabled" in listed
    assert secret not in listed


async def _asked(database_url: str, typed: dict[str, Any] | None = None, id: str = "") -> str:
    """A developer's approved app; or, with what was typed, the change that they ask for."""
    database = await Database.open(database_url, size=1)
    now = datetime.now(UTC)
    try:
        if typed is not None:
            await keeping.change(database, DEE, id, replace(APP, **typed), now)
            return id
        id, _ = await registered(database, now)
        await apps.decide(database, ROOT, id, "approved", now)
        return id
    finally:
        await database.close()


def test_a_change_that_a_developer_asks_for_is_shown_and_decided(run: Any, database_url: str) -> None:
    assert run("changes") == "No change waits.\n"
    id = asyncio.run(_asked(database_url))
    wider = {"redirect_uris": (*APP.redirect_uris, "https://more.example/cb"), "about": "Draws more"}
    asyncio.run(_asked(database_url, wider, id))
    listed = run("changes")
    assert listed.startswith(f"{id}  change ")
    assert "Pressure diary (Birch Labs, dee@birch.example)" in listed
    number = listed.split()[2]
    shown = run("changes", id)
    assert "    + https://more.example/cb" in shown
    assert f"      {APP.redirect_uris[0]}" in shown
    assert "    - Draws blood pressure over the years.\n    + Draws more\n" in shown
    asyncio.run(_asked(database_url, wider | {"launch_url": "https://more.example/launch"}, id))
    with pytest.raises(Conflict, match="changed it since"):
        run("approve-change", id, number)
    number = run("changes", id).split()[2]
    unsaid = CliRunner().invoke(app, ["refuse-change", id, number])
    assert (unsaid.exit_code, "--reason" in unsaid.output) == (2, True)
    assert run("refuse-change", id, number, "--reason", "Too much") == "Refused.\n"
    assert run("changes") == "No change waits.\n"
    with pytest.raises(NotFound, match="No change of this app waits"):
        run("changes", id)
    asyncio.run(_asked(database_url, {"redirect_uris": wider["redirect_uris"]}, id))
    number = run("changes", id).split()[2]
    assert run("approve-change", id, number) == "Approved: it holds now.\n"
    assert run("changes") == "No change waits.\n"


def test_a_new_signing_key_goes_in_front_and_old_ones_stay(tmp_path: Path) -> None:
    before = load({}, data_dir=tmp_path).token_keys
    kept = (tmp_path / "token-keys.json").stat()
    assert kept.st_mode & 0o777 == 0o600
    kid = commands.rotate_token_key(tmp_path)
    after = load({}, data_dir=tmp_path).token_keys
    assert [key["kid"] for key in after] == [kid, before[0]["kid"]]
    for _ in range(6):
        commands.rotate_token_key(tmp_path)
    assert len(json.loads((tmp_path / "token-keys.json").read_text())["keys"]) == 5
    assert (tmp_path / "token-keys.json").stat().st_mode & 0o777 == 0o600


def test_a_development_certificate_prints_the_command(tmp_path: Path) -> None:
    done = CliRunner().invoke(tls, ["dev", "--data", str(tmp_path)], catch_exceptions=False)
    assert done.output == f"commonchart serve --tls {tmp_path}/tls-cert.pem {tmp_path}/tls-key.pem\n"
    assert b"BEGIN CERTIFICATE" in (tmp_path / "tls-cert.pem").read_bytes()
