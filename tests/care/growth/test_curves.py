"""Percentile lines."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from commonchart.care.calculators.sheet import Given
from commonchart.care.growth.curves import PERCENTILES, child, fitting, infant
from commonchart.care.growth.percentiles import Child, plotted


@pytest.mark.parametrize("measure", ["weight", "length", "bmi", "head"])
@pytest.mark.parametrize("sex", ["female", "male"])
@pytest.mark.parametrize("make", [infant, child])
def test_seven_lines_that_never_cross(make, measure, sex) -> None:
    found = make(measure, sex)
    assert tuple(line.percentile for line in found.lines) == PERCENTILES
    for low, high in zip(found.lines, found.lines[1:], strict=False):
        assert all(a[1] < b[1] for a, b in zip(low.spots, high.spots, strict=True))


def test_a_line_is_where_its_percentile_is() -> None:
    born, day = date(2020, 1, 1), date(2021, 1, 1)
    weight = next(line for line in infant("weight", "male").lines if line.percentile == 50)
    value = min(weight.spots, key=lambda spot: abs(spot[0] - 12))[1]
    found = plotted(Child(born, "male", 280), "weight", Given(Decimal(str(value)), "kg", day))
    assert found.percentile == pytest.approx(50, abs=1)


def test_the_chart_follows_the_age() -> None:
    who = Child(date(2020, 1, 1), "female", 280)
    young = [plotted(who, "weight", Given(Decimal(10), "kg", date(2021, 1, 1)))]
    older = [*young, plotted(who, "weight", Given(Decimal(20), "kg", date(2026, 1, 1)))]
    first, second = fitting(who, "weight", young), fitting(who, "weight", older)
    assert first is not None
    assert second is not None
    assert (first.end, second.end) == (24, 240)
    assert fitting(Child(None, ""), "weight", young) is None
    assert fitting(who, "weight", []) is None


def test_weight_over_length() -> None:
    found = infant("weight-for-length", "male")
    assert (found.across, found.start, found.end) == ("length, cm", 45, 110)
