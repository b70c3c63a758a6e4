"""Random histories on the schedule in the box: no exception, and answers that do not contradict themselves."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonchart.care.immunizations import catch_up, words
from commonchart.care.immunizations.answer import NOT_COMPLETE, Dose, Observation, Person
from commonchart.care.immunizations.compile import Series
from commonchart.care.immunizations.dose import evaluate as evaluate_doses
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.forecast import against
from commonchart.care.immunizations.history import History
from commonchart.care.immunizations.pack import load
from commonchart.care.immunizations.run import Run

SCHEDULE = load()
CODES = [*sorted(SCHEDULE.vaccines), "998", "", "xyz"]
SEEN = [*sorted(SCHEDULE.observations), "999"]
DAYS = st.dates(date(1900, 1, 1), date(2100, 12, 31))
ANY = st.one_of(DAYS, st.just(date.min), st.just(date.max))
SMALL = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def histories(
    draw: st.DrawFn, days: st.SearchStrategy[date] = ANY
) -> tuple[Person, list[Dose], list[Observation], date]:
    born = draw(st.one_of(st.none(), days))
    sex = draw(st.sampled_from(["female", "male", "unknown", ""]))
    near = st.integers(-40, 9000).map(lambda n: _later(born or date(2000, 1, 1), n))
    when = st.one_of(st.none(), days, near, near)
    doses = [
        Dose(str(n), draw(st.sampled_from(CODES)), draw(when), draw(st.sampled_from(["", "SKB"])), "", draw(st.one_of(st.none(), days)),
             draw(st.sampled_from(["", "", "", "sub-potent"])))
        for n in range(draw(st.integers(0, 12)))
    ]  # fmt: skip
    seen = [Observation(draw(st.sampled_from(SEEN)), draw(when)) for _ in range(draw(st.integers(0, 5)))]
    died = draw(st.one_of(st.none(), st.none(), days))
    return (
        Person(born, sex, draw(st.sampled_from(["", "US"])), died, died is not None),
        doses,
        seen,
        draw(st.one_of(days, near)),
    )


def _later(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return day


@SMALL
@given(histories())
def test_it_never_raises_and_every_usable_dose_is_accounted_for(
    history: tuple[Person, list[Dose], list[Observation], date],
) -> None:
    person, doses, seen, as_of = history
    answer = evaluate(person, doses, seen, SCHEDULE, as_of)
    told = [one.dose.id for one in answer.doses] + [one.dose for one in answer.findings if one.dose]
    if person.born is not None and person.born <= as_of:
        assert sorted(told) == sorted(dose.id for dose in doses)
    for group in answer.groups:
        assert group.shown in group.forecasts
        for found in group.forecasts:
            if found.status != NOT_COMPLETE:
                assert (found.earliest, found.recommended, found.number) == (None, None, None)
            if found.earliest and found.recommended:
                assert found.earliest <= found.recommended
            assert words.forecast(found, as_of, SCHEDULE)
    for one in answer.doses:
        for row in one.evaluations:
            assert (row.status == "valid") or row.reasons or row.status == "not evaluated"
            assert words.evaluation(row, one.dose, SCHEDULE)
    assert answer.next_change_on is None or answer.next_change_on > as_of
    assert catch_up.plan(person, doses, seen, SCHEDULE, as_of).pack == SCHEDULE.name


@SMALL
@given(histories(DAYS), st.integers(1, 8000))
def test_a_doses_evaluation_in_a_series_does_not_depend_on_the_day_of_asking(
    history: tuple[Person, list[Dose], list[Observation], date], more: int
) -> None:
    person, doses, seen, _ = history
    if person.born is None:
        return
    last = max([person.born, *(dose.on for dose in doses if dose.on), *(one.on for one in seen if one.on)])
    for antigen in SCHEDULE.antigens.values():
        series = (*antigen.standard["female"], *antigen.risk["female"])
        early, late = (
            _results(series, antigen.name, person, doses, seen, day) for day in (last, _later(last, more))
        )
        assert early == late


def _results(
    series: tuple[Series, ...],
    antigen: str,
    person: Person,
    doses: list[Dose],
    seen: list[Observation],
    as_of: date,
) -> list[object]:
    assert person.born is not None
    history = History(SCHEDULE, person, person.born, doses, seen, as_of)
    facts = against(history, SCHEDULE.antigens[antigen], history.of(antigen))
    out: list[object] = []
    for one in sorted(series, key=lambda one: one.waits):
        run = Run(one, facts)
        evaluate_doses(run)
        facts.runs.append(run)
        out.append((one.name, run.results))
    return out


@SMALL
@given(histories(st.dates(date(1990, 1, 1), date(2026, 1, 1))))
def test_nothing_changes_by_itself_before_the_day_it_says(
    history: tuple[Person, list[Dose], list[Observation], date],
) -> None:
    person, doses, seen, as_of = history
    seen = [one for one in seen if one.on is None or one.on <= as_of]
    answer = evaluate(person, doses, seen, SCHEDULE, as_of)
    if answer.next_change_on is None:
        return
    eve = answer.next_change_on - timedelta(days=1)
    later = evaluate(person, doses, seen, SCHEDULE, eve)
    assert later.groups == answer.groups
    assert later.doses == answer.doses
