"""Chronic disease: CMS122 (glycemic status), CMS165 (blood pressure), CMS951 (kidney health in diabetes)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from msgspec import structs

from commonchart.measures.chart import code
from commonchart.measures.criteria import (
    ACTIVE,
    ENDED,
    FINAL,
    FINISHED,
    IN_PERIOD,
    OVERLAPS_PERIOD,
    SEEN,
    STARTED,
    Age,
    AllOf,
    AnyOf,
    Beside,
    Seek,
    When,
)
from commonchart.measures.evidence import Fact
from commonchart.measures.exclusions import (
    ADULT_OUTPATIENT,
    HOSPICE,
    LABORATORY,
    LOINC,
    NURSING_HOME,
    PALLIATIVE,
    PREVENTIVE,
    diagnosis,
    frail_from_66_or_81,
    limited_life,
    procedure,
    visits,
)
from commonchart.measures.measure import Measure
from commonchart.measures.results import PoorOrUnknown, PressureBelow

CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
NUTRITION_THERAPY = (
    *(code(CPT, one) for one in ("97802", "97803", "97804")),
    *(code(HCPCS, one) for one in ("G0270", "G0271")),
)
DIABETES_VISITS = {
    2024: ADULT_OUTPATIENT,
    2025: visits(
        "Office Visit", "Annual Wellness Visit", *PREVENTIVE, "Home Healthcare Services", "Nutrition Services",
        "Telephone Visits", *NUTRITION_THERAPY,
    ),
}  # fmt: skip


def glycemic(year: int) -> Measure:
    """CMS122, inverse: the last glycated haemoglobin or glucose management indicator above 9 percent, or none."""
    results = Seek(
        "Observation",
        ("HbA1c Laboratory Test", code(LOINC, "97506-0")),
        When("latest"),
        FINAL,
        category=LABORATORY,
    )
    return Measure(
        "CMS122", "Glycemic status above 9 percent", year,
        (Age(18, 75), DIABETES_VISITS[year], diagnosis("Diabetes")),
        limited_life(year),
        PoorOrUnknown(results, Decimal(9)),
        inverse=True,
    )  # fmt: skip


NOT_OUTPATIENT = frozenset({"EMER", "IMP", "ACUTE", "NONAC", "PRENC", "SS"})
PRESSURE = Seek("Observation", (code(LOINC, "85354-9"),), When("latest"), FINAL)
RENAL = ("End Stage Renal Disease", "Chronic Kidney Disease, Stage 5")


def pressure(year: int) -> Measure:
    """CMS165: hypertension known in the first six months; the lowest pressure of the last day below 140/90."""
    return Measure(
        "CMS165", "Controlling high blood pressure", year,
        (
            Age(18, 85),
            diagnosis("Essential Hypertension", when=When("any", closes=6)),
            ADULT_OUTPATIENT,
        ),
        (
            HOSPICE,
            diagnosis("Pregnancy", "Kidney Transplant Recipient", *RENAL),
            procedure("Kidney Transplant", "Dialysis Services", when=ENDED),
            Seek("Encounter", ("ESRD Monthly Outpatient Services",), STARTED, SEEN),
            frail_from_66_or_81(year),
            NURSING_HOME,
            PALLIATIVE,
        ),
        PressureBelow(
            PRESSURE,
            ((LOINC, "8480-6"), Decimal(140)),
            ((LOINC, "8462-4"), Decimal(90)),
            NOT_OUTPATIENT,
        ),
    )  # fmt: skip


def _tested(*titles: str) -> Seek:
    return Seek("Observation", titles, IN_PERIOD, FINAL, valued=True)


def within_4_days(albumin: Fact, creatinine: Fact) -> bool:
    """Whether a urine albumin lies in the four days around a urine creatinine."""
    if not (albumin.start and albumin.end and creatinine.start and creatinine.end):
        return False
    margin = timedelta(days=4)
    return creatinine.start - margin <= albumin.start and albumin.end <= creatinine.end + margin


EGFR = _tested("Estimated Glomerular Filtration Rate")
RATIO = _tested("Urine Albumin Creatinine Ratio")
READABLE_RATIO = AnyOf((
    structs.replace(RATIO, numeric=True),
    structs.replace(RATIO, value=("Undetectable Lab Result Value",)),
    Beside(_tested("Urine Albumin"), _tested("Urine Creatinine"), within_4_days),
))  # fmt: skip


def kidney(year: int) -> Measure:
    """CMS951: an estimated filtration rate and an albumin-creatinine ratio in the period.

    The set of 2024 takes any value, and active diagnoses; that of 2025 a number or "undetectable", or albumin and creatinine
    apart within four days, and diabetes known before the period.
    """
    early = year < 2025
    clinical = ACTIVE if early else frozenset[str]()
    diabetes = diagnosis("Diabetes", when=OVERLAPS_PERIOD if early else When("any", closes=0))
    return Measure(
        "CMS951", "Kidney health evaluation in diabetes", year,
        (
            Age(18, 85, at="start"),
            structs.replace(diabetes, clinical=clinical),
            visits(
                "Annual Wellness Visit", "Home Healthcare Services", "Office Visit", "Outpatient Consultation",
                *PREVENTIVE, "Telephone Visits", status=FINISHED,
            ),
        ),
        (structs.replace(diagnosis(*RENAL), clinical=clinical), HOSPICE, PALLIATIVE),
        AllOf((EGFR, RATIO if early else READABLE_RATIO)),
    )  # fmt: skip
