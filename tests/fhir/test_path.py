"""FHIRPath from its specification: algebra, precision, boundaries, bounds, and the rules of R4."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.cli.check_fhirpath import cases, run
from commonchart.fhir.definitions import r4
from commonchart.fhir.json import decode
from commonchart.fhir.outcome import Invalid, Malformed, Refused, TooCostly
from commonchart.fhir.path.engine import compile, compiled, evaluate, invariant
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.moments import compared, moment
from commonchart.fhir.path.nodes import root
from tests.shared import shared_data

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ADA: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "ada",
    "gender": "female",
    "birthDate": "1815-12-10",
    "_birthDate": {"extension": [{"url": "urn:time", "valueDateTime": "1815-12-10T04:00:00Z"}]},
    "name": [{"use": "official", "family": "King", "given": ["Ada", "Augusta"]}, {"given": ["Ada"]}],
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Engine"}],
    "managingOrganization": {"reference": "#o"},
}


def asked(expression: str, **surroundings: Any) -> list[Any]:
    environment = Environment(ADA, now=NOW, strict=True, **surroundings)
    return [value for value, _, _ in evaluate(expression, root(ADA), environment)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("name.given.distinct().join('+')", ["Ada+Augusta"]),
        ("name.select($index)", [0, 1]),
        ("name.where($index = 1).given", ["Ada"]),
        ("name.given.aggregate($total & $this, '>')", [">AdaAugustaAda"]),
        ("(1 | 2 | 3).aggregate($total + $this, 0)", [6]),
        ("birthDate.extension('urn:time').value.exists()", [True]),
        ("managingOrganization.resolve().name", ["Engine"]),
        ("gender is string and (gender is id).not()", [True]),
        ("'a,b'.split(',').last()", ["b"]),
        ("'\\u0041\\''", ["A'"]),
        ("7 div 2 + -7 mod 2", [2]),
        ("(-7) div 2", [-3]),
        ("1 / 0", []),
        ("2147483647 * 9223372036854775807", []),
        ("@2020-02-29 + 1 year = @2021-02-28", [True]),
        ("@2020-01-31 + 1 month = @2020-02-29", [True]),
        ("@T23:30 + 45 minutes = @T00:15", [True]),
        ("@2020 + 25 months = @2022", [True]),
        ("@2020-05 < @2020-05-01", []),
        ("@2020-05-01T10:00Z = @2020-05-01T12:00+02:00", [True]),
        ("1 year = 12 months", [True]),
        ("1 'a' = 1 year", []),
        ("1000 'mg' = 1 'g' and 1 'g' ~ 1.0 'g'", [True]),
        ("1 'm' = 1 'kg'", []),
        ("1 'nonsense' = 1 'rubbish'", []),
        ("37 'Cel' > 98 '[degF]'", [True]),
        ("now() - 1 day < now()", [True]),
        ("today() = @2026-03-04 and timeOfDay() = @T05:06:07.000", [True]),
        ("'Ada Lovelace'.replaceMatches('(\\\\w+) (\\\\w+)', '$2 $1')", ["Lovelace Ada"]),
        ("defineVariable('n', name.count()).select(%n + 1)", [3]),
        ("iif(name.count() > 5, 1 / 0, 'few')", ["few"]),
        ("'b'.replace(defineVariable('x', 'b').select(%x), defineVariable('x', 'c').select(%x))", ["c"]),
        ("name.repeat(defineVariable('x', given).select(%x)).count()", [2]),
        ("name.repeatAll(given)", ["Ada", "Augusta", "Ada"]),
        ("(@T09:05 + 2 hours).toString()", ["11:05"]),
        ("(@T09:05:07 + 2 hours).toString()", ["11:05:07"]),
        ("(@T09:05:07.120 - 10 hours).toString()", ["23:05:07.120"]),
        ("'2020-02-29T01:02:03Z'.toDateTime().toString()", ["2020-02-29T01:02:03Z"]),
        ("(@2020-03-31 - 1 'month').toString()", ["2020-02-29"]),
        ("$this.is(System.Patient)", [False]),
        ("2147483647 + 1", []),
        ("'2147483648'.toInteger()", []),
        ("'2147483648'.convertsToInteger()", [False]),
        ("%resource.id = %context.id", [True]),
        ("'x'.toInteger()", []),
        ("'-12'.toInteger()", [-12]),
        ("name.repeat(given)", ["Ada", "Augusta"]),
        ("gender.type().name & gender.type().namespace", ["codeFHIR"]),
        ("(3 | 1 | 2).sort(-$this).first()", [3]),
        ("'YQ=='.decode('base64') & 'a'.encode('hex')", ["a61"]),
        ("true xor {}", []),
        ("{} implies true", [True]),
        ("Patient.name.first().family.hasValue()", [True]),
    ],
)
def test_what_expressions_mean(expression: str, expected: list[Any]) -> None:
    assert asked(expression) == expected


@pytest.mark.parametrize(
    "expression",
    ["name.single()", "'a' + 1", "1 < 'a'", "name.as(HumanName)", "-'a'", "%nobody", "name.given.upper()"],
)
def test_what_evaluation_refuses(expression: str) -> None:
    with pytest.raises(Invalid):
        asked(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "1 +",
        "name.",
        "nobody()",
        "name.where()",
        "gender is Nonsense",
        "@2020-13-01",
        "'open",
        "1 1",
        "(1",
    ],
)
def test_what_is_not_the_language(expression: str) -> None:
    with pytest.raises(Malformed):
        compiled(expression)


@pytest.mark.parametrize(
    "expression", ["nose", "Observation.status", "name.children().first()", "name.period.upper()"]
)
def test_names_that_a_type_does_not_have(expression: str) -> None:
    with pytest.raises(Malformed):
        evaluate(expression, root(ADA), Environment(ADA), checked=True, ordered=True)


def test_no_expression_hangs() -> None:
    costly = "%resource.descendants()"
    for _ in range(8):
        costly = f"%resource.descendants().select({costly})"
    with pytest.raises(TooCostly):
        asked(costly)
    with pytest.raises(TooCostly):
        asked("(1|2|3|4|5|6|7|8|9).select((1|2|3).aggregate($total & $total & 'x', 'y'))", max_steps=20)
    doubled = ".select($this & $this)" * 60
    with pytest.raises((TooCostly, Malformed)):
        asked(f"'a'{doubled}")
    with pytest.raises(Malformed):
        compiled("(" * 5_000 + "1" + ")" * 5_000)
    assert asked(f"'{'a' * 5_000}'.matches('(a+)+$b')") == [False]


@given(st.text(alphabet="()[]{}.,'\"`%@$ab1 +-*/|&<>=~!isandor\\T:Z\n", max_size=40))
def test_the_parser_refuses_and_never_breaks(text: str) -> None:
    with contextlib.suppress(Refused):
        asked(text)


TRUTHS = st.sampled_from(["true", "false", "{}"])


@given(TRUTHS, TRUTHS)
def test_logic_keeps_de_morgan_and_implication(a: str, b: str) -> None:
    assert asked(f"({a} and {b}).not()") == asked(f"{a}.not() or {b}.not()")
    assert asked(f"{a} and {b}") == asked(f"{b} and {a}")
    assert asked(f"{a} implies {b}") == asked(f"{a}.not() or {b}")


@given(st.decimals(-1000, 1000, places=3))
def test_boundaries_enclose_their_value(value: Decimal) -> None:
    [low], [high] = asked(f"({value:f}).lowBoundary()"), asked(f"({value:f}).highBoundary()")
    assert low < value < high
    assert high - low == Decimal("0.001")


@given(st.dates(), st.integers(1, 3), st.dates(), st.integers(1, 3))
def test_the_order_of_partial_dates_has_two_sides(a: Any, known_a: int, b: Any, known_b: int) -> None:
    x, y = moment(a.isoformat()[: known_a * 3 + 1]), moment(b.isoformat()[: known_b * 3 + 1])
    assert x is not None
    assert y is not None
    one, other = compared(x, y), compared(y, x)
    assert one == (None if other is None else -other)


def test_every_rule_and_search_parameter_of_r4_compiles() -> None:
    table = r4()._table["types"]
    rules = {text for held in table.values() for _, _, text in held["rules"]}
    rules |= {
        text
        for held in table.values()
        for e in held["elements"].values()
        for _, _, text in e.get("rules", ())
    }
    assert len(rules) > 190
    for rule in rules:
        invariant(rule)
    for parameter in r4().parameters:
        if parameter.expression:
            compile(parameter.expression)


def test_every_rule_can_be_asked_of_the_published_examples() -> None:
    files = sorted(shared_data("r4-examples").glob("*.json"))
    held = 0
    for file in files:
        resource = decode(file.read_bytes())
        chain = resource["resourceType"]
        while chain:
            for _, _, rule in r4().rules(chain):
                held += invariant(rule)(root(resource), Environment(resource)) is not False
            chain = r4().bases.get(chain, "")
    assert len(files) == 72
    assert held > 400


def test_the_published_suite() -> None:
    folder = shared_data("fhirpath")
    results = list(run(folder / "tests-fhir-r4.xml", folder / "inputs", NOW))
    assert [(name, why) for name, good, why in results if not good] == []
    assert len(results) > 440


def test_a_suite_with_entities_is_refused() -> None:
    with pytest.raises(Malformed):
        cases(b'<!DOCTYPE tests [<!ENTITY a "b">]><tests><group name="g">&a;</group></tests>')


@pytest.mark.parametrize(
    "expression",
    [
        "1" + " + 1" * 2000,
        "1" + ".toString()" * 500,
        "name" + "[0]" * 500,
        "-" * 3000 + "1",
        "9" * 5000,
        "(" * 4000,
    ],
    ids=["sum", "calls", "indexes", "signs", "digits", "brackets"],
)
def test_a_chain_too_long_is_refused_and_never_overflows(expression: str) -> None:
    with pytest.raises(Malformed):
        asked(expression)
    with pytest.raises(Malformed):
        compiled(expression)


@pytest.mark.parametrize("expression", ["(1).repeat($this + 1)", "(1).repeatAll($this)"])
def test_what_repeats_for_ever_is_stopped(expression: str) -> None:
    with pytest.raises(TooCostly):
        asked(expression)
