"""`commonchart package`: added by path or by name from the site's registry, listed, removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from commonchart.cli import main
from tests.fhir.package import NEEDLE, profile, tgz


@pytest.fixture
def run(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COMMONCHART_DATA", str(tmp_path / "data"))
    return CliRunner()


def said(run: CliRunner, *words: str, code: int = 0) -> str:
    done = run.invoke(main, list(words))
    assert done.exit_code == code, done.output
    return done.output


def test_a_package_is_added_by_path_used_listed_and_removed(run: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "names.tgz"
    path.write_bytes(tgz(profile()))
    ada = tmp_path / "ada.json"
    ada.write_text(json.dumps({"resourceType": "Patient", "gender": "female"}))
    assert "hl7.fhir.us.core 6.1.0" in said(run, "package", "list")
    assert "NOT CHECKED" in said(run, "check", "validate", str(ada), "--profile", NEEDLE, code=1)
    assert "loaded: org.example.names 1.0.0: 1 profiles" in said(run, "package", "add", str(path))
    assert "unchanged: org.example.names" in said(run, "package", "add", str(path))
    assert "Patient.name is required" in said(run, "check", "validate", str(ada), "--profile", NEEDLE, code=1)
    assert "org.example.names 1.0.0" in said(run, "package", "list")
    assert "1 removed" in said(run, "package", "remove", "org.example.names@1.0.0")
    assert "org.example.names" not in said(run, "package", "list")
    assert "There is no such package" in said(run, "package", "remove", "org.example.names", code=1)


def test_a_name_is_looked_up_only_where_the_site_has_said(run: CliRunner, tmp_path: Path) -> None:
    unsaid = said(run, "package", "add", "org.example.names", code=1)
    assert "only where the site has named its registry" in unsaid
    for version in ("1.9.0", "1.10.0"):
        made = tgz(profile(version=version), version=version)
        (tmp_path / f"org.example.names-{version}.tgz").write_bytes(made)
    said(run, "site", "package_registry", tmp_path.as_uri())
    assert "loaded: org.example.names 1.10.0" in said(run, "package", "add", "org.example.names")
    assert "loaded: org.example.names 1.9.0" in said(run, "package", "add", "org.example.names@1.9.0")
    assert "There is no org.example.other" in said(run, "package", "add", "org.example.other", code=1)


@pytest.mark.parametrize("name", ["../x", "a/../../b", "Names", "n@", "n@../1", "n"])
def test_what_is_no_name_is_refused(run: CliRunner, tmp_path: Path, name: str) -> None:
    said(run, "site", "package_registry", tmp_path.as_uri())
    assert "no name of a package" in said(run, "package", "add", name, code=1)


def test_a_registry_in_a_private_network_is_not_called_unless_trusted(run: CliRunner) -> None:
    said(run, "site", "package_registry", "https://127.0.0.1:9")
    assert "loaded" not in said(run, "package", "add", "org.example.names", code=1)
    assert "Say https" in said(run, "site", "package_registry", "ftp://x", code=1)
