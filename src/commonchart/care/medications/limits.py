"""Limits of dose, kidney function, age, pregnancy and breastfeeding; and which of them could not be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any

from commonchart.care.calculators.kidney import creatinine_clearance, egfr
from commonchart.care.calculators.sheet import Given
from commonchart.care.calendar import add_months, age_on
from commonchart.care.medications.answers import Alert, NotChecked, Source, alert
from commonchart.care.medications.dose import Amount, amount
from commonchart.care.medications.inputs import Facts, Medication, Reading, Reproductive
from commonchart.care.medications.meetings import Meeting, source
from commonchart.care.medications.pack import Dose, Renal

KIDNEY_MONTHS = 12
WEIGHT_MONTHS_ADULT, WEIGHT_MONTHS_CHILD = 12, 3
FERTILE = (11, 55)
SLIP = 5
Found = Alert | NotChecked


@dataclass(frozen=True)
class Limits:
    """One person's facts against the limits of the pack on a day."""

    meeting: Meeting
    facts: Facts

    @property
    def as_of(self) -> date:
        """The day asked about."""
        return self.meeting.as_of

    @cached_property
    def years(self) -> Decimal | None:
        """Age in years, with its days for the very young."""
        born = self.facts.born
        if born is None or born > self.as_of:
            return None
        whole = age_on(born, self.as_of)
        return Decimal(whole) if whole >= 2 else Decimal((self.as_of - born).days) / Decimal("365.25")

    @cached_property
    def weight_kg(self) -> Decimal | None:
        """The weight, if it is recent enough."""
        months = WEIGHT_MONTHS_ADULT if self.years is not None and self.years >= 18 else WEIGHT_MONTHS_CHILD
        return fresh.value if (fresh := self._fresh(self.facts.weight, months)) else None

    def _fresh(self, reading: Reading | None, months: int) -> Reading | None:
        recent = reading is not None and add_months(reading.day, months) >= self.as_of >= reading.day
        return reading if recent else None

    @cached_property
    def kidney(self) -> dict[str, tuple[Decimal | None, str, tuple[Source, ...]]]:
        """By measure: the value, why there is none, and the records it comes from."""
        return {"egfr": self._egfr(), "crcl": self._clearance()}

    def _given(self, reading: Reading | None) -> Given | None:
        return Given(reading.value, reading.unit, reading.day, reading.ref) if reading else None

    def _egfr(self) -> tuple[Decimal | None, str, tuple[Source, ...]]:
        reported = self._fresh(self.facts.egfr, KIDNEY_MONTHS)
        measured = self._fresh(self.facts.creatinine, KIDNEY_MONTHS)
        if reported and not (measured and measured.day > reported.day):
            return reported.value, "", (_cited(reported, "eGFR"),)
        if measured is None:
            return None, f"no creatinine and no eGFR within {KIDNEY_MONTHS} months", ()
        sex = Given(self.facts.sex) if self.facts.sex else None
        found = egfr(self._given(measured), sex, self.facts.born, self.as_of)
        return found.value, found.problem, (_cited(measured, "creatinine"),)

    def _clearance(self) -> tuple[Decimal | None, str, tuple[Source, ...]]:
        measured = self._fresh(self.facts.creatinine, KIDNEY_MONTHS)
        weight = self._fresh(self.facts.weight, WEIGHT_MONTHS_ADULT)
        missing = [
            words
            for words, one in (
                (f"creatinine within {KIDNEY_MONTHS} months", measured),
                (f"weight within {WEIGHT_MONTHS_ADULT} months", weight),
            )
            if one is None
        ]
        if measured is None or weight is None:
            return None, f"no {' and no '.join(missing)}", ()
        sex = Given(self.facts.sex) if self.facts.sex else None
        found = creatinine_clearance(
            self._given(measured), self._given(weight), sex, self.facts.born, self.as_of
        )
        return found.value, found.problem, (_cited(measured, "creatinine"), _cited(weight, "weight"))

    def bearing(self, rule: Any) -> list[tuple[str, Medication]]:
        """The medicines that a rule bears on."""
        meeting = self.meeting
        return [
            (i, one) for i, one in meeting.having(rule.drug) if meeting.concerns(one) and meeting.counts(one)
        ]


