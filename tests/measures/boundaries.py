"""Our own boundary cases: each stands on one edge of one measure. Expected: initial, excluded, excepted, numerator.

They discriminate where CMS's cases do not, and need nothing from outside the repository.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from commonchart.measures.catalogue import MEASURES
from commonchart.measures.chart import code
from commonchart.measures.measure import Measure
from tests.measures.patients import (
    answer,
    concept,
    condition,
    done,
    for_days,
    number,
    observed,
    ordered,
    pressure,
    reason,
    visit,
    woman,
)

SCT, LOINC = "http://snomed.info/sct", "http://loinc.org"
POSITIVE, NEGATIVE = code(SCT, "428181000124104"), code(SCT, "428171000124102")
ADULT = "73832-8"
BMI, KG = code(LOINC, "39156-5"), "kg/m2"
A1C = "HbA1c Laboratory Test"
VISITS = {
    "CMS2": "Encounter to Screen for Depression",
    "CMS69": "Encounter to Evaluate BMI",
}
KNOWN = {
    "CMS122": [condition("Diabetes")],
    "CMS951": [condition("Diabetes")],
    "CMS165": [condition("Essential Hypertension")],
}
OUT, IN, EXCLUDED, EXCEPTED, NUMERATOR = (0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1)


class Boundary(NamedTuple):
    measure: Measure
    name: str
    resources: list[Any]
    expected: tuple[int, int, int, int]


def case(measure: str, name: str, expected: tuple[int, int, int, int], *more: Any, born: str = "1970-06-01", year: int = 2025,
         at: str = "2026-03-03") -> Boundary:  # fmt: skip
    """The measure's plain patient (a woman of 56 with a visit and what the measure is about) and something more."""
    base = [woman(born), visit(VISITS.get(measure, "Office Visit"), at), *KNOWN.get(measure, [])]
    return Boundary(MEASURES[measure, year], f"{measure} {year} {name}", [*base, *more], expected)


def bare(
    measure: str, name: str, expected: tuple[int, int, int, int], *resources: Any, year: int = 2025
) -> Boundary:
    return Boundary(MEASURES[measure, year], f"{measure} {year} {name}", list(resources), expected)


# What a patient without anything done counts as: CMS122 is inverse, so nothing done is its numerator.
UNDONE = {measure: NUMERATOR if measure == "CMS122" else IN for measure, _ in MEASURES}

HOSPICE = [done("Hospice Care Ambulatory")]
FRAIL = [ordered("DeviceRequest", "Frailty Device"), condition("Advanced Illness", "2025-02-02")]
NURSING = [answer("71802-3", value=code(SCT, "160734000"))]
PALLIATIVE = [answer("71007-9")]
OLD = "1958-06-01"
EXCLUSIONS: dict[str, list[list[Any]]] = {
    "CMS125": [
        HOSPICE, FRAIL, NURSING, PALLIATIVE,
        [condition("Status Post Left Mastectomy"), done("Unilateral Mastectomy Right", "2010-01-01")],
        [condition("History of bilateral mastectomy")],
        [done("Bilateral Mastectomy", "2010-01-01")],
    ],
    "CMS130": [
        HOSPICE, FRAIL, NURSING, PALLIATIVE, [condition("Malignant Neoplasm of Colon")], [done("Total Colectomy", "2010-01-01")],
    ],
    "CMS124": [
        HOSPICE, PALLIATIVE, [done("Hysterectomy with No Residual Cervix", "2010-01-01")],
        [condition("Congenital or Acquired Absence of Cervix")],
    ],
    "CMS122": [HOSPICE, FRAIL, NURSING, PALLIATIVE],
    "CMS165": [
        HOSPICE, [condition("End Stage Renal Disease")], [done("Kidney Transplant", "2010-01-01")],
        [visit("ESRD Monthly Outpatient Services")], FRAIL, NURSING, PALLIATIVE,
    ],
    "CMS951": [[condition("Chronic Kidney Disease, Stage 5")], HOSPICE, PALLIATIVE],
    "CMS2": [[condition("Bipolar Disorder", "2026-03-02")]],
    "CMS349": [[condition("HIV", "2025-12-31")]],
    "CMS69": [HOSPICE, PALLIATIVE, [condition("Pregnancy Obstetric or Maternal Diagnoses", "2026-12-31")]],
}  # fmt: skip


