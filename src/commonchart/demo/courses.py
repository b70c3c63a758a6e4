"""How one invented person's years went: visits, chronic illness, results, prevention that was kept or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID, uuid5

from msgspec import Struct

from commonchart.demo import clinical as c

SPACE = UUID("0f1d9d5e-6a55-5d0f-9b6e-2f3f8f6f7a10")
PRACTICE, HOSPITAL, LABORATORY = (str(uuid5(SPACE, name)) for name in ("practice", "hospital", "laboratory"))


class Entry(Struct, frozen=True):
    """One version as it was recorded: when by the record's clock, by which organisation and user."""

    recorded: datetime
    org: str
    actor: str
    resource: c.Resource


class Traits(Struct):
    """What was drawn for a person before their years begin."""

    n: int
    id: str
    born: date
    female: bool
    doctor: str
    doctor_name: str
    diabetes: bool = False
    hypertension: bool = False
    kidney: bool = False
    lipids: bool = False
    depression: bool = False
    asthma: bool = False
    thyroid: bool = False
    smoker: bool = False
    keen: float = 0.6
    years: int = 4
    height: float = 168
    weight: float = 74


class Course:
    """Collects the entries of one person in the order of their years."""

    def __init__(self, traits: Traits, random: Random, until: date) -> None:
        self.t = traits
        self.random = random
        self.until = until
        self.entries: list[Entry] = []
        self.kidney: tuple[str, c.Resource] | None = None
        self._count = 0

    def put(self, resource: c.Resource, recorded: datetime, *, org: str = PRACTICE, id: str = "") -> str:
        """Record a new resource, or the next version of `id`."""
        self._count += 1
        id = id or str(uuid5(SPACE, f"{self.t.id}/{resource['resourceType']}/{self._count}"))
        actor = {HOSPITAL: "Northgate interface", LABORATORY: "Lakeside interface"}.get(
            org, self.t.doctor_name
        )
        self.entries.append(Entry(recorded, org, actor, {**resource, "id": id}))
        return id

    def age(self, day: date) -> int:
        """Whole years on a day."""
        return day.year - self.t.born.year - ((day.month, day.day) < (self.t.born.month, self.t.born.day))

    def at(self, day: date, hour: int = 9) -> datetime:
        """A moment in office hours, a little different each time."""
        return datetime(day.year, day.month, day.day, hour, self.random.randrange(0, 60, 5), tzinfo=UTC)


def first_day(t: Traits, until: date) -> date:
    """When the person joined the practice: never before birth."""
    return max(t.born + timedelta(days=4), until - timedelta(days=round(365.25 * t.years)))


def history(course: Course, start: date) -> None:
    """What is told and known on the first day."""
    t, now = course.t, course.at(start)
    since = min(start.year, max(t.born.year + 30, start.year - course.random.randrange(1, 9)))
    problems = [
        (t.diabetes, "Type 2 diabetes", "E11.9", "44054006"),
        (t.hypertension, "High blood pressure", "I10", "38341003"),
        (t.kidney, "Chronic kidney disease, stage 3a", "N18.31", ""),
        (t.lipids, "Mixed high blood fats", "E78.2", ""),
        (t.depression, "Recurrent depression", "F33.9", ""),
        (t.asthma, "Asthma, mild persistent", "J45.30", ""),
        (t.thyroid, "Underactive thyroid", "E03.9", ""),
    ]
    for held, text, icd, sct in problems:
        if held:
            began = str(min(since, course.until.year)) if course.age(start) > 20 else c.day(start)
            sct = sct if course.random.random() < 0.5 else ""
            problem = c.condition(text, icd, t.id, began, c.instant(now), sct=sct)
            id = course.put(problem, now)
            if icd.startswith("N18"):
                course.kidney = (id, problem)
            _treat(course, text, now)
    _past_problems(course, start, now)
    _allergies(course, start, now)
    _family(course, now)


