"""What the first patients have that nobody else has: each shows something that a chart must be able to show."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid5

from commonchart.demo import clinical as c
from commonchart.demo.courses import HOSPITAL, LABORATORY, SPACE, Course, Entry, Traits

FROM_ELSEWHERE, VARIANT, EXPECTING, BLEEDING, UNREADABLE, UNKNOWN = 7, 8, 9, 10, 11, 12


def cast(n: int, until: date) -> dict[str, Any]:
    """The traits that the nth patient must have for their story."""
    none: dict[str, Any] = dict.fromkeys(
        ("diabetes", "hypertension", "kidney", "lipids", "depression", "thyroid", "asthma"), False
    )
    parts: dict[int, dict[str, Any]] = {
        FROM_ELSEWHERE: none | {"born": date(until.year - 66, 2, 9), "female": False, "years": 2},
        VARIANT: none | {"born": date(until.year - 45, 8, 21), "female": True, "thyroid": True, "years": 5},
        EXPECTING: none | {"born": date(until.year - 31, 6, 5), "female": True, "years": 4, "keen": 0.9},
        BLEEDING: none | {"born": date(until.year - 57, 1, 30), "female": False, "years": 4},
        UNREADABLE: none | {"born": date(until.year - 52, 4, 17), "female": True, "years": 6, "keen": 0.9},
    }
    return parts.get(n, {})


def tell(course: Course, start: date) -> None:
    """Record the story of this patient, if they have one."""
    for one in STORIES.get(course.t.n, ()):
        one(course, start)


def _ago(course: Course, days: int, hour: int = 9) -> datetime:
    return course.at(course.until - timedelta(days=days), hour)


# ---- measured at home, for years -------------------------------------------------------------------------------


def _sugar_at_home(course: Course, start: date) -> None:
    random = course.random
    for n in range(1100):
        when = _ago(course, 30 + n * 3, 7)
        value = c.number(max(62, random.gauss(138, 22)), 0)
        body = c.lab("2339-0", value, c.instant(when), course.t.id, LABORATORY)
        del body["performer"]
        course.put(body | {"method": {"text": "Meter at home"}}, when)


def _weight_at_home(course: Course, start: date) -> None:
    for n in range(1050):
        when = _ago(course, 20 + n * 4, 6)
        body = c.vital(
            "29463-7", c.number(course.random.gauss(course.t.weight, 0.8)), c.instant(when), course.t.id, ""
        )
        del body["encounter"]
        course.put(body | {"method": {"text": "Scale at home"}}, when)


def _pressure_at_home(course: Course, start: date) -> None:
    for n in range(1020):
        when = _ago(course, 20 + n * 4, 7)
        systolic = round(course.random.gauss(136, 8))
        body = c.pressure(systolic, round(systolic * 0.6), c.instant(when), course.t.id, "")
        del body["encounter"]
        course.put(body | {"method": {"text": "Cuff at home"}}, when)


# ---- what goes wrong, and how it is put right ------------------------------------------------------------------


def _implausible(course: Course, start: date) -> None:
    """A value that no living person has: kept, shown as such, and of no use to any rule."""
    when = _ago(course, 75, 8)
    body = c.lab("4548-4", Decimal("84"), c.instant(when), course.t.id, LABORATORY)
    body["note"] = [{"text": "Implausible as a percentage: perhaps another unit. Please repeat."}]
    course.put(body, when + timedelta(hours=9), org=LABORATORY)


def _taken_back(course: Course, start: date) -> None:
    """Written into the wrong chart, and marked so the next day."""
    when = _ago(course, 200, 11)
    wrong = c.condition("Heart attack", "I21.9", course.t.id, c.day(when.date()), c.instant(when))
    id = course.put(wrong, when)
    retracted = {name: value for name, value in wrong.items() if name != "clinicalStatus"}
    retracted["verificationStatus"] = c.term("condition-ver-status", "entered-in-error")
    course.put(retracted, when + timedelta(days=1), id=id)


def _addendum(course: Course, start: date) -> None:
    """A signed note, and what was added to it two days later."""
    when = _ago(course, 180, 15)
    doctor = course.t.doctor
    visit = course.put(
        c.encounter("AMB", "Diabetes review", course.t.id, c.instant(when), c.instant(when + timedelta(minutes=20)),
                    course.entries[0].org, doctor), when)  # fmt: skip
    text = "Diabetes review.\nFeet: not examined today.\nPlan: blood tests, feet next time."
    signed = c.note("Progress note", "11506-3", text, course.t.id, c.instant(when), doctor, visit)
    id = course.put(signed, when)
    later = when + timedelta(days=2)
    added = b"Addendum: feet examined on the way out, pulses and feeling normal."
    attachment = {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(added).decode(),
                  "title": "Addendum", "creation": c.instant(later)}  # fmt: skip
    amended = signed | {"docStatus": "amended", "content": [*signed["content"], {"attachment": attachment}]}
    course.put(amended, later, id=id)


def _allergy_found(course: Course, start: date) -> None:
    """Found years after the first visit: a past page must say that there is more now."""
    when = _ago(course, 300, 10)
    body = c.allergy("Penicillin", course.t.id, c.instant(when), category="medication",
                     reaction="Hives and swelling of the face", severity="severe", high=True)  # fmt: skip
    course.put(body, when)


def _together(course: Course, start: date) -> None:
    """A goal, a plan for it, and the team that keeps it."""
    when, patient = _ago(course, 500, 12), c.ref("Patient", course.t.id)
    doctor = c.ref("Practitioner", course.t.doctor, course.t.doctor_name)
    target = {"value": Decimal("7.0"), "comparator": "<", "unit": "%", "system": c.UCUM, "code": "%"}
    goal = course.put({
        "resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "HbA1c below 7.0 %"}, "subject": patient,
        "startDate": c.day(when.date()), "expressedBy": doctor,
        "target": [{"measure": c.concept("Haemoglobin A1c", (c.LOINC, "4548-4")), "detailQuantity": target}],
    }, when)  # fmt: skip
    course.put({
        "resourceType": "CarePlan", "status": "active", "intent": "plan", "title": "Sugar and kidneys", "subject": patient,
        "period": {"start": c.day(when.date())}, "goal": [c.ref("Goal", goal)],
        "description": "Sugar at home; kidneys every 6 months; feet and eyes once a year.",
    }, when)  # fmt: skip
    course.put({
        "resourceType": "CareTeam", "status": "active", "name": "Diabetes team", "subject": patient,
        "period": {"start": c.day(when.date())}, "participant": [{"member": doctor}],
    }, when)  # fmt: skip


def _elsewhere(course: Course, start: date) -> None:
    """From a former practice: illnesses that carry only SNOMED CT identifiers."""
    when = course.at(start, 10)
    for text, sct in (("Diabetes, from the former practice", "44054006"), ("High blood pressure, from the former practice", "38341003")):  # fmt: skip
        course.put(c.condition(text, "", course.t.id, str(start.year - 4), c.instant(when), sct=sct), when)


def _variant(course: Course, start: date) -> None:
    """Two screenings are not for her: a BRCA1 variant, and no cervix."""
    when = _ago(course, 700, 14)
    course.put(c.condition("BRCA1 gene variant, disease-causing", "Z15.01", course.t.id, c.day(start), c.instant(course.at(start))), course.at(start))  # fmt: skip
    course.put(c.procedure("Uterus and cervix removed, keyhole", course.t.id, c.day(when.date()), sct="236886002",
                           outcome="Without complication"), when, org=HOSPITAL)  # fmt: skip
    course.put(c.condition("Uterus and cervix removed", "Z90.710", course.t.id, c.day(when.date()), c.instant(when)), when, org=HOSPITAL)  # fmt: skip


def _expecting(course: Course, start: date) -> None:
    """In the 28th week."""
    began = course.until - timedelta(days=194)
    when = course.at(began + timedelta(days=60), 10)
    body = c.condition("Pregnancy", "Z34.90", course.t.id, c.day(began), c.instant(when), sct="77386006")
    course.put(body, when)
    due = {
        "resourceType": "Observation", "status": "final", "category": [c.term("observation-category", "exam")],
        "code": c.concept("Due date, estimated", (c.LOINC, "11778-8")), "subject": c.ref("Patient", course.t.id),
        "effectiveDateTime": c.instant(when), "valueDateTime": c.day(began + timedelta(days=280)),
    }  # fmt: skip
    course.put(due, when)
    course.put(c.answer("10331-7", "Rh blood type", c.concept("Positive"), c.instant(when), course.t.id, None, "laboratory"),
               when + timedelta(hours=8), org=LABORATORY)  # fmt: skip
    folate = c.medication("Folic acid 0.4 mg tablet", "4511", "1 tablet each day", course.t.id, c.day(when.date()), course.t.doctor, reason="Pregnancy")  # fmt: skip
    course.put(folate, when)


def _bleeding(course: Course, start: date) -> None:
    """A stool test that found blood, and nothing since."""
    when = _ago(course, 70)
    course.put(c.answer("29771-3", "Stool blood test (FIT)", c.concept("Positive"), c.instant(when), course.t.id, None, "laboratory"),
               when + timedelta(days=1), org=LABORATORY)  # fmt: skip


def _unreadable(course: Course, start: date) -> None:
    """A mammogram that was not normal, and an HPV test whose result cannot be read."""
    when = _ago(course, 45)
    course.put(c.report("Screening mammogram", "24606-6", course.t.id, c.day(when.date()), HOSPITAL,
                        conclusion="BI-RADS 4: suspicious calcifications, left", category="RAD"), when, org=HOSPITAL)  # fmt: skip
    course.put(c.answer("82675-0", "High-risk HPV test", c.concept("See attached letter"), c.instant(when), course.t.id, None, "laboratory"),
               when + timedelta(days=2), org=LABORATORY)  # fmt: skip


def second_record(first: c.Resource, until: date) -> list[Entry]:
    """The hospital's own Patient of somebody the practice knows: another spelling and number, not linked yet."""
    when = datetime.combine(until - timedelta(days=640), datetime.min.time(), tzinfo=UTC) + timedelta(hours=2)
    kind = c.concept("Record number", (c.TERM + "v2-0203", "MR"))
    copied: c.Resource = {name: first[name] for name in ("gender", "birthDate", "address") if name in first}
    number = {"type": kind, "system": "http://northgate.example/mrn", "value": "NG-204417"}
    again: c.Resource = {
        "resourceType": "Patient", "id": str(uuid5(SPACE, "second-record")), "active": True, "identifier": [number],
        "name": [{"use": "official", "family": "Hallowbrooke", "given": ["Inês"]}],
        "managingOrganization": c.ref("Organization", HOSPITAL), **copied,
    }  # fmt: skip
    latex = c.allergy(
        "Latex", again["id"], c.instant(when), category="environment", reaction="Itching", severity="mild"
    )
    latex["id"] = str(uuid5(SPACE, "second-record/latex"))
    return [Entry(when, HOSPITAL, "Northgate interface", one) for one in (again, latex)]


Story = Callable[[Course, date], None]
STORIES: dict[int, tuple[Story, ...]] = {
    0: (_sugar_at_home, _implausible, _taken_back, _addendum, _allergy_found, _together),
    4: (_sugar_at_home,),
    5: (_weight_at_home,),
    6: (_pressure_at_home,),
    FROM_ELSEWHERE: (_elsewhere,),
    VARIANT: (_variant,),
    EXPECTING: (_expecting,),
    BLEEDING: (_bleeding,),
    UNREADABLE: (_unreadable,),
}


def nobody_knows(traits: Traits) -> bool:
    """Brought in without papers: neither birth date nor sex is known, so that most rules cannot tell."""
    return traits.n == UNKNOWN
