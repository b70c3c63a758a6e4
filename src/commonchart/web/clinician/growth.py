"""A child's growth on the percentile lines, and the same numbers as tables; an adult's childhood too."""

from __future__ import annotations

from datetime import date
from typing import Any

from starlette.responses import Response

from commonchart.access import quarantine
from commonchart.care.calendar import age_on
from commonchart.care.growth.curves import fitting
from commonchart.care.growth.from_fhir import CODES, GESTATION, Growth, growth
from commonchart.care.growth.tables import Measure
from commonchart.web.call import Call
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.present import growth as drawing

MOST = 1000
CHILD_UNTIL_YEARS = 20
_ORDER: tuple[Measure, ...] = ("weight", "length", "head", "weight-for-length", "bmi")
_WANTED = tuple(f"http://loinc.org|{code}" for code in sorted(GESTATION.union(*CODES.values())))


async def page(call: Call) -> Response:
    """Every measure with its chart; `?sex=` draws on a chosen chart where sex is not recorded, and changes nothing."""
    chart = await opened(call, "growth", rail=False)
    facts, total = await chart.facts(["Observation"], codes=_WANTED, limit=MOST, named=False)
    marks = await quarantine.marks(call.records, chart.id)
    doubted = {
        one.key: ("rejected: " if mark.rejected else "in quarantine: ") + mark.reason
        for one in facts if (mark := marks.get(one.key)) and mark.vid == one.vid
    }  # fmt: skip
    asked = call.request.query_params.get("sex", "")
    found = growth(
        chart.patient.body | {"id": chart.id}, [one.body for one in facts], chart.on, doubted, asked
    )
    return chart.page(
        "chart/growth.html", "Growth", charts=_charts(found, chart.on), child=found.child, chosen=found.chosen, total=total,
        shown=len(facts), doubted=len(doubted), problem=_problem(found), adult=_adult(found, chart),
    )  # fmt: skip


def _charts(found: Growth, on: date) -> list[tuple[str, str, drawing.GrowthChart | None, list[Any]]]:
    """(id, title, chart, rows) of each measure that has any point; without a chart the rows alone."""
    out: list[tuple[str, str, drawing.GrowthChart | None, list[Any]]] = []
    for measure in _ORDER:
        points = [
            one for one in found.measures.get(measure, ())
            if one.months is None or _judged(measure, one.months)
        ]  # fmt: skip
        curves = fitting(found.child, measure, points) if points else None
        drawn = drawing.chart(curves, points) if curves else None
        if points:
            out.append(
                (measure, drawing.NAMES[measure], drawn, list(drawn.rows if drawn else drawing.rows(points)))
            )
    return out


def _judged(measure: Measure, months: float) -> bool:
    """Is this measure judged at this age at all? Weight for length gives way to BMI at two years."""
    return measure not in ("bmi", "weight-for-length") or (months >= 24) == (measure == "bmi")


def _problem(found: Growth) -> str:
    if found.child.born is None:
        return "The birth date is not recorded, or only in part: no percentile can be computed."
    if not found.child.sex:
        return f"No percentile can be computed: {found.child.sex_problem or 'sex is not recorded'}."
    return ""


def _adult(found: Growth, chart: Chart) -> bool:
    born = found.child.born
    return born is not None and age_on(born, chart.on) >= CHILD_UNTIL_YEARS
