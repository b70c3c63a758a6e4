"""The rules that CDC's published cases do not tell apart, each on a schedule made for it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from commonchart.care.immunizations.answer import Observation
from commonchart.care.immunizations.schema import (
    AgeRow,
    BornRow,
    GapRow,
    SetRow,
    SkipRow,
    StopVaccineRow,
    VaccineRow,
    WhenRow,
)
from tests.care.immunizations.made import (
    BORN,
    GAP,
    LIVE,
    ask,
    dose,
    given,
    kinds,
    rows,
    schedule,
    series,
    shown,
)

NOW = date(2026, 11, 25)
FIRST = date(2021, 3, 1)
DAY = timedelta(days=1)


# ---- ages: a birth on 29 February -------------------------------------------------------------------------------


def test_born_on_29_february_the_first_birthday_is_1_march() -> None:
    assert shown(ask(schedule(), [], NOW)).earliest == FIRST


@pytest.mark.parametrize(
    ("early", "status", "said"),
    [(0, "valid", []), (1, "valid", ["grace"]), (4, "valid", ["grace"]), (5, "not valid", ["too young"])],
)
def test_four_days_of_grace(early: int, status: str, said: list[str]) -> None:
    found = rows(ask(schedule(), given(("03", FIRST - early * DAY)), NOW))[0]
    assert (found.status, kinds(found)) == (status, said)


def test_too_old_is_extraneous_and_all_reasons_are_kept() -> None:
    made = schedule(series(dose(age=(AgeRow(max="2y"),), gap=(GapRow("obs:120", abs="9y"),))))
    found = rows(ask(made, given(("21", date(2023, 1, 1))), NOW, Observation("120", date(2020, 3, 1))))[0]
    assert found.status == "extraneous"
    assert kinds(found) == ["too old", "too soon", "vaccine"]


# ---- trade name and manufacturer (6.8) ---------------------------------------------------------------------------


def test_a_row_that_names_a_manufacturer_wants_it() -> None:
    made = schedule(series(dose()), vaccines={"v1": (VaccineRow("08", mvx="SKB", trade="ENGERIX-B"),)})
    on = date(2022, 1, 1)
    assert rows(ask(made, given(("08", on)), NOW))[0].status == "not valid"
    assert rows(ask(made, given(("08", on), mvx="MSD"), NOW))[0].status == "not valid"
    assert rows(ask(made, given(("08", on), mvx="SKB"), NOW))[0].status == "valid"
    assert rows(ask(made, given(("08", on), mvx="SKB", trade="Engerix-b"), NOW))[0].status == "valid"
    assert rows(ask(made, given(("08", on), mvx="SKB", trade="Twinrix"), NOW))[0].status == "not valid"


def test_an_allowable_row_asks_for_no_manufacturer() -> None:
    lists = {"v1": (VaccineRow("08", mvx="SKB"),), "v2": (VaccineRow("08"),)}
    made = schedule(series(dose(allow="v2")), vaccines=lists)
    assert rows(ask(made, given(("08", date(2022, 1, 1))), NOW))[0].status == "valid"


# ---- conflicts between live vaccines (6.7, 7.5) ------------------------------------------------------------------


def test_the_shorter_end_holds_after_a_valid_dose_and_the_longer_after_one_that_is_not() -> None:
    made = schedule(series(dose(), dose(age=())), conflicts=(LIVE,))
    valid, early = date(2022, 1, 1), date(2021, 2, 1)
    after = rows(ask(made, given(("03", valid), ("03", valid + 24 * DAY)), NOW))
    assert [row.status for row in after] == ["valid", "valid"]
    after = rows(ask(made, given(("03", early), ("03", early + 25 * DAY)), NOW))
    assert [row.status for row in after] == ["not valid", "not valid"]
    assert kinds(after[1]) == ["conflict"]
    after = rows(ask(made, given(("03", early), ("03", early + 28 * DAY)), NOW))
    assert [row.status for row in after] == ["not valid", "valid"]


def test_a_forecast_waits_for_the_longer_end_and_the_same_day_is_no_conflict() -> None:
    made = schedule(
        series(dose(), dose(age=())), conflicts=(LIVE,), vaccines={"v1": (VaccineRow("03"), VaccineRow("21"))}
    )
    on = date(2022, 1, 1)
    assert shown(ask(made, given(("03", on)), NOW)).earliest == on + 28 * DAY
    assert [row.status for row in rows(ask(made, given(("03", on), ("21", on)), NOW))] == ["valid", "valid"]


# ---- contraindications (7.3) -------------------------------------------------------------------------------------


def test_contraindicated_by_product_only_if_every_vaccine_of_the_remaining_doses_is() -> None:
    lists = {"v1": (VaccineRow("03"),), "v2": (VaccineRow("08", forecast=True),)}
    stop = (StopVaccineRow("001", (("03", "", ""),)),)
    made = schedule(
        series(dose(), dose(age=(), gap=(GAP,), prefer="v2")), vaccines=lists, stop_vaccine_if=stop
    )
    seen = Observation("001")
    assert shown(ask(made, [], NOW, seen)).status == "not complete"
    assert shown(ask(made, [], NOW, seen)).usable == ()
    made = schedule(series(dose(), dose(age=(), gap=(GAP,))), vaccines=lists, stop_vaccine_if=stop)
    found = shown(ask(made, [], NOW, seen))
    assert (found.status, found.stopped_by) == ("contraindicated", ("001",))


def test_a_contraindication_has_ages() -> None:
    made = schedule(stop_if=(("001", "", "6y"),))
    assert shown(ask(made, [], BORN + 400 * DAY, Observation("001"))).status == "contraindicated"
    assert shown(ask(made, [], NOW, Observation("001"))).status == "not complete"


# ---- immunity (7.2) ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "status"),
    [
        ("U.S.", "immune"),
        ("US", "immune"),
        ("usa", "immune"),
        ("Norway", "not complete"),
        ("", "not complete"),
    ],
)
def test_immunity_by_birth_wants_the_country_and_an_unknown_one_proves_nothing(
    country: str, status: str
) -> None:
    made = schedule(series(dose(age=())), immune_born=(BornRow("1957-01-01", "U.S.", ("002",)),))
    born = date(1950, 1, 1)
    assert shown(ask(made, [], NOW, born=born, country=country)).status == status
    assert shown(ask(made, [], NOW, Observation("002"), born=born, country=country)).status == "not complete"


def test_evidence_of_immunity() -> None:
    found = shown(ask(schedule(immune_if=("001",)), [], NOW, Observation("001")))
    assert (found.status, found.stopped_by, found.earliest) == ("immune", ("001",), None)


# ---- sub-standard doses (6.1) ------------------------------------------------------------------------------------


def test_an_expired_lot_and_a_flawed_dose_are_sub_standard_and_the_dose_is_due_again() -> None:
    on = date(2022, 1, 1)
    for more in ({"expired_on": on - DAY}, {"flaw": "sub-potent"}):
        answer = ask(schedule(), given(("03", on), **more), NOW)
        assert rows(answer)[0].status == "sub-standard"
        assert shown(answer).number == 1
    assert rows(ask(schedule(), given(("03", on), expired_on=on), NOW))[0].status == "valid"


def test_an_interval_does_not_count_from_a_sub_standard_or_inadvertent_dose() -> None:
    first, second = date(2022, 1, 1), date(2022, 1, 11)
    flawed = [*given(("03", first), flaw="warm"), *given(("03", first)), *given(("03", second))]
    flawed = [one.__class__(str(n), one.cvx, one.on, flaw=one.flaw) for n, one in enumerate(flawed)]
    made = schedule(series(dose(never=("21",)), dose(age=(), gap=(GAP,), never=("21",))))
    statuses = [
        row.status
        for row in rows(ask(made, given(("03", first), ("21", second), ("03", first + 28 * DAY)), NOW))
    ]
    assert statuses == ["valid", "not valid", "valid"]
    assert [row.status for row in rows(ask(made, flawed, NOW))] == ["sub-standard", "valid", "not valid"]


# ---- sex, observations, unknown codes ----------------------------------------------------------------------------


@pytest.mark.parametrize(("sex", "found"), [("female", True), ("unknown", True), ("male", False), ("", True)])
def test_a_series_for_one_sex(sex: str, found: bool) -> None:
    answer = ask(schedule(series(sex=("female", "unknown"))), [], NOW, sex=sex)
    assert bool(answer.groups) is found
    assert any(one.kind == "sex unknown" for one in answer.findings) is (sex in ("", "unknown"))


def test_a_risk_series_needs_its_observation_at_its_age() -> None:
    risk = series(
        dose(age=()), name="Risk", kind="risk", group="2", default=False, needs=(("001", "5y", "7y"),)
    )
    made = schedule(series(), risk)
    assert [one.kind for one in ask(made, [], NOW, Observation("001")).groups[0].forecasts] == [
        "standard",
        "risk",
    ]
    assert shown(ask(made, [], NOW, Observation("001"))).because == ("001",)
    assert [one.kind for one in ask(made, [], date(2024, 1, 1), Observation("001")).groups[0].forecasts] == [
        "standard"
    ]
    assert [one.kind for one in ask(made, [], date(2027, 2, 28), Observation("001")).groups[0].forecasts] == [
        "standard",
        "risk",
    ]
    assert [one.kind for one in ask(made, [], date(2027, 3, 1), Observation("001")).groups[0].forecasts] == [
        "standard"
    ]


def test_unknown_and_future_observations_are_said_and_not_used() -> None:
    answer = ask(
        schedule(stop_if=(("001", "", ""),)), [], NOW, Observation("999"), Observation("001", NOW + DAY)
    )
    assert [one.kind for one in answer.findings] == ["unknown observation", "future observation"]
    assert shown(answer).status == "not complete"


def test_doses_that_cannot_be_used_are_said() -> None:
    doses = given(("03", BORN - DAY), ("03", NOW + DAY), ("777", date(2022, 1, 1)), ("03", date(2026, 6, 1)))
    doses.append(doses[0].__class__("9", "03", None))
    answer = ask(schedule(), doses, NOW, died=date(2026, 5, 1))
    assert {(one.kind, one.dose) for one in answer.findings} == {
        ("before birth", "0"), ("future dose", "1"), ("unknown vaccine", "2"), ("after death", "3"), ("undated dose", "9"),
    }  # fmt: skip
    assert answer.doses == ()
    assert answer.next_change_on is None


@pytest.mark.parametrize("born", [None, NOW + DAY])
def test_without_a_birth_date_nothing_is_claimed(born: date | None) -> None:
    answer = ask(schedule(), [], NOW, born=born)
    assert answer.groups == ()
    assert [one.kind for one in answer.findings] == ["cannot tell"]


def test_bcg_counts_for_conflicts_although_it_protects_against_no_antigen() -> None:
    answer = ask(schedule(), given(("19", date(2022, 1, 1))), NOW)
    assert answer.findings == ()
    assert answer.doses[0].evaluations == ()


# ---- seasons -----------------------------------------------------------------------------------------------------


def test_a_season_rolls_over() -> None:
    made = schedule(series(dose(age=(), repeat=True, season=("2026-07-01", "2027-06-30"))))
    last_season = given(("03", date(2025, 10, 1)))
    before = ask(made, last_season, date(2026, 5, 1))
    assert shown(before).earliest == date(2026, 7, 1)
    assert before.next_change_on is not None
    assert before.next_change_on <= date(2026, 7, 1)
    assert shown(ask(made, last_season, NOW)).number == 1
    assert shown(ask(made, given(("03", date(2026, 10, 1))), NOW)).number == 2
    assert shown(ask(made, last_season, date(2027, 6, 30))).status == "not complete"
    past = shown(ask(made, last_season, date(2027, 7, 1)))
    assert (past.status, past.why) == ("not recommended", "past the season")


# ---- skips -------------------------------------------------------------------------------------------------------


def test_only_doses_before_the_one_evaluated_are_counted() -> None:
    skip = SkipRow("both", (SetRow((WhenRow("count", n=">0", cvx=("03",)),)),))
    made = schedule(series(dose(skip=(skip,)), dose(age=())))
    answer = ask(made, given(("03", date(2022, 1, 1))), NOW)
    assert rows(answer)[0].target == 1
    assert shown(answer).status == "not complete"


def test_a_row_in_force_is_that_of_the_day_of_the_dose() -> None:
    rows_ = (AgeRow(abs="6m", to="2021-12-31"), AgeRow(abs="3y", from_="2022-01-01"))
    made = schedule(series(dose(age=rows_), dose(age=())))
    answer = ask(made, given(("03", date(2021, 12, 31)), ("03", date(2022, 1, 1))), NOW)
    assert [row.status for row in rows(answer)] == ["valid", "valid"]
    answer = ask(
        made,
        given(
            ("03", date(2022, 1, 1)),
        ),
        NOW,
    )
    assert [row.status for row in rows(answer)] == ["not valid"]
