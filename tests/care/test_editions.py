"""A site's text of a rule: read back as written, refused by field, laid over the pack and taken off again."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from commonchart.care.assess import assess
from commonchart.care.editions import (
    Edition,
    body_of,
    differences,
    edition_of,
    fitting,
    overlaid,
    parsed,
    text_of,
    version_name,
)
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.rule_words import words
from commonchart.care.rules import built_in
from commonchart.care.schema import Pack
from commonchart.fhir.outcome import Invalid
from tests.care.cases import DIABETES, TODAY, condition, observation, patient, report

PACK = built_in()
PEOPLE = [
    (patient("1970-05-10"), []),
    (patient("1970-05-10"), [report("24606-6", "2025-03-01", "negative")]),
    (
        patient("1950-05-10", "male"),
        [condition(DIABETES), observation("4548-4", "2026-09-01", Decimal("8.1"), "%")],
    ),
    (patient("2019-01-02"), []),
    (patient("", "female"), [condition(DIABETES)]),
]


def edition(rule: str, version: str = "draft", **changes: Any) -> Edition:
    made = structs.replace(PACK.by_id[rule], version=version, review="needed", **changes)
    return Edition(made)


def answers(pack: Pack) -> list[Any]:
    out = []
    for own, resources in PEOPLE:
        out.append(assess(evidence(resources), person(own, TODAY), pack, TODAY))
    return out


@pytest.mark.parametrize("rule", [rule.id for rule in PACK.rules])
def test_every_rule_of_the_box_is_the_same_after_writing_and_reading(rule: str) -> None:
    assert parsed(text_of(edition(rule))) == edition(rule)
    assert words(PACK.by_id[rule], PACK).who


@given(
    st.text(min_size=1, max_size=60).filter(lambda text: text.strip()),
    st.integers(0, 3000),
    st.decimals("0.001", "999", places=3),
)
def test_any_words_and_numbers_survive(said: str, days: int, limit: Decimal) -> None:
    monitor = PACK.by_id["a1c"].monitor
    assert monitor is not None
    made = edition("a1c", title=said, soon_days=days, monitor=structs.replace(monitor, below=(limit,)))
    assert parsed(text_of(made)) == made


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from(["breast", "a1c", "colorectal", "wellness-adult", "tobacco"]), unique=True),
    st.integers(0, 400),
)
def test_laid_over_and_taken_off_again_is_the_first_assessment(changed: list[str], days: int) -> None:
    made = {rule: edition(rule, "site.1", soon_days=days, grace_days=days) for rule in changed}
    over = overlaid(PACK, made)
    assert (over is PACK) == (not changed)
    assert over.site == frozenset(changed)
    found = answers(over)
    assert answers(overlaid(PACK, {})) == answers(PACK)
    for one in (row for rows in found for row in rows):
        assert (one.version == "2026.2/site.1") == (one.rule in changed)
        assert ("site" in one.why) == (one.rule in changed)


def test_the_same_changes_are_the_same_pack_and_others_another() -> None:
    one = overlaid(PACK, {"breast": edition("breast", "site.1", soon_days=5)})
    assert one.hash == overlaid(PACK, {"breast": edition("breast", "site.1", soon_days=5)}).hash
    assert one.hash != overlaid(PACK, {"breast": edition("breast", "site.2", soon_days=5)}).hash
    assert one.hash != PACK.hash
    assert one.boxed == PACK.hash


def test_a_rule_switched_off_is_silent_and_no_other_changes() -> None:
    over = overlaid(PACK, {}, ["tobacco"])
    for before, after in zip(answers(PACK), answers(over), strict=True):
        assert [row for row in before if row.rule != "tobacco"] == after


TEXT = text_of(edition("breast"))


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("id = 'x'", "id", "id is a short name"),
        ("= nonsense", "text", "not TOML"),
        ("x" * 50_000, "text", "at most 40,000 characters"),
        ('id = "breast"\nmin_age = 4', "min_age", "breast: there is no field min_age"),
        (TEXT.replace("months = 24", "monthss = 24"), "satisfied_by.monthss", "did you mean months?"),
        (TEXT.replace("months = 24", 'months = "two"'), "satisfied_by.months", "breast: satisfied_by.months"),
        (
            TEXT.replace('label = "Mammogram"\n', ""),
            "satisfied_by.label",
            "breast: satisfied_by.label is missing",
        ),
        (
            TEXT.replace('authority = "USPSTF"', 'authority = " "'),
            "authority",
            "authority must say something",
        ),
        (TEXT.replace("2024-04-30", "2024-13-30"), "date", "date is a day"),
        (
            TEXT + '[sets.mine]\nicd11 = ["5A11"]',
            "sets.mine",
            "unknown code system icd11: it is one of loinc",
        ),
        (
            TEXT + '[analytes.mine]\nlabel = "X"\ncodes = "hba1c"\nlow = 1\nhigh = 2',
            "analytes.mine.unit",
            "unit is missing",
        ),
        (TEXT.replace("id =", "sets = 3\nid ="), "sets", "sets holds tables"),
    ],
)
def test_a_text_is_refused_by_rule_and_field(text: str, at: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        parsed(text)
    found = {one.at: one.message for one in refused.value.issues}
    assert words in found[at]


@pytest.mark.parametrize(
    ("change", "at", "words"),
    [
        ({"soon_days": -1}, "soon_days", "not negative"),
        ({"soon_days": 9999}, "soon_days", "at most 3653"),
        ({"excluded_by": ("nothing-like-it",)}, "excluded_by", "excluded_by names the unknown code set nothing-like-it"),
        ({"applies": structs.replace(PACK.by_id["breast"].applies, min_age=80)}, "applies.min_age", "above applies.max_age"),
        ({"applies": structs.replace(PACK.by_id["breast"].applies, drug_for="3x")}, "applies.drug_for", "a length of time such as"),
        ({"applies": structs.replace(PACK.by_id["breast"].applies, risks=("no-risk",))}, "applies.risks", "unknown risk no-risk"),
        ({"satisfied_by": ()}, "satisfied_by", "either satisfied_by or monitor"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_rule_and_field(change: dict[str, Any], at: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        overlaid(PACK, {"breast": edition("breast", **change)})
    [issue] = refused.value.issues
    assert issue.message.startswith("breast: ")
    assert words in issue.message
    assert issue.at == at


def test_no_time_at_all_between_measurements_is_refused() -> None:
    monitor = PACK.by_id["a1c"].monitor
    assert monitor is not None
    with pytest.raises(Invalid, match="longer than nothing"):
        overlaid(
            PACK, {"a1c": edition("a1c", monitor=structs.replace(monitor, months_in=0, months_out=None))}
        )


def test_a_circle_of_a_sites_rule_is_refused() -> None:
    back = body_of(edition("breast-surveillance")) | {
        "hand_over": [{"codes": ["breast-cancer"], "to": "breast"}]
    }
    with pytest.raises(Invalid, match="hand_over goes in a circle"):
        overlaid(PACK, {"breast-surveillance": edition_of(back)})


def test_a_rule_brings_codes_and_a_measurement_of_its_own() -> None:
    body = body_of(edition("a1c")) | {
        "id": "zinc", "title": "Zinc", "hand_over": [], "excluded_together": [],
        "sets": {"my-zinc": {"loinc": ["5763-8"]}},
        "analytes": {"zinc": {"label": "Zinc", "codes": "my-zinc", "unit": "ug/dL", "low": 1, "high": 900}},
        "monitor": {"analytes": ["zinc"], "months_in": 12, "at_least": [60]},
    }  # fmt: skip
    over = overlaid(PACK, {"zinc": edition_of(body, version_name(1))})
    facts = [condition(DIABETES), observation("5763-8", "2026-11-01", Decimal("70"), "ug/dL")]
    [found] = [
        row for row in assess(evidence(facts), person(patient(), TODAY), over, TODAY) if row.rule == "zinc"
    ]
    assert (found.status, found.until, found.within) == ("up-to-date", date(2027, 11, 1), "in")


def test_a_name_that_is_taken_would_change_other_rules_and_is_refused() -> None:
    taken = edition_of(body_of(edition("breast")) | {"sets": {"mammogram": {"loinc": ["1-1"]}}})
    with pytest.raises(Invalid, match="a name that the pack has already"):
        overlaid(PACK, {"breast": taken})
    one = edition_of(body_of(edition("breast")) | {"sets": {"mine": {"loinc": ["1-1"]}}})
    two = edition_of(body_of(edition("colorectal")) | {"sets": {"mine": {"loinc": ["2-2"]}}})
    with pytest.raises(Invalid, match="defined otherwise in"):
        overlaid(PACK, {"breast": one, "colorectal": two})


def test_what_no_longer_fits_the_box_is_left_out_alone_and_said() -> None:
    good, bad = edition("tobacco", "site.1"), edition("breast", "site.1", excluded_by=("gone-from-the-box",))
    pack, unused = fitting(PACK, {"tobacco": good, "breast": bad}, ["breast-surveillance", "aaa"])
    assert set(unused) == {"breast", "breast-surveillance"}
    assert pack.site == frozenset({"tobacco"})
    assert pack.by_id["breast"] == PACK.by_id["breast"]
    assert "aaa" not in pack.by_id
    assert "gone-from-the-box" in unused["breast"]


def test_two_new_rules_that_name_each_other_fit_in_any_order() -> None:
    target = edition_of(body_of(edition("breast-surveillance")) | {"id": "z-target"}, "site.1")
    source = edition_of(
        body_of(edition("breast")) | {"hand_over": [{"codes": ["breast-cancer"], "to": "z-target"}]}, "site.1"
    )
    bad = edition("tobacco", "site.1", excluded_by=("gone",))
    pack, unused = fitting(PACK, {"breast": source, "tobacco": bad, "z-target": target})
    assert set(unused) == {"tobacco"}
    assert pack.site == frozenset({"breast", "z-target"})


def test_differences_name_the_field() -> None:
    before, after = (
        body_of(edition("breast")),
        body_of(edition("breast", soon_days=30, excluded_by=("a", "b"))),
    )
    assert [(one.field, one.before, one.after) for one in differences(before, after)] == [
        ("excluded_by", "breasts-absent", "a, b"), ("soon_days", "", "30"),
    ]  # fmt: skip
    assert differences(before, before) == []
