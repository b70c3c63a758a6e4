"""`commonchart v2`: messages in from files, a patient's doses out, as people run them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commonchart.cli.v2 import v2
from commonchart.exchange.v2.message import parse
from tests.exchange.v2.samples import dose, message, pid


@pytest.fixture(autouse=True)
def _database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)


def run(*words: str) -> Result:
    return CliRunner().invoke(v2, words)


def test_in_twice_and_out_again(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    file = tmp_path / "a.hl7"
    file.write_bytes((message(pid(), *dose()) + message(kind="ADT^A01", id="m2")).encode())
    first = run("take", str(file), *data)
    assert first.exit_code == 1
    assert "2 messages: 1 accepted, 1 refused; resources: 2 created, 0 changed, 0 unchanged" in first.stderr
    assert "MSA|AA|m1" in first.stdout
    assert "MSA|AR|m2" in first.stdout
    file.write_bytes(message(pid(), *dose()).encode())
    again = run("take", str(file), *data)
    assert again.exit_code == 0
    assert "0 created, 0 changed, 1 unchanged" in again.stderr
    out = run("vxu", "77", "--to-application", "REG", "--facility", "CLINIC", *data)
    assert out.exit_code == 0
    sent = parse(out.stdout)
    assert sent.kind == ("VXU", "V04")
    assert (sent.header.text(4), sent.header.text(5)) == ("CLINIC", "REG")
    assert [one.name for one in sent.segments] == ["MSH", "PID", "ORC", "RXA"]
    file.write_bytes(message(pid(), *dose(action="D"), id="m3").encode())
    assert run("take", str(file), *data).exit_code == 0
    assert [one.name for one in parse(run("vxu", "77", *data).stdout).segments] == ["MSH", "PID"]
    gone = parse(run("vxu", "77", "--retracted", *data).stdout).first("RXA")
    assert gone is not None
    assert gone.text(21) == "D"