def _cited(reading: Reading, name: str) -> Source:
    unit = reading.unit.replace("{1.73_m2}", "1.73 m²")
    return Source(reading.ref, f"{name} {_short(reading.value)} {unit} on {reading.day:%d-%b-%Y}")


def limits(of: Limits) -> Iterator[Found]:
    """Every alert, and what could not be looked at for want of a fact."""
    rules = of.meeting.pack.rules
    for rule in rules["age"]:
        yield from _age(of, rule)
    for rule in rules["pregnancy"]:
        yield from _pregnancy(of, rule)
    for rule in rules["renal"]:
        yield from _renal(of, rule)
    for rule in rules["dose"]:
        yield from _dose(of, rule)


def _alert(
    of: Limits, rule: Any, kind: Any, title: str, facts: Iterable[Source], ingredient: str, **more: Any
) -> Alert:
    sure = of.meeting.pack.sure(rule.drug, ingredient)
    return alert(of.meeting.pack, rule, kind, title, facts, of.meeting.approved, sure, **more)


# ---- age and pregnancy ------------------------------------------------------------------------------------------


def _within(years: Decimal, rule: Any) -> bool:
    return (rule.below_years is None or years < rule.below_years) and (
        rule.from_years is None or years >= rule.from_years
    )


def _age(of: Limits, rule: Any) -> Iterator[Found]:
    for ingredient, one in of.bearing(rule):
        if of.years is None:
            yield NotChecked(f"age limit of {ingredient}", "the date of birth is not known", one.ref)
        elif _within(of.years, rule):
            limit = (
                f"under {rule.below_years:g}" if rule.below_years is not None else f"from {rule.from_years:g}"
            )
            title = f"{_capital(ingredient)} {limit} years"
            yield _alert(of, rule, "age", title, [source(one)], ingredient)


def _pregnancy(of: Limits, rule: Any) -> Iterator[Found]:
    state: Reproductive = of.facts.pregnant if rule.state == "pregnant" else of.facts.breastfeeding
    for ingredient, one in of.bearing(rule):
        if state.value:
            title = (
                f"{_capital(ingredient)} in {'pregnancy' if rule.state == 'pregnant' else 'breastfeeding'}"
            )
            yield _alert(
                of, rule, "pregnancy", title, [source(one), Source(state.ref, state.text)], ingredient
            )
        elif state.value is None and rule.state == "pregnant" and may_be_pregnant(of.facts, of.as_of):
            # breastfeeding is noted once for the whole check
            yield NotChecked(f"{ingredient} in pregnancy", "pregnancy is not known", one.ref)


def may_be_pregnant(facts: Facts, as_of: date) -> bool:
    """Whether pregnancy must be known: not for men, nor outside the fertile ages; unknown sex or age do not exempt."""
    if facts.sex == "male":
        return False
    return facts.born is None or facts.born > as_of or FERTILE[0] <= age_on(facts.born, as_of) < FERTILE[1]


# ---- kidney -----------------------------------------------------------------------------------------------------


def _renal(of: Limits, rule: Renal) -> Iterator[Found]:
    bearing = of.bearing(rule)
    if not bearing:
        return
    value, problem, facts = of.kidney[rule.measure]
    for ingredient, one in bearing:
        if value is None:
            yield NotChecked(f"kidney limit of {ingredient}", problem, one.ref)
        elif _beyond(value, rule):
            name = "eGFR" if rule.measure == "egfr" else "creatinine clearance"
            limit = f"under {rule.below:g}" if rule.below is not None else f"above {rule.above:g}"
            title = f"{_capital(ingredient)}: {name} {_short(value)} is {limit}"
            yield _alert(of, rule, "renal", title, [source(one), *facts], ingredient)


def _beyond(value: Decimal, rule: Renal) -> bool:
    return (rule.below is not None and value < rule.below) or (rule.above is not None and value > rule.above)


# ---- dose -------------------------------------------------------------------------------------------------------


def _dose(of: Limits, rule: Dose) -> Iterator[Found]:
    for ingredient, one in of.bearing(rule):
        if rule.with_drug and not any(
            of.meeting.counts(other) for _, other in of.meeting.having(rule.with_drug)
        ):
            continue
        yield from _one_dose(of, rule, ingredient, one)
    if rule.daily is not None:
        yield from _together(of, rule)


