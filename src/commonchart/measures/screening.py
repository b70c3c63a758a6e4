"""Screening with a plan: CMS2 (depression), CMS69 (body mass index); and CMS349 (HIV)."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct, structs

from commonchart.measures.chart import Chart, code
from commonchart.measures.criteria import (
    ACTIVE,
    COMPLETED,
    FINAL,
    FINISHED,
    IN_PERIOD,
    LIVE,
    ORDERED,
    STARTS_IN_PERIOD,
    VERIFIED,
    Age,
    AllOf,
    AnyOf,
    Beside,
    Criterion,
    Died,
    Either,
    Finding,
    LastSays,
    Not,
    Seek,
    When,
)
from commonchart.measures.evidence import Fact
from commonchart.measures.exclusions import (
    HOSPICE,
    LOINC,
    PALLIATIVE,
    PREVENTIVE,
    PROBLEM,
    SCT,
    diagnosis,
    drug_order,
    procedure,
    visits,
)
from commonchart.measures.measure import Measure

# ---- HIV -------------------------------------------------------------------------------------------------------

HIV_VISITS = visits(
    "Preventive Care Services, Initial Office Visit, 0 to 17",
    "Preventive Care, Established Office Visit, 0 to 17",
    *PREVENTIVE,
    "Office Visit",
    status=FINISHED,
)
HIV_TESTS = ("HIV Lab Tests", code(LOINC, "75622-1"))


def hiv(year: int) -> Measure:
    """CMS349: one HIV test ever between 15 and 65 years of age; known HIV before the period excludes."""
    return Measure(
        "CMS349", "HIV screening", year,
        (Age(15, 65, at="start"), HIV_VISITS),
        (diagnosis("HIV", when=When("start", months=None, closes=0)),),
        Seek("Observation", HIV_TESTS, When("start", months=None), FINAL, valued=True, aged=(15, 65)),
        Died(),
    )  # fmt: skip


# ---- depression ------------------------------------------------------------------------------------------------

DEPRESSION_VISITS = visits(
    "Encounter to Screen for Depression", "Physical Therapy Evaluation", "Telephone Visits", status=FINISHED
)
POSITIVE, NEGATIVE = code(SCT, "428181000124104"), code(SCT, "428171000124102")
DECLINED = code(SCT, "720834000")
QUESTIONNAIRE = {"Adolescent": code(LOINC, "73831-0"), "Adult": code(LOINC, "73832-8")}


def in_14_days_before(screen: Fact, visit: Fact) -> bool:
    """Whether a screen ended on the day a visit starts, or up to 14 days before."""
    if not (screen.latest and visit.start):
        return False
    return 0 <= (visit.start.date() - screen.latest.date()).days <= 14


def known_before(condition: Fact, visit: Fact) -> bool:
    """Whether a condition started before a visit; one without an onset is taken as older."""
    return condition.start is None or (visit.start is not None and condition.start < visit.start)


def known_the_day_before(condition: Fact, visit: Fact) -> bool:
    """Whether a condition started on a day before that of a visit; one without an onset is taken as older."""
    return condition.start is None or (
        visit.start is not None and condition.start.date() < visit.start.date()
    )


def issued_during(refusal: Fact, visit: Fact) -> bool:
    """Whether it was noted within the very time of a visit."""
    return bool(refusal.issued and visit.start and visit.end and visit.start <= refusal.issued <= visit.end)


def issued_on_a_day_of(refusal: Fact, visit: Fact) -> bool:
    """Whether it was noted on a day of a visit."""
    if not (refusal.issued and visit.start and visit.end):
        return False
    return visit.start.date() <= refusal.issued.date() <= visit.end.date()


def done_at(plan: Fact, visit: Fact) -> bool:
    """Whether what was done started during a visit, or what was ordered was so up to 2 days after its end."""
    if not (plan.start and visit.start and visit.end):
        return False
    if plan.kind == "Procedure":
        return visit.start <= plan.start <= visit.end
    return 0 <= (plan.start.date() - visit.end.date()).days <= 2


def covers_after(order: Fact, visit: Fact) -> bool:
    """Whether an order's supply covers the end of a visit's last day and goes on after it."""
    if not (order.supply and visit.start and visit.end):
        return False
    since, until = order.supply
    return since.date() <= visit.end.date() < until.date() and until >= visit.start


def screened_before(visit: Fact, screen: Fact) -> bool:
    """Whether a visit followed a screen within 14 days."""
    return in_14_days_before(screen, visit)


def _screens(group: str) -> Finding:
    answered = Seek("Observation", (QUESTIONNAIRE[group],), None, frozenset({"final"}), valued=True)
    return Beside(answered, DEPRESSION_VISITS, in_14_days_before)


def _settled(group: str, year: int) -> tuple[Criterion, ...]:
    """The last screen of this kind negative; or positive, and a plan at the visit (since 2025 also: a drug that goes on)."""
    drugs = drug_order(year, f"{group} Depression Medications", when=None)
    after = Beside(DEPRESSION_VISITS, LastSays(_screens(group), (POSITIVE,)), screened_before)
    plan = Either((
        structs.replace(drugs, when=STARTS_IN_PERIOD),
        Seek("ServiceRequest", (f"Referral for {group} Depression",), STARTS_IN_PERIOD, ORDERED),
        procedure(f"Follow Up for {group} Depression", when=STARTS_IN_PERIOD),
    ))  # fmt: skip
    going_on = (Beside(drugs, after, covers_after),) if year >= 2025 else ()
    return LastSays(_screens(group), (NEGATIVE,)), Beside(plan, after, done_at), *going_on


def _not_screened(group: str, year: int) -> Criterion:
    refused = Seek(
        "Observation",
        (QUESTIONNAIRE[group],),
        None,
        frozenset({"cancelled"}),
        reason=(DECLINED, "Medical Reason"),
    )
    during = issued_on_a_day_of if year >= 2025 else issued_during
    return AllOf((Beside(refused, DEPRESSION_VISITS, during), Not(_screens(group))))


def depression(year: int) -> Measure:
    """CMS2: screened within 14 days before a visit, and where positive a plan; at 17 either questionnaire will do."""
    bipolar = Seek("Condition", ("Bipolar Disorder",), None, VERIFIED, category=PROBLEM)
    young, grown = _settled("Adolescent", year), _settled("Adult", year)
    before = known_the_day_before if year >= 2025 else known_before
    return Measure(
        "CMS2", "Screening for depression and follow-up plan", year,
        (Age(12, at="start"), DEPRESSION_VISITS),
        (Beside(bipolar, DEPRESSION_VISITS, before),),
        AnyOf((
            AllOf((Age(12, 17, at="start"), AnyOf(young))),
            AllOf((Age(17, at="start"), AnyOf(grown))),
        )),
        AnyOf((_not_screened("Adolescent", year), _not_screened("Adult", year))),
    )  # fmt: skip


# ---- body mass index -------------------------------------------------------------------------------------------

ADULT_BMI_VISIT = Seek(
    "Encounter",
    ("Encounter to Evaluate BMI",),
    IN_PERIOD,
    FINISHED,
    not_setting=frozenset({"VR"}),
    aged=(18, 200),
)
BMI_VISIT = structs.replace(ADULT_BMI_VISIT, aged=None)
BMI = code(LOINC, "39156-5")
LOW, HIGH = Decimal("18.5"), Decimal(25)


class IndexBetween(Struct, frozen=True):
    """A body mass index (kg/m2; in another unit it is none) in the period from `low` up to, not including, `high`."""

    readings: Seek
    low: Decimal
    high: Decimal

    def met(self, chart: Chart) -> bool:
        """Whether there is one."""
        values = (fact.value for fact in self.readings.found(chart) if fact.unit == "kg/m2")
        return any(value is not None and value > 0 and self.low <= value < self.high for value in values)


READINGS = Seek("Observation", (BMI,), IN_PERIOD, FINAL)
IS_LOW = IndexBetween(READINGS, Decimal(0), LOW)
IS_NORMAL = IndexBetween(READINGS, LOW, HIGH)
IS_HIGH = IndexBetween(READINGS, HIGH, Decimal(1000))


def known_on_its_day(plan: Fact, condition: Fact) -> bool:
    """Whether a condition started on or before the day of a plan, and had not ended before it."""
    if plan.start is None:
        return False
    begun = condition.start is None or condition.start.date() <= plan.start.date()
    return begun and (condition.end is None or condition.end.date() >= plan.start.date())


def same_day(fact: Fact, visit: Fact) -> bool:
    """Whether a fact ended on the day a visit started."""
    return bool(fact.latest and visit.start and fact.latest.date() == visit.start.date())


REFERRALS = "Referrals Where Weight Assessment May Occur"
SIDES = {"Above": ("Overweight or Obese", PROBLEM), "Below": ("Underweight", frozenset({"health-concern"}))}


def _weight_plan(side: str, year: int) -> Criterion:
    """Follow-up for this side in the period, for its reason: named on the plan, or known as a problem by then."""
    reason, category = SIDES[side]
    problem = Seek(
        "Condition",
        (reason,),
        None,
        VERIFIED,
        category=category,
        clinical=LIVE if year < 2025 else frozenset(),
    )
    plans = (
        Seek("ServiceRequest", (f"Follow Up for {side} Normal BMI", REFERRALS), STARTS_IN_PERIOD, ORDERED),
        drug_order(year, f"Medications for {side} Normal BMI", when=STARTS_IN_PERIOD, intent=frozenset()),
        procedure(f"Follow Up for {side} Normal BMI", when=STARTS_IN_PERIOD),
    )
    named = Either(tuple(structs.replace(part, reason=(reason,)) for part in plans))
    return AnyOf((named, Beside(Either(plans), problem, known_on_its_day)))


_FOLLOW_UPS = ("Follow Up for Above Normal BMI", "Follow Up for Below Normal BMI", REFERRALS)
_MEDICAL = ("Medical Reason",)
NO_PLAN = Either((
    Seek("ServiceRequest", _FOLLOW_UPS, None, COMPLETED, negated=True, reason=_MEDICAL),
    Seek(
        "MedicationRequest", ("Medications for Above Normal BMI", "Medications for Below Normal BMI"), None, COMPLETED,
        negated=True, reason=_MEDICAL,
    ),
))  # fmt: skip
NO_READING = Seek(
    "Observation", (BMI,), None, frozenset({"cancelled"}), reason=("Patient Declined", "Medical Reason")
)


def body_mass(year: int) -> Measure:
    """CMS69: a normal index, or one outside normal limits with a plan; a virtual visit does not bring a patient in."""
    pregnant = structs.replace(diagnosis("Pregnancy Obstetric or Maternal Diagnoses"), clinical=ACTIVE)
    return Measure(
        "CMS69", "Body mass index screening and follow-up plan", year,
        (ADULT_BMI_VISIT,),
        (HOSPICE, PALLIATIVE, pregnant),
        AnyOf((
            AllOf((IS_HIGH, _weight_plan("Above", year))),
            AllOf((IS_LOW, _weight_plan("Below", year))),
            AllOf((IS_NORMAL, Not(IS_HIGH), Not(IS_LOW))),
        )),
        AnyOf((Beside(NO_PLAN, BMI_VISIT, same_day), Beside(NO_READING, BMI_VISIT, same_day))),
    )  # fmt: skip
