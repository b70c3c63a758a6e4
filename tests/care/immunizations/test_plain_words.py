"""The page's words, the catch-up plan and two schedules compared, for one invented boy who is behind."""

from __future__ import annotations

from datetime import date

import pytest

from commonchart.care.immunizations import overlay, words
from commonchart.care.immunizations.answer import Dose, Forecast, Observation, Person
from commonchart.care.immunizations.catch_up import plan
from commonchart.care.immunizations.compare import compare
from commonchart.care.immunizations.compile import compiled
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.groups import standing
from commonchart.care.immunizations.pack import BUILT_IN, PACKS, load, read
from commonchart.care.immunizations.schema import StopVaccineRow, VaccineRow
from tests.care.immunizations import made

SCHEDULE = load()
BORN = date(2022, 7, 2)
NOW = date(2026, 5, 18)
BOY = Person(BORN, "male")
GIVEN = {
    "08": "2022-07-02 2022-09-06 2023-01-24", "20": "2022-09-06 2022-11-22 2023-01-24 2023-12-12",
    "10": "2022-09-06 2022-11-22 2023-01-24", "03": "2023-06-27 2023-12-12", "21": "2024-01-02 2024-03-05",
    "49": "2022-09-06 2022-11-22 2023-12-12", "133": "2022-09-06 2022-11-22 2023-01-24 2023-12-12",
    "119": "2022-09-06 2022-11-22", "83": "2023-12-12", "150": "2024-11-14 2025-11-05",
}  # fmt: skip
DOSES = [
    Dose(f"{cvx} {on}", cvx, date.fromisoformat(on)) for cvx, days in GIVEN.items() for on in days.split()
]


def said(dose_id: str, group: str) -> str:
    answer = evaluate(BOY, DOSES, [], SCHEDULE, NOW)
    dose = next(one for one in answer.doses if one.dose.id == dose_id)
    found = answer.group(group)
    row = standing(dose, group, found.shown if found else None)
    assert row is not None
    return words.evaluation(row, dose.dose, SCHEDULE)


def forecast(group: str, as_of: date = NOW) -> Forecast:
    found = evaluate(BOY, DOSES, [], SCHEDULE, as_of).group(group)
    assert found is not None
    assert found.shown is not None
    return found.shown


def test_why_a_dose_does_not_count() -> None:
    assert (
        said("03 2023-06-27", "MMR")
        == "Not valid: given 5 days before the minimum age of 12 months (up to 4 days early counts)"
    )
    assert said("21 2024-01-02", "Varicella") == (
        "Not valid: 21 days after MMR on 12-Dec-2023: live vaccines need 28 days, or the same day"
    )
    assert said("03 2023-12-12", "MMR") == "Valid: dose 1 of the series"


def test_a_series_for_a_later_age_judges_no_dose() -> None:
    assert said("133 2022-09-06", "Pneumococcal") == "Valid: dose 1 of the series"
    answer = evaluate(BOY, DOSES, [], SCHEDULE, NOW).group("Pneumococcal")
    assert answer is not None
    assert [(one.future, one.status) for one in answer.forecasts] == [
        (False, "complete"),
        (True, "not complete"),
    ]
    assert answer.shown == answer.forecasts[0]


def test_how_urgent_a_forecast_is() -> None:
    assert words.forecast(forecast("HepA"), NOW, SCHEDULE) == "Dose 2 overdue since 09-Aug-2025"
    assert (
        words.forecast(forecast("MMR"), NOW, SCHEDULE) == "Dose 2 may be given; recommended from 02-Jul-2026"
    )
    assert (
        words.forecast(forecast("MMR", date(2026, 7, 2)), date(2026, 7, 2), SCHEDULE)
        == "Dose 2 due since 02-Jul-2026"
    )
    assert words.forecast(forecast("HPV"), NOW, SCHEDULE).startswith("Dose 1 not before 02-Jul-2031")
    found = sorted(
        (forecast("HPV"), forecast("MMR"), forecast("HepA"), forecast("HepB")),
        key=lambda f: words.urgency(f, NOW),
    )
    assert [one.group for one in found] == ["HepA", "MMR", "HPV", "HepB"]
    assert words.state(forecast("HepB"), NOW) == "complete"


