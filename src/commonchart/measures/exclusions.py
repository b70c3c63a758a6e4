"""What many measures share: qualifying visits, and the exclusions for hospice, palliative care, frailty and nursing homes.

Source: the published libraries AdultOutpatientEncounters, Hospice, PalliativeCare and AdvancedIllnessandFrailty of the eCQM
content of 2024 and 2025.
"""

from __future__ import annotations

from commonchart.measures.chart import code
from commonchart.measures.criteria import (
    ACTIVE,
    COMPLETED,
    ENDS_IN_PERIOD,
    FINAL,
    IN_PERIOD,
    ORDERED,
    OVERLAPS_PERIOD,
    SEEN,
    STARTS_IN_PERIOD,
    VERIFIED,
    Age,
    AllOf,
    AnyOf,
    Criterion,
    LastSays,
    Seek,
    When,
)

LOINC, SCT = "http://loinc.org", "http://snomed.info/sct"
SURVEY, LABORATORY, ORDER = frozenset({"survey"}), frozenset({"laboratory"}), frozenset({"order"})
PROBLEM = frozenset({"problem-list-item", "health-concern"})
PREVENTIVE = (
    "Preventive Care Services Established Office Visit, 18 and Up",
    "Preventive Care Services Initial Office Visit, 18 and Up",
)
ADULT_VISITS = (
    "Office Visit", "Annual Wellness Visit", *PREVENTIVE, "Home Healthcare Services", "Telephone Visits",
)  # fmt: skip


def visits(*titles: str, status: frozenset[str] = SEEN) -> Seek:
    """Visits wholly within the period."""
    return Seek("Encounter", titles, IN_PERIOD, status)


def diagnosis(*titles: str, when: When = OVERLAPS_PERIOD) -> Seek:
    """Conditions that are neither refuted nor entered in error."""
    return Seek("Condition", titles, when, VERIFIED)


def procedure(*titles: str, when: When) -> Seek:
    """Procedures that were completed."""
    return Seek("Procedure", titles, when, COMPLETED)


def survey(loinc: str, when: When, value: tuple[str, ...] = ()) -> Seek:
    """Answers to one question of an assessment."""
    return Seek("Observation", (code(LOINC, loinc),), when, FINAL, category=SURVEY, value=value)


ADULT_OUTPATIENT = visits(*ADULT_VISITS, "Virtual Encounter")

_TO_HOSPICE = (code(SCT, "428361000124107"), code(SCT, "428371000124100"))

HOSPICE = AnyOf((
    Seek("Encounter", ("Encounter Inpatient",), ENDS_IN_PERIOD, SEEN, outcome=_TO_HOSPICE),
    Seek("Encounter", ("Hospice Encounter",), OVERLAPS_PERIOD, SEEN),
    survey("45755-6", OVERLAPS_PERIOD, (code(SCT, "373066001"),)),
    Seek("ServiceRequest", ("Hospice Care Ambulatory",), STARTS_IN_PERIOD, ORDERED, intent=ORDER),
    procedure("Hospice Care Ambulatory", when=OVERLAPS_PERIOD),
    diagnosis("Hospice Diagnosis"),
))  # fmt: skip

PALLIATIVE = AnyOf((
    survey("71007-9", OVERLAPS_PERIOD),
    diagnosis("Palliative Care Diagnosis"),
    Seek("Encounter", ("Palliative Care Encounter",), OVERLAPS_PERIOD, SEEN),
    procedure("Palliative Care Intervention", when=OVERLAPS_PERIOD),
))  # fmt: skip

FRAIL = AnyOf((
    Seek("DeviceRequest", ("Frailty Device",), STARTS_IN_PERIOD, ORDERED, intent=ORDER),
    survey("98181-1", When("latest"), ("Frailty Device",)),
    diagnosis("Frailty Diagnosis"),
    Seek("Encounter", ("Frailty Encounter",), OVERLAPS_PERIOD, SEEN),
    Seek("Observation", ("Frailty Symptom",), OVERLAPS_PERIOD, FINAL | {"preliminary"}),
))  # fmt: skip


def drug_order(
    year: int,
    *titles: str,
    when: When | None,
    status: frozenset[str] = ORDERED,
    intent: frozenset[str] = ORDER,
) -> Seek:
    """Orders of drugs. The libraries of 2024 look at the order's own code only, those since also at a Medication it refers to."""
    return Seek("MedicationRequest", titles, when, status, intent=intent, coded=year < 2025)


def _advanced_illness(year: int) -> Criterion:
    """In the period or the year before it."""
    return AnyOf((
        diagnosis("Advanced Illness", when=When("start", months=12)),
        drug_order(year, "Dementia Medications", when=When("supply", months=12), status=ACTIVE),
    ))  # fmt: skip


def frail_from_66(year: int) -> Criterion:
    """66 or older, frail, and with an advanced illness or a drug for dementia."""
    return AllOf((Age(66), FRAIL, _advanced_illness(year)))


def frail_from_66_or_81(year: int) -> Criterion:
    """The same up to 80; from 81 frailty alone is enough (CMS165)."""
    return AnyOf((AllOf((Age(66, 80), FRAIL, _advanced_illness(year))), AllOf((Age(81), FRAIL))))


NURSING_HOME = AllOf((
    Age(66),
    LastSays(survey("71802-3", When("latest", months=None)), (code(SCT, "160734000"),)),
))  # fmt: skip


def limited_life(year: int) -> tuple[Criterion, ...]:
    """Hospice, frailty with advanced illness, long-term nursing home and palliative care."""
    return HOSPICE, frail_from_66(year), NURSING_HOME, PALLIATIVE
