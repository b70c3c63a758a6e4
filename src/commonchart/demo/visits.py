"""A visit, from the door to the signed note: encounter, vitals, what is new, treatment, laboratory, note."""

from __future__ import annotations

from base64 import b64encode
from datetime import date, datetime, timedelta
from typing import Any

from commonchart.demo.body import body_mass, kidney_stage, rounded
from commonchart.demo.codes import ACT, ICD, LOINC, SNOMED, TESTS, concept, drug, term
from commonchart.demo.course import Course
from commonchart.demo.folder import Folder, Resource, moment, stamp
from commonchart.demo.illness import BRIEF, BRIEF_CHILD, ILLNESSES, Illness, Step
from commonchart.demo.observations import blood_pressure, panel, vital
from commonchart.demo.places import EMERGENCY, HOSPITAL, LOCATIONS, NAMES, WARD, reference

KINDS = {
    "office": ("AMB", "Office visit", "office"),
    "virtual": ("VR", "Video visit", ""),
    "emergency": ("EMER", "Emergency visit", "emergency"),
    "inpatient": ("IMP", "Hospital stay", "ward"),
}


def encounter(
    folder: Folder, kind: str, start: datetime, end: datetime, why: str, tag: str, *, org: str = "", actor: str = ""
) -> Resource:  # fmt: skip
    """Record a visit; hospital stays carry how they began and ended."""
    code, text, place = KINDS[kind]
    body: dict[str, Any] = {
        "status": "finished", "class": {"system": ACT, "code": code}, "type": [{"text": text}], "subject": folder.subject(),
        "participant": [{"individual": reference("Practitioner", actor or folder.actor)}],
        "period": {"start": stamp(start), "end": stamp(end)}, "reasonCode": [{"text": why}],
        "serviceProvider": reference("Organization", org or folder.org),
    }  # fmt: skip
    if place:
        body["location"] = [{"location": reference("Location", LOCATIONS[place][0])}]
    if kind == "inpatient":
        body["hospitalization"] = {
            "admitSource": term("admit-source", "emd", "From the emergency department"),
            "dischargeDisposition": term("discharge-disposition", "home", "Home"),
        }
    return folder.keep("Encounter", tag, end, body, org=org, actor=actor)


def attend(course: Course, day: date, n: int) -> None:
    """One ordinary visit at the practice."""
    folder = course.folder
    remote = course.age(day) > 18 and n % 5 == 4
    hour = 8 + folder.dice.randrange(9)
    start = moment(day, hour, folder.dice.choice((0, 20, 40)))
    new = [name for name, _ in course.ill(day) if name not in course.known]
    why = ILLNESSES[new[0]].text if new else "Follow-up" if course.known else "Check-up"
    visit = encounter(
        folder, "virtual" if remote else "office", start, start + timedelta(minutes=20), why, f"v{n}"
    )
    when = start + timedelta(minutes=8)
    said = [] if remote else vitals(course, when, visit, f"v{n}")
    said += diagnose(course, new, when, visit)
    said += treat(course, when, visit)
    said += laboratory(course, start + timedelta(minutes=25), visit, n)
    if folder.dice.random() < 0.22:
        said.append(passing(course, when, visit, n))
    note(folder, start + timedelta(minutes=22), visit, why, said, f"v{n}")


def vitals(course: Course, when: datetime, visit: Resource, tag: str) -> list[str]:
    """What is measured at the door, and in words for the note."""
    folder, day = course.folder, when.date()
    weight, height = course.build(day)
    vital(folder, "weight", weight, when, visit, tag)
    vital(folder, "height", height, when, visit, tag)
    if course.age(day) >= 2:
        vital(folder, "bmi", body_mass(weight, height), when, visit, tag)
    pulse = 72 if course.age(day) > 14 else 140 - 5 * course.age(day)
    vital(folder, "heart-rate", rounded(folder.dice.gauss(pulse, 6), 0), when, visit, tag)
    warm = TESTS["temperature"]
    vital(folder, "temperature", rounded(folder.dice.gauss(warm.mean, warm.spread), 1), when, visit, tag)
    said = [f"Weight {weight} kg."]
    if course.age(day) >= 3:
        systolic, diastolic = course.pressure(day)
        blood_pressure(folder, systolic, diastolic, when, visit, tag)
        said.append(f"Blood pressure {systolic}/{diastolic} mmHg.")
    if course.plan.has("copd") or course.plan.has("failure") or course.plan.has("asthma"):
        air = 93.5 if course.plan.has("copd") else 96.5
        vital(folder, "oxygen", rounded(min(100, folder.dice.gauss(air, 1)), 0), when, visit, tag)
    return said


