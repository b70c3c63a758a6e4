"""What many measures share: qualifying visits, and the exclusions for hospice, palliative care, frailty and nursing homes.

Source: the published libraries AdultOutpatientEncounters, Hospice, PalliativeCare and AdvancedIllnessandFrailty of the eCQM
content of 2024 and 2025.
"""

from __future__ import annotations

from commonchart.measures.chart import code
from commonchart.measures.criteria import (
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

_SINCE_YEAR_BEFORE = When("start", months=12)
ADVANCED_ILLNESS = AnyOf((
    diagnosis("Advanced Illness", when=_SINCE_YEAR_BEFORE),
    Seek("MedicationRequest", ("Dementia Medications",), When("supply", months=12), frozenset({"active"}), intent=ORDER),
))  # fmt: skip


FRAIL_FROM_66 = AllOf((Age(66), FRAIL, ADVANCED_ILLNESS))
FRAIL_FROM_66_OR_81 = AnyOf((AllOf((Age(66, 80), FRAIL, ADVANCED_ILLNESS)), AllOf((Age(81), FRAIL))))
"""CMS165: from 81 frailty alone is enough."""
NURSING_HOME = AllOf((
    Age(66),
    LastSays(survey("71802-3", When("latest", months=None)), (code(SCT, "160734000"),)),
))  # fmt: skip
LIMITED_LIFE: tuple[Criterion, ...] = (HOSPICE, FRAIL_FROM_66, NURSING_HOME, PALLIATIVE)