def _past_problems(course: Course, start: date, now: datetime) -> None:
    t, random = course.t, course.random
    if random.random() < 0.25:
        sprain = c.condition("Ankle sprain", "S93.409A", t.id, c.day(start), c.instant(now))
        id = course.put(sprain, now)
        later = now + timedelta(days=40)
        healed = c.condition(
            "Ankle sprain", "S93.409A", t.id, c.day(start), c.instant(now), status="resolved"
        )
        course.put(healed | {"abatementDateTime": c.day(later.date())}, later, id=id)
    if course.age(start) > 45 and random.random() < 0.08:
        course.put(
            c.condition(
                "Knee trouble, wording from an old letter", "", t.id, str(start.year - 5), c.instant(now)
            ),
            now,
        )
    if t.female and course.age(start) > 45 and random.random() < 0.12:
        course.put(
            c.condition("Womb and cervix removed", "Z90.710", t.id, str(start.year - 6), c.instant(now)), now
        )
    if course.age(start) > 55 and random.random() < 0.08:
        course.put(
            c.condition(
                "Polyps of the bowel in the past", "Z86.010", t.id, str(start.year - 4), c.instant(now)
            ),
            now,
        )


_TREATMENT = {
    "Type 2 diabetes": (("Metformin 500 mg tablet", "861007", "1 tablet twice a day with food", "1 tablet of 1,000 mg twice a day with food"),),
    "High blood pressure": (("Lisinopril 10 mg tablet", "314076", "1 tablet every morning", "2 tablets every morning"),),
    "Mixed high blood fats": (("Atorvastatin 20 mg tablet", "617310", "1 tablet at night", "2 tablets at night"),),
    "Recurrent depression": (("Sertraline 50 mg tablet", "312941", "1 tablet every morning", "2 tablets every morning"),),
    "Asthma, mild persistent": (("Salbutamol inhaler", "", "1 to 2 puffs when needed", ""), ("Beclometasone inhaler", "", "2 puffs twice a day", "")),
    "Underactive thyroid": (("Levothyroxine 75 microgram tablet", "", "1 tablet every morning before food", "1 tablet of 100 micrograms every morning"),),
}  # fmt: skip


def _treat(course: Course, problem: str, now: datetime) -> None:
    t = course.t
    for text, rx, dose, later in _TREATMENT.get(problem, ()):
        order = c.medication(text, rx, dose, t.id, c.day(now.date()), t.doctor, reason=problem)
        id = course.put(order, now)
        change = now + timedelta(days=course.random.randrange(200, 900))
        if later and course.random.random() < 0.5:
            course.put(order | {"dosageInstruction": c.dosage(later)}, change, id=id)
    if course.random.random() < 0.15:
        stopped = c.medication(
            "Ibuprofen 400 mg tablet", "197806", "1 tablet when needed", t.id, c.day(now.date()), t.doctor
        )
        id = course.put(stopped, now)
        course.put(stopped | {"status": "stopped"}, now + timedelta(days=90), id=id)


def _allergies(course: Course, start: date, now: datetime) -> None:
    t, draw = course.t, course.random.random()
    if draw < 0.3:
        course.put(c.no_allergies(t.id, c.instant(now)), now)
    elif draw < 0.48:
        text, reaction, severity, kind = course.random.choice(
            [
                ("Penicillin", "Anaphylaxis", "severe", "medication"),
                ("Sulfonamide antibiotics", "Rash", "mild", "medication"),
                ("Peanut", "Swelling of the lips", "moderate", "food"),
                ("Latex", "Itching", "mild", "environment"),
            ]
        )
        when = (
            now
            if course.random.random() < 0.5
            else course.at(min(course.until, start + timedelta(days=course.random.randrange(200, 1500))))
        )
        course.put(
            c.allergy(
                text,
                t.id,
                c.instant(when),
                category=kind,
                reaction=reaction,
                severity=severity,
                high=severity == "severe",
            ),
            when,
        )


def _family(course: Course, now: datetime) -> None:
    t = course.t
    if course.random.random() > 0.35:
        return
    who, label = course.random.choice(
        [("MTH", "Mother"), ("FTH", "Father"), ("SIS", "Sister"), ("BRO", "Brother")]
    )
    what, icd = course.random.choice(
        [
            ("Breast cancer", "C50.9"),
            ("Heart attack", "I21.9"),
            ("Type 2 diabetes", "E11.9"),
            ("Bowel cancer", "C18.9"),
        ]
    )
    if what == "Breast cancer" and who in ("FTH", "BRO"):
        what, icd = "Stroke", "I63.9"
    member = {
        "resourceType": "FamilyMemberHistory",
        "status": "completed",
        "patient": c.ref("Patient", t.id),
        "date": c.day(now.date()),
        "relationship": c.concept(label, (c.TERM + "v3-RoleCode", who)),
        "condition": [
            {
                "code": c.concept(what, (c.ICD, icd)),
                "onsetString": f"at about {course.random.randrange(45, 75)}",
            }
        ],
    }
    course.put(member, now)