def diagnose(course: Course, new: list[str], when: datetime, visit: Resource) -> list[str]:
    """Write down the illnesses that the record does not know yet."""
    folder = course.folder
    for name in new:
        illness = ILLNESSES[name]
        folder.keep("Condition", name, when, condition(folder, illness, course.onset[name], when, visit))
        course.known.add(name)
    if "kidney" in course.known:
        _stage(course, when)
    return [f"New: {ILLNESSES[name].text.lower()}." for name in new]


def condition(
    folder: Folder, illness: Illness, began: date, when: datetime, visit: Resource | None
) -> Resource:
    """The body of an active problem."""
    body = {
        "clinicalStatus": term("condition-clinical", "active"), "verificationStatus": term("condition-ver-status", "confirmed"),
        "category": [term("condition-category", "problem-list-item")],
        "code": concept(illness.text, (ICD, illness.icd), (SNOMED, illness.snomed)), "subject": folder.subject(),
        "onsetDateTime": began.isoformat(), "recordedDate": stamp(when), "recorder": reference("Practitioner", folder.actor),
    }  # fmt: skip
    return body | ({"encounter": visit} if visit else {})


def _stage(course: Course, when: datetime) -> None:
    """Keep the stage of kidney disease in step with the eGFR: a change is a new version of the same problem."""
    code = kidney_stage(float(course.seen.get("egfr", course.filtration(when.date()))))
    words = (
        f"Chronic kidney disease, stage {code.removeprefix('N18.').replace('31', '3a').replace('32', '3b')}"
    )
    now = course.folder.current["Condition/kidney"]
    if now["code"]["text"] != words:
        snomed = {"N18.1": "431855005", "N18.2": "431856006", "N18.4": "431857002", "N18.5": "433146000"}
        coded = concept(words, (ICD, code), (SNOMED, snomed.get(code, "433144002")))
        course.folder.change("Condition", "kidney", when + timedelta(minutes=1), code=coded)


def treat(course: Course, when: datetime, visit: Resource) -> list[str]:
    """Take the next step of treatment where the measure asks for it."""
    said, day = [], when.date()
    for name in sorted(course.known & ILLNESSES.keys()):
        step = course.next_step(name, day)
        if step is not None:
            prescribe(course.folder, step, when + timedelta(minutes=3), visit, ILLNESSES[name].text)
            course.steps[name] = course.steps.get(name, 0) + 1
            course.stepped[name] = day
            said.append(f"{drug(step.drug)['text']}: {step.dose}.")
    return said


def prescribe(folder: Folder, step: Step, when: datetime, visit: Resource | None, why: str) -> None:
    """A prescription; another dose in the same slot is the next version of it."""
    dose = [{"text": step.dose[0].upper() + step.dose[1:], "timing": timing(step.dose)}]
    if f"MedicationRequest/{step.slot}" in folder.current:
        folder.change(
            "MedicationRequest",
            step.slot,
            when,
            medicationCodeableConcept=drug(step.drug),
            dosageInstruction=dose,
        )
        return
    body = {
        "status": "active", "intent": "order", "medicationCodeableConcept": drug(step.drug), "subject": folder.subject(),
        "authoredOn": stamp(when), "requester": reference("Practitioner", folder.actor), "reasonCode": [{"text": why}],
        "dosageInstruction": dose,
    } | ({"encounter": visit} if visit else {})  # fmt: skip
    folder.keep("MedicationRequest", step.slot, when, body)


def timing(dose: str) -> Resource:
    """The words of a dose as Timing."""
    if "when needed" in dose or "as told" in dose:
        return {"code": {"text": "When needed" if "needed" in dose else "As told"}}
    times = 2 if "twice" in dose else 1
    unit = "wk" if "week" in dose else "d"
    return {"repeat": {"frequency": times, "period": 1, "periodUnit": unit}}


def laboratory(course: Course, when: datetime, visit: Resource, n: int) -> list[str]:
    """The checks that are due today."""
    wanted: dict[str, int] = {}
    for name, illness in course.ill(when.date()):
        if name in course.known:
            for check, months in illness.checks:
                wanted[check] = min(months, wanted.get(check, 999))
    said = []
    for check, months in sorted(wanted.items()):
        last = course.checked.get(check)
        if last is None or (when.date() - last).days > months * 30 - 12:
            course.checked[check] = when.date()
            slow = course.dice.random() < 0.05
            values = course.panel(check, when.date())
            panel(course.folder, check, values, when, visit, f"{n}", preliminary=slow)
            said.append(f"Blood taken: {check.replace('-', ' ')}.")
    return said


