"""One dose serves everything that is due in its group: a pregnant woman is offered Tdap, not Td."""

from __future__ import annotations

from datetime import date

import pytest

from commonchart.care.immunizations import pack
from commonchart.care.immunizations.answer import Dose, Observation, Person
from commonchart.care.immunizations.catch_up import plan

TODAY = date(2026, 11, 25)
PREGNANT = (Observation("007", date(2026, 5, 15)), Observation("170", date(2026, 5, 15)))
SCHEDULE = pack.load()


def offered(
    person: Person, observations: tuple[Observation, ...] = (), *doses: Dose
) -> dict[str, tuple[str, ...]]:
    found = plan(person, doses, observations, SCHEDULE, TODAY)
    return {one.cvx: one.groups for one in found.today}


def test_a_pregnant_woman_without_any_dose_is_offered_tdap() -> None:
    given = offered(Person(date(1995, 6, 5), "female"), PREGNANT)
    assert given["115"] == ("DTaP/Tdap/Td",)
    assert not {"09", "113"} & given.keys()


def test_live_vaccines_are_not_offered_in_pregnancy() -> None:
    assert not {"03", "94", "21"} & offered(Person(date(1995, 6, 5), "female"), PREGNANT).keys()


def test_an_adult_without_any_dose_is_offered_a_vaccine_against_all_three() -> None:
    assert "115" in offered(Person(date(1990, 1, 1), "male"))


@pytest.mark.parametrize(("born", "wanted"), [(date(2026, 9, 20), "20"), (date(2025, 11, 20), "03")])
def test_a_child_is_offered_the_recommended_vaccine(born: date, wanted: str) -> None:
    given = offered(Person(born, "female"))
    groups = {group for one in given.values() for group in one}
    assert {"DTaP/Tdap/Td", "Polio", "HepB"} <= groups
    if wanted == "03":
        assert given["03"] == ("MMR",)
    else:
        assert not {"09", "115"} & given.keys()