@pytest.mark.parametrize(
    ("months", "days", "text"),
    [(12, 0, "12 months"), (1, 0, "1 month"), (216, 0, "18 years"), (0, 56, "8 weeks"), (12, -4, "12 months less 4 days"),
     (8, 1, "8 months and 1 day"), (0, 24, "24 days"), (0, 0, "0 days")],
)  # fmt: skip
def test_amounts(months: int, days: int, text: str) -> None:
    assert words.amount((months, days)) == text


def test_the_catch_up_plan_gives_together_what_may_go_together() -> None:
    then = date(2026, 7, 2)
    found = plan(BOY, DOSES, [], SCHEDULE, then)
    assert [(one.cvx, one.groups) for one in found.today] == [
        ("130", ("DTaP/Tdap/Td", "Polio")), ("94", ("MMR", "Varicella")), ("83", ("HepA",)),
    ]  # fmt: skip
    assert found.today[1].live
    assert found.next_visit == date(2033, 7, 2)
    assert found.then == ("DTaP/Tdap/Td", "HPV", "Meningococcal")
    assert "COVID-19" in [group for one in found.optional for group in one.groups]


def test_what_is_contraindicated_is_in_no_plan_and_a_contraindicated_product_is_not_offered() -> None:
    reaction = Observation("080")
    assert plan(BOY, DOSES, [reaction], SCHEDULE, NOW).today == ()
    pregnant = Person(date(1995, 1, 1), "female")
    found = plan(pregnant, [], [Observation("007", NOW), Observation("170", date(2026, 1, 1))], SCHEDULE, NOW)
    assert not any(one.live for one in (*found.today, *found.optional))
    assert "DTaP/Tdap/Td" in [group for one in found.today for group in one.groups]


def test_a_dose_whose_every_vaccine_is_contraindicated_is_not_offered() -> None:
    lists = {"v1": (VaccineRow("03"),), "v2": (VaccineRow("08", forecast=True),)}
    rows = made.series(made.dose(), made.dose(age=(), prefer="v2"))
    small = made.schedule(rows, vaccines=lists, stop_vaccine_if=(StopVaccineRow("001", (("03", "", ""),)),))
    found = plan(BOY, [], [Observation("001")], small, NOW)
    assert (found.today, found.optional) == ((), ())
    assert [(one.group, one.day) for one in found.later] == [("Alpha", None)]
    assert [one.cvx for one in plan(BOY, [], [], small, NOW).today] == ["03"]


def test_nothing_is_planned_for_the_dead() -> None:
    found = plan(Person(BORN, "male", "", date(2026, 1, 1), True), DOSES, [], SCHEDULE, NOW)
    assert (found.today, found.next_visit, found.notes) == ((), None, ("the person has died",))


def test_a_season_that_the_pack_does_not_know_is_said() -> None:
    answer = evaluate(BOY, DOSES, [], SCHEDULE, date(2026, 11, 18))
    assert any(one.kind == "season over" and one.message.startswith("Influenza") for one in answer.findings)


def test_two_schedules_for_one_person() -> None:
    at = ("HepA", "series", "HepA 2-dose series", "doses", 1, "gap", 0)
    base = read(PACKS / BUILT_IN)
    later = next(
        i for i, series in enumerate(base.antigens["HepA"].series) if series.name == "HepA 2-dose series"
    )
    was = base.antigens["HepA"].series[later].doses[1].gap[0]
    change = overlay.Change((*at, "late"), was.late, "36m", "a test", "2026-05-18")
    other = compiled(overlay.applied(base, overlay.Overlay("slow", "local", BUILT_IN, (change,))))
    found = compare(BOY, DOSES, [], SCHEDULE, other, NOW)
    assert [(one.group, one.fields) for one in found.groups] == [("HepA", ("past_due",))]
    assert found.doses == ()
    assert compare(BOY, DOSES, [], SCHEDULE, SCHEDULE, NOW).groups == ()
