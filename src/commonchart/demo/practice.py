"""The whole practice: three organisations, their people, and 300 patients, the most telling ones first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import uuid5

from msgspec import Struct
from msgspec.structs import replace

from commonchart.demo import clinical as c
from commonchart.demo import morning, names, stories
from commonchart.demo.courses import HOSPITAL, LABORATORY, PRACTICE, SPACE, Course, Entry, Traits
from commonchart.demo.years import run

PATIENTS = 300
SEED = 20261118
ORGANIZATIONS = (
    (PRACTICE, "Alder Street Practice"),
    (HOSPITAL, "Northgate Hospital"),
    (LABORATORY, "Lakeside Laboratory"),
)
BEGINNING = datetime(2005, 1, 3, 8, 0, tzinfo=UTC)


class Member(Struct, frozen=True):
    """One patient's entries, in order."""

    id: str
    entries: list[Entry]


def staff() -> list[Entry]:
    """Organisations, their clinicians and rooms: recorded before anybody came."""
    out = [Entry(BEGINNING, id, "setup", _organization(id, name)) for id, name in ORGANIZATIONS]
    insurers = ((payer(n), name) for n, name in enumerate(names.INSURERS))
    out += [Entry(BEGINNING, PRACTICE, "setup", _organization(id, name)) for id, name in insurers]
    for n, (family, given, gender) in enumerate(names.CLINICIANS):
        person = {
            "resourceType": "Practitioner",
            "id": practitioner(n),
            "active": True,
            "identifier": [{"system": "http://alder-street.example/staff", "value": f"S{n + 1:03}"}],
            "name": [{"family": family, "given": [given]}],
            "gender": gender,
        }
        out.append(Entry(BEGINNING, PRACTICE, "setup", person))
    room = {
        "resourceType": "Location",
        "id": str(uuid5(SPACE, "room")),
        "status": "active",
        "name": "Consulting room 3",
        "managingOrganization": c.ref("Organization", PRACTICE),
    }
    return [*out, Entry(BEGINNING, PRACTICE, "setup", room)]


def practitioner(n: int) -> str:
    """The id of the nth clinician."""
    return str(uuid5(SPACE, f"practitioner/{n}"))


def payer(n: int) -> str:
    """The id of the nth insurer's Organization."""
    return str(uuid5(SPACE, f"payer/{n}"))


def patient_id(n: int) -> str:
    """The id of the nth patient."""
    return str(uuid5(SPACE, f"patient/{n}"))


def _organization(id: str, name: str) -> c.Resource:
    return {
        "resourceType": "Organization",
        "id": id,
        "active": True,
        "name": name,
        "identifier": [
            {"system": "http://alder-street.example/organizations", "value": name.split()[0].upper()}
        ],
        "telecom": [{"system": "phone", "value": "555 0100"}],
    }


def members(until: date, count: int = PATIENTS) -> Iterator[Member]:
    """The patients, one after the other. The first dozen are chosen so that every kind of chart is among them."""
    for n in range(count):
        yield member(n, until)


def member(n: int, until: date) -> Member:
    """The nth patient and everything that was recorded of them."""
    random = Random(f"{SEED}/{n}")
    traits = _chosen(n, _drawn(n, random, until), until)
    course = Course(traits, random, until)
    start = max(traits.born + timedelta(days=3), until - timedelta(days=round(365.25 * traits.years)))
    _register(course, start)
    if n == HEAVY:
        _dialysis(course, until)
    stories.tell(course, start)
    entries = run(course)
    entries += morning.results(traits, until)
    if n == 0:
        entries += stories.second_record(entries[0].resource, until)
    return Member(traits.id, sorted(entries, key=lambda entry: entry.recorded))


HEAVY = 3


def _drawn(n: int, random: Random, until: date) -> Traits:
    age = random.choice(
        (
            random.uniform(0, 6),
            random.uniform(6, 18),
            random.uniform(18, 45),
            random.uniform(40, 70),
            random.uniform(55, 92),
        )
    )
    female = random.random() < 0.52
    doctor = random.randrange(5)
    family, given, _ = names.CLINICIANS[doctor]
    older = age > 40
    return Traits(
        n, patient_id(n), until - timedelta(days=round(age * 365.25)), female, practitioner(doctor), f"{given} {family}",
        diabetes=older and random.random() < 0.2, hypertension=older and random.random() < 0.4, kidney=older and random.random() < 0.1,
        lipids=older and random.random() < 0.3, depression=age > 16 and random.random() < 0.1, asthma=random.random() < 0.08,
        thyroid=age > 30 and random.random() < 0.07, smoker=age > 18 and random.random() < 0.15, keen=random.uniform(0.25, 0.98),
        years=random.choice((2, 3, 4, 5, 6)), height=random.gauss(163 if female else 176, 7), weight=random.gauss(74 if female else 84, 13),
    )  # fmt: skip


