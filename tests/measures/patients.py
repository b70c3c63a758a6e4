"""Patients and value sets of our own: each title is one invented code, so that no licensed code is needed here."""

from __future__ import annotations

from itertools import count
from typing import Any

from commonchart.measures.catalogue import MEASURES
from commonchart.measures.chart import Chart, Vocabulary
from commonchart.measures.criteria import names
from commonchart.measures.measure import Measure, populations
from commonchart.measures.period import period
from commonchart.measures.value_sets import ValueSets

Resource = dict[str, Any]
YEAR_2026 = period("2026-01-01", "2026-12-31")
SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-sex"
NAMES = {name for measure in MEASURES.values() for name in names(measure)}
SETS = ValueSets({name: frozenset({("urn:test", name)}) for name in NAMES if "|" not in name})
WORDS = Vocabulary(SETS, NAMES)
_ids = count(1)


def concept(name: str) -> Resource:
    """A title's invented code, or a code used directly ("system|code")."""
    system, bar, value = name.rpartition("|")
    return {"coding": [{"system": system if bar else "urn:test", "code": value if bar else name}]}


def resource(kind: str, **fields: Any) -> Resource:
    return {"resourceType": kind, "id": f"{kind.lower()}-{next(_ids)}"} | {
        k: v for k, v in fields.items() if v
    }


def woman(born: str = "1970-06-01") -> Resource:
    extension = [{"url": SEX, "valueCode": "248152002"}]
    return resource("Patient", birthDate=born, gender="female", extension=extension)


def visit(title: str = "Office Visit", at: str = "2026-03-03", **more: Any) -> Resource:
    fields = {
        "status": "finished",
        "class": {"code": "AMB"},
        "period": {"start": f"{at}T09:00:00Z", "end": f"{at}T09:30:00Z"},
    }
    return resource("Encounter", type=[concept(title)], **(fields | more))


def condition(
    title: str, onset: str = "2020-05-05", category: str = "problem-list-item", **more: Any
) -> Resource:
    fields = {"onsetDateTime": onset, "clinicalStatus": {"coding": [{"code": "active"}]}}
    return resource(
        "Condition", code=concept(title), category=[{"coding": [{"code": category}]}], **(fields | more)
    )


def observed(name: str, at: str = "2026-04-04", category: str = "laboratory", **more: Any) -> Resource:
    fields = {"status": "final", "effectiveDateTime": at, "category": [{"coding": [{"code": category}]}]}
    return resource("Observation", code=concept(name), **(fields | more))


def number(name: str, value: Any, unit: str = "", at: str = "2026-04-04", **more: Any) -> Resource:
    return observed(name, at, valueQuantity={"value": value, "code": unit}, **more)


def answer(loinc: str, at: str = "2026-04-04", value: str = "", **more: Any) -> Resource:
    coded = {"valueCodeableConcept": concept(value)} if value else {}
    return observed(f"http://loinc.org|{loinc}", at, "survey", **coded, **more)


def pressure(systolic: int, diastolic: int, at: str = "2026-04-04T10:00:00Z", **more: Any) -> Resource:
    parts = [
        {"code": concept(f"http://loinc.org|{code}"), "valueQuantity": {"value": value, "code": "mm[Hg]"}}
        for code, value in (("8480-6", systolic), ("8462-4", diastolic))
    ]
    return observed("http://loinc.org|85354-9", at, "vital-signs", component=parts, **more)


def done(title: str, at: str = "2026-04-04", **more: Any) -> Resource:
    return resource(
        "Procedure", code=concept(title), **({"status": "completed", "performedDateTime": at} | more)
    )


def ordered(kind: str, title: str, at: str = "2026-04-04", **more: Any) -> Resource:
    element = {"MedicationRequest": "medicationCodeableConcept", "DeviceRequest": "codeCodeableConcept"}.get(
        kind, "code"
    )
    fields = {"status": "active", "intent": "order", "authoredOn": at, element: concept(title)}
    return resource(kind, **(fields | more))


def for_days(days: int) -> Resource:
    return {"expectedSupplyDuration": {"value": days, "code": "d"}}


def reason(url: str, name: str) -> list[Resource]:
    base = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
    return [{"url": base + url, "valueCodeableConcept": concept(name)}]


def counted(measure: Measure, resources: list[Resource], until: Any = None) -> dict[str, int]:
    """The populations in 2026 of a patient with these resources."""
    return populations(measure, Chart(resources, YEAR_2026, WORDS, until))


def chart(*resources: Resource) -> Chart:
    return Chart(list(resources), YEAR_2026, WORDS)
