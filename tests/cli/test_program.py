from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from commonchart import cli
from commonchart.fhir.outcome import Invalid, Issue


def said_by(command: click.Command, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr(cli.Program, "get_command", lambda *_: command)
    result = CliRunner().invoke(cli.main, ["anything"])
    return result.exit_code, result.stderr


def test_a_refusal_is_its_messages_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def refuses() -> None:
        raise Invalid(issues=[Issue("invalid", "is missing", "Patient.name"), Issue("invalid", "and this")])

    assert said_by(refuses, monkeypatch) == (1, "commonchart: Patient.name: is missing\n  and this\n")


def test_a_bug_says_where_and_not_with_what(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def breaks() -> None:
        raise KeyError("Ada Lovelace")

    code, said = said_by(breaks, monkeypatch)
    assert code == 1
    assert "KeyError in breaks" in said
    assert "Ada" not in said


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def opens() -> None:
        Path("/nowhere/at/all").read_bytes()

    assert said_by(opens, monkeypatch) == (1, "commonchart: No such file or directory: /nowhere/at/all\n")


def test_the_version_and_a_wrong_command() -> None:
    runner = CliRunner()
    assert runner.invoke(cli.main, ["--version"]).output.startswith("commonchart 0.")
    assert runner.invoke(cli.main, ["no-such-command"]).exit_code == 2


@pytest.mark.parametrize("name", sorted(cli.LAZY))
def test_every_command_has_help_and_a_data_folder(name: str) -> None:
    result = CliRunner().invoke(cli.main, [name, "--help"])
    assert result.exit_code == 0
    assert "--data" in result.output or "COMMAND" in result.output or name == "check"


def test_the_frame_alone_imports_no_command() -> None:
    program = "import sys, commonchart.cli; print([m for m in sys.modules if m.startswith('commonchart.')])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "commonchart.fhir.outcome" in said
    assert "commonchart.record" not in said
