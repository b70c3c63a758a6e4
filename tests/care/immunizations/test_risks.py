from __future__ import annotations

from datetime import date

from commonchart.care.immunizations.answer import Observation, Person
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.pack import load
from commonchart.care.immunizations.risks import untold

SCHEDULE = load()
NOW = date(2025, 11, 25)


def codes(person: Person, *seen: str, denied: tuple[str, ...] = ()) -> set[str]:
    return {one.code for one in untold(SCHEDULE, "Pneumococcal", person, map(Observation, seen), NOW, denied)}


def test_indications_are_asked_at_their_age_until_they_are_answered() -> None:
    adult, newborn = Person(date(1980, 1, 1), "female"), Person(date(2025, 11, 1), "female")
    assert {"011", "014"} <= codes(adult)
    assert codes(newborn) == set()
    assert "011" not in codes(adult, "011")
    assert "011" not in codes(adult, denied=("011",))
    assert codes(adult) <= codes(Person(None))


def test_a_day_that_an_interval_counts_from_and_nobody_recorded_is_said() -> None:
    pregnant = Person(date(1995, 1, 1), "female")
    without = evaluate(pregnant, [], [Observation("007", NOW)], SCHEDULE, NOW)
    assert any(
        one.kind == "undated observation" and "Onset of pregnancy" in one.message for one in without.findings
    )
    dated = evaluate(
        pregnant, [], [Observation("007", NOW), Observation("170", date(2025, 6, 1))], SCHEDULE, NOW
    )
    assert not any(one.kind == "undated observation" for one in dated.findings)
