"""A plan lived from the first visit to the last: the ordinary patients of the practice."""

from __future__ import annotations

from datetime import date, timedelta

from commonchart.demo.codes import SNOMED, concept
from commonchart.demo.course import Course
from commonchart.demo.folder import Folder, moment, stamp, years_before
from commonchart.demo.illness import Illness
from commonchart.demo.people import Plan
from commonchart.demo.places import CLINICIANS, HOSPITAL, PRACTICE, WARD, reference
from commonchart.demo.registration import register
from commonchart.demo.screening import screen
from commonchart.demo.vaccines import vaccinate
from commonchart.demo.visits import attend, emergency, stay

WELL_CHILD = (0.03, 0.17, 0.34, 0.5, 0.76, 1.02, 1.27, 1.52, 2.02, 2.55, 3.05)


def begin(plan: Plan, until: date) -> Course:
    """The folder of a plan with what is known on the first day."""
    folder = Folder(plan.key, PRACTICE, CLINICIANS[plan.clinician], until)
    course = Course(plan, folder)
    register(folder, plan, moment(first_day(plan, until), 8, 30))
    return course


def first_day(plan: Plan, until: date) -> date:
    """When the patient came to the practice: never before birth."""
    return max(years_before(until, plan.years), years_before(until, plan.age) + timedelta(days=4))


def last_day(course: Course) -> date:
    """The last day on which something happens: weeks or months ago, or the death."""
    plan, until = course.plan, course.folder.until
    if plan.died is not None:
        return years_before(until, plan.died)
    latest = 4 + course.dice.randrange(round(30 + 260 * (1 - plan.keeps)))
    return max(first_day(plan, until) + timedelta(days=1), until - timedelta(days=latest))


def live(plan: Plan, until: date) -> Course:
    """The whole record of an ordinary patient."""
    course = begin(plan, until)
    since, last = first_day(plan, until), last_day(course)
    for n, day in enumerate(_days(course, since, last)):
        attend(course, day, n)
    vaccinate(course, since, last)
    screen(course, since, last)
    _operations(course, since)
    _hospital(course, since, last)
    if plan.died is not None:
        die(course, last)
    return course


def _days(course: Course, since: date, last: date) -> list[date]:
    """The days of the visits: the first, the last, and those between at uneven distances."""
    chance, plan = course.dice, course.plan
    found = {since, last}
    for age in WELL_CHILD:
        day = years_before(course.born, -age) + timedelta(days=chance.randrange(9))
        if since < day < last and chance.random() < plan.keeps + 0.15:
            found.add(day)
    span = (last - since).days
    for n in range(round(plan.visits * span / 365)):
        found.add(
            since + timedelta(days=round(span * (n + chance.random()) / max(1, plan.visits * span / 365)))
        )
    days = sorted(day for day in found if since <= day <= last)
    return [day for n, day in enumerate(days) if n == 0 or (day - days[n - 1]).days > 6]


_SURGERY = (("Gallbladder removed, keyhole", "45595009", 30, 80), ("Cataract surgery, right eye", "54885007", 64, 90),
            ("Right hip replaced", "52734007", 58, 88), ("Appendix removed", "80146002", 9, 60),
            ("Tonsils removed", "173422009", 4, 25), ("Caesarean birth", "11466000", 24, 44))  # fmt: skip


def _operations(course: Course, since: date) -> None:
    """Operations of the past, told or done."""
    for text, code, first, latest in _SURGERY:
        chance = course.dice.random()
        if chance > 0.07 or course.plan.age <= first or ("birth" in text and course.plan.sex != "female"):
            continue
        at = course.dice.uniform(first, min(latest, course.plan.age - 0.5))
        operation(course, text, code, max(course.born, years_before(course.born, -at)), since)


def operation(course: Course, text: str, code: str, day: date, since: date) -> None:
    """Record an operation: by the hospital when it was done, or as told on the first day."""
    folder, told = course.folder, day < since
    when = moment(since, 9, 45) if told else moment(day, 14)
    body = {
        "status": "completed", "code": concept(text, (SNOMED, code)), "subject": folder.subject(),
        "performedDateTime": day.isoformat()[:7] if told else stamp(when),
    }  # fmt: skip
    if not told:
        body["performer"] = [{"actor": reference("Practitioner", WARD)}]
    folder.keep(
        "Procedure", f"op-{code}", when, body, org="" if told else HOSPITAL, actor="" if told else WARD
    )


def _hospital(course: Course, since: date, last: date) -> None:
    """A few are taken ill in the night."""
    span = (last - since).days
    if span < 200:
        return
    day = since + timedelta(days=round(span * course.dice.uniform(0.2, 0.9)))
    luck = course.dice.random()
    grave = 0.3 if course.plan.age > 70 else 0.06
    if luck < grave:
        stay(
            course,
            day,
            course.dice.randrange(2, 6),
            "Pneumonia",
            "pneumonia",
            illness=Illness("J18.9", "Pneumonia"),
        )
    elif luck < grave + 0.14:
        why = course.dice.choice(
            ("Chest pain", "Fall at home", "Abdominal pain", "Fever", "Laceration of the hand")
        )
        emergency(course, day, why, "er-1")


def die(course: Course, day: date) -> None:
    """The last version of the Patient, and no active medicines after it."""
    when = moment(day, 22)
    folder = course.folder
    folder.change("Patient", "", when, deceasedDateTime=stamp(when))
    for key, resource in list(folder.current.items()):
        rtype, _, name = key.partition("/")
        if rtype == "MedicationRequest" and resource["status"] == "active":
            folder.change(rtype, name, when, status="stopped")
