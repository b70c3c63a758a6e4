"""What a Consent says, read or not: whatever cannot be told of it denies, and is never left out. https://hl7.org/fhir/R4/consent.html."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.access.consent import UNREADABLE_DEPTH, Asking, Row, Rule, fits, purposes_of, read
from commonchart.fhir.dates import bounds
from tests.access.test_sharing import actor_in, consent
from tests.conftest import Clock

DENY = {"type": "deny"}
BIRCH = [actor_in("Organization/birch")]
CODED = {"coding": [{"system": "http://snomed.info/sct", "code": "1"}]}


@pytest.mark.parametrize(
    "reference", ["Patient/ada", "http://test/fhir/Patient/ada", "Patient/ada/_history/3"]
)
def test_it_is_about_the_patient_whose_chart_shows_it(reference: str) -> None:
    found = read(consent("c", DENY, patient={"reference": reference}))
    assert (found.patient, found.problem, [one.permit for one in found.rules]) == ("ada", "", [False])


@pytest.mark.parametrize(
    "part",
    [
        {"action": [{"text": "look at it"}]},
        {"action": [{"coding": [{"code": "access"}]}, {"text": "and more"}]},
        {"purpose": [{"display": "for treatment"}]},
        {"purpose": [{"code": "TREAT"}, {"display": "and more"}]},
        {"class": [{"display": "conditions"}]},
        {"class": [{"code": "Condition"}, {"display": "and more"}]},
        {"code": [{"text": "asthma"}]},
        {"code": [CODED, {"text": "asthma"}]},
        {"securityLabel": [{"display": "secret"}]},
        {"data": [{"meaning": "instance", "reference": {"reference": "http://test/fhir/Condition/c1"}}]},
        {"data": [{"meaning": "instance", "reference": {"reference": "Condition/c1/_history/1"}}]},
        {"data": [{"meaning": "instance", "reference": {"display": "the one about"}}]},
        {"data": [{"meaning": "related", "reference": {"reference": "Condition/c1"}}]},
        {"actor": [actor_in("http://test/fhir/Organization/birch")]},
        {"actor": [actor_in("Group/all")]},
        {"actor": [{"role": {"coding": [{"code": "CST"}]}, "reference": {"reference": "Practitioner/kim"}}]},
    ],
)
def test_a_part_that_cannot_be_told_denies(part: dict[str, Any]) -> None:
    for provision in (
        {"type": "deny", **part},
        {"type": "permit", **part},
        {"type": "permit", "provision": [{"type": "deny", **part}]},
    ):
        found = read(consent("c", provision))
        assert found.problem
        assert found.rules == (Rule(UNREADABLE_DEPTH, False),)


MODIFIER = [{"url": "http://example.org/not", "valueBoolean": True}]


@pytest.mark.parametrize(
    "more",
    [
        {"modifierExtension": MODIFIER},
        {"implicitRules": "http://example.org/turned-around"},
        {"provision": {"type": "permit", "actor": BIRCH, "modifierExtension": MODIFIER}},
        {"provision": {"type": "permit", "actor": [{**BIRCH[0], "modifierExtension": MODIFIER}]}},
        {"provision": {"type": "deny", "provision": [{"type": "permit", "modifierExtension": MODIFIER}]}},
    ],
)
def test_what_may_turn_it_around_denies(more: dict[str, Any]) -> None:
    found = read(consent("c", {"type": "permit", "actor": BIRCH}) | more)
    assert "modifier" in found.problem
    assert found.rules == (Rule(UNREADABLE_DEPTH, False),)


def test_of_several_scopes_privacy_counts() -> None:
    codes = [{"code": "treatment"}, {"code": "patient-privacy"}]
    assert read(consent("c", DENY, scope={"coding": codes})).rules
    assert not read(consent("c", DENY, scope={"coding": codes[:1]})).rules


def test_what_it_is_about_alone_is_denied() -> None:
    asking = Asking(("Organization/birch",), purposes_of("TREAT"), Clock()(), related=True, blocked=0)
    data = [{"meaning": "instance", "reference": {"reference": "Condition/c1"}}]
    (rule,) = read(consent("c", {"type": "deny", "data": data, "actor": BIRCH})).rules
    assert fits(rule, asking, Row("Condition", "c1", "alder"))
    assert not fits(rule, asking, Row("Condition", "c2", "alder"))


@pytest.mark.parametrize(
    ("date", "denied", "permitted"),
    [
        ("2020-07-01", True, True),
        ("2020", True, False),  # it may have been in these months, and may have not
        ("2020-06", True, True),
        ("2019", False, False),
        ("2020-12-31T23:59:59Z", True, True),
        ("2021", False, False),
        (None, True, False),
    ],
)
def test_a_date_that_is_not_exact_is_hidden_by_a_denial_and_opens_nothing(
    date: str | None, denied: bool, permitted: bool
) -> None:
    asking = Asking(("Organization/birch",), purposes_of("TREAT"), Clock()(), related=True, blocked=0)
    lo, hi = bounds(date) if date else (None, None)
    for kind, expected in (("deny", denied), ("permit", permitted)):
        provision = {"type": kind, "actor": BIRCH, "dataPeriod": {"start": "2020-06", "end": "2020-12-31"}}
        (rule,) = read(consent("c", provision)).rules
        assert fits(rule, asking, Row("Condition", "c1", "alder", date_lo=lo, date_hi=hi)) is expected, kind
