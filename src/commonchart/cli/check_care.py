"""`commonchart check care`: the rules of care against published patients of quality measures, at the end of the period.

Numerator: up to date or in range; gap: due, overdue or out of range; excluded: excluded; exception: deferred or declined;
outside the initial population: not compared. The value sets only map the codes of the cases to the pack's code sets. A
difference counts as expected only for a reason of the closed list `CLASSES`, each of which the patient's own facts must show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from msgspec import Struct, structs

from commonchart.care.assess import Due, assess
from commonchart.care.calendar import add_months
from commonchart.care.chart import Chart
from commonchart.care.evidence import SYSTEMS, Evidence
from commonchart.care.facts import evidence
from commonchart.care.person import Person, person
from commonchart.care.rules import built_in, with_codes
from commonchart.care.schema import CodeSet, Pack, Rule
from commonchart.cli.check_measures import read_cases, read_value_sets
from commonchart.measures.cases import Case
from commonchart.measures.catalogue import measure_id
from commonchart.measures.value_sets import ValueSets

CLASSES = (
    "age edge", "visit not required", "window 27 against 24 months", "frailty or long-term care", "condition excludes",
    "result not a number",
)  # fmt: skip

RULES: Mapping[str, tuple[str, ...]] = {
    "CMS125": ("breast",),
    "CMS130": ("colorectal",),
    "CMS124": ("cervical-30", "cervical-21"),
    "CMS165": ("blood-pressure",),
    "CMS122": ("a1c", "glucose-management"),
    "CMS951": ("egfr", "uacr"),
    "CMS2": ("depression-adult", "depression-teen"),
    "CMS349": ("hiv-screen",),
    "CMS69": ("bmi",),
}
"""The rules that answer a measure: the first that applies, all of them for CMS951."""

TITLES: Mapping[str, tuple[str, ...]] = {
    "hospice": ("Hospice Encounter", "Hospice Care Ambulatory", "Hospice Diagnosis"),
    "palliative-care": ("Palliative Care Diagnosis", "Palliative Care Encounter", "Palliative Care Intervention"),
    "frailty": ("Frailty Device", "Frailty Diagnosis", "Frailty Encounter", "Frailty Symptom"),
    "advanced-illness": ("Advanced Illness",),
    "dementia-drug": ("Dementia Medications",),
    "mammogram": ("Mammography",),
    "breasts-absent": ("Bilateral Mastectomy", "History of bilateral mastectomy"),
    "left-breast-absent": ("Status Post Left Mastectomy", "Unilateral Mastectomy Left"),
    "right-breast-absent": ("Status Post Right Mastectomy", "Unilateral Mastectomy Right"),
    "one-sided-mastectomy": ("Unilateral Mastectomy, Unspecified Laterality",),
    "colonoscopy": ("Colonoscopy",),
    "sigmoidoscopy": ("Flexible Sigmoidoscopy",),
    "ct-colonography": ("CT Colonography",),
    "stool-dna": ("sDNA FIT Test",),
    "stool-blood": ("Fecal Occult Blood Test (FOBT)",),
    "colon-absent": ("Total Colectomy",),
    "colorectal-cancer": ("Malignant Neoplasm of Colon",),
    "cervical-cytology": ("Pap Test",),
    "hpv-test": ("HPV Test",),
    "cervix-absent": ("Hysterectomy with No Residual Cervix", "Congenital or Acquired Absence of Cervix"),
    "diabetes": ("Diabetes",),
    "a1c": ("HbA1c Laboratory Test",),
    "hypertension": ("Essential Hypertension",),
    "kidney-failure": (
        "End Stage Renal Disease", "Chronic Kidney Disease, Stage 5", "Kidney Transplant Recipient", "Kidney Transplant",
        "Dialysis Services", "ESRD Monthly Outpatient Services",
    ),
    "egfr": ("Estimated Glomerular Filtration Rate",),
    "uacr": ("Urine Albumin Creatinine Ratio",),
    "urine-albumin": ("Urine Albumin",),
    "urine-creatinine": ("Urine Creatinine",),
    "pregnancy": ("Pregnancy",),
    "hiv-test": ("HIV Lab Tests",),
    "hiv-infection": ("HIV",),
    "depression-care": ("Bipolar Disorder",),
    "depression-follow-up": (
        "Follow Up for Adult Depression", "Follow Up for Adolescent Depression", "Referral for Adult Depression",
        "Referral for Adolescent Depression", "Adult Depression Medications", "Adolescent Depression Medications",
    ),
    "bmi-follow-up": (
        "Follow Up for Above Normal BMI", "Follow Up for Below Normal BMI",
        "Medications for Above Normal BMI", "Medications for Below Normal BMI",
        "Referrals Where Weight Assessment May Occur",
    ),
}  # fmt: skip
"""Titles of value sets whose codes each code set of the pack also takes, at run time only."""


class Compared(Struct, frozen=True):
    """One case: what CMS expects, what the rules say, and `agree`, one of `CLASSES`, or `disagree`."""

    measure: str
    expected: str
    got: str
    verdict: str
    why: str


class Tally:
    """Counts per measure and expected population."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.outside: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()

    def table(self) -> Iterator[str]:
        """The lines of the table, then what was left out and the share of expected differences."""
        yield f"{'measure':8} {'population':10} {'agree':>5}  expected differences; disagree"
        for measure, population in sorted(
            {(m, p) for m, p, _ in self.counts}, key=lambda r: (int(r[0][3:]), r[1])
        ):
            yield self._row(measure, population)
        yield from (
            f"not compared, outside the population: {name} ({n} cases)"
            for name, n in sorted(self.outside.items())
        )
        yield from (f"skipped, no rule: {name} ({n} cases)" for name, n in sorted(self.skipped.items()))
        total = sum(self.counts.values())
        classed = sum(n for (_, _, verdict), n in self.counts.items() if verdict in CLASSES)
        wrong = sum(n for (_, _, verdict), n in self.counts.items() if verdict == "disagree")
        share = 100 * classed / total if total else 0
        yield f"{total} compared: {total - classed - wrong} agree, {classed} expected differences ({share:.1f} %), {wrong} disagree"

    def _row(self, measure: str, population: str) -> str:
        found = {verdict: n for (m, p, verdict), n in self.counts.items() if (m, p) == (measure, population)}
        rest = ", ".join(f"{name}: {found[name]}" for name in CLASSES if name in found) or "-"
        return f"{measure:8} {population:10} {found.get('agree', 0):>5}  {rest}; {found.get('disagree', 0)}"


