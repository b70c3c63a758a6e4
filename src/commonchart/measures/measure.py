"""A measure of one yearly set, and what one chart counts as in it."""

from __future__ import annotations

from msgspec import Struct

from commonchart.measures.chart import Chart
from commonchart.measures.criteria import NEVER, Criterion

POPULATIONS = (
    "initial-population",
    "denominator",
    "denominator-exclusion",
    "denominator-exception",
    "numerator",
)


class Measure(Struct, frozen=True):
    """A proportion measure. `year` is that of the eCQM content; `inverse` says that a lower rate is better."""

    id: str
    title: str
    year: int
    initial: tuple[Criterion, ...]
    exclusions: tuple[Criterion, ...]
    numerator: Criterion
    exceptions: Criterion = NEVER
    inverse: bool = False


def populations(measure: Measure, chart: Chart) -> dict[str, int]:
    """The populations a chart belongs to, each 0 or 1, by the order of proportion scoring.

    Exclusions are asked of the denominator, the numerator of what is left of it, exceptions of what is not in the numerator
    (CQFM proportion measure scoring, https://hl7.org/fhir/us/cqfmeasures/measure-conformance.html).
    """
    counted = all(part.met(chart) for part in measure.initial)
    excluded = counted and any(part.met(chart) for part in measure.exclusions)
    numerator = counted and not excluded and measure.numerator.met(chart)
    excepted = counted and not excluded and not numerator and measure.exceptions.met(chart)
    return dict(zip(POPULATIONS, map(int, (counted, counted, excluded, excepted, numerator)), strict=True))