def everywhere() -> list[Boundary]:
    """Edges that every measure has: the visit, and each exclusion alone."""
    out = []
    for measure, undone in UNDONE.items():
        out += [
            case(measure, "visit on the first day", undone, at="2026-01-01"),
            case(measure, "visit on the last day", undone, at="2026-12-31"),
            case(measure, "visit the day before the period", OUT, at="2025-12-31"),
            case(measure, "visit the day after the period", OUT, at="2027-01-01"),
        ]
        for n, facts in enumerate(EXCLUSIONS[measure]):
            born = "1963-06-01" if measure in ("CMS124", "CMS349") else OLD
            out.append(case(measure, f"exclusion {n}", EXCLUDED, *facts, born=born))
    return out


DONE_STOPPED = {"status": "entered-in-error"}
NOT_TO_DO = {"doNotPerform": True}
TO_HOSPICE = ("ServiceRequest", "Hospice Care Ambulatory")


def refused(measure: str) -> list[Boundary]:
    """An order for hospice care excludes; the same with any spelling of "do not" does not."""
    undone = UNDONE[measure]
    return [
        case(measure, "hospice ordered", EXCLUDED, ordered(*TO_HOSPICE)),
        case(measure, "hospice not to be done", undone, ordered(*TO_HOSPICE, **NOT_TO_DO)),
    ]


def _mammogram(at: str, **more: Any) -> Any:
    return observed("Mammography", at, "imaging", **more)


BREAST = [
    case("CMS125", "mammogram at 27 months, the first day", NUMERATOR, _mammogram("2024-10-01T00:00:00Z")),
    case("CMS125", "mammogram the day before 27 months", IN, _mammogram("2024-09-30T23:59:59Z")),
    case("CMS125", "mammogram at 24 months", NUMERATOR, _mammogram("2024-12-31")),
    case("CMS125", "mammogram at 24 months and a day", NUMERATOR, _mammogram("2024-12-30")),
    case("CMS125", "mammogram at 24 months less a day", NUMERATOR, _mammogram("2025-01-01")),
    case("CMS125", "mammogram in the last second", NUMERATOR, _mammogram("2026-12-31T23:59:59.999Z")),
    case("CMS125", "mammogram after the period", IN, _mammogram("2027-01-01T00:00:00Z")),
    case("CMS125", "mammogram after the period in UTC", IN, _mammogram("2026-12-31T22:00:00-05:00")),
    case("CMS125", "mammogram entered in error", IN, _mammogram("2026-02-02", **DONE_STOPPED)),
    case("CMS125", "one breast left", IN, condition("Status Post Left Mastectomy")),
    case("CMS125", "both by body site", EXCLUDED, *(
        condition("Unilateral Mastectomy, Unspecified Laterality", bodySite=[concept(code(SCT, side))])
        for side in ("7771000", "24028007"))),
    case("CMS125", "42 on the last day", IN, born="1984-12-31"),
    case("CMS125", "41 on the last day", OUT, born="1985-01-01"),
    case("CMS125", "42 is too young for the set of 2024", OUT, born="1984-12-31", year=2024),
    case("CMS125", "74 on the last day", IN, born="1952-01-01"),
    case("CMS125", "75 on the last day", OUT, born="1951-12-31"),
    *refused("CMS125"),
]  # fmt: skip