def _chosen(n: int, t: Traits, until: date) -> Traits:
    """The telling ones: long diabetes, a behind-schedule infant, a healthy child, years of dialysis, and so on."""
    born = {
        0: date(until.year - 58, 3, 14),
        1: until - timedelta(days=400),
        2: until - timedelta(days=1600),
        HEAVY: date(until.year - 66, 7, 2),
    }
    if n in born:
        t = replace(t, born=born[n])
    t = replace(t, **stories.cast(n, until))
    if n == 0:
        return replace(
            t,
            female=True,
            diabetes=True,
            hypertension=True,
            kidney=True,
            lipids=True,
            years=14,
            keen=0.8,
            weight=86.0,
            height=164.0,
        )
    if n == HEAVY:
        return replace(
            t, female=False, diabetes=True, hypertension=True, kidney=True, lipids=True, years=9, keen=0.9
        )
    if n in (4, 5, 6):
        return replace(
            t,
            born=date(until.year - 60 - n, 5, n),
            diabetes=True,
            hypertension=True,
            lipids=True,
            years=13,
            keen=0.85,
        )
    return t


def _register(course: Course, start: date) -> None:
    t, random = course.t, course.random
    now = course.at(start, 7)
    family = names.FAMILY[(t.n // 3 * 7) % len(names.FAMILY)] if t.n % 3 else random.choice(names.FAMILY)
    given = random.choice(names.FEMALE if t.female else names.MALE)
    if t.n == 0:
        family, given = "Hallowbrook", "Ines"
    patient = _patient(course, family, given)
    course.put(patient, now, id=t.id)
    if t.n % 5 == 0:
        later = course.at(min(course.until, start + timedelta(days=400)))
        moved = [*patient["telecom"][:1], {"system": "email", "value": f"p{t.n}@post.example", "use": "home"}]
        course.put(patient | {"telecom": moved}, later, id=t.id)
    _insurance(course, now)
    if t.n % 2 == 0 or course.age(course.until) < 18:
        _contact(course, family, now)
    if t.n in (20, 45) and course.age(course.until) > 30:
        gone = course.until - timedelta(days=120)
        course.put(patient | {"deceasedDateTime": c.day(gone)}, course.at(gone + timedelta(days=2)), id=t.id)
    if t.n in (21, 46, 70):
        _hospice(course)


def _patient(course: Course, family: str, given: str) -> c.Resource:
    t, random = course.t, course.random
    city, state, code = names.CITIES[(t.n // 3) % len(names.CITIES)]
    out: c.Resource = {
        "resourceType": "Patient",
        "active": True,
        "identifier": [
            {
                "type": c.concept("Record number", (c.TERM + "v2-0203", "MR")),
                "system": "http://alder-street.example/mrn",
                "value": f"{4417000 + t.n:09}",
            }
        ],
        "name": [{"use": "official", "family": family, "given": [given]}],
        "telecom": [
            {"system": "phone", "value": f"555 {random.randrange(1000, 9999)}", "use": "mobile"},
            {"system": "phone", "value": f"555 {2000 + t.n // 3 * 7 % 7000}", "use": "home"},
        ],
        "gender": "female" if t.female else "male",
        "birthDate": c.day(t.born),
        "address": [
            {
                "use": "home",
                "line": [f"{1 + t.n // 3} {names.STREETS[t.n // 3 % len(names.STREETS)]}"],
                "city": city,
                "state": state,
                "postalCode": code,
            }
        ],
        "generalPractitioner": [c.ref("Practitioner", t.doctor, t.doctor_name)],
        "managingOrganization": c.ref("Organization", PRACTICE),
        "communication": [
            {
                "language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "pt" if t.n == 0 else "en"}]},
                "preferred": True,
            }
        ],
    }
    if stories.nobody_knows(t):
        del out["gender"], out["birthDate"]
    return out


def _insurance(course: Course, now: datetime) -> None:
    t = course.t
    if t.n % 11 == 7:
        return
    cover = {
        "resourceType": "Coverage",
        "status": "active",
        "type": {"text": "Health insurance"},
        "subscriberId": f"M{70000 + t.n}",
        "beneficiary": c.ref("Patient", t.id),
        "relationship": c.term("subscriber-relationship", "self" if t.n % 3 else "child"),
        "period": {"start": c.day(now.date())},
        "payor": [
            c.ref("Organization", payer(t.n % len(names.INSURERS)), names.INSURERS[t.n % len(names.INSURERS)])
        ],
        "class": [{"type": c.term("coverage-class", "group"), "value": f"G{t.n % 9}"}],
    }
    course.put(cover, now)


def _contact(course: Course, family: str, now: datetime) -> None:
    t, random = course.t, course.random
    child = course.age(course.until) < 18
    role, label = ("MTH", "Mother") if child else ("SPS", "Spouse or partner")
    person = {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": c.ref("Patient", t.id),
        "relationship": [
            c.concept(label, (c.TERM + "v3-RoleCode", role)),
            c.concept("Emergency contact", (c.TERM + "v2-0131", "C")),
        ],
        "name": [{"family": family, "given": [random.choice(names.FEMALE)]}],
        "telecom": [{"system": "phone", "value": f"555 {random.randrange(1000, 9999)}"}],
    }
    course.put(person, now)


def _hospice(course: Course) -> None:
    t, when = course.t, course.at(course.until - timedelta(days=30))
    course.put(
        c.condition("In hospice care", "Z51.5", t.id, c.day(when.date()), c.instant(when)), when, org=HOSPITAL
    )


_SESSION = (
    "2823-3",
    "2951-2",
    "2160-0",
    "2777-1",
    "17861-6",
    "1751-7",
    "718-7",
    "6690-2",
    "777-3",
    "2339-0",
    "1742-6",
)
_TYPICAL = {
    "2823-3": (5.1, 0.5, 1), "2951-2": (138, 2, 0), "2160-0": (7.8, 0.9, 2), "2777-1": (5.0, 0.8, 1), "17861-6": (9.0, 0.5, 1),
    "1751-7": (3.7, 0.3, 1), "718-7": (10.9, 0.8, 1), "6690-2": (7.1, 1.5, 1), "777-3": (210, 35, 0), "2339-0": (140, 40, 0), "1742-6": (22, 7, 0),
}  # fmt: skip


def _dialysis(course: Course, until: date) -> None:
    """A thousand sessions with twenty measurements each: the chart that everything is timed on."""
    t, random = course.t, course.random
    day = until - timedelta(days=round(1000 * 7 / 3) + 10)
    sessions = 0
    while sessions < 1000 and day <= until:
        if day.weekday() in (0, 2, 4):
            sessions += 1
            _session(course, random, day)
        day += timedelta(days=1)
    began = course.at(until - timedelta(days=2400))
    course.put(
        c.condition(
            "End-stage kidney disease, on dialysis", "N18.6", t.id, c.day(began.date()), c.instant(began)
        ),
        began,
    )


REPORTED = timedelta(days=31)
"""For so long the laboratory has put the results of a session into one report."""


def _session(course: Course, random: Random, day: date) -> None:
    t, start = course.t, course.at(day, 7)
    end = start + timedelta(hours=4)
    visit = course.put(
        c.encounter("AMB", "Dialysis", t.id, c.instant(start), c.instant(end), HOSPITAL, t.doctor),
        start,
        org=HOSPITAL,
    )
    for n, moment in enumerate((start, start + timedelta(hours=2), end)):
        systolic = round(random.gauss(148 - 9 * n, 12))
        when = c.instant(moment)
        course.put(c.pressure(systolic, round(systolic * 0.55), when, t.id, visit), end, org=HOSPITAL)
        course.put(c.vital("8867-4", c.number(random.gauss(76, 8), 0), when, t.id, visit), end, org=HOSPITAL)
        course.put(
            c.vital("2708-6", c.number(min(100, random.gauss(96, 1.2)), 0), when, t.id, visit),
            end,
            org=HOSPITAL,
        )
    drawn = []
    for code in _SESSION:
        mean, spread, places = _TYPICAL[code]
        one = course.put(
            c.lab(
                code,
                c.number(max(0.1, random.gauss(mean, spread)), places),
                c.instant(start),
                t.id,
                LABORATORY,
                visit,
            ),
            end,
            org=LABORATORY,
        )
        drawn.append(one)
    if day > course.until - REPORTED:
        report = c.report("Dialysis panel", "", t.id, c.instant(start), LABORATORY, results=drawn)
        course.put(report, end, org=LABORATORY)
