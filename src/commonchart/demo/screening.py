"""Preventive tests as they were kept or missed: cancer, infections, mood, tobacco."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from msgspec import Struct

from commonchart.demo.codes import CPT, LOINC, SNOMED, concept, term
from commonchart.demo.course import Course
from commonchart.demo.folder import Resource, moment, stamp, years_before
from commonchart.demo.observations import SMOKING, answered, measured
from commonchart.demo.places import HOSPITAL, LAB_ACTOR, LABORATORY, WARD, reference


class Habit(Struct, frozen=True):
    """A test that is repeated: for whom, every how many months, and how to record it."""

    name: str
    sex: str
    first: float
    last: float
    months: int
    unless: tuple[str, ...] = ()


HABITS = (
    Habit("mammogram", "female", 40, 76, 26, ("brca",)),
    Habit("cytology", "female", 21, 30, 37, ("no-uterus",)),
    Habit("hpv", "female", 30, 66, 61, ("no-uterus",)),
    Habit("fit", "", 46, 75, 13, ("colon-cancer", "crohn")),
    Habit("colonoscopy", "", 50, 76, 122),
    Habit("hiv", "", 19, 65, 600, ("hiv",)),
    Habit("hepatitis", "", 20, 79, 720, ("hepatitis-c",)),
    Habit("mood", "", 12, 99, 12, ("bipolar",)),
    Habit("tobacco", "", 18, 99, 12),
    Habit("sugar", "", 35, 70, 36, ("diabetes", "prediabetes")),
)

NEGATIVE = concept("Not detected", (SNOMED, "260415000"))


def screen(course: Course, since: date, last: date) -> None:
    """Every habit of this patient over the years that the record covers."""
    plan = course.plan
    for habit in HABITS:
        if habit.sex not in ("", plan.sex) or any(plan.has(one) for one in habit.unless):
            continue
        if habit.name in ("fit", "colonoscopy") and (plan.house % 3 == 0) != (habit.name == "fit"):
            continue
        _over_the_years(course, habit, since, last)


def _over_the_years(course: Course, habit: Habit, since: date, last: date) -> None:
    start = max(since, years_before(course.born, -habit.first)) + timedelta(
        days=course.dice.randrange(10, 200)
    )
    day, n = start, 0
    while day <= last and course.age(day) < habit.last:
        if course.dice.random() < course.plan.keeps:
            done(course, habit.name, day, n)
            n += 1
            day += timedelta(days=round(habit.months * 30.4) + course.dice.randrange(-10, 50))
        else:
            day += timedelta(days=course.dice.randrange(200, 420))


def done(course: Course, name: str, day: date, n: int, words: str = "") -> None:
    """Record one test. `words` is the result where it is not the usual one."""
    if name in _REPORTS:
        _imaging(course, name, day, n, words)
    elif name in _LABORATORY:
        _specimen(course, name, day, n, words)
    elif name == "sugar":
        body = measured("a1c", course.panel("a1c", day)["a1c"], course.folder.subject(), moment(day, 8), None)
        _laboratory(course, f"screen-a1c-{n}", body, day)
    elif name == "mood":
        _mood(course, day, n)
    else:
        answered(course.folder, f"tobacco-{n}", "72166-2", "Tobacco smoking status", SMOKING[course.plan.smoker],
                 moment(day, 10), None)  # fmt: skip


_REPORTS = {
    "mammogram": ("24606-6", "77067", "Screening mammogram", "No sign of malignancy. BI-RADS 1."),
    "colonoscopy": ("", "45378", "Colonoscopy", "Normal to the caecum, good preparation."),
}
_LABORATORY = {
    "cytology": ("10524-7", "Cervical cytology", concept("Negative for intraepithelial lesion (NILM)")),
    "hpv": ("21440-3", "High-risk HPV test", NEGATIVE),
    "fit": ("29771-3", "Stool blood test (FIT)", concept("Negative", (SNOMED, "260385009"))),
    "hiv": ("56888-1", "HIV antigen and antibody", concept("Non-reactive", (SNOMED, "131194007"))),
    "hepatitis": ("16128-1", "Hepatitis C antibody", concept("Non-reactive", (SNOMED, "131194007"))),
}


def _imaging(course: Course, name: str, day: date, n: int, words: str) -> None:
    """A procedure at the hospital and its report."""
    loinc, cpt, text, usual = _REPORTS[name]
    folder, when = course.folder, moment(day, 11)
    code = concept(text, (CPT, cpt), (LOINC, loinc))
    body: Resource = {
        "status": "completed", "code": code, "subject": folder.subject(), "performedDateTime": stamp(when),
        "performer": [{"actor": reference("Practitioner", WARD)}], "outcome": {"text": words or usual},
    }  # fmt: skip
    folder.keep("Procedure", f"{name}-{n}", when + timedelta(hours=2), body, org=HOSPITAL, actor=WARD)
    if name == "mammogram":
        report = {
            "status": "final", "category": [term("v2-0074", "RAD")], "code": concept(text, (LOINC, loinc)), "subject": folder.subject(),
            "effectiveDateTime": stamp(when), "issued": stamp(when + timedelta(days=1)), "conclusion": words or usual,
            "performer": [reference("Organization", HOSPITAL)],
        }  # fmt: skip
        folder.keep(
            "DiagnosticReport", f"{name}-{n}", when + timedelta(days=1), report, org=HOSPITAL, actor=WARD
        )


def _specimen(course: Course, name: str, day: date, n: int, words: str) -> None:
    loinc, text, usual = _LABORATORY[name]
    body = {
        "status": "final", "code": concept(text, (LOINC, loinc)), "subject": course.folder.subject(),
        "effectiveDateTime": stamp(moment(day, 10)), "valueCodeableConcept": {"text": words} if words else usual,
    }  # fmt: skip
    _laboratory(course, f"{name}-{n}", body, day)


def _laboratory(course: Course, key: str, body: Resource, day: date) -> None:
    known = moment(day + timedelta(days=2), 9)
    body |= {"category": [term("observation-category", "laboratory")], "issued": stamp(known)}
    body["performer"] = [reference("Organization", LABORATORY)]
    course.folder.keep("Observation", key, known, body, org=LABORATORY, actor=LAB_ACTOR)


def _mood(course: Course, day: date, n: int) -> None:
    low = course.plan.has("depression") and "depression" in course.onset and course.onset["depression"] <= day
    score = course.level("depression", day) if low else abs(course.dice.gauss(2, 1.5))
    value = Decimal(min(27, max(0, round(score))))
    body = measured("phq9", value, course.folder.subject(), moment(day, 10, 5), None)
    course.folder.keep(
        "Observation",
        f"phq9-{n}",
        moment(day, 10, 5),
        {**body, "category": [term("observation-category", "survey")]},
    )