COLON = [
    case("CMS130", "colonoscopy on the first day of ten years", NUMERATOR, done("Colonoscopy", "2017-01-01")),
    case("CMS130", "colonoscopy the day before", IN, done("Colonoscopy", "2016-12-31")),
    case("CMS130", "colonoscopy in progress", IN, done("Colonoscopy", "2026-02-02", status="in-progress")),
    case("CMS130", "occult blood with a value", NUMERATOR, number("Fecal Occult Blood Test (FOBT)", 1)),
    case("CMS130", "occult blood without a value", IN, observed("Fecal Occult Blood Test (FOBT)")),
    case(
        "CMS130", "occult blood last year", IN, number("Fecal Occult Blood Test (FOBT)", 1, at="2025-12-31")
    ),
    *refused("CMS130"),
]

CERVIX = [
    case(
        "CMS124",
        "cytology on the first day of three years",
        NUMERATOR,
        number("Pap Test", 1, at="2024-01-01"),
    ),
    case("CMS124", "cytology the day before", IN, number("Pap Test", 1, at="2023-12-31")),
    case("CMS124", "cytology cancelled", IN, number("Pap Test", 1, status="cancelled")),
    case("CMS124", "HPV test at 30", NUMERATOR, number("HPV Test", 1, at="2022-06-01"), born="1992-06-01"),
    case(
        "CMS124", "HPV test the day before 30", IN, number("HPV Test", 1, at="2022-05-31"), born="1992-06-01"
    ),
    *refused("CMS124"),
]

GLYCEMIC = [
    case("CMS122", "A1c 9.0", IN, number(A1C, 9.0, "%")),
    case("CMS122", "A1c 9.1", NUMERATOR, number(A1C, 9.1, "%")),
    case("CMS122", "A1c 75 mmol/mol is 9.01", NUMERATOR, number(A1C, 75, "mmol/mol")),
    case("CMS122", "A1c 74 mmol/mol is 8.92", IN, number(A1C, 74, "mmol/mol")),
    case("CMS122", "the lowest of one day", IN, number(A1C, 9.5, "%"), number(A1C, 8.9, "%")),
    case("CMS122", "the last day, not the lowest", NUMERATOR, number(A1C, 8, "%"), number(A1C, 9.5, "%", "2026-04-05")),
    case("CMS122", "a result without a value", NUMERATOR, observed(A1C)),
    case("CMS122", "a result in words", IN, observed(A1C, valueCodeableConcept=concept(code(SCT, "373066001")))),
    case("CMS122", "A1c entered in error", NUMERATOR, number(A1C, 8, "%", **DONE_STOPPED)),
    case("CMS122", "A1c before the period", NUMERATOR, number(A1C, 8, "%", "2025-12-31")),
    *refused("CMS122"),
]  # fmt: skip

INPATIENT = visit("Encounter Inpatient", "2026-05-05", **{"class": {"code": "IMP"}})
PRESSURE = [
    case("CMS165", "139/89", NUMERATOR, pressure(139, 89)),
    case("CMS165", "139/90", IN, pressure(139, 90)),
    case("CMS165", "140/89", IN, pressure(140, 89)),
    case("CMS165", "two readings one day, the lowest of each", NUMERATOR, pressure(150, 80), pressure(130, 95)),
    case("CMS165", "the last day counts", IN, pressure(120, 80), pressure(150, 95, "2026-04-05T08:00:00Z")),
    case("CMS165", "not in hospital", NUMERATOR, pressure(120, 80), INPATIENT,
         pressure(180, 95, "2026-05-05T08:00:00Z", encounter={"reference": f"Encounter/{INPATIENT['id']}"})),
    case("CMS165", "reading cancelled", IN, pressure(120, 80, status="cancelled")),
    bare("CMS165", "known on the last day of June", IN, woman(), visit(), condition("Essential Hypertension", "2026-06-30")),
    bare("CMS165", "known from July", OUT, woman(), visit(), condition("Essential Hypertension", "2026-07-01")),
    bare("CMS165", "refuted", OUT, woman(), visit(), condition(
        "Essential Hypertension", verificationStatus={"coding": [{"code": "refuted"}]})),
    case("CMS165", "81 and frail", EXCLUDED, FRAIL[0], born="1945-12-31"),
    case("CMS165", "80 and frail", IN, FRAIL[0], born="1946-01-01"),
    *refused("CMS165"),
]  # fmt: skip

