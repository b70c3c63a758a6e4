"""The searches that US Core 6.1.0 names (SHALL and SHOULD, by type), each with its values and with a wrong one of each."""

from __future__ import annotations

from typing import Any

from tests.rest.conftest import Client, patient

LOINC = "http://loinc.org"

# type -> what is stored (subject Patient/ada, unless it says who) and the value each parameter finds it by
FACTS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "AllergyIntolerance": ({"patient": {"reference": "Patient/ada"}, "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}}, {"clinical-status": "active"}),
    "CarePlan": ({"status": "active", "intent": "plan", "category": [{"coding": [{"system": "urn:c", "code": "assess-plan"}]}], "period": {"start": "2024-01-01", "end": "2024-03-01"}}, {"category": "urn:c|assess-plan", "status": "active", "date": "ge2024-01-01"}),
    "CareTeam": ({"status": "active", "participant": [{"role": [{"coding": [{"system": "urn:r", "code": "gp"}]}], "member": {"reference": "Practitioner/doc"}}]}, {"status": "active", "role": "urn:r|gp"}),
    "Condition": ({"category": [{"coding": [{"system": "urn:c", "code": "problem-list-item"}]}], "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"}]}, "code": {"coding": [{"system": "urn:x", "code": "38341003"}]},
                   "encounter": {"reference": "Encounter/enc"}, "onsetDateTime": "2024-02-01", "abatementDateTime": "2024-03-01", "recordedDate": "2024-02-02",
                   "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/condition-assertedDate", "valueDateTime": "2024-02-03"}]},
                  {"category": "problem-list-item", "clinical-status": "resolved", "code": "urn:x|38341003", "encounter": "Encounter/enc", "onset-date": "gt2024-01-31", "abatement-date": "le2024-03-01", "recorded-date": "ge2024-02-02", "asserted-date": "lt2024-02-04"}),
    "Coverage": ({"status": "active", "beneficiary": {"reference": "Patient/ada"}, "payor": [{"reference": "Patient/ada"}]}, {}),
    "Device": ({"patient": {"reference": "Patient/ada"}, "status": "active", "type": {"coding": [{"system": "urn:d", "code": "pacer"}]}}, {"type": "urn:d|pacer", "status": "active"}),
    "DiagnosticReport": ({"status": "final", "category": [{"coding": [{"system": "urn:c", "code": "LAB"}]}], "code": {"coding": [{"system": LOINC, "code": "58410-2"}]}, "effectiveDateTime": "2024-02-01"}, {"category": "urn:c|LAB", "code": f"{LOINC}|58410-2", "date": "eq2024-02-01", "status": "final,amended"}),
    "DocumentReference": ({"status": "current", "type": {"coding": [{"system": LOINC, "code": "34133-9"}]}, "category": [{"coding": [{"system": "urn:c", "code": "clinical-note"}]}], "date": "2024-02-01T10:00:00Z", "context": {"period": {"start": "2024-02-01", "end": "2024-02-02"}}, "content": [{"attachment": {"contentType": "text/plain", "data": "aGk="}}]},
                          {"type": f"{LOINC}|34133-9", "category": "clinical-note", "date": "ge2024-01-01", "period": "ge2024-01-01", "status": "current"}),
    "Encounter": ({"status": "finished", "class": {"system": "urn:cl", "code": "AMB"}, "type": [{"coding": [{"system": "urn:t", "code": "visit"}]}], "identifier": [{"system": "urn:i", "value": "e-1"}], "period": {"start": "2024-02-01", "end": "2024-02-01"},
                   "location": [{"location": {"reference": "Location/loc"}}], "hospitalization": {"dischargeDisposition": {"coding": [{"system": "urn:dd", "code": "home"}]}}},
                  {"date": "ge2024-02-01", "identifier": "urn:i|e-1", "type": "urn:t|visit", "class": "urn:cl|AMB", "status": "finished", "location": "Location/loc", "discharge-disposition": "urn:dd|home"}),
    "Goal": ({"lifecycleStatus": "active", "description": {"coding": [{"system": "urn:g", "code": "walk"}], "text": "Walk more"}, "target": [{"dueDate": "2024-05-01"}]}, {"target-date": "2024-05-01", "description": "urn:g|walk", "lifecycle-status": "active"}),
    "Immunization": ({"patient": {"reference": "Patient/ada"}, "status": "completed", "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "207"}]}, "occurrenceDateTime": "2024-02-01"}, {"date": "le2024-02-01", "status": "completed"}),
    "Location": ({"name": "South Wing", "address": {"city": "Springfield", "state": "MA", "postalCode": "01234", "line": ["1 Main"]}}, {"name": "south", "address": "springf", "address-city": "Spring", "address-state": "MA", "address-postalcode": "01234"}),
    "MedicationDispense": ({"status": "completed", "type": {"coding": [{"system": "urn:t", "code": "FF"}]}, "medicationCodeableConcept": {"text": "aspirin"}}, {"status": "completed", "type": "urn:t|FF"}),
    "MedicationRequest": ({"status": "active", "intent": "order", "encounter": {"reference": "Encounter/enc"}, "authoredOn": "2024-02-01", "medicationCodeableConcept": {"text": "aspirin"}}, {"intent": "order,plan", "status": "active", "encounter": "Encounter/enc", "authoredon": "ge2024-02-01"}),
    "Observation": ({"status": "final", "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}], "code": {"coding": [{"system": LOINC, "code": "4548-4"}]}, "effectiveDateTime": "2024-02-01T09:00:00Z"},
                    {"category": "http://terminology.hl7.org/CodeSystem/observation-category|laboratory", "code": f"{LOINC}|4548-4,{LOINC}|1-1", "date": "ge2024-02-01", "status": "final,amended"}),
    "Organization": ({"name": "Alder Clinic", "address": [{"city": "Springfield"}]}, {"name": "alder", "address": "spring"}),
    "Patient": ({"identifier": [{"system": "urn:mrn", "value": "77"}], "name": [{"family": "Nguyen", "given": ["Qu\u00fd"]}], "birthDate": "1980-02-13", "gender": "female", "deceasedDateTime": "2024-06-01"},
                {"_id": "one", "identifier": "urn:mrn|77", "name": "quy", "birthdate": "1980-02-13", "gender": "female", "family": "nguyen", "death-date": "ge2024-01-01"}),
    "Practitioner": ({"identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "9"}], "name": [{"family": "Weber"}]}, {"name": "web", "identifier": "http://hl7.org/fhir/sid/us-npi|9", "_id": "one"}),
    "PractitionerRole": ({"practitioner": {"reference": "Practitioner/doc"}, "specialty": [{"coding": [{"system": "urn:s", "code": "207Q"}]}]}, {"specialty": "urn:s|207Q", "practitioner": "Practitioner/doc"}),
    "Procedure": ({"status": "completed", "code": {"coding": [{"system": "urn:p", "code": "x"}]}, "performedPeriod": {"start": "2024-02-01", "end": "2024-02-02"}}, {"date": "ge2024-02-01", "code": "urn:p|x", "status": "completed"}),
    "QuestionnaireResponse": ({"status": "completed", "questionnaire": "http://x.example/q", "authored": "2024-02-01"}, {"_id": "one", "questionnaire": "http://x.example/q", "authored": "ge2024-02-01", "status": "completed"}),
    "RelatedPerson": ({"patient": {"reference": "Patient/ada"}, "name": [{"family": "Okafor"}]}, {"_id": "one", "name": "oka"}),
    "ServiceRequest": ({"status": "active", "intent": "order", "category": [{"coding": [{"system": "urn:c", "code": "lab"}]}], "code": {"coding": [{"system": "urn:p", "code": "x"}]}, "authoredOn": "2024-02-01"}, {"_id": "one", "category": "urn:c|lab", "authored": "ge2024-02-01", "code": "urn:p|x", "status": "active"}),
    "Specimen": ({"type": {"text": "blood"}}, {"_id": "one"}),
}  # fmt: skip

# type -> the combinations of parameters, the 117 SHALL of the profiles (by type each once) and the SHOULD
SEARCHES = {
    "AllergyIntolerance": "patient, patient+clinical-status",
    "CarePlan": "patient+category, patient+category+status, patient+category+status+date, patient+category+date",
    "CareTeam": "patient+status, role, patient+role",
    "Condition": "patient+category, patient, patient+recorded-date, patient+asserted-date, patient+category+clinical-status, patient+onset-date, patient+abatement-date, patient+clinical-status, patient+category+encounter, patient+code",
    "Coverage": "patient",
    "Device": "patient, patient+type, patient+status",
    "DiagnosticReport": "patient+category, patient, patient+category+date, patient+code, patient+code+date, patient+status",
    "DocumentReference": "patient, _id, patient+type, patient+category+date, patient+category, patient+status, patient+type+period",
    "Encounter": "patient, _id, date+patient, identifier, patient+type, class+patient, patient+status, patient+location, patient+discharge-disposition",
    "Goal": "patient, patient+target-date, patient+description, patient+lifecycle-status",
    "Immunization": "patient, patient+date, patient+status",
    "Location": "name, address, address-city, address-state, address-postalcode",
    "MedicationDispense": "patient, patient+status+type, patient+status",
    "MedicationRequest": "patient+intent, patient+intent+status, patient+intent+encounter, patient+intent+authoredon",
    "Observation": "patient+category, patient+category+date, patient+code, patient+code+date, patient+category+status",
    "Organization": "name, address",
    "Patient": "_id, identifier, name, birthdate+name, gender+name, birthdate+family, family+gender, death-date+family",
    "Practitioner": "name, identifier, _id",
    "PractitionerRole": "specialty, practitioner",
    "Procedure": "patient, patient+date, patient+code+date, patient+status",
    "QuestionnaireResponse": "patient, _id, patient+questionnaire, patient+authored, patient+status",
    "RelatedPerson": "_id, patient, name, patient+name",
    "ServiceRequest": "patient, _id, patient+category+authored, patient+category, patient+code, patient+status, patient+code+authored",
    "Specimen": "_id, patient",
}
WRONG = {"date": "gt2031-01-01", "name": "qqq", "address": "qqq", "family": "qqq"}
NOBODY = {"Location", "Organization", "Patient", "Practitioner", "PractitionerRole"}


def wrong(name: str) -> str:
    dated = "date" in name or name in ("authored", "authoredon", "period")
    return "gt2031-01-01" if dated else WRONG.get(name, "qqq")


async def test_every_search_of_us_core_finds_what_it_should_and_nothing_else(client: Client) -> None:
    for id in ("ada", "bea"):
        assert (await client.put(f"/fhir/Patient/{id}", json=patient(id=id))).status_code == 201
    for rtype, (held, _) in FACTS.items():
        body = {"resourceType": rtype, "id": "one", **held}
        if rtype not in NOBODY and not {"patient", "beneficiary", "subject"} & set(held):
            body["subject"] = {"reference": "Patient/ada"}
        answer = await client.put(f"/fhir/{rtype}/one", json=body)
        assert answer.status_code == 201, (rtype, answer.text)
    for rtype, listed in SEARCHES.items():
        values = {"patient": "Patient/ada", "_id": "one", **FACTS[rtype][1]}
        for combination in listed.split(", "):
            names = combination.split("+")
            params = {name: values[name] for name in names}
            assert await ids(client, rtype, params) == ["one"], (rtype, params)
            for name in names:
                other = {**params, name: "bea" if name == "patient" else wrong(name)}
                assert await ids(client, rtype, other) == [], (rtype, other)


async def ids(client: Client, rtype: str, params: dict[str, str]) -> list[str]:
    answer = await client.get(f"/fhir/{rtype}", params=params, headers={"prefer": "handling=strict"})
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", ())]
