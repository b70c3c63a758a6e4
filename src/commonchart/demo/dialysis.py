"""The patient with a thousand visits: seven years of dialysis, three times a week, twenty values each time."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from commonchart.demo.body import rounded
from commonchart.demo.codes import ACT, LOINC, TESTS, concept, term
from commonchart.demo.folder import Folder, Resource, moment, stamp
from commonchart.demo.illness import Illness
from commonchart.demo.lives import live
from commonchart.demo.observations import quantity
from commonchart.demo.people import Plan
from commonchart.demo.places import HOSPITAL, LOCATIONS, NEPHROLOGY, reference
from commonchart.demo.visits import condition, note

VISITS = 1000
PLAN = Plan("ezekiel", "Ezekiel", "Marchetti-Adeyemi", "male", 66.7, 12, 9, 3, 0.8, (("hypertension", 20), ("diabetes", 18)),
            ("penicillin",), "former", 1, 1, build=27, height=177)  # fmt: skip

BEFORE = (
    ("weight", 86.5, 1.0),
    ("heart-rate", 78, 7),
    ("temperature", 36.6, 0.2),
    ("oxygen", 96, 1),
    ("breaths", 16, 2),
)
AFTER = (("weight", 84.0, 0.6), ("heart-rate", 74, 6), ("temperature", 36.5, 0.2))
BLOOD = (
    ("potassium", 5.3, 0.4), ("sodium", 138, 2), ("bicarbonate", 22, 1.6), ("calcium", 9.1, 0.3), ("phosphate", 5.2, 0.6),
    ("urea", 58, 8), ("creatinine", 8.4, 0.8), ("hemoglobin", 10.9, 0.5), ("glucose", 148, 26), ("albumin", 3.8, 0.2),
)  # fmt: skip


def dialysed(until: date) -> Folder:
    """The whole folder: an ordinary life, then the sessions."""
    course = live(PLAN, until)
    folder = course.folder
    first = until - timedelta(days=round(VISITS * 7 / 3) + 3)
    kidney = condition(
        folder, Illness("N18.6", "Kidney failure, on dialysis", "46177005"), first, moment(first, 9), None
    )
    folder.keep("Condition", "dialysis", moment(first, 9), kidney, org=HOSPITAL, actor=NEPHROLOGY)
    for n in range(VISITS):
        _session(folder, first + timedelta(days=(n * 7) // 3), n)
    return folder


def _session(folder: Folder, day: date, n: int) -> None:
    start = moment(day, 7)
    end = start + timedelta(hours=4)
    visit = folder.keep("Encounter", f"dialysis-{n}", end, {
        "status": "finished", "class": {"system": ACT, "code": "AMB"}, "type": [{"text": "Dialysis"}], "subject": folder.subject(),
        "period": {"start": stamp(start), "end": stamp(end)}, "serviceProvider": reference("Organization", HOSPITAL),
        "location": [{"location": reference("Location", LOCATIONS["dialysis"][0])}],
    }, org=HOSPITAL, actor=NEPHROLOGY)  # fmt: skip
    for when, wanted, part in ((start, BEFORE, "a"), (end, AFTER, "b")):
        _pressure(folder, when, visit, f"{n}{part}")
        for key, mean, spread in wanted:
            _value(folder, key, mean, spread, when, visit, f"{n}{part}", "vital-signs", end)
    for key, mean, spread in BLOOD:
        _value(folder, key, mean, spread, start, visit, f"{n}", "laboratory", end)
    if n % 40 == 0:
        note(folder, end, visit, "Dialysis", ["Session without trouble.", "Dry weight unchanged."], f"dialysis-{n}",
             org=HOSPITAL, actor=NEPHROLOGY)  # fmt: skip


def _value(
    folder: Folder, key: str, mean: float, spread: float, when: datetime, visit: Resource, tag: str, kind: str, known: datetime
) -> None:  # fmt: skip
    test = TESTS[key]
    value = rounded(folder.dice.gauss(mean, spread), test.digits)
    folder.keep("Observation", f"d-{key}-{tag}", known, {
        "status": "final", "category": [term("observation-category", kind)], "code": concept(test.text, (LOINC, test.code)),
        "subject": folder.subject(), "encounter": visit, "effectiveDateTime": stamp(when), "valueQuantity": quantity(value, test.unit),
    }, org=HOSPITAL, actor=NEPHROLOGY)  # fmt: skip


def _pressure(folder: Folder, when: datetime, visit: Resource, tag: str) -> None:
    top = round(folder.dice.gauss(148 if tag.endswith("a") else 132, 11))
    parts = [
        {"code": concept(text, (LOINC, code)), "valueQuantity": quantity(Decimal(value), "mm[Hg]")}
        for text, code, value in (("Systolic", "8480-6", top), ("Diastolic", "8462-4", round(top * 0.52)))
    ]
    folder.keep("Observation", f"d-bp-{tag}", when if tag.endswith("b") else when + timedelta(hours=4), {
        "status": "final", "category": [term("observation-category", "vital-signs")], "code": concept("Blood pressure", (LOINC, "85354-9")),
        "subject": folder.subject(), "encounter": visit, "effectiveDateTime": stamp(when), "component": parts,
    }, org=HOSPITAL, actor=NEPHROLOGY)  # fmt: skip
