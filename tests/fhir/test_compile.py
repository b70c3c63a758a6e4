"""The compiler of the definitions (packaging/definitions.py), on a package of a few lines made here."""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging/definitions.py"
SYSTEM, OTHER, PARTIAL = (
    "http://example.org/colours",
    "http://example.org/shapes",
    "http://example.org/partial",
)


@pytest.fixture(scope="module")
def compiler() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compile_definitions", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def value_set(
    name: str, *include: dict[str, Any], exclude: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    compose = {"include": list(include), "exclude": list(exclude)}
    return {"resourceType": "ValueSet", "url": f"http://example.org/vs/{name}", "compose": compose}


def concept(code: str, *below: dict[str, Any], **properties: str) -> dict[str, Any]:
    found = [{"code": key, "valueCode": value} for key, value in properties.items()]
    return {"code": code, "concept": list(below), "property": found}


PACKAGE: dict[str, list[dict[str, Any]]] = {
    "CodeSystem": [
        {
            "url": SYSTEM,
            "content": "complete",
            "concept": [
                concept("warm", concept("red", concept("crimson")), concept("orange")),
                concept("cold", concept("blue", kind="sea")),
                concept("violet", subsumedBy="red"),
            ],
        },
        {"url": OTHER, "content": "complete", "concept": [concept("round"), concept("square")]},
        {"url": PARTIAL, "content": "fragment", "concept": [concept("one")]},
    ],
    "ValueSet": [
        value_set("all", {"system": SYSTEM}),
        value_set("two", {"system": SYSTEM, "concept": [{"code": "red"}]}, {"system": OTHER}),
        value_set(
            "warm", {"system": SYSTEM, "filter": [{"property": "concept", "op": "is-a", "value": "warm"}]}
        ),
        value_set(
            "below",
            {"system": SYSTEM, "filter": [{"property": "concept", "op": "descendent-of", "value": "red"}]},
        ),
        value_set(
            "not", {"system": SYSTEM, "filter": [{"property": "concept", "op": "is-not-a", "value": "warm"}]}
        ),
        value_set("sea", {"system": SYSTEM, "filter": [{"property": "kind", "op": "=", "value": "sea"}]}),
        value_set("odd", {"system": SYSTEM, "filter": [{"property": "code", "op": "regex", "value": "x"}]}),
        value_set("less", {"system": SYSTEM}, exclude=({"system": SYSTEM, "concept": [{"code": "blue"}]},)),
        value_set("both", {"valueSet": ["http://example.org/vs/warm", "http://example.org/vs/two|1"]}),
        value_set("partial", {"system": PARTIAL}),
        value_set("outside", {"system": "http://elsewhere.example.org"}),
        value_set("circle", {"valueSet": ["http://example.org/vs/circle"]}),
    ],
}


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("all", {SYSTEM: {"warm", "red", "crimson", "orange", "cold", "blue", "violet"}}),
        ("two", {SYSTEM: {"red"}, OTHER: {"round", "square"}}),
        ("warm", {SYSTEM: {"warm", "red", "crimson", "orange", "violet"}}),
        ("below", {SYSTEM: {"crimson", "violet"}}),
        ("not", {SYSTEM: {"cold", "blue"}}),
        ("sea", {SYSTEM: {"blue"}}),
        ("less", {SYSTEM: {"warm", "red", "crimson", "orange", "cold", "violet"}}),
        ("both", {SYSTEM: {"red"}}),
    ],
)
def test_a_value_set_expands(compiler: ModuleType, name: str, codes: dict[str, set[str]]) -> None:
    assert compiler.Expander(PACKAGE).expand(f"http://example.org/vs/{name}") == codes


@pytest.mark.parametrize("name", ["partial", "outside", "odd", "circle", "unknown"])
def test_what_is_not_known_whole_does_not_expand(compiler: ModuleType, name: str) -> None:
    with pytest.raises(LookupError):
        compiler.Expander(PACKAGE).expand(f"http://example.org/vs/{name}")
    assert compiler.value_sets(PACKAGE, {f"http://example.org/vs/{name}"}) == (
        {},
        [f"http://example.org/vs/{name}"],
    )


def test_a_wrong_package_is_refused(
    compiler: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / compiler.INSIDE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    monkeypatch.setattr(compiler.subprocess, "run", lambda words: CompletedProcess(words, 0))
    with pytest.raises(SystemExit, match="sha256"):
        compiler.fetch(tmp_path)


def test_a_package_that_cannot_be_fetched_is_told(
    compiler: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler.subprocess, "run", lambda words: CompletedProcess(words, 2))
    with pytest.raises(SystemExit, match="could not be fetched"):
        compiler.fetch(tmp_path)


def test_only_the_resources_of_the_package_are_read(compiler: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("package/ValueSet-x.json", "package/package.json", "package/other/ValueSet-y.json"):
            data = json.dumps({"resourceType": "ValueSet", "id": name}).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    assert compiler.read(path) == {
        "ValueSet": [{"resourceType": "ValueSet", "id": "package/ValueSet-x.json"}]
    }


def test_it_is_made_again_when_the_script_changes(compiler: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "r4.bin"
    assert not compiler.up_to_date(out)
    out.write_bytes(b"x")
    assert not compiler.up_to_date(out)
    out.with_suffix(".stamp").write_text(compiler.FORMAT)
    assert compiler.up_to_date(out)
    out.with_suffix(".stamp").write_text("earlier")
    assert not compiler.up_to_date(out)