EGFR, RATIO = "Estimated Glomerular Filtration Rate", "Urine Albumin Creatinine Ratio"
ALBUMIN, CREATININE = "Urine Albumin", "Urine Creatinine"
KIDNEY = [
    case("CMS951", "both tests", NUMERATOR, number(EGFR, 70), number(RATIO, 20)),
    case("CMS951", "one test", IN, number(EGFR, 70)),
    case("CMS951", "a test entered in error", IN, number(EGFR, 70), number(RATIO, 20, **DONE_STOPPED)),
    case("CMS951", "four days apart", NUMERATOR, number(EGFR, 70), number(ALBUMIN, 1, at="2026-04-04T08:00:00Z"),
         number(CREATININE, 1, at="2026-04-08T08:00:00Z")),
    case("CMS951", "over four days apart", IN, number(EGFR, 70), number(ALBUMIN, 1, at="2026-04-04T08:00:00Z"),
         number(CREATININE, 1, at="2026-04-08T08:00:01Z")),
    case("CMS951", "any value in the set of 2024", NUMERATOR, observed(EGFR, valueBoolean=True),
         observed(RATIO, valueBoolean=True), year=2024),
    case("CMS951", "no number in the set of 2025", IN, number(EGFR, 70), observed(RATIO, valueBoolean=True)),
    *refused("CMS951"),
]  # fmt: skip

REFERRAL = ("ServiceRequest", "Referral for Adult Depression")
DRUG = ("MedicationRequest", "Adult Depression Medications")
_POSITIVE = answer(ADULT, "2026-02-17", POSITIVE)
DEPRESSION = [
    case("CMS2", "negative 14 days before", NUMERATOR, answer(ADULT, "2026-02-17", NEGATIVE)),
    case("CMS2", "negative 15 days before", IN, answer(ADULT, "2026-02-16", NEGATIVE)),
    case("CMS2", "the last screen counts", IN, answer(ADULT, "2026-02-18", NEGATIVE), answer(ADULT, "2026-02-19", POSITIVE)),
    case("CMS2", "a screen amended does not count", IN, answer(ADULT, "2026-02-17", NEGATIVE, status="amended")),
    case("CMS2", "positive without a plan", IN, _POSITIVE),
    case("CMS2", "referred two days after", NUMERATOR, _POSITIVE, ordered(*REFERRAL, "2026-03-05")),
    case("CMS2", "referred three days after", IN, _POSITIVE, ordered(*REFERRAL, "2026-03-06")),
    case("CMS2", "referral revoked", IN, _POSITIVE, ordered(*REFERRAL, "2026-03-03", status="revoked")),
    case("CMS2", "not to be referred", IN, _POSITIVE, ordered(*REFERRAL, "2026-03-03", **NOT_TO_DO)),
    case("CMS2", "a drug that goes on", NUMERATOR, _POSITIVE, ordered(*DRUG, "2026-02-20", dispenseRequest=for_days(30))),
    case("CMS2", "a drug that ends that day", IN, _POSITIVE, ordered(*DRUG, "2026-02-20", dispenseRequest=for_days(12))),
    case("CMS2", "no such drug in the set of 2024", IN, _POSITIVE,
         ordered(*DRUG, "2026-02-20", dispenseRequest=for_days(30)), year=2024),
    case("CMS2", "declined", EXCEPTED, answer(ADULT, status="cancelled", issued="2026-03-03T23:00:00Z",
         extension=reason("qicore-notDoneReason", code(SCT, "720834000")))),
    case("CMS2", "bipolar from the day of the visit", IN, condition("Bipolar Disorder", "2026-03-03")),
    case("CMS2", "the adolescent questionnaire at 17", NUMERATOR, answer("73831-0", "2026-03-03", NEGATIVE), born="2008-06-01"),
    case("CMS2", "the adolescent questionnaire at 18", IN, answer("73831-0", "2026-03-03", NEGATIVE), born="2008-01-01"),
    case("CMS2", "plan after the period", IN, answer(ADULT, "2026-12-31", POSITIVE), ordered(*REFERRAL, "2027-01-01"),
         at="2026-12-31"),
]  # fmt: skip

