"""The patients with stories: they come first, and each shows something that a chart must be able to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from commonchart.demo.codes import CPT, LOINC, SNOMED, UCUM, concept, term
from commonchart.demo.course import Course
from commonchart.demo.folder import Folder, moment, stamp, years_before
from commonchart.demo.illness import Illness
from commonchart.demo.lives import first_day, live, operation
from commonchart.demo.observations import measured
from commonchart.demo.people import Plan
from commonchart.demo.places import HOSPITAL, LAB_ACTOR, LABORATORY, NAMES, WARD, reference
from commonchart.demo.registration import MRN, allergy, patient
from commonchart.demo.screening import done
from commonchart.demo.visits import attachment, condition, stay

Story = Callable[[Course], None]


def stories(until: date) -> Iterator[Folder]:
    """The patients with stories, each a whole folder; some bring a second record of the same person."""
    for plan, tell in STORIES:
        course = live(plan, until)
        tell(course)
        yield course.folder
    yield second_record(STORIES[0][0], until)
    yield nobody_knows(until)


def _ago(course: Course, days: int) -> date:
    return course.folder.until - timedelta(days=days)


def _rosalind(course: Course) -> None:
    """Twelve years of diabetes: an allergy found later, a stay, an implausible value, an error taken back, an addendum."""
    folder = course.folder
    allergy(folder, "penicillin", moment(_ago(course, 900), 10))
    allergy(folder, "codeine", moment(_ago(course, 300), 10))
    stay(
        course,
        _ago(course, 902),
        4,
        "Infection of the leg",
        "leg",
        illness=Illness("L03.115", "Infection of the right leg"),
    )
    _home_sugar(course, 1100, 3)
    implausible(course, _ago(course, 75))
    when = moment(_ago(course, 200), 11)
    wrong = condition(folder, Illness("I21.9", "Heart attack"), when.date(), when, None)
    folder.keep("Condition", "mistake", when, wrong)
    retracted = {name: value for name, value in wrong.items() if name != "clinicalStatus"}
    retracted["verificationStatus"] = term("condition-ver-status", "entered-in-error")
    folder.keep("Condition", "mistake", when + timedelta(days=1), retracted)
    _addendum(course, "v0")
    goal = {
        "lifecycleStatus": "active", "description": {"text": "HbA1c below 7.0 %"}, "subject": folder.subject(),
        "startDate": _ago(course, 500).isoformat(), "expressedBy": reference("Practitioner", folder.actor),
        "target": [{"measure": concept("Hemoglobin A1c", (LOINC, "4548-4")), "dueDate": _ago(course, -60).isoformat(),
                    "detailQuantity": {"value": Decimal("7.0"), "comparator": "<", "unit": "%", "system": UCUM, "code": "%"}}],
    }  # fmt: skip
    folder.keep("Goal", "a1c", moment(_ago(course, 500), 12), goal)
    _outside_plan(course)


def _outside_plan(course: Course) -> None:
    """A medicine the patient takes without a prescription, and a plan of care."""
    folder, when = course.folder, moment(_ago(course, 400), 9)
    taken = {
        "status": "active", "medicationCodeableConcept": {"text": "Multivitamin, over the counter"}, "subject": folder.subject(),
        "effectivePeriod": {"start": _ago(course, 700).isoformat()}, "dateAsserted": stamp(when), "dosage": [{"text": "1 each day"}],
    }  # fmt: skip
    folder.keep("MedicationStatement", "vitamin", when, taken)
    plan = {
        "status": "active", "intent": "plan", "title": "Diabetes and kidney plan", "subject": folder.subject(),
        "period": {"start": _ago(course, 400).isoformat()}, "goal": [{"reference": f"Goal/{folder.current['Goal/a1c']['id']}"}],
        "description": "Sugar at home each morning; kidneys every 6 months; feet and eyes once a year.",
    }  # fmt: skip
    folder.keep("CarePlan", "1", moment(_ago(course, 400), 12), plan)


def _home_sugar(course: Course, count: int, every: int) -> None:
    """Values measured at home and sent to the practice, one each few days."""
    for n in range(count):
        when = moment(_ago(course, 40 + n * every), 7, n % 50)
        value = course.panel("metabolic", when.date())["glucose"] - 12
        body = measured("fasting-glucose", value, course.folder.subject(), when, None)
        body |= {
            "category": [term("observation-category", "laboratory")],
            "method": {"text": "Meter at home"},
        }
        course.folder.keep("Observation", f"home-{n}", when + timedelta(minutes=5), body)


def implausible(course: Course, day: date) -> None:
    """A value that no living person has: kept, and shown as such; corrected the week after by a new blood test."""
    when = moment(day, 8)
    body = measured("a1c", Decimal("84"), course.folder.subject(), when, None)
    body["category"] = [term("observation-category", "laboratory")]
    body["performer"] = [reference("Organization", LABORATORY)]
    body["note"] = [{"text": "Implausible as percent: perhaps sent in another unit. Repeat."}]
    course.folder.keep("Observation", "implausible", moment(day, 18), body, org=LABORATORY, actor=LAB_ACTOR)


def _addendum(course: Course, tag: str) -> None:
    """A signed note is only added to."""
    folder = course.folder
    note = folder.current[f"DocumentReference/{tag}"]
    when = moment(first_day(course.plan, folder.until) + timedelta(days=2), 12)
    text = f"Addendum: the patient called; foot examination was normal.\n\nSigned by {NAMES[folder.actor]}.\n"
    added = {"attachment": attachment(text, f"Addendum, {when:%Y-%m-%d}", when)}
    folder.change("DocumentReference", tag, when, docStatus="amended", content=[*note["content"], added])


def _tobias(course: Course) -> None:
    """Heart failure and fibrillation: stays in hospital, weights at home, warfarin changed for apixaban."""
    folder = course.folder
    for n, days in enumerate((1500, 820, 260)):
        stay(course, _ago(course, days), 6 - n, "Shortness of breath", f"hf-{n}")
    for n in range(1200):
        when = moment(_ago(course, 20 + n * 2), 6, n % 55)
        weight, _ = course.build(when.date())
        body = measured("weight", weight, folder.subject(), when, None)
        body |= {
            "category": [term("observation-category", "vital-signs")],
            "method": {"text": "Scale at home"},
        }
        folder.keep("Observation", f"home-{n}", when + timedelta(minutes=3), body)
    when = moment(_ago(course, 240), 10)
    folder.change(
        "MedicationRequest", "anticoagulant", when, status="stopped", statusReason={"text": "Changed for apixaban"}
    )  # fmt: skip
    body = {
        "status": "active", "intent": "order", "medicationCodeableConcept": concept("Apixaban 5 mg tablet", ("http://www.nlm.nih.gov/research/umls/rxnorm", "1364430")),
        "subject": folder.subject(), "authoredOn": stamp(when), "requester": reference("Practitioner", folder.actor),
        "dosageInstruction": [{"text": "1 tablet twice a day", "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}}],
    }  # fmt: skip
    folder.keep("MedicationRequest", "apixaban", when + timedelta(minutes=2), body)
    operation(
        course, "Right hip replaced", "52734007", _ago(course, 2200), first_day(course.plan, folder.until)
    )


def _amara(course: Course) -> None:
    """In the 28th week: due date, blood group, sugar test."""
    folder, began = course.folder, course.onset["pregnancy"]
    due = began + timedelta(days=280)
    when = moment(began + timedelta(days=70), 10)
    for key, code, text, value in (
        ("due-date", "11778-8", "Due date of delivery, estimated", {"valueDateTime": due.isoformat()}),
        (
            "rh",
            "10331-7",
            "Rh blood type",
            {"valueCodeableConcept": concept("Positive", (SNOMED, "10828004"))},
        ),
        ("abo", "883-9", "ABO blood group", {"valueCodeableConcept": {"text": "O"}}),
    ):
        body: dict[str, Any] = {
            "status": "final", "code": concept(text, (LOINC, code)), "subject": folder.subject(), "effectiveDateTime": stamp(when), **value,
            "category": [term("observation-category", "laboratory" if key != "due-date" else "exam")],
        }  # fmt: skip
        folder.keep("Observation", key, when + timedelta(hours=8), body)
    done(course, "hiv", began + timedelta(days=71), 90)


def _linh(course: Course) -> None:
    """Carries a BRCA1 variant, uterus removed: two screenings are not for her."""
    operation(
        course,
        "Uterus and cervix removed, keyhole",
        "236886002",
        _ago(course, 700),
        first_day(course.plan, course.folder.until),
    )
    report = {
        "status": "final", "category": [term("v2-0074", "RAD")], "code": concept("MRI of both breasts", (CPT, "77049")),
        "subject": course.folder.subject(), "effectiveDateTime": stamp(moment(_ago(course, 160), 11)),
        "issued": stamp(moment(_ago(course, 159), 11)), "conclusion": "No suspicious finding.",
    }  # fmt: skip
    course.folder.keep(
        "DiagnosticReport", "mri", moment(_ago(course, 159), 11), report, org=HOSPITAL, actor=WARD
    )


def _joao(course: Course) -> None:
    """A stool test that found blood, and nothing since."""
    done(course, "fit", _ago(course, 70), 99, "Positive: blood detected")


def _celine(course: Course) -> None:
    """A mammogram that was not normal, an HPV test without a readable result."""
    done(course, "mammogram", _ago(course, 45), 99, "Suspicious calcifications, left. BI-RADS 4.")
    done(course, "hpv", _ago(course, 50), 99, "See attached letter")


def _oskar(course: Course) -> None:
    """From elsewhere: illnesses that carry only SNOMED CT identifiers."""
    folder = course.folder
    when = moment(_ago(course, 400), 9, 30)
    for key, code, text in (("sct-1", "44054006", "Diabetes, from the former practice"), ("sct-2", "38341003", "High blood pressure, from the former practice")):  # fmt: skip
        body = condition(folder, Illness("", text, code), years_before(folder.until, 6), when, None)
        folder.keep("Condition", key, when, body)


def _nothing(course: Course) -> None:
    """Nothing beyond the plan."""


def second_record(plan: Plan, until: date) -> Folder:
    """The hospital's own Patient of somebody the practice knows: another spelling, another number, not linked."""
    folder = Folder(f"{plan.key}-hospital", HOSPITAL, WARD, until)
    body = patient(plan, folder)
    body["name"] = [{"family": plan.family.split()[0], "given": ["Rosalynd"]}]
    body["identifier"] = [{"type": term("v2-0203", "MR"), "system": f"{MRN}:northgate", "value": "NG-204417"}]
    body["managingOrganization"] = reference("Organization", HOSPITAL)
    when = moment(until - timedelta(days=903), 2)
    folder.name = "Rosalynd Achterberg"
    folder.keep("Patient", "", when, body)
    allergy(folder, "latex", when + timedelta(hours=1))
    return folder


