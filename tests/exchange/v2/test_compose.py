"""FHIR -> VXU^V04 -> FHIR gives back what the profile carries; acknowledgements name place and severity."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.exchange.v2 import compose, tables, vxu
from commonchart.exchange.v2.compose import Envelope, Site
from commonchart.exchange.v2.message import Message, parse
from commonchart.exchange.v2.reading import Note
from commonchart.exchange.v2.vxu import PATIENT, Sender, Vxu
from commonchart.fhir.validate import validate

OUTSIDE = Envelope(
    Site("EHR", "CLINIC"), Sender("REG", "COUNTY"), "0123456789", datetime(2026, 11, 1, 12, tzinfo=UTC)
)
TERM = tables.TERM
FILL = {"coding": [{"system": f"{TERM}v2-0203", "code": "FILL"}]}
MR = {"coding": [{"system": f"{TERM}v2-0203", "code": "MR"}]}


def coded(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def patient(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"type": MR, "system": "http://alder-street.example/mrn", "value": "004417001"}],
        "name": [{"use": "official", "family": "Lovelace", "given": ["Ada", "King"]}],
        "birthDate": "2024-02-15",
        "gender": "female",
        "address": [{"use": "home", "line": ["1 Elm St", "Apt 2"], "city": "Springfield", "state": "IL", "postalCode": "62701",
                     "country": "USA", "district": "Sangamon"}],
        "telecom": [{"system": "phone", "value": "(217) 555-0142", "use": "home"},
                    {"system": "phone", "value": "(217) 555-0143 ext. 9", "use": "mobile"},
                    {"system": "email", "value": "a@example.org"}],
        "communication": [{"language": coded(f"{TERM}v2-0296", "eng", "English"), "preferred": True}],
        "multipleBirthInteger": 2,
        "deceasedBoolean": False,
    } | more  # fmt: skip


def immunization(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Immunization",
        "identifier": [{"type": FILL, "system": "urn:oid:2.16.840.1.113883.9.9", "value": "D1"}],
        "patient": {"reference": PATIENT},
        "status": "completed",
        "vaccineCode": coded(tables.CVX, "03", "MMR"),
        "occurrenceDateTime": "2025-03-01T10:15:00-05:00",
        "recorded": "2025-03-01T10:20:00-05:00",
        "primarySource": True,
        "doseQuantity": {"value": Decimal("0.50"), "unit": "mL", "system": tables.UCUM, "code": "mL"},
        "location": {"type": "Location", "display": "Oak Clinic"},
        "lotNumber": "A|B^1~2&3\\4",
        "expirationDate": "2027-01-01",
        "manufacturer": {"type": "Organization", "identifier": {"system": tables.MVX, "value": "MSD"}, "display": "Merck"},
        "route": coded(f"{TERM}v2-0162", "SC", "Subcutaneous"),
        "site": coded(f"{TERM}v2-0163", "LT", "Left thigh"),
        "contained": [{"resourceType": "Practitioner", "id": "ap", "name": [{"use": "official", "family": "Jackson", "given": ["Lily"]}],
                       "identifier": [{"system": "urn:hl7-v2:authority:NPI", "value": "7824"}]}],
        "performer": [{"function": {"coding": [{"system": f"{TERM}v2-0443", "code": "AP"}]}, "actor": {"reference": "#ap"}}],
        "fundingSource": coded(tables.system_of("CDCPHINVS"), "VXC51", "Public VFC"),
        "programEligibility": [coded(f"{TERM}v2-0064", "V02", "VFC eligible")],
        "education": [{"id": "vis-3", "documentType": "MMR VIS", "reference": "urn:hl7-v2:table:cdcgs1vis#2530",
                       "presentationDate": "2025-03-01", "publicationDate": "2021-08-06"}],
        "protocolApplied": [{"doseNumberPositiveInt": 1, "seriesDosesPositiveInt": 2}],
        "note": [{"text": "cried\nthen laughed"}],
    } | more  # fmt: skip


def back(*doses: dict[str, Any], who: dict[str, Any] | None = None, **more: Any) -> Vxu:
    sent = compose.vxu(OUTSIDE, who or patient(), doses, **more)
    return vxu.read(parse(sent.message.encoded()))


def test_a_patient_comes_back() -> None:
    assert back(immunization()).patient == patient()
    assert back(immunization()).notes == ()


def test_a_dose_comes_back() -> None:
    (found,) = back(immunization()).doses
    assert found.resource == immunization()
    validate(found.resource)


def test_a_historical_a_refused_and_a_retracted_dose_come_back() -> None:
    reported = immunization(
        primarySource=False,
        reportOrigin=coded(tables.system_of("NIP001"), "05", "Historical, other registry"),
    )
    assert back(reported).doses[0].resource == reported
    objection = {"system": f"{TERM}v3-ActReason", "code": "PATOBJ"}
    reason = {
        "coding": [
            {"system": tables.system_of("NIP002"), "code": "03", "display": "Patient decision"},
            objection,
        ]
    }
    refused = immunization(status="not-done", statusReason=reason)
    assert back(refused).doses[0].resource == refused
    wrong = back(immunization(status="entered-in-error")).doses[0]
    assert wrong.action == "D"


def test_an_objection_without_a_reason_code_goes_out_as_refused() -> None:
    objection = {"coding": [{"system": f"{TERM}v3-ActReason", "code": "PATOBJ"}]}
    message = compose.vxu(
        OUTSIDE, patient(), [immunization(status="not-done", statusReason=objection)]
    ).message
    rxa = message.first("RXA")
    assert rxa is not None
    assert (rxa.text(20), rxa.text(18), rxa.text(18, 3)) == ("RE", "02", "NIP002")
    stock = immunization(
        status="not-done", statusReason=coded(f"{TERM}v3-ActReason", "OSTOCK", "out of stock")
    )
    away = compose.vxu(OUTSIDE, patient(), [stock]).message.first("RXA")
    assert away is not None
    assert (away.text(20), away.text(18)) == ("NA", "")


def test_a_partial_dose_comes_back() -> None:
    partial = {"coding": [{"system": f"{TERM}immunization-subpotent-reason", "code": "partial"}]}
    half = immunization(isSubpotent=True, subpotentReason=[partial])
    assert back(half).doses[0].resource == half


def test_observations_and_relatives_come_back() -> None:
    reaction = {
        "resourceType": "Observation", "status": "final", "code": coded(tables.LOINC, "31044-1", "Reaction"),
        "effectiveDateTime": "2025-03-01", "partOf": [{"reference": "Immunization/i1"}],
        "valueCodeableConcept": coded(tables.system_of("CDCPHINVS"), "VXC12", "Fever"),
    }  # fmt: skip
    immune = {
        "resourceType": "Observation", "status": "final", "code": coded(tables.LOINC, "59784-9", "Disease"),
        "effectiveDateTime": "2025-01-01", "valueCodeableConcept": coded("http://snomed.info/sct", "38907003", ""),
    }  # fmt: skip
    mother = {
        "resourceType": "RelatedPerson", "patient": {"reference": PATIENT}, "name": [{"use": "official", "family": "Milbanke"}],
        "relationship": [coded(f"{TERM}v2-0063", "MTH", "Mother")], "birthDate": "1990-01-01", "gender": "female",
    }  # fmt: skip
    found = back(immunization(id="i1"), observations=[reaction, immune], related=[mother])
    first, second = found.observations
    assert first["partOf"] == [{"reference": found.doses[0].url}]
    assert first["valueCodeableConcept"] == reaction["valueCodeableConcept"]
    assert second["valueCodeableConcept"]["coding"][0]["code"] == "38907003"
    assert second["effectiveDateTime"] == "2025-01-01"
    assert found.related == (mother,)


def test_a_dose_of_ours_goes_by_its_id_and_its_giver_by_reference() -> None:
    ours = immunization(id="i1", performer=[{"actor": {"reference": "Practitioner/p1"}}])
    del ours["identifier"], ours["contained"]
    people = {
        "Practitioner/p1": {
            "resourceType": "Practitioner",
            "name": [{"family": "Jackson", "given": ["Lily"]}],
        }
    }
    found = back(ours, people=people).doses[0]
    assert found.number == ("urn:hl7-v2:authority:CLINIC", "i1")
    assert found.resource["contained"][0]["name"][0]["family"] == "Jackson"


def test_what_a_message_does_not_carry_is_told() -> None:
    sent = compose.vxu(
        OUTSIDE, patient(id="p"), [immunization(id="i", encounter={"reference": "Encounter/1"})]
    )
    assert sent.left == ("Immunization/i.encounter",)
    label = {"security": [{"system": f"{TERM}v3-Confidentiality", "code": "R"}]}
    other = immunization(id="i", meta=label, identifier=[{"system": "urn:x", "value": "1"}])
    assert compose.vxu(OUTSIDE, patient(id="p"), [other]).left == (
        "Immunization/i.meta.security",
        "Immunization/i.identifier",
    )


names = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
    .map(str.strip)
    .filter(bool)
)


@given(names, names, names)
@settings(max_examples=100, deadline=None)
def test_no_name_or_lot_breaks_out_of_its_field(family: str, given_name: str, lot: str) -> None:
    who = patient(name=[{"use": "official", "family": family, "given": [given_name]}])
    found = back(immunization(lotNumber=lot), who=who)
    assert found.patient["name"] == who["name"]
    assert found.doses[0].resource["lotNumber"] == lot


def test_a_name_with_a_message_in_it_stays_a_name() -> None:
    evil = "Smith\rMSH|^~\\&|EVIL|||||||VXU^V04|9|P|2.5.1\rPID|1||1"
    sent = compose.vxu(OUTSIDE, patient(name=[{"family": evil}]), [immunization()]).message
    assert [one.name for one in parse(sent.encoded()).segments].count("MSH") == 1
    assert parse(sent.encoded()).named("PID")[0].text(5) == evil


def acknowledged(*notes: Note, code: str = "AE") -> Message:
    return parse(compose.ack(OUTSIDE, code, "m1", notes).encoded())


def test_an_acknowledgement_names_place_and_severity() -> None:
    found = acknowledged(Note("RXA[2]-5(2).3.1", "why", "W", "103"), Note("PID-3", "needed", "E", "101"))
    assert [one.name for one in found.segments] == ["MSH", "MSA", "ERR", "ERR"]
    assert found.kind == ("ACK", "V04")
    assert found.header.text(21) == "Z23"
    assert found.segments[1].raw == ("AE", "m1")
    assert str(found.segments[2]) == "ERR||PID^1^3^1|101^Required field missing^HL70357|E||||needed"
    assert str(found.segments[3]) == "ERR||RXA^2^5^2^3^1|103^Table value not found^HL70357|W||||why"


def test_an_acknowledgement_is_bounded() -> None:
    found = acknowledged(*[Note(f"PID-{n}", "x") for n in range(1, 400)], code="AA")
    assert len(found.named("ERR")) == compose.MAX_TOLD + 1
    assert "299 more" in str(found.segments[-1])
