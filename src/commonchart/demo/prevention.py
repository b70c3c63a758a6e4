"""Prevention that was kept or not, and what brought people to the hospital."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from commonchart.demo import clinical as c
from commonchart.demo.courses import HOSPITAL, LABORATORY, Course


def prevention(course: Course, start: date) -> None:
    """Screening tests, as far as somebody keeps them."""
    t, random, until = course.t, course.random, course.until
    age = course.age(until)
    if t.female and 40 <= age <= 80 and random.random() < t.keen:
        for day in _every(course, start, 730):
            words = "BI-RADS 4: suspicious" if random.random() < 0.03 else "BI-RADS 1: negative"
            course.put(
                c.report(
                    "Screening mammogram",
                    "24606-6",
                    t.id,
                    c.day(day),
                    HOSPITAL,
                    conclusion=words,
                    category="RAD",
                ),
                course.at(day, 15),
                org=HOSPITAL,
            )
    if t.female and 21 <= age <= 67 and random.random() < t.keen:
        for day in _every(course, start, 1095):
            _cervical(course, day)
    if 45 <= age <= 80 and random.random() < t.keen:
        _colorectal(course, start)
    if 35 <= age <= 72 and not t.diabetes and random.random() < t.keen:
        for day in _every(course, start, 1000):
            sugar = c.number(random.gauss(5.4, 0.15))
            result = c.lab("4548-4", sugar, c.instant(course.at(day, 8)), t.id, LABORATORY)
            course.put(result, course.at(day, 17), org=LABORATORY)
    for low, high, code, label, chance in (
        (15, 70, "75622-1", "HIV antigen and antibody", 0.5),
        (18, 84, "16128-1", "Hepatitis C antibody", 0.45),
    ):
        if low <= age <= high and random.random() < chance:
            day = next(_every(course, start, 400), until)
            value = c.concept("Negative")
            resource = c.answer(code, label, value, c.instant(course.at(day)), t.id, None, "laboratory")
            course.put(resource, course.at(day, 16), org=LABORATORY)


def _every(course: Course, start: date, days: int) -> Iterator[date]:
    day = start + timedelta(
        days=course.random.randrange(10, max(11, min(days, (course.until - start).days + 11)))
    )
    while day <= course.until:
        yield day
        day += timedelta(days=round(course.random.gauss(days, 30)))


def _cervical(course: Course, day: date) -> None:
    t = course.t
    hpv = course.age(day) >= 30 and course.random.random() < 0.6
    code, label = ("82675-0", "High-risk HPV test") if hpv else ("10524-7", "Cervical cytology")
    words = "Not detected" if hpv else "NILM, adequate sample"
    if course.random.random() < 0.06:
        words = "Unsatisfactory sample" if not hpv else "Detected"
    course.put(
        c.answer(code, label, c.concept(words), c.instant(course.at(day)), t.id, None, "laboratory"),
        course.at(day, 16),
        org=LABORATORY,
    )


def _colorectal(course: Course, start: date) -> None:
    t, random = course.t, course.random
    if random.random() < 0.5:
        day = course.until - timedelta(days=random.randrange(100, 4400))
        known = course.at(max(day, start))
        outcome = "Normal to the caecum, good preparation"
        course.put(
            c.procedure("Colonoscopy", t.id, c.day(day), sct="73761001", outcome=outcome), known, org=HOSPITAL
        )
        return
    for day in _every(course, start, 400):
        words = "Positive" if random.random() < 0.06 else "Negative"
        course.put(
            c.answer(
                "29771-3",
                "Stool blood test (FIT)",
                c.concept(words),
                c.instant(course.at(day)),
                t.id,
                None,
                "laboratory",
            ),
            course.at(day, 15),
            org=LABORATORY,
        )


_CHILD = (
    ("08", "Hepatitis B", (1, 60, 190)), ("20", "DTaP", (60, 120, 185, 480, 1600)), ("10", "Polio", (60, 120, 190, 1600)),
    ("48", "Hib", (60, 120, 185, 400)), ("216", "Pneumococcal PCV20", (60, 120, 185, 400)), ("116", "Rotavirus", (60, 120, 185)),
    ("03", "MMR", (370, 1600)), ("21", "Varicella", (375, 1600)), ("83", "Hepatitis A", (380, 570)),
    ("165", "HPV", (4100, 4300)), ("115", "Tdap", (4100,)), ("203", "Meningococcal ACWY", (4100, 5900)),
)  # fmt: skip


def vaccines(course: Course, start: date) -> None:
    """The series of childhood half-kept, flu, tetanus; a few declined."""
    t, random, until = course.t, course.random, course.until
    for cvx, label, days in _CHILD:
        for n in days:
            day = t.born + timedelta(days=n + random.randrange(0, 40))
            if day > until or course.age(until) > 25 or random.random() > 0.55 + 0.4 * t.keen:
                continue
            here = day >= start
            known = course.at(day if here else start)
            refused = here and random.random() < 0.03
            course.put(
                c.immunization(
                    label,
                    cvx,
                    t.id,
                    c.day(day),
                    c.instant(known),
                    lot=f"L{random.randrange(1000, 9999)}" if here else "",
                    here=here,
                    refused=refused,
                ),
                known,
            )
    for year in range(start.year, until.year + 1):
        day = date(year, 10, random.randrange(1, 28))
        if start <= day <= until and random.random() < t.keen * 0.7 and t.born < day - timedelta(days=200):
            course.put(
                c.immunization(
                    "Influenza", "140", t.id, c.day(day), c.instant(course.at(day)), lot=f"F{year}"
                ),
                course.at(day),
            )
    if course.age(until) >= 25 and random.random() < t.keen:
        day = start + timedelta(days=random.randrange(0, max(1, (until - start).days)))
        course.put(
            c.immunization("Tdap", "115", t.id, c.day(day), c.instant(course.at(day)), lot="T77"),
            course.at(day),
        )


def hospital(course: Course, start: date) -> None:
    """Emergencies and operations."""
    t, random, until = course.t, course.random, course.until
    span = max(1, (until - start).days)
    if random.random() < 0.22:
        day = start + timedelta(days=1 + random.randrange(span))
        now = course.at(day, 20)
        reason = random.choice(["Chest pain", "Fall at home", "Breathless", "Cut to the hand"])
        course.put(
            c.encounter(
                "EMER", reason, t.id, c.instant(now), c.instant(now + timedelta(hours=4)), HOSPITAL, t.doctor
            ),
            now,
            org=HOSPITAL,
        )
    if course.age(until) > 30 and random.random() < 0.12:
        _operation(course, start + timedelta(days=1 + random.randrange(span)))


def _operation(course: Course, day: date) -> None:
    t, random = course.t, course.random
    text, sct = random.choice(
        [
            ("Gall bladder removed", "38102005"),
            ("Cataract operation, right eye", "54885007"),
            ("Hip replaced, left", "52734007"),
            ("Appendix removed", "80146002"),
        ]
    )
    now = course.at(day, 7)
    leave = now + timedelta(days=random.randrange(1, 6))
    stay = course.put(
        c.encounter("IMP", text, t.id, c.instant(now), c.instant(leave), HOSPITAL, t.doctor),
        now,
        org=HOSPITAL,
    )
    course.put(
        c.procedure(text, t.id, c.day(day), sct=sct, encounter=stay, outcome="Without complication"),
        now + timedelta(hours=3),
        org=HOSPITAL,
    )
    words = f"{text}.\nUneventful stay. Home in good condition.\nMedicines as before; see the practice in two weeks."
    course.put(
        c.note("Discharge summary", "18842-5", words, t.id, c.instant(leave), t.doctor, stay),
        leave,
        org=HOSPITAL,
    )
