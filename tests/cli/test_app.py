"""`commonchart app` and `commonchart tls dev`, in one folder without a database where that is enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commonchart.cli import app as commands
from commonchart.cli.app import app
from commonchart.cli.tls import tls
from commonchart.settings import load


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
