"""The steps of an escalation: read strictly, never ending with one person, never with nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.care.inbox import times
from commonchart.care.inbox.escalate import DEFAULT, Staff, audience, due_at, level_at, reached, steps
from commonchart.fhir.outcome import Invalid

RAISED = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
PLAN = steps(DEFAULT)
ALL = frozenset({"wren", "otto", "kim"})


@pytest.mark.parametrize(
    "text",
    ["", "0=clinician", "5=clinician 10=everyone", "0=clinician 15=cover 15=everyone", "0=clinician 20=cover 10=everyone",
     "0=clinician, 15=everyone", "0=nobody 5=everyone", "0=clinician 99999=everyone", "everyone"],
)  # fmt: skip
def test_steps_that_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        steps(text)


def test_who_hears_of_it() -> None:
    staff = Staff(frozenset({"otto"}), frozenset({"kim"}), ALL)
    assert [set(audience(PLAN, n, "wren", staff)) for n in range(3)] == [{"wren", "otto"}, ALL, ALL]
    alone = Staff(everyone=ALL)
    assert [set(audience(PLAN, n, "wren", alone)) for n in range(3)] == [{"wren"}, ALL, ALL]
    assert set(audience(PLAN, 0, "", alone)) == ALL
    assert set(audience(PLAN, 0, "left", alone)) == ALL  # addressed to somebody who has left


@given(
    st.integers(0, 2),
    st.sampled_from(["", "wren", "left"]),
    st.frozensets(st.sampled_from(sorted(ALL))),
    st.frozensets(st.sampled_from(sorted(ALL))),
)
def test_it_never_reaches_nobody_and_only_grows(
    level: int, owner: str, covers: frozenset[str], on_call: frozenset[str]
) -> None:
    staff = Staff(covers, on_call, ALL)
    found = [set(audience(PLAN, n, owner, staff)) for n in range(3)]
    assert found[level]
    assert found[0] <= found[1] <= found[2]
    assert found[2] >= ALL


@given(st.integers(0, 500))
def test_the_step_by_the_clock_agrees_with_when_the_next_is_due(minutes: int) -> None:
    now = RAISED + timedelta(minutes=minutes)
    level = level_at(PLAN, RAISED, now)
    after = due_at(PLAN, RAISED, level)
    assert after is None or after > now
    assert level == 0 or (due_at(PLAN, RAISED, level - 1) or now) <= now


def test_median_and_ninth_decile_are_times_that_occurred() -> None:
    assert times.span([]) == times.Span(0)
    assert times.span([7.0]) == times.Span(1, 7.0, 7.0, 7.0)
    assert times.span([float(n) for n in range(10, 0, -1)]) == times.Span(10, 5.0, 9.0, 10.0)


@given(st.lists(st.floats(0, 1e5), min_size=1))
def test_the_spans_are_in_order(minutes: list[float]) -> None:
    found = times.span(minutes)
    assert found.median is not None
    assert found.p90 is not None
    assert found.longest is not None
    assert min(minutes) <= found.median <= found.p90 <= found.longest == max(minutes)
    assert found.median in minutes
    assert sum(one <= found.p90 for one in minutes) >= 0.9 * len(minutes)


_SOME = st.frozensets(st.sampled_from([*sorted(ALL), "ruth", "away"]))


@given(st.integers(0, 2), st.sampled_from(["", "wren", "left"]), _SOME, _SOME, _SOME)
def test_of_who_may_open_it_a_clinician_hears_of_it_if_there_is_any(
    level: int, owner: str, covers: frozenset[str], on_call: frozenset[str], may: frozenset[str]
) -> None:
    staff = Staff(covers, on_call, ALL | {"ruth"})
    every = covers | on_call | staff.everyone
    sign = ALL | {"away"}
    found = reached(PLAN, level, owner, staff, may, sign)
    assert found <= may & every
    assert bool(found & sign) == bool(may & every & sign)
    if may >= every:
        assert found == audience(PLAN, level, owner, staff)