def results(paths: tuple[Path, ...], valuesets: Path | None, tally: Tally) -> Iterator[tuple[str, bool, str]]:
    """One result a case that is compared; the tally is filled on the way."""
    pack = check_pack(read_value_sets(valuesets))
    for case in read_cases(paths):
        measure = measure_id(case.measure)
        expected = population(case.expected[0], inverse=measure == "CMS122")
        if measure not in RULES:
            tally.skipped[measure] += 1
        elif not expected:
            tally.outside[measure] += 1
        else:
            one = compare(pack, case, measure, expected)
            tally.counts[measure, expected, one.verdict] += 1
            yield f"{measure} {case.year} case {case.number} ({case.id})", one.verdict != "disagree", one.why


def population(expected: Mapping[str, int], *, inverse: bool) -> str:
    """What CMS expects in one word; "" for a patient outside the measure."""
    if not expected.get("initial-population") or not expected.get("denominator"):
        return ""
    if expected.get("denominator-exclusion"):
        return "excluded"
    if expected.get("denominator-exception"):
        return "exception"
    return "numerator" if bool(expected.get("numerator")) != inverse else "gap"


# ---- the pack of the check -------------------------------------------------------------------------------------


def check_pack(sets: ValueSets) -> Pack:
    """The built-in pack with the codes of the value sets, and the targets that the measures use."""
    more: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, titles in TITLES.items():
        for title in titles:
            for system, code in sets.of(title) if title in sets.titles else ():
                short = SYSTEMS.get(system, "")
                if short in CodeSet.__struct_fields__:
                    more.setdefault(name, {}).setdefault(short, ())
                    more[name][short] = (*more[name][short], code)
    pack = with_codes(built_in(), more)
    return replace(
        pack,
        rules=tuple(_site(rule) if rule.id in _ASKED else rule for rule in pack.rules),
        explained={},
        idle={},
        _plans={},
    )


_ASKED = {id for ids in RULES.values() for id in ids}


def _site(rule: Rule) -> Rule:
    """CMS122: up to 9 percent; CMS165: below 140/90; both, and CMS951, once in twelve months."""
    monitor = rule.monitor
    if monitor is None:
        return rule
    yearly = structs.replace(monitor, months_in=12, months_out=12, every_in="", every_out="", phases=())
    if rule.id in ("a1c", "glucose-management"):
        yearly = structs.replace(yearly, below=(), at_most=(Decimal(9),))
    if rule.id == "blood-pressure":
        yearly = structs.replace(yearly, below=(Decimal(140), Decimal(90)))
    return structs.replace(rule, monitor=yearly, interval_by_clinician=False)


# ---- comparing -------------------------------------------------------------------------------------------------

_AGREE = {
    "numerator": ("met",),
    "gap": ("gap",),
    "excluded": ("excluded", "died"),
    "exception": ("deferred", "declined", "died"),
}


