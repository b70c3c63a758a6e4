"""Rules in plain words say what the rules do."""

from __future__ import annotations

import pytest

from commonchart.care.rule_words import words
from commonchart.care.rules import built_in

PACK = built_in()


@pytest.mark.parametrize(
    ("rule", "field", "sentence"),
    [
        ("breast", "who", "aged 40 to 74 (both included)"),
        ("breast", "who", "who have breasts (by the organ inventory, else by sex)"),
        ("breast", "excluded", "breast high risk or breast cancer: then Breast surveillance applies instead"),
        ("a1c", "who", "with diabetes"),
        ("a1c", "satisfied", "Haemoglobin A1c measured, target below 7.0 %, alert above 9.0 %"),
        ("a1c", "satisfied", "every 6 months while in the target, every 3 months outside it"),
        ("lithium", "who", "who take lithium"),
        ("lithium", "satisfied", "in the first 4 weeks of the drug: every 7 days"),
        ("well-child", "who", "until the age of 18 years"),
        ("breast-surveillance", "satisfied", "only as often as a clinician has set for the patient"),
        ("colorectal", "windows", "due soon: from 60 days before the day"),
        ("colorectal", "needs", "date of birth"),
    ],
)
def test_a_rule_in_words(rule: str, field: str, sentence: str) -> None:
    assert sentence in getattr(words(PACK.by_id[rule], PACK), field)


@pytest.mark.parametrize("rule", [rule.id for rule in PACK.rules])
def test_every_rule_says_whom_it_is_for_and_what_satisfies_it(rule: str) -> None:
    found = words(PACK.by_id[rule], PACK)
    assert found.who
    assert found.satisfied
    assert len(set(found.satisfied)) == len(found.satisfied)
    assert all(
        line.strip() and "None" not in line
        for field in found.__struct_fields__
        for line in getattr(found, field)
    )