def _together(of: Limits, rule: Dose) -> Iterator[Found]:
    """The limit of a day over all medicines that have the ingredient: Percocet and Tylenol."""
    meeting, limit = of.meeting, rule.daily
    courses = _courses(
        [one for _, one in meeting.having(rule.drug) if meeting.counts(one) and one.counts_twice]
    )
    bounded = rule.below_years is not None or rule.from_years is not None
    outside = bounded and (of.years is None or not _within(of.years, rule))
    if limit is None or outside or rule.with_drug or len(courses) < 2 or not meeting.concerns(*courses):
        return
    given = [(one, amount(one.drug, one.dose, rule.drug, rule.unit, of.weight_kg)) for one in courses]
    if unknown := next(((one, found) for one, found in given if found.daily is None), None):
        why = f"{unknown[0].text}: {unknown[1].problem or 'the dose is not known'}"
        yield NotChecked(f"all {rule.drug} together", why, unknown[0].ref)
    dailies = [found.daily for _, found in given if found.daily is not None]
    if sum(dailies) > limit * Decimal("1.005") and all(daily <= limit for daily in dailies):
        title = f"{_capital(rule.drug)} together {_short(sum(dailies, Decimal(0)))} {rule.unit} a day, at most {_short(limit)}"
        yield _alert(of, rule, "dose", title, [source(one) for one in courses], rule.drug)


def _courses(those: list[Medication]) -> list[Medication]:
    """One of each course."""
    found: list[Medication] = []
    for one in those:
        if not any(one.family & other.family for other in found):
            found.append(one)
    return found


def _one_dose(of: Limits, rule: Dose, ingredient: str, one: Medication) -> Iterator[Found]:
    what = f"dose of {ingredient}"
    if rule.below_years is not None or rule.from_years is not None:
        if of.years is None:
            yield NotChecked(what, "the date of birth is not known", one.ref)
            return
        if not _within(of.years, rule):
            return
    if rule.routes and one.route not in rule.routes:
        if not one.route:
            yield NotChecked(what, "the route is not recorded", one.ref)
        return
    if rule.days_between is not None:
        yield from _interval(of, rule, ingredient, one)
        return
    found = amount(one.drug, one.dose, ingredient, rule.unit, of.weight_kg)
    yield from _compared(of, rule, ingredient, one, found)


def _interval(of: Limits, rule: Dose, ingredient: str, one: Medication) -> Iterator[Found]:
    between = one.dose.days_between
    if between is None:
        why = one.dose.problem or "how often is not recorded"
        yield NotChecked(f"dose of {ingredient}", why, one.ref)
    elif rule.days_between is not None and between < rule.days_between - Decimal("0.01"):
        title = f"{_capital(ingredient)} more often than every {rule.days_between:g} days"
        yield _alert(of, rule, "dose", title, [source(one)], ingredient)


def _compared(of: Limits, rule: Dose, ingredient: str, one: Medication, found: Amount) -> Iterator[Found]:
    what = f"dose of {ingredient}"
    exceeded: list[str] = []
    tenfold = False
    for label, given, limit, per_kg in (
        ("at once", found.single, rule.single, False),
        ("a day", found.daily, rule.daily, False),
        ("at once", found.single, rule.single_per_kg, True),
        ("a day", found.daily, rule.daily_per_kg, True),
    ):
        if limit is None:
            continue
        if given is None:
            yield NotChecked(what, found.problem or "the dose is not known", one.ref)
            continue
        if per_kg and of.weight_kg is None:
            yield NotChecked(what, "no recent weight", one.ref)
            continue
        value = given / of.weight_kg if per_kg and of.weight_kg else given
        if value > limit * Decimal("1.005"):
            unit = f"{rule.unit}/kg" if per_kg else rule.unit
            exceeded.append(f"{_short(value)} {unit} {label}, at most {_short(limit)}")
            tenfold = tenfold or value >= SLIP * limit
    if exceeded:
        trap = "; many times the limit: a slip of the decimal point or the unit?" if tenfold else ""
        title = f"{_capital(ingredient)} {exceeded[0]}{trap}"
        facts = [source(one)] + (
            [_cited(of.facts.weight, "weight")] if of.facts.weight and "/kg" in title else []
        )
        yield _alert(of, rule, "dose", title, facts, ingredient)


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _short(value: Decimal) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return text if text not in ("0", "") else f"{value:.4f}"