def nobody_knows(until: date) -> Folder:
    """Brought in without papers: neither birth date nor sex is known, so most rules cannot tell."""
    folder = Folder("unknown-1", HOSPITAL, WARD, until)
    folder.name = "Unknown, Quebec 7"
    when = moment(until - timedelta(days=12), 4)
    body = {
        "active": True, "name": [{"use": "temp", "text": "Unknown, Quebec 7", "family": "Quebec-Seven"}], "gender": "unknown",
        "identifier": [{"type": term("v2-0203", "MR"), "system": f"{MRN}:northgate", "value": "NG-900007"}],
    }  # fmt: skip
    folder.keep("Patient", "", when, body)
    injury = Illness("S06.0X0A", "Concussion")
    folder.keep(
        "Condition", "head", when + timedelta(hours=1), condition(folder, injury, when.date(), when, None)
    )
    folder.keep("Flag", "identity", when, {
        "status": "active", "code": {"text": "Identity not established"}, "subject": folder.subject(),
    })  # fmt: skip
    return folder


STORIES: tuple[tuple[Plan, Story], ...] = (
    (Plan("rosalind", "Rosalind", "Achterberg Núñez", "female", 62.4, 1, 12, 5, 0.7, (("diabetes", 12.2), ("hypertension", 11), ("lipids", 9),
          ("kidney", 5), ("osteoarthritis", 6)), (), "former", 3, 0, build=33, height=161), _rosalind),
    (Plan("amara", "Amara", "Okonjo-Lind", "female", 31.3, 2, 5, 2, 0.8, (("pregnancy", 0.53), ("asthma", 9)), ("none",), "never", 1, 4,
          build=24, height=168), _amara),
    (Plan("mateo", "Matéo", "Okonjo-Lind", "male", 0.71, 2, 0.7, 1, 0.55, (), (), "never", 1, 3, role="child", height=176), _nothing),
    (Plan("tobias", "Tobias", "Färnström", "male", 71.8, 3, 11, 6, 0.85, (("failure", 6), ("fibrillation", 8), ("hypertension", 14), ("copd", 9),
          ("lipids", 12)), ("sulfa", "ibuprofen"), "former", 0, 1, build=29, height=181), _tobias),
    (Plan("linh", "Linh", "Trần", "female", 45.2, 4, 6, 2, 0.9, (("brca", 5), ("no-uterus", 1.9), ("thyroid", 4)), ("latex",), "never", 2, 2,
          build=22, height=157), _linh),
    (Plan("joao", "João", "Pacheco", "male", 57.9, 5, 4, 2, 0.5, (("hypertension", 3), ("reflux", 6)), ("none",), "current", 3, 1,
          build=27, height=174), _joao),
    (Plan("celine", "Céline", "Delacroix", "female", 52.6, 6, 7, 2, 0.75, (("migraine", 20), ("anxiety", 6)), ("peanut",), "never", 0, 0,
          build=26, height=166), _celine),
    (Plan("oskar", "Oskar", "Dąbrowski", "male", 66.1, 7, 1.1, 2, 0.4, (), (), "former", 0, 4, build=31, height=178), _oskar),
    (Plan("saoirse", "Saoirse", "O'Dwyer", "female", 16.6, 8, 6, 2.5, 0.6, (("depression", 1.1), ("asthma", 10)), ("none",), "never", 0, 3,
          role="child", build=22, height=165), _nothing),
    (Plan("wilhelmina", "Wilhelmina", "Stonewell", "female", 93.5, 9, 6, 4, 0.6, (("failure", 5), ("kidney", 7), ("hospice", 1.4)), ("penicillin",),
          "never", 0, 1, died=1.0, build=23, height=158), _nothing),
    (Plan("yusuf", "Yusuf", "Benhaddou", "male", 27.4, 10, 3, 1, 0.2, (), (), "current", 3, 2, build=23, height=179), _nothing),
    (Plan("aiko", "Aiko", "Yamaguchi", "female", 78.2, 11, 10, 4, 0.95, (("thyroid", 15), ("hypertension", 12), ("diabetes", 6)), ("codeine",),
          "never", 2, 0, build=22, height=152), _nothing),
)  # fmt: skip