# ---- visits ----------------------------------------------------------------------------------------------------


def visit_days(course: Course, start: date) -> Iterator[date]:
    """The days of the visits: closer together with more illness."""
    t = course.t
    chronic = sum((t.diabetes, t.hypertension, t.kidney, t.depression, t.asthma, t.thyroid))
    gap = (300, 210, 150, 115, 95)[min(chronic, 4)]
    if course.age(start) < 2:
        gap = 75
    day = start
    while day <= course.until:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=max(20, round(course.random.gauss(gap, gap / 4))))


_REASONS = (
    "Cough and cold",
    "Back pain",
    "Skin rash",
    "Check-up",
    "Tired for some weeks",
    "Headache",
    "Form to be signed",
)


def visit(course: Course, day: date) -> None:
    """One visit: measured, asked, written down."""
    t, now = course.t, course.at(day, course.random.randrange(8, 16))
    chronic = [
        name
        for held, name in (
            (t.diabetes, "Diabetes review"),
            (t.hypertension, "Blood pressure review"),
            (t.asthma, "Asthma review"),
        )
        if held
    ]
    child = course.age(day) < 18
    reason = (
        "Well-child visit"
        if child
        else course.random.choice(chronic)
        if chronic and course.random.random() < 0.7
        else course.random.choice(_REASONS)
    )
    kind = "VR" if course.random.random() < 0.08 and not child else "AMB"
    end = now + timedelta(minutes=20)
    visit = course.put(
        c.encounter(kind, reason, t.id, c.instant(now), c.instant(end), PRACTICE, t.doctor, location=_room()),
        now,
    )
    if kind == "AMB":
        _measure(course, day, now, visit)
    _ask(course, day, now, visit)
    text = f"{reason}.\nSeen today. Course discussed, questions answered.\nPlan: continue, return as agreed."
    course.put(c.note("Progress note", "11506-3", text, t.id, c.instant(end), t.doctor, visit), end)


def _room() -> str:
    return str(uuid5(SPACE, "room"))


def _measure(course: Course, day: date, now: datetime, visit: str) -> None:
    t, random, when = course.t, course.random, c.instant(now)
    age = course.age(day)
    weight, height = _size(t, age, random)
    if age >= 3:
        base = 118 + (16 if t.hypertension else 0) + max(0, age - 50) * 0.25
        systolic = round(random.gauss(base, 9))
        course.put(c.pressure(systolic, round(systolic * 0.6 + random.gauss(5, 4)), when, t.id, visit), now)
    course.put(
        c.vital("8867-4", c.number(random.gauss(74 if age > 12 else 100, 8), 0), when, t.id, visit), now
    )
    course.put(c.vital("29463-7", c.number(weight), when, t.id, visit), now)
    if age < 18 or random.random() < 0.25:
        course.put(c.vital("8302-2", c.number(height, 0), when, t.id, visit), now)
    if age >= 18 and random.random() < 0.6:
        course.put(c.vital("39156-5", c.number(weight / (height / 100) ** 2), when, t.id, visit), now)
    if random.random() < 0.3:
        course.put(c.vital("8310-5", c.number(random.gauss(36.7, 0.3)), when, t.id, visit), now)
        course.put(c.vital("2708-6", c.number(min(100, random.gauss(97, 1)), 0), when, t.id, visit), now)


def _size(t: Traits, age: int, random: Random) -> tuple[float, float]:
    if age >= 18:
        return max(42, t.weight + random.gauss(0, 1.5)), t.height
    height = 52 + (t.height - 52) * min(1, (age + 0.5) / 17) ** 0.8
    return max(3.4, 3.4 + age * 2.6 + (age > 10) * (age - 10) * 2 + random.gauss(0, 0.6)), height


def _ask(course: Course, day: date, now: datetime, visit: str) -> None:
    t, random, when = course.t, course.random, c.instant(now)
    age = course.age(day)
    if age >= 18 and random.random() < t.keen * 0.5:
        status = ("449868002", "Smokes every day") if t.smoker else ("266919005", "Has never smoked")
        value = c.concept(status[1], (c.SCT, status[0]))
        course.put(c.answer("72166-2", "Tobacco status", value, when, t.id, visit, "social-history"), now)
    if age >= 12 and (t.depression or random.random() < t.keen * 0.35):
        score = min(27, max(0, round(random.gauss(11 if t.depression else 3, 3))))
        course.put(c.answer("44261-6", "PHQ-9 score", score, when, t.id, visit, "survey"), now)