def passing(course: Course, when: datetime, visit: Resource, n: int) -> str:
    """Something that comes and goes; it is written down as resolved when it has gone."""
    folder = course.folder
    child = course.age(when.date()) < 14
    text, icd, days, medicine = folder.dice.choice(BRIEF_CHILD if child else BRIEF)
    key = f"brief-{n}"
    folder.keep("Condition", key, when, condition(folder, Illness(icd, text), when.date(), when, visit))
    if medicine:
        step = Step(
            f"{medicine}-{n}",
            medicine,
            "5 mL twice a day for 7 days" if child else "1 tablet each morning",
            0,
        )
        prescribe(folder, step, when, visit, text)
        folder.change("MedicationRequest", step.slot, when + timedelta(days=8), status="completed")
    over = when + timedelta(days=days)
    if over.date() < folder.until:
        folder.change(
            "Condition", key, over, clinicalStatus=term("condition-clinical", "resolved"), abatementDateTime=over.date().isoformat()
        )  # fmt: skip
    return f"{text}, expected to pass."


def note(
    folder: Folder, when: datetime, visit: Resource | None, why: str, said: list[str], tag: str, *, kind: str = "11506-3",
    title: str = "Progress note", org: str = "", actor: str = "",
) -> None:  # fmt: skip
    """A signed note."""
    who = NAMES[actor or folder.actor]
    text = f"{title}\n\nReason: {why}.\n" + "".join(f"- {line}\n" for line in said) + f"\nSigned by {who}.\n"
    body: dict[str, Any] = {
        "status": "current", "docStatus": "final", "type": concept(title, (LOINC, kind)),
        "category": [{"coding": [{"system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "code": "clinical-note"}]}],
        "subject": folder.subject(), "date": stamp(when), "author": [reference("Practitioner", actor or folder.actor)],
        "custodian": reference("Organization", org or folder.org),
        "content": [{"attachment": attachment(text, f"{title}, {when:%Y-%m-%d}", when)}],
    }  # fmt: skip
    if visit:
        body["context"] = {"encounter": [visit]}
    folder.keep("DocumentReference", tag, when, body, org=org, actor=actor)


def attachment(text: str, title: str, when: datetime) -> Resource:
    """Plain text inside a resource."""
    return {
        "contentType": "text/plain; charset=utf-8",
        "data": b64encode(text.encode()).decode(),
        "title": title,
        "creation": stamp(when),
    }


def stay(course: Course, day: date, days: int, why: str, tag: str, *, illness: Illness | None = None) -> None:
    """Through the emergency department into hospital, and home with a summary."""
    folder = course.folder
    came = moment(day, 3, 10)
    encounter(
        folder, "emergency", came, came + timedelta(hours=5), why, f"{tag}-e", org=HOSPITAL, actor=EMERGENCY
    )
    left = moment(day + timedelta(days=days), 11)
    visit = encounter(
        folder, "inpatient", came + timedelta(hours=5), left, why, f"{tag}-i", org=HOSPITAL, actor=WARD
    )
    for n in range(days):
        when = moment(day + timedelta(days=n), 13)
        panel(folder, "metabolic", course.panel("metabolic", when.date()), when, visit, f"{tag}-{n}")
        panel(folder, "blood-count", course.panel("blood-count", when.date()), when, visit, f"{tag}-{n}")
    if illness is not None:
        body = condition(folder, illness, day, left, visit)
        folder.keep(
            "Condition",
            tag,
            left,
            {**body, "recorder": reference("Practitioner", WARD)},
            org=HOSPITAL,
            actor=WARD,
        )
    said = [f"Admitted through the emergency department for {why.lower()}.", f"Stayed {days} nights.", "Went home; follow-up at the practice."]  # fmt: skip
    note(folder, left + timedelta(minutes=30), visit, why, said, f"{tag}-s", kind="18842-5", title="Discharge summary",
         org=HOSPITAL, actor=WARD)  # fmt: skip


def emergency(course: Course, day: date, why: str, tag: str) -> None:
    """A visit to the emergency department only."""
    came = moment(day, 21, 15)
    visit = encounter(course.folder, "emergency", came, came + timedelta(hours=3), why, tag, org=HOSPITAL, actor=EMERGENCY)  # fmt: skip
    note(course.folder, came + timedelta(hours=3, minutes=10), visit, why, ["Seen, treated and sent home."], tag,
         title="Emergency note", org=HOSPITAL, actor=EMERGENCY)  # fmt: skip
