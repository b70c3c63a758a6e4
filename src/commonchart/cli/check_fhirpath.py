"""The official FHIRPath suite's format (tests-fhir-r4.xml of https://github.com/HL7/fhir-test-cases), run here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from xml.parsers import expat

import click
from msgspec import Struct

from commonchart.fhir.json import decode
from commonchart.fhir.outcome import Malformed, Refused
from commonchart.fhir.path.conversion import shown
from commonchart.fhir.path.engine import evaluate
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.nodes import Collection, root, truth
from commonchart.fhir.path.values import plain

MAX_SUITE = 16_000_000
Result = tuple[str, bool, str]


class Case(Struct):
    """One test as the file has it."""

    group: str
    attributes: dict[str, str]
    expression: str = ""
    invalid: str = ""
    outputs: list[tuple[str, str]] = []

    @property
    def name(self) -> str:
        """Group and test."""
        return f"{self.group}/{self.attributes.get('name', '')}"


def cases(document: bytes) -> list[Case]:
    """Every test of a suite file. Raises Malformed for what is no XML, or has a document type or entities."""
    if len(document) > MAX_SUITE:
        raise Malformed(f"A suite has at most {MAX_SUITE} bytes")
    reader = _Reader()
    try:
        reader.parser.Parse(document, True)
    except expat.ExpatError as error:
        raise Malformed(f"This is no XML: {expat.ErrorString(error.code)} at line {error.lineno}") from None
    return reader.found


class _Reader:
    """Expat with every declaration refused."""

    def __init__(self) -> None:
        self.found: list[Case] = []
        self._group = ""
        self._type = ""
        self._words: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._words.append
        self.parser.StartDoctypeDeclHandler = _refuse
        self.parser.EntityDeclHandler = _refuse
        self.parser.ExternalEntityRefHandler = _refuse

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._words.clear()
        if tag == "group":
            self._group = attributes.get("name", "")
        elif tag == "test":
            self.found.append(Case(self._group, attributes))
        elif tag == "expression" and self.found:
            self.found[-1].invalid = attributes.get("invalid", "")
        elif tag == "output":
            self._type = attributes.get("type", "")

    def _end(self, tag: str) -> None:
        words = "".join(self._words)
        if tag == "expression" and self.found:
            self.found[-1].expression = words
        elif tag == "output" and self.found:
            self.found[-1].outputs.append((self._type, words))
        self._words.clear()


def _refuse(*declared: Any) -> int:
    raise Malformed("A suite has no document type and no entities")


def run(suite: Path, inputs: Path, now: datetime) -> Iterator[Result]:
    """Name, verdict and, for a failure, what was expected and what came."""
    held: dict[str, dict[str, Any] | None] = {}
    for case in cases(suite.read_bytes()):
        named = case.attributes.get("inputfile", "")
        if named not in held:
            held[named] = _input(inputs, named)
        resource = held[named]
        if named and resource is None:
            yield case.name, False, f"the input {named} is not there"
            continue
        yield verdict(case, resource, now)


def _input(inputs: Path, named: str) -> dict[str, Any] | None:
    if not named:
        return None
    path = inputs / Path(named).with_suffix(".json").name
    return decode(path.read_bytes()) if path.is_file() else None


def verdict(case: Case, resource: dict[str, Any] | None, now: datetime) -> Result:
    """Whether one test passes: refused where it is marked invalid, else its outputs in order."""
    expected = f"an error ({case.invalid})" if case.invalid else _listed(case.outputs)
    try:
        got = _evaluated(case, resource, now)
    except Refused as refused:
        return case.name, bool(case.invalid), "" if case.invalid else f"expected {expected}, got: {refused}"
    if case.invalid:
        return case.name, False, f"{case.expression.strip()}: expected {expected}, got {_listed(got)}"
    if _agree(case, got):
        return case.name, True, ""
    return case.name, False, f"{case.expression.strip()}: expected {expected}, got {_listed(got)}"


def _evaluated(case: Case, resource: dict[str, Any] | None, now: datetime) -> list[tuple[str, str]]:
    focus: Collection = [] if resource is None else root(resource)
    environment = Environment(resource, now=now, strict=True)
    ordered = case.attributes.get("checkOrderedFunctions") == "true"
    nodes = evaluate(case.expression, focus, environment, checked=True, ordered=ordered)
    if case.attributes.get("predicate") == "true":
        return [("boolean", "true" if _predicate(nodes) else "false")]
    return [_output(node) for node in nodes]


def _predicate(nodes: Collection) -> bool:
    return truth(nodes) is True if len(nodes) == 1 else bool(nodes)


def _output(node: tuple[Any, str, Any]) -> tuple[str, str]:
    value = plain(node)
    space, _, name = node[1].rpartition(".")
    kind = name[0].lower() + name[1:] if space == "System" and name != "Quantity" else node[1].split(".")[-1]
    return kind, shown(value) or ""


def _listed(outputs: list[tuple[str, str]]) -> str:
    return "; ".join(f"{kind} {text}".strip() for kind, text in outputs) or "nothing"


def _agree(case: Case, got: list[tuple[str, str]]) -> bool:
    if len(got) != len(case.outputs):
        return False
    if case.attributes.get("ordered") == "false":
        rest = list(got)
        for wanted in case.outputs:
            at = next((i for i, one in enumerate(rest) if _same(wanted, one)), None)
            if at is None:
                return False
            rest.pop(at)
        return True
    return all(_same(wanted, one) for wanted, one in zip(case.outputs, got, strict=True))


def _same(wanted: tuple[str, str], got: tuple[str, str]) -> bool:
    kind, text = wanted
    if kind and kind != got[0]:
        return False
    if not text and got[0][:1].isupper() and got[0] != "Quantity":
        return True  # an element is expected by its type alone
    if kind in ("decimal", "integer"):
        return _number(text) == _number(got[1])
    if got[0] in ("date", "dateTime", "instant", "time"):
        return text.strip().removeprefix("@").removeprefix("T") == got[1].removeprefix("T")
    return text == got[1]


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        return None


def results(paths: tuple[Path, ...], inputs: Path | None) -> Iterator[Result]:
    """The suites at these paths; their inputs in `inputs`, else in the directory `inputs` beside each."""
    for suite in paths:
        if not suite.is_file():
            raise click.BadParameter(f"there is no file {suite}")
        yield from run(suite, inputs or suite.parent / "inputs", datetime.now(UTC))
