"""What the oracle asks: for each search feature and operation that the server declares, addresses of the API that use it.

`tests/house/test_questions.py` fails when the server declares one that is neither asked here nor named with its reason.
`{who}` is a patient, `{o}` an Observation, `{id}` any resource as `Type/id`: of the world at hand, seen or hidden.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from commonchart.fhir.definitions import r4
from commonchart.rest.metadata import capability_statement
from commonchart.rest.operations.table import OPERATIONS
from commonchart.rest.routes import FORMS
from commonchart.search import query, values
from commonchart.search.parameters import UNSUPPORTED
from commonchart.search.wanted import RESULT

LOINC = "http://loinc.org"
STATUS = "http://hl7.org/fhir/observation-status"
OF_STATUS = "http://hl7.org/fhir/ValueSet/observation-status"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "search.md"

QUESTIONS: dict[str, tuple[str, ...]] = {
    # kinds of parameters, by what they are called in the CapabilityStatement, and their modifiers
    "a token": (f"Observation?code={LOINC}|1-5", "Patient?gender=female", "Observation?status=final,amended"),
    "token:not": ("Observation?status:not=amended", f"Observation?code:not={LOINC}|1-1"),
    "token:missing": ("Observation?category:missing=false", "Patient?identifier:missing=true"),
    "token:text": ("Observation?code:text=blood",),
    "token:in": (f"Observation?status:in={OF_STATUS}",),
    "token:not-in": (f"Observation?code:not-in={OF_STATUS}",),
    "token:above": (f"Observation?status:above={STATUS}|corrected",),
    "token:below": (f"Observation?status:below={STATUS}|final,{STATUS}|amended",),
    "token:of-type": (
        "Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|m-{who}",
    ),
    "a reference": ("Observation?subject=Patient/{who}", "Observation?patient={who}", "Encounter?patient={who}"),
    "reference:[type]": ("Observation?subject:Patient={who}", "Observation?performer:Practitioner=dr"),
    "reference:identifier": ("Observation?performer:identifier=urn:staff|7",),
    "reference:missing": ("Observation?encounter:missing=false", "Observation?has-member:missing=true"),
    "reference:above": ("Encounter?location:above=Location/loc2",),
    "reference:below": ("Encounter?location:below=Location/loc1",),
    "a string": ("Patient?family={who}", "Patient?name=a,b,c"),
    "string:exact": ("Patient?family:exact=Ada,Bob,Cyd",),
    "string:contains": ("Patient?family:contains=d,o",),
    "string:missing": ("Patient?given:missing=true", "Patient?family:missing=false"),
    "a uri": ("Observation?_source=http://example.org/from/here",),
    "uri:above": ("Observation?_profile:above=http://example.org/profile/one/more",),
    "uri:below": ("Observation?_profile:below=http://example.org/profile",),
    "uri:missing": ("Observation?_profile:missing=false", "Observation?_source:missing=true"),
    "a date": ("Observation?date=2026-01-02", "Patient?birthdate=1980-01-01"),
    "date:missing": ("Observation?date:missing=false", "Encounter?date:missing=true"),
    "a number": ("RiskAssessment?probability=0.5",),
    "number:missing": ("RiskAssessment?probability:missing=false",),
    "a quantity": ("Observation?value-quantity=7||mg", "Observation?combo-value-quantity=3||mg"),
    "quantity:missing": ("Observation?value-quantity:missing=false", "Observation?value-quantity:missing=true"),
    "a composite": (
        f"Observation?code-value-quantity={LOINC}|1-5$gt5",
        f"Observation?component-code-value-quantity={LOINC}|9-1$3",
    ),
    "composite:missing": ("Observation?code-value-quantity:missing=true",),
    "a special": ("Observation?_list=list1",),
    # prefixes, where they mean something
    "prefix eq": ("Observation?date=eq2026-01-02", "RiskAssessment?probability=eq0.5"),
    "prefix ne": ("Observation?date=ne2026-01-02", "Observation?value-quantity=ne8||mg"),
    "prefix gt": ("Observation?date=gt2026-01-01", "Observation?value-quantity=gt6||mg"),
    "prefix lt": ("Observation?date=lt2026-01-04", "Observation?value-quantity=lt8||mg"),
    "prefix ge": ("Observation?date=ge2026-01-01", "RiskAssessment?probability=ge0.5"),
    "prefix le": ("Observation?date=le2026-01-05", "RiskAssessment?probability=le0.5"),
    "prefix sa": ("Observation?date=sa2026-01-01", "Encounter?date=sa2025-01-01"),
    "prefix eb": ("Observation?date=eb2027-01-01", "Encounter?date=eb2027-01-01"),
    "prefix ap": ("Observation?date=ap2026-01-03", "Observation?value-quantity=ap7||mg"),
    # parameters that every type has
    "_id": ("Observation?_id={o},x1", "Patient?_id={who}"),
    "_lastUpdated": ("Observation?_lastUpdated=ge2026-01-01", "?_type=Observation,Patient&_lastUpdated=ge2026-01-01"),
    "_tag": ("Observation?_tag=urn:t|x",),
    "_security": ("Observation?_security=HIV,ETH,PSYTHPN,V,VIP", "Condition?_security:not=ETH"),
    "_profile": ("Observation?_profile=http://example.org/profile/one",),
    "_source": ("Observation?_source=http://example.org/from/here",),
    "_text": ("Observation?_text=canary",),
    "_content": ("Observation?_content=canary", "?_content=canary"),
    "_list": ("Observation?_list=list1",),
    "_has": (
        "Patient?_has:Observation:subject:code=1-1,1-2,1-5", "Encounter?_has:Observation:encounter:value-quantity=gt1",
        "Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:status=final", "Observation?_has:Observation:has-member:status=final",
    ),
    "_type": ("?_type=Observation,Condition,Patient&_id={o},x1,d0,{who}",),
    "chain": (
        "Observation?subject:Patient.family={who}", "Observation?patient.general-practitioner:Practitioner.family=weber",
        "Observation?has-member.status=final", "Observation?encounter.patient:Patient.birthdate=1980-01-01", "Condition?subject:Patient._has:Observation:subject:status=final",
    ),
    # how the result is wanted
    "_sort": (
        "Observation?_sort=date", "Observation?_sort=-value-quantity,_id", "Patient?_sort=family", "Observation?_sort=subject,-code",
        "RiskAssessment?_sort=-probability", "Observation?_sort=_profile,-status", "Encounter?_sort=-date,location",
    ),
    "_count": ("Observation?_count=2", "Observation?_count=0"),
    "_cursor": ("Observation?_count=1", "Patient?_count=1&_sort=-birthdate", "Observation?_count=2&_sort=date"),
    "_total": ("Observation?_total=accurate&_count=1", "Patient?_total=estimate&_count=1"),
    "_summary": ("Observation?_summary=count", "Patient?_summary=true", "Observation?_summary=text", "Patient?_summary=data"),
    "_elements": ("Observation?_elements=status",),
    "_include": ("Observation?_include=Observation:subject", "Observation?_include=*", "Encounter?_include=Encounter:location"),
    "_include:iterate": ("Observation?_id={o},x1&_include:iterate=Observation:has-member&_include:iterate=Observation:encounter&_include:iterate=Encounter:subject",),
    "_revinclude": ("Patient?_revinclude=Observation:subject&_revinclude=Condition:subject", "Encounter?_revinclude=Observation:encounter"),
    "_revinclude:iterate": ("Practitioner?_id=dr&_revinclude=Patient:general-practitioner&_revinclude:iterate=Observation:subject",),
    "_contained": ("Medication?_contained=true&code=http://x.example|penicillin", "Medication?_contained=both&status=active"),
    "_containedType": ("Medication?_contained=true&_containedType=contained&code=http://x.example|penicillin",),
    "parameters by name": ("Observation?code:missing=false&date=ge2026-01-01&status=final&_has:Observation:has-member:status=final",),
    # compartments
    "compartment Patient": ("Patient/{who}/Observation", "Patient/{who}/*", "Patient/{who}/Condition"),
    "compartment Encounter": ("Encounter/e1/Observation", "Encounter/e1/*"),
    "compartment Practitioner": ("Practitioner/dr/Patient", "Practitioner/dr/Observation"),
    "compartment RelatedPerson": ("RelatedPerson/rp1/Observation", "RelatedPerson/rp1/*"),
    "compartment Device": ("Device/dv1/Observation", "Device/dv1/*"),
    # interactions
    "read": ("{id}", "Observation/x1", "Patient/{who}"),
    "vread": ("{id}/_history/1", "Observation/x1/_history/1", "Patient/{who}/_history/2"),
    "history-instance": ("{id}/_history", "Patient/{who}/_history?_since=2026-01-01T00:00:00Z"),
    "history-type": ("Observation/_history", "Patient/_history?_count=2", "Encounter/_history?_since=2026-01-01T00:00:00Z"),
    "history-system": ("_history", "_history?_count=3"),
    "search-type": ("Observation", "Patient", "Condition", "List", "DocumentReference", "Immunization"),
    "search-system": ("?_type=Patient,Observation", "?_content=canary"),
    "batch": ("BATCH Patient/{who} Observation?code=1-1,1-5 {id} Observation/_history",),
    "transaction": ("TRANSACTION Observation?status=final Patient?family={who}",),
    "form T/_search": ("POST Observation/_search?status=final",),
    "form _search": ("POST _search?_type=Observation,Patient&_lastUpdated=ge2026-01-01",),
    "form T/id/T/_search": ("POST Patient/{who}/Observation/_search?status=final",),
    # operations: the name, and where it is offered
    "$everything Patient/id": ("Patient/{who}/$everything", "Patient/{who}/$everything?_type=Observation,Condition&_count=2"),
    "$everything Encounter/id": ("Encounter/e1/$everything",),
    "$lastn Observation": ("Observation/$lastn?patient={who}&category=laboratory,vital-signs&max=2", f"Observation/$lastn?patient={{who}}&code={LOINC}|1-5"),
    "$meta": ("$meta",),
    "$meta type": ("Observation/$meta", "Patient/$meta"),
    "$meta type/id": ("{id}/$meta", "Observation/x1/$meta"),
    "$meta type/id/_history/v": ("{id}/_history/1/$meta", "Observation/x1/_history/1/$meta"),
    "$docref DocumentReference": ("DocumentReference/$docref?patient={who}", "DocumentReference/$docref?patient={who}&start=2026-01-01&type=http://loinc.org|34133-9"),
    "$graphql": (
        "$graphql?query={{ObservationList(_count: 100){{id subject{{resource{{... on Patient{{id birthDate}}}}}}}}}}",
        "$graphql?query={{PatientConnection(_count: 2){{count edges{{resource{{id}}}}}}}}",
        "$graphql?query={{Patient(id: \"{who}\"){{id ObservationList(_reference: subject){{id status}}}}}}",
    ),
    "$graphql type/id": ("Patient/{who}/$graphql?query={{id name{{family}} ObservationList(_reference: subject){{id}}}}", "Observation/x1/$graphql?query={{id encounter{{resource{{... on Encounter{{id status}}}}}}}}"),
    "$immds-forecast Patient/id": ("Patient/{who}/$immds-forecast?assessmentDate=2026-11-18",),
    "$validate type/id": ("{id}/$validate", "Observation/x1/$validate?mode=profile", "Patient/{who}/$validate?profile=http://example.org/profile/one"),
    "$validate type": ("VALIDATE Observation/$validate", "VALIDATE Observation/$validate?mode=create"),
}  # fmt: skip

OTHERWISE: dict[str, str] = {
    "create": "tests/access/test_oracle.py::changed_by_nobody_who_sees_nothing",
    "update": "tests/access/test_oracle.py::changed_by_nobody_who_sees_nothing",
    "patch": "tests/access/test_oracle.py::changed_by_nobody_who_sees_nothing",
    "delete": "tests/access/test_oracle.py::changed_by_nobody_who_sees_nothing",
    "conditionalCreate": "tests/access/test_oracle.py::changed_by_nobody_who_sees_nothing",
    "conditionalUpdate": "tests/access/test_oracle.py::changed_by_nobody_who_sees_nothing",
    "conditionalDelete": "tests/access/test_oracle.py::changed_by_nobody_who_sees_nothing",
    "$meta-add type/id": "tests/access/test_oracle.py::changed_by_nobody_who_sees_nothing",
    "$meta-delete type/id": "tests/access/test_oracle.py::changed_by_nobody_who_sees_nothing",
    # answered later: the statements of its files are compared instead
    "$export": "tests/access/test_oracle.py::_exported",
    "$export Patient": "tests/access/test_oracle.py::_exported",
    "_typeFilter": "tests/access/test_oracle.py::_exported",
    # needs a Group, which is its keeper's own; the patients then go through the same statements
    "$export Group/id": "tests/access/test_oracle.py::_exported",
    # the patient's own record: the same function with the id of whoever asks
    "$everything Patient": "tests/access/test_oracle.py::_everything",
    # a subscription belongs to its user; what it tells goes through `seen`
    "$status Subscription": "tests/access/test_oracle.py::_told",
    "$status Subscription/id": "tests/access/test_oracle.py::_told",
    "$events Subscription/id": "tests/access/test_oracle.py::_told",
    "$get-ws-binding-token Subscription": "tests/access/test_oracle.py::_told",
    "$get-ws-binding-token Subscription/id": "tests/access/test_oracle.py::_told",
    # by what a tenant adds, which is indexed by the worker; the same terms are made of it
    "parameters of one's own": "tests/hostile/test_rest_sees_nothing_more.py::",
    # the trail is no resource: who reads it is decided in access/trail.py
    "AuditEvent": "tests/access/test_trail.py::",
}
"""What is shown by something else than a question: feature -> the test or function that shows it."""

NO_PATIENT: dict[str, str] = dict.fromkeys(("$expand ValueSet", "$expand ValueSet/id", "$validate-code ValueSet", "$validate-code ValueSet/id", "$validate-code CodeSystem", "$validate-code CodeSystem/id", "$lookup CodeSystem", "$subsumes CodeSystem", "$subsumes CodeSystem/id", "$translate ConceptMap", "$translate ConceptMap/id"), "terminology is about nobody: the same for every reader who may read the type") | {
    "$immds-forecast": "is about the resources in the body, and reads nothing that is stored",
    "$import": "reads files, not the record, and asks for the role of an exporter",
    "_score": "refused by name: matches are not scored",
    "form AuditEvent": "as AuditEvent",
}  # fmt: skip
"""What reads nothing of a patient, and why."""

REFUSED: dict[str, str] = {
    "_filter": 'Observation?_filter=subject eq "Patient/{who}"',
    "_query": "Observation?_query=current-high-risk",
    "near": "Location?near=1|1|1|km",
    "_score": "Observation?_score=true",
}
"""What is offered to nobody, whatever is there: it must be refused by name before anything is looked up."""


def declared() -> set[str]:
    """Every search feature and operation that the program says, or its tables say, that it has."""
    stated = capability_statement("http://test/fhir", datetime(2026, 1, 1, tzinfo=UTC), "0")["rest"][0]
    out = {one["code"] for one in stated["interaction"]} | {one["name"] for one in stated["searchParam"]}
    names = {name.lower(): name for name in r4().resource_types}
    out |= {f"compartment {names[url.rpartition('/')[2]]}" for url in stated["compartment"]}
    for resource in stated["resource"]:
        out |= {one["code"] for one in resource["interaction"]}
        out |= {f"a {one['type']}" for one in resource["searchParam"]}
        out |= {one["name"] for one in resource["searchParam"] if one["name"].startswith("_")}
        out |= {name for name in resource if name.startswith("conditional") and name != "conditionalRead"}
    out |= {f"{kind}:{modifier}" for kind, held in query._MODIFIERS.items() for modifier in held}
    out |= {f"prefix {prefix}" for prefix in values.PREFIXES} | RESULT | UNSUPPORTED.keys()
    out |= {f"form {shape}" for shape in FORMS}
    return out | {"reference:[type]", "chain", "_has", "_type"} | operations()


def operations() -> set[str]:
    """Each operation with each place that it is offered at, as `$name Type/id`."""
    out = set()
    for one in OPERATIONS:
        types = sorted(one.types) if one.types is not None else ["type"]
        places = [""] if one.system else []
        places += types if one.on_type else []
        places += [f"{rtype}/id" for rtype in types] if one.instance else []
        places += [f"{rtype}/id/_history/v" for rtype in types] if one.version else []
        out |= {f"${one.name} {place}".strip() for place in places}
    return out


def told() -> set[str]:
    """The parameters and modifiers that docs/reference/search.md says are offered, as it spells them."""
    offered = PAGE.read_text().partition("## Offered")[2].partition("\n## ")[0]
    quoted = " ".join(re.findall(r"`([^`]+)`", offered))
    return set(re.findall(r"(?<![\w/$-])(?:_[a-zA-Z]+|:[a-z][a-z-]*|:\[type\])", quoted))
