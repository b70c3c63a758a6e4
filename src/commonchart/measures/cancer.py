"""Screening for cancer: CMS125 (breast), CMS130 (colorectal), CMS124 (cervix)."""

from __future__ import annotations

from commonchart.measures.chart import code
from commonchart.measures.criteria import (
    ENDED,
    FINAL,
    STARTED,
    VERIFIED,
    Age,
    AllOf,
    AnyOf,
    Criterion,
    Female,
    Seek,
    When,
)
from commonchart.measures.exclusions import (
    ADULT_OUTPATIENT,
    HOSPICE,
    LABORATORY,
    PALLIATIVE,
    PREVENTIVE,
    SCT,
    diagnosis,
    limited_life,
    procedure,
    visits,
)
from commonchart.measures.measure import Measure

FEMALE = {2024: Female("gender"), 2025: Female("sex")}


def result(*titles: str, months: int, aged: tuple[int, int] | None = None) -> Seek:
    """Laboratory results with a value, dated from so many months before the period to its end."""
    when = When("latest", months=months)
    return Seek("Observation", titles, when, FINAL, category=LABORATORY, valued=True, aged=aged)


def study(*titles: str, months: int) -> Seek:
    """Diagnostic studies that ended from so many months before the period to its end."""
    return Seek("Observation", titles, When("latest", months=months), FINAL)


def _breast_gone(side: str, qualifier: str) -> Criterion:
    sided = Seek(
        "Condition",
        ("Unilateral Mastectomy, Unspecified Laterality",),
        STARTED,
        VERIFIED,
        site=(code(SCT, qualifier),),
    )
    return AnyOf((
        diagnosis(f"Status Post {side} Mastectomy", when=STARTED),
        sided,
        procedure(f"Unilateral Mastectomy {side}", when=ENDED),
    ))  # fmt: skip


NO_BREASTS = (
    AllOf((_breast_gone("Right", "24028007"), _breast_gone("Left", "7771000"))),
    diagnosis("History of bilateral mastectomy", when=STARTED),
    procedure("Bilateral Mastectomy", when=ENDED),
)
FROM_AGE = {2024: 52, 2025: 42}
SINCE_OCTOBER = 15
"""Months from 1 October two years before the year in which the period ends to its first day."""


def breast(year: int) -> Measure:
    """CMS125: a mammogram in the 27 months up to the end of the period; from 42 years since the set of 2025, before from 52."""
    return Measure(
        "CMS125", "Breast cancer screening", year,
        (Age(FROM_AGE[year], 74), FEMALE[year], ADULT_OUTPATIENT),
        (*limited_life(year), *NO_BREASTS),
        study("Mammography", months=SINCE_OCTOBER),
    )  # fmt: skip


def colorectal(year: int) -> Measure:
    """CMS130: FOBT in the period, stool DNA in 3 years, sigmoidoscopy or CT in 5, colonoscopy in 10."""
    return Measure(
        "CMS130", "Colorectal cancer screening", year,
        (Age(46, 75), ADULT_OUTPATIENT),
        (
            *limited_life(year),
            diagnosis("Malignant Neoplasm of Colon", when=STARTED),
            procedure("Total Colectomy", when=ENDED),
        ),
        AnyOf((
            result("Fecal Occult Blood Test (FOBT)", months=0),
            result("sDNA FIT Test", months=24),
            procedure("Flexible Sigmoidoscopy", when=When("end", months=48)),
            study("CT Colonography", months=48),
            procedure("Colonoscopy", when=When("end", months=108)),
        )),
    )  # fmt: skip


def cervical(year: int) -> Measure:
    """CMS124: cytology in 3 years, or an HPV test in 5 taken at 30 or older."""
    return Measure(
        "CMS124", "Cervical cancer screening", year,
        (
            Age(24, 64),
            FEMALE[year],
            visits("Office Visit", *PREVENTIVE, "Home Healthcare Services", "Telephone Visits", "Virtual Encounter"),
        ),
        (
            HOSPICE,
            PALLIATIVE,
            procedure("Hysterectomy with No Residual Cervix", when=ENDED),
            diagnosis("Congenital or Acquired Absence of Cervix", when=STARTED),
        ),
        AnyOf((result("Pap Test", months=24), result("HPV Test", months=48, aged=(30, 200)))),
    )  # fmt: skip
