"""CPU of a medication check: an order beside 30 medicines and 3 allergies, as the gate does it, and the whole review.

    uv run --frozen python benchmarks/bench_medications.py

One process, one core, from decoded resources (recognising names, doses and facts included). CPU, not wall time, and the best
of several rounds. The aim is under 20 ms.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from typing import Any

from commonchart.care.medications.checking import check, review
from commonchart.care.medications.from_fhir import medication, record
from commonchart.care.medications.pack import built_in

TODAY = date(2026, 11, 25)
ROUNDS, TIMES = 7, 20
NAMES = (
    "lisinopril 10 mg", "metformin 500 mg", "atorvastatin 40 mg", "amlodipine 5 mg", "omeprazole 20 mg", "levothyroxine 50 mcg",
    "warfarin 5 mg", "furosemide 40 mg", "metoprolol 50 mg", "gabapentin 300 mg", "sertraline 50 mg", "tramadol 50 mg",
    "prednisone 5 mg", "allopurinol 300 mg", "tamsulosin 0.4 mg", "clopidogrel 75 mg", "aspirin 81 mg", "potassium chloride 20 meq",
    "spironolactone 25 mg", "digoxin 0.125 mg", "albuterol inhaler", "montelukast 10 mg", "cetirizine 10 mg", "melatonin 3 mg",
    "vitamin D3 1000 units", "ferrous sulfate 325 mg", "folic acid 1 mg", "methotrexate 2.5 mg", "insulin glargine", "glipizide 5 mg",
)  # fmt: skip


def person() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Somebody of 76 on thirty medicines."""
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1950-05-10", "gender": "female"}
    taken: list[dict[str, Any]] = [
        {
            "resourceType": "MedicationRequest", "id": f"m{n}", "status": "active", "intent": "order",
            "medicationCodeableConcept": {"text": name}, "dosageInstruction": [{"text": "1 tablet twice a day"}],
        }
        for n, name in enumerate(NAMES)
    ]  # fmt: skip
    allergies = [
        {"resourceType": "AllergyIntolerance", "id": name, "type": "allergy", "code": {"text": name}}
        for name in ("Penicillin", "Sulfa drugs", "Codeine")
    ]
    creatinine = {
        "resourceType": "Observation", "id": "c", "status": "final", "effectiveDateTime": "2026-10-01",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}, "valueQuantity": {"value": 1.4, "code": "mg/dL"},
    }  # fmt: skip
    return patient, [*taken, *allergies, creatinine]


def best(run: Callable[[], object]) -> float:
    """Milliseconds of CPU a run, the best of the rounds."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(TIMES):
            run()
        found.append((time.process_time() - start) * 1000 / TIMES)
    return min(found)


def main() -> None:
    pack = built_in()
    patient, resources = person()
    order = {
        "resourceType": "MedicationRequest", "id": "new", "status": "active", "intent": "order",
        "medicationCodeableConcept": {"text": "fluconazole 150 mg tablet"}, "dosageInstruction": [{"text": "1 tablet daily"}],
    }  # fmt: skip

    def ordered() -> Any:
        known = record(patient, resources, pack, TODAY)
        return check(
            medication(order, pack), known.medications, known.allergies, known.facts, pack, TODAY, frozenset()
        )

    def whole() -> Any:
        return review(record(patient, resources, pack, TODAY), pack, TODAY)

    print(
        f"an order beside {len(NAMES)} medicines: {best(ordered):.2f} ms CPU, {len(ordered().alerts)} alerts"
    )
    print(f"the whole review of them: {best(whole):.2f} ms CPU, {len(whole().alerts)} alerts")


if __name__ == "__main__":
    main()
