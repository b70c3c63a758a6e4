"""Vaccinations as they were given: the childhood series half-kept, flu, tetanus, shingles, pneumonia; some declined."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from commonchart.demo.codes import CVX, TERM, concept
from commonchart.demo.course import Course
from commonchart.demo.folder import Resource, moment, stamp
from commonchart.demo.places import reference

# CVX, words, due in months of age
CHILDHOOD = (
    ("08", "Hepatitis B", (0, 2, 6)),
    ("119", "Rotavirus", (2, 4)),
    ("106", "Diphtheria, tetanus, whooping cough", (2, 4, 6, 15, 50)),
    ("48", "Hib", (2, 4, 6, 13)),
    ("215", "Pneumococcal conjugate", (2, 4, 6, 13)),
    ("10", "Polio", (2, 4, 7, 50)),
    ("03", "Measles, mumps, rubella", (12, 50)),
    ("21", "Chickenpox", (12, 50)),
    ("83", "Hepatitis A", (12, 19)),
    ("115", "Tetanus, diphtheria, whooping cough booster", (132,)),
    ("165", "Human papillomavirus", (133, 139)),
    ("114", "Meningococcal ACWY", (132, 192)),
)
ADULT = (
    ("115", "Tetanus, diphtheria, whooping cough booster", (360, 480, 600, 720, 840)),
    ("187", "Shingles, recombinant", (604, 608)),
    ("216", "Pneumococcal conjugate, 20-valent", (782,)),
    ("305", "Respiratory syncytial virus", (905,)),
)
REFUSED = ("PATOBJ", "Declined")


def vaccinate(course: Course, since: date, last: date) -> None:
    """Everything that was given until the last visit; what lies before the first one is history told to the practice."""
    for table in (CHILDHOOD, ADULT) if course.age(last) >= 19 else (CHILDHOOD,):
        for cvx, text, months in table:
            for n, month in enumerate(months, 1):
                _dose(course, cvx, text, month, n, since, last)
    _flu(course, since, last)


def _dose(course: Course, cvx: str, text: str, month: int, n: int, since: date, last: date) -> None:
    due = course.born + timedelta(days=round(month * 30.44) + course.dice.randrange(24))
    keeps = course.plan.keeps if due >= since else course.plan.keeps * 0.75
    told = due >= since or (since - due).days < 365 * 16
    luck = course.dice.random()
    if due > last or not told:
        return
    if luck < keeps:
        _record(course, cvx, text, due, f"{cvx}-{n}", since, n)
    elif luck > 0.96 and due >= since:
        _record(course, cvx, text, due, f"{cvx}-{n}", since, n, refused=True)


def _flu(course: Course, since: date, last: date) -> None:
    for year in range(since.year, last.year + 1):
        day = date(year, 10, 1) + timedelta(days=course.dice.randrange(45))
        if since <= day <= last and course.age(day) > 0.6 and course.dice.random() < course.plan.keeps * 0.8:
            _record(course, "150", "Influenza", day, f"flu-{year}", since, 0)


def _record(
    course: Course, cvx: str, text: str, day: date, key: str, since: date, n: int, *, refused: bool = False
) -> None:
    folder = course.folder
    old = day < since
    when: datetime = moment(since, 9, 40) if old else moment(day, 15, 30)
    body: Resource = {
        "status": "not-done" if refused else "completed", "vaccineCode": concept(text, (CVX, cvx)), "patient": folder.subject(),
        "occurrenceDateTime": day.isoformat() if old else stamp(when), "recorded": stamp(when), "primarySource": not old,
    }  # fmt: skip
    if old:
        body["reportOrigin"] = {"text": "From the vaccination card"}
    elif refused:
        body["statusReason"] = {"coding": [{"system": TERM + "v3-ActReason", "code": REFUSED[0]}], "text": REFUSED[1]}  # fmt: skip
    else:
        lot = f"{cvx}{day:%y%m}{folder.dice.randrange(100):02d}"
        body |= {
            "lotNumber": lot, "site": {"text": "Left arm" if course.age(day) > 2 else "Left thigh"}, "route": {"text": "Into the muscle"},
            "performer": [{"actor": reference("Practitioner", folder.actor)}],
        }  # fmt: skip
    if n and not refused:
        body["protocolApplied"] = [{"doseNumberPositiveInt": n}]
    folder.keep("Immunization", key, when, body)
