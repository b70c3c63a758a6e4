"""The growth chart: its geometry, its table, and the markup that says it all without seeing it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as etree
from datetime import date, timedelta
from decimal import Decimal

from commonchart.care.calculators.sheet import Given
from commonchart.care.growth.curves import child as child_curves
from commonchart.care.growth.curves import fitting, infant
from commonchart.care.growth.percentiles import Child, Plotted, plotted
from commonchart.web.present.growth import age, chart
from commonchart.web.rendering import environment

BORN = date(2025, 1, 1)
GIRL = Child(BORN, "female", 280)


def _weights(*pairs: tuple[int, str]) -> list[Plotted]:
    return [
        plotted(GIRL, "weight", Given(Decimal(kg), "kg", BORN + timedelta(days=d), f"Observation/{d}"))
        for d, kg in pairs
    ]


def _drawn(*pairs: tuple[int, str]):
    found = _weights(*pairs)
    curves = fitting(GIRL, "weight", found)
    assert curves is not None
    return chart(curves, found)


def test_points_lie_between_the_lines_where_they_belong() -> None:
    drawn = _drawn((0, "3.2"), (365, "8.9"))
    at = drawn.points[-1]
    assert at.label
    crossing = [
        float(y)
        for line in drawn.curves
        for x, y in [
            min(
                (p.split() for p in re.findall(r"[\d.]+ [\d.]+", line.path)),
                key=lambda p: abs(float(p[0]) - at.x),
            )
        ]
    ]
    below, above = crossing[2], crossing[4]  # the 25th and the 75th; y grows downwards
    assert above < at.y < below


def test_every_measurement_has_a_row_drawn_or_not() -> None:
    drawn = _drawn((0, "3.2"), (200, "70"), (365, "8.9"))
    assert len(drawn.points) == 2
    assert [row.age for row in drawn.rows] == ["11 months", "6 months", "0 weeks"]
    assert "implausible" in drawn.rows[1].percentile
    assert drawn.rows[0].percentile.endswith("percentile")
    assert "2 of 3 measurements" in drawn.describe


def test_nothing_to_draw_is_said() -> None:
    found = _weights((200, "70"))
    assert "None of 1 measurements can be drawn" in chart(infant("weight", "female"), found).describe


def test_the_markup_has_title_description_and_table() -> None:
    drawn = _drawn((0, "3.2"), (100, "6"), (365, "8.9"))
    source = (
        '{% import "macros/growth.html" as growth %}{{ growth.figure(drawn, "w") }}{{ growth.table(drawn) }}'
    )
    page = environment().from_string(source).render(drawn=drawn)
    tree = etree.fromstring(f"<div>{page}</div>")
    svg = tree.find(".//svg")
    assert svg is not None
    assert svg.get("role") == "img"
    named = [tree.find(f".//*[@id='{i}']") for i in (svg.get("aria-labelledby") or "").split()]
    assert [one.tag for one in named if one is not None] == ["title", "desc"]
    assert [text.text for text in svg.findall("text")][-8:-1] == ["3", "10", "25", "50", "75", "90", "97"]
    assert len(tree.findall(".//tbody/tr")) == 3
    assert tree.find(".//caption") is not None
    assert len(tree.findall(".//th[@scope='row']")) == 3
    assert "style" not in page
    assert "<script" not in page


def test_older_children_have_years_below() -> None:
    drawn = chart(child_curves("bmi", "male"), [])
    assert [tick.text for tick in drawn.below][:3] == ["2 y", "4 y", "6 y"]


def test_ages_in_words() -> None:
    assert [age(m) for m in (None, 0.7, 7.9, 50.2, 48)] == [
        "not known",
        "3 weeks",
        "7 months",
        "4 years 2 months",
        "4 years",
    ]


def test_weight_for_length_is_drawn_over_the_length() -> None:
    day = BORN + timedelta(days=200)
    found = [plotted(GIRL, "weight-for-length", Given(Decimal(7), "kg", day), Given(Decimal(65), "cm", day))]
    drawn = chart(infant("weight-for-length", "female"), found)
    assert len(drawn.points) == 1
    assert drawn.below[0].text == "50"
