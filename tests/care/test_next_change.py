"""Stored dates stay right: until `next_change_on` the answer is the same, for every rule of the pack and every kind of fact."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.care.cases import (
    ICD,
    LOINC,
    SCT,
    TODAY,
    concept,
    condition,
    every,
    observation,
    patient,
    procedure,
)
from tests.care.test_plans import every_months, put_off
from tests.care.test_population import answered, drug, smoking

_DAYS = st.dates(date(2018, 1, 1), date(2028, 6, 1)).map(str)
_LATELY = st.dates(date(2025, 6, 1), date(2027, 6, 1)).map(str)


def _ending(code: tuple[str, str], since: str, end: str) -> dict[str, Any]:
    return condition(code, since=since) | {"abatementDateTime": end}


def _visit(code: str, start: str, days: int) -> dict[str, Any]:
    end = date.fromisoformat(start) + timedelta(days=days)
    return {
        "resourceType": "Encounter", "id": f"v{start}{code}", "status": "finished", "type": [concept((SCT, code))],
        "period": {"start": start, "end": str(end)},
    }  # fmt: skip


def _coverage(start: str) -> dict[str, Any]:
    return {
        "resourceType": "Coverage", "id": "c", "status": "active", "type": concept(("https://nahdo.org/sopt", "121")), "period": {"start": start},
    }  # fmt: skip


_FACT = st.one_of(
    st.builds(lambda d: condition((SCT, "77386006"), since=d), _LATELY),
    st.builds(lambda d, e: observation("11778-8", d) | {"valueDateTime": e}, _LATELY, _LATELY),
    st.builds(lambda d: procedure(SCT, "177184002", d), _LATELY),
    st.builds(lambda d: condition((ICD, "O03.9"), since=d), _LATELY),
    st.builds(lambda d, e: _ending((ICD, "E11.9"), d, e), _DAYS, _DAYS),
    st.builds(lambda d, e: _ending((ICD, "Z51.5"), d, e), _DAYS, _DAYS),
    st.builds(_visit, st.sampled_from(["305336008", "410620009"]), _DAYS, st.integers(0, 30)),
    st.builds(lambda c, d: drug(c, since=d), st.sampled_from(["2626", "6809", "29046", "11289", "6851"]), _DAYS),
    st.builds(lambda d, e: drug("6809", since=d, dosageInstruction=[{"timing": {"repeat": {"boundsPeriod": {"end": e}}}}]), _DAYS, _DAYS),
    st.builds(lambda d, e: put_off("breast", e, said=d), _LATELY, _LATELY),
    st.builds(lambda m: every_months("colorectal", m), st.integers(1, 60)),
    st.builds(lambda d, yes: answered(d, sexually_active=yes, ever_smoked=yes, hiv_risk=yes), _LATELY, st.booleans()),
    st.builds(lambda d, a: smoking(a, d), _DAYS, st.sampled_from(["LA18976-3", "LA15920-4", "LA18978-9"])),
    st.builds(lambda d, v: observation("751-8", d, Decimal(v) / 10, "10*3/uL"), _LATELY, st.integers(1, 60)),
    st.builds(lambda d, v: observation("787-2", d, v, "fL"), _LATELY, st.integers(70, 110)),
    st.builds(lambda d, v: observation("79423-0", d, v, "%"), _DAYS, st.integers(1, 30)),
    st.builds(_coverage, _DAYS),
    st.builds(lambda d: observation("64728-9", d) | {"valueCodeableConcept": concept((LOINC, "LA33-6"))}, _DAYS),
    st.just(condition((ICD, "R54"))),
    st.just(condition((ICD, "G30.1"))),
)  # fmt: skip


@given(
    st.lists(_FACT, max_size=7),
    st.one_of(st.dates(date(1940, 1, 1), date(2026, 11, 1)), st.dates(date(2015, 1, 1), date(2026, 11, 18))).map(str),
    st.sampled_from(["female", "male"]),
)  # fmt: skip
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_answer_is_the_same_on_the_day_before_its_next_change(
    facts: list[dict[str, Any]], born: str, sex: str
) -> None:
    who = patient(born, sex)
    now = {one.rule: one for one in every(*facts, who=who)}
    days = {one.next_change_on for one in now.values() if one.next_change_on}
    for change in [*sorted(days)[:6], TODAY + timedelta(days=700)]:
        before = {one.rule: one for one in every(*facts, who=who, on=change - timedelta(days=1))}
        for rule, one in now.items():
            if one.next_change_on is None or one.next_change_on >= change:
                then = before[rule]
                assert (then.status, then.due_on, then.within) == (one.status, one.due_on, one.within), rule
    assert all(day > TODAY for day in days)
