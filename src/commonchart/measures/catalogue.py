"""Which measures there are, and by which names the published cases know them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from commonchart.measures import cancer, chronic, screening
from commonchart.measures.chart import Vocabulary
from commonchart.measures.criteria import names
from commonchart.measures.measure import Measure
from commonchart.measures.value_sets import ValueSets

YEARS = (2024, 2025)
_BUILDERS: tuple[Callable[[int], Measure], ...] = (
    cancer.breast, cancer.cervical, cancer.colorectal,
    chronic.glycemic, chronic.pressure, chronic.kidney,
    screening.depression, screening.hiv, screening.body_mass,
)  # fmt: skip
MEASURES: Mapping[tuple[str, int], Measure] = {
    (measure.id, year): measure for year in YEARS for measure in (build(year) for build in _BUILDERS)
}
_NAMED = {
    "BreastCancerScreeningFHIR": "CMS125",
    "CervicalCancerScreeningFHIR": "CMS124",
    "ColonCancerScreeningFHIR": "CMS130",
    "ControllingHighBloodPressureFHIR": "CMS165",
    "DiabetesGlycemicStatusAssessmentGreaterThan9PercentFHIR": "CMS122",
    "HIVScreeningFHIR": "CMS349",
    "KidneyHealthEvaluationFHIR": "CMS951",
    "PCSBMIScreenAndFollowUpFHIR": "CMS69",
    "PCSDepressionScreenAndFollowUpFHIR": "CMS2",
}


def measure_id(library: str) -> str:
    """The CMS number of a library's name, such as CMS125 of CMS125FHIRBreastCancerScreening; the name itself where unknown."""
    numbered = re.match(r"(CMS\d+)FHIR", library)
    return numbered[1] if numbered else _NAMED.get(library, library)


def measure_of(library: str, year: int) -> Measure | None:
    """The definition for a library's name in a yearly set, None where there is none."""
    return MEASURES.get((measure_id(library), year))


def vocabulary(sets: ValueSets, measures: Iterable[Measure]) -> Vocabulary:
    """What the definitions name, looked up in these value sets. Raises NotFound for a title that is not there."""
    return Vocabulary(sets, {name for measure in measures for name in names(measure)})
