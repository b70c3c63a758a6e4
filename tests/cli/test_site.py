"""`commonchart site`: what may be decided, what is refused, and that no password is shown again."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commonchart.cli.site import site


@pytest.fixture
def say(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("DATABASE_URL", database_url)

    def said(*words: str) -> Result:
        return CliRunner().invoke(site, [*words, "--data", str(tmp_path)])

    return said


def test_a_decision_is_kept_and_taken_back(say) -> None:  # type: ignore[no-untyped-def]
    assert "not said" in say("egress_origins").output
    assert say("egress_origins", "http://10.0.0.5:8080 https://hooks.example").exit_code == 0
    assert "http://10.0.0.5:8080" in say().output
    assert "not said" in say("egress_origins", "").output


def test_a_password_is_not_shown_again(say) -> None:  # type: ignore[no-untyped-def]
    found = say("smtp_url", "smtp://me:hush@mail.example:587").output
    assert "mail.example" in found
    assert "hush" not in found


@pytest.mark.parametrize(
    ("name", "value"),
    [("egress_origins", "ftp://x"), ("egress_origins", "https://u@x.example"), ("egress_only", "perhaps"),
     ("export_hours", "0"), ("export_hours", "x"), ("smtp_url", "http://x"), ("smtp_from", "nobody"),
     ("time_zone", "Mars/Olympus"), ("outreach_hours", "9-5"), ("outreach_gap_days", "0"), ("smtp_tls", "no"),
     ("smtp_password_file", "here"), ("outreach_sms_url", "ftp://x"), ("outreach_language", "English"), ("digest_at", "7")],
)  # fmt: skip
def test_what_cannot_be_decided(say, name: str, value: str) -> None:  # type: ignore[no-untyped-def]
    assert say(name, value).exit_code == 1
    assert "not said" in say(name).output