HIV = [
    case("CMS349", "a test once", NUMERATOR, number("HIV Lab Tests", 1, at="1990-01-01")),
    case("CMS349", "a test before 15", IN, number("HIV Lab Tests", 1, at="1985-05-31")),
    case("CMS349", "a test after the period", IN, number("HIV Lab Tests", 1, at="2027-01-01")),
    case("CMS349", "a test entered in error", IN, number("HIV Lab Tests", 1, **DONE_STOPPED)),
    case("CMS349", "HIV from the first day", IN, condition("HIV", "2026-01-01")),
    bare("CMS349", "died", EXCEPTED, woman() | {"deceasedDateTime": "2026-12-31"}, visit()),
    bare("CMS349", "died after the period", IN, woman() | {"deceasedDateTime": "2027-01-01"}, visit()),
]

ABOVE, OBESE = ("ServiceRequest", "Follow Up for Above Normal BMI"), "Overweight or Obese"
BODY = [
    case("CMS69", "24.9", NUMERATOR, number(BMI, 24.9, KG)),
    case("CMS69", "25", IN, number(BMI, 25, KG)),
    case("CMS69", "18.5", NUMERATOR, number(BMI, 18.5, KG)),
    case("CMS69", "18.4", IN, number(BMI, 18.4, KG)),
    case("CMS69", "normal and high", IN, number(BMI, 24, KG), number(BMI, 26, KG)),
    case("CMS69", "a normal number in another unit", IN, number(BMI, 22, "[lb_av]/[in_i]2")),
    case("CMS69", "entered in error", IN, number(BMI, 24, KG, **DONE_STOPPED)),
    case("CMS69", "high and a plan for it", NUMERATOR, number(BMI, 30, KG), ordered(*ABOVE, reasonCode=[concept(OBESE)])),
    case("CMS69", "high and a plan, known that day", NUMERATOR, number(BMI, 30, KG), ordered(*ABOVE), condition(OBESE, "2026-04-04")),
    case("CMS69", "high and a plan, known the day after", IN, number(BMI, 30, KG), ordered(*ABOVE), condition(OBESE, "2026-04-05")),
    case("CMS69", "plan after the period", IN, number(BMI, 30, KG), ordered(*ABOVE, "2027-01-01"), condition(OBESE)),
    case("CMS69", "no plan for a medical reason", EXCEPTED, number(BMI, 30, KG), ordered(
        *ABOVE, "2026-03-03", status="completed", extension=reason("qicore-doNotPerformReason", "Medical Reason"), **NOT_TO_DO)),
    case("CMS69", "not weighed by choice", EXCEPTED, observed(
        BMI, "2026-03-03", status="cancelled", extension=reason("qicore-notDoneReason", "Patient Declined"))),
    bare("CMS69", "a virtual visit", OUT, woman(), visit("Encounter to Evaluate BMI", **{"class": {"code": "VR"}})),
    bare("CMS69", "the day before 18", OUT, woman("2008-03-04"), visit("Encounter to Evaluate BMI")),
    *refused("CMS69"),
]  # fmt: skip

BOUNDARIES = [
    *everywhere(), *BREAST, *COLON, *CERVIX, *GLYCEMIC, *PRESSURE, *KIDNEY, *DEPRESSION, *HIV, *BODY,
]  # fmt: skip