def compare(pack: Pack, case: Case, measure: str, expected: str) -> Compared:
    """The rules' answer for one patient on the last day of the period, beside what CMS expects."""
    day = case.period.last
    patient = next((r for r in case.resources if r.get("resourceType") == "Patient"), {})
    facts, whom = evidence(case.resources), person(patient, day)
    answers = {one.rule: one for one in assess(facts, whom, pack, day)}
    due = _deciding(measure, answers)
    got = _said(measure, answers, due)
    if got in _AGREE[expected]:
        return Compared(measure, expected, got, "agree", "")
    verdict = _class(_Difference(pack, facts, whom, day, measure, expected, got, due))
    because = due.why["because"] if due else "nobody who has died is due for anything"
    return Compared(measure, expected, got, verdict, f"expected {expected}, got {got} ({verdict}): {because}")


def _deciding(measure: str, answers: Mapping[str, Due]) -> Due | None:
    """The answer that stands for the measure: of the rules that apply, the one with the newest fact behind it."""
    found = [answers[rule] for rule in RULES[measure] if rule in answers]
    applying = [one for one in found if one.status != "not-applicable"] or found
    if measure == "CMS951":
        return min(applying, key=lambda one: _ORDER.index(_simple(one)), default=None)
    return max(applying, key=lambda one: (bool(one.why["used"]), _newest(one)), default=None)


def _newest(due: Due) -> str:
    return max((used["when"] for used in due.why["used"]), default="")


_ORDER = ("excluded", "cannot-tell", "gap", "deferred", "declined", "met", "not-applicable")


def _simple(due: Due) -> str:
    if due.status in ("overdue", "due"):
        return "gap"
    return "met" if due.status in ("up-to-date", "due-soon") else due.status


def _said(measure: str, answers: Mapping[str, Due], due: Due | None) -> str:
    """Our answer in the words of the comparison; a control measure also needs its value in range."""
    if due is None:
        return "died"
    said = _simple(due)
    control = measure in ("CMS122", "CMS165")
    return "gap" if control and said == "met" and due.within in ("out", "alert") else said


class _Difference(Struct, frozen=True):
    """A case on which CMS and the rules do not say the same."""

    pack: Pack
    facts: Evidence
    person: Person
    day: date
    measure: str
    expected: str
    got: str
    due: Due | None

    @property
    def chart(self) -> Chart:
        """The facts by code set."""
        return Chart(self.facts, self.person, self.pack, self.day)

    def used_day(self) -> date | None:
        """The day of the fact that decided."""
        refs = {used["link"] for used in self.due.why["used"]} if self.due else set()
        return next((f.day for f in self.facts.facts if f.ref in refs), None)


def _class(one: _Difference) -> str:
    for name, shows in _SHOWN.items():
        if shows(one):
            return name
    return "disagree"


def _by_age(one: _Difference) -> bool:
    rules = [one.pack.by_id[name] for name in RULES[one.measure]]
    windows = [one.chart.window(rule) for rule in rules]
    return one.got == "not-applicable" and all(
        (start is not None and one.day < start) or (end is not None and one.day >= end)
        for start, end in windows
    )


def _without_visit(one: _Difference) -> bool:
    """Our evidence lies at no visit, nor in the two weeks before one: CMS counts it only there."""
    used = one.used_day()
    visits = [f.day for f in one.facts.of("visit") if f.day and not f.unusable]
    if one.expected != "gap" or one.got != "met" or used is None:
        return False
    return not any(0 <= (day - used).days <= 14 for day in visits)


def _older_mammogram(one: _Difference) -> bool:
    found = [f.day for f in one.chart.held("mammogram") if f.day]
    span = (add_months(one.day, -27), add_months(one.day, -24))
    return (
        one.measure == "CMS125"
        and (one.expected, one.got) == ("numerator", "gap")
        and any(span[0] <= day <= span[1] for day in found)
    )


def _frail(one: _Difference) -> bool:
    chart = one.chart
    frail = any(chart.held(name) or chart.answers.get(name) for name in ("frailty", "nursing-home"))
    if one.got == "excluded":
        return one.due is not None and one.due.why["because"].startswith(("Frailty", "Long-term care"))
    return one.expected == "excluded" and one.got in ("met", "gap", "cannot-tell") and frail


def _by_condition(one: _Difference) -> bool:
    return (
        one.got == "excluded"
        and one.due is not None
        and any(used["link"].startswith("Condition/") for used in one.due.why["used"])
    )


def _no_number(one: _Difference) -> bool:
    return one.got == "cannot-tell" and one.due is not None and "read-result" in one.due.why.get("asks", ())


_SHOWN = dict(
    zip(CLASSES, (_by_age, _without_visit, _older_mammogram, _frail, _by_condition, _no_number), strict=True)
)