# ---- results ---------------------------------------------------------------------------------------------------


def laboratory(course: Course, start: date) -> None:
    """Blood tests over the years: each value near the one before."""
    t, random = course.t, course.random
    day = start + timedelta(days=random.randrange(5, 40))
    a1c, creatinine = random.uniform(6.3, 9.6), random.uniform(0.75, 1.0) + (0.55 if t.kidney else 0)
    last = course.until - timedelta(days=random.randrange(5, round(60 + 330 * (1 - t.keen))))
    while day <= last:
        if day.weekday() < 5:
            a1c = min(12.5, max(5.4, a1c + random.gauss(-0.05, 0.4)))
            creatinine = max(0.5, creatinine + random.gauss(0.008 if t.kidney else 0.0, 0.04))
            _panel(course, day, a1c, creatinine)
        day += timedelta(days=round(random.gauss(130 if t.diabetes else 260, 30)))


def _panel(course: Course, day: date, a1c: float, creatinine: float) -> None:
    t, random = course.t, course.random
    taken, known = course.at(day, 8), course.at(day + timedelta(days=1), 14)
    values: list[tuple[str, Decimal]] = [
        ("2160-0", c.number(creatinine, 2)),
        ("2823-3", c.number(random.gauss(4.4, 0.35))),
        ("2951-2", c.number(random.gauss(140, 2), 0)),
    ]
    rate = c.number(c.egfr(float(values[0][1]), course.age(day), t.female), 0)
    values.append(("98979-8", rate))
    _stage(course, int(rate), known + timedelta(minutes=30))
    if t.diabetes:
        values.append(("4548-4", c.number(a1c)))
        if random.random() < 0.4:
            values.append(("14959-1", c.number(abs(random.gauss(60 if t.kidney else 14, 12)), 0)))
    if t.lipids or (t.diabetes and random.random() < 0.4):
        values += [
            ("2089-1", c.number(random.gauss(105, 25), 0)),
            ("2085-9", c.number(random.gauss(50, 9), 0)),
            ("2571-8", c.number(abs(random.gauss(150, 50)), 0)),
        ]
    if t.thyroid:
        values.append(("3016-3", c.number(abs(random.gauss(2.6, 1.4)), 2)))
    if random.random() < 0.3:
        values += [
            ("718-7", c.number(random.gauss(13.4, 1.1))),
            ("6690-2", c.number(random.gauss(7, 1.4))),
            ("777-3", c.number(random.gauss(250, 45), 0)),
        ]
    made = [
        course.put(c.lab(code, value, c.instant(taken), t.id, LABORATORY), known, org=LABORATORY)
        for code, value in values
    ]
    course.put(
        c.report("Blood results", "11502-2", t.id, c.instant(taken), LABORATORY, results=made),
        known,
        org=LABORATORY,
    )
    if random.random() < 0.04:
        _corrected(course, values[0], taken, known)


def _stage(course: Course, rate: int, when: datetime) -> None:
    """Keep the stage of kidney disease in step with the eGFR: a change is the next version of the same problem."""
    if course.kidney is None:
        return
    id, problem = course.kidney
    code, words = c.kidney_stage(rate)
    if problem["code"]["text"] != words:
        course.kidney = (id, problem | {"code": c.concept(words, (c.ICD, code))})
        course.put(course.kidney[1], when, id=id)


def _corrected(course: Course, value: tuple[str, Decimal], taken: datetime, known: datetime) -> None:
    """A preliminary result that the laboratory corrected two days later."""
    t = course.t
    first = c.lab(value[0], value[1] * 2, c.instant(taken + timedelta(hours=1)), t.id, LABORATORY) | {
        "status": "preliminary"
    }
    id = course.put(first, known, org=LABORATORY)
    final = c.lab(value[0], value[1], c.instant(taken + timedelta(hours=1)), t.id, LABORATORY) | {
        "status": "corrected"
    }
    course.put(final, known + timedelta(days=2), org=LABORATORY, id=id)
