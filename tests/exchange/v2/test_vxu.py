"""VXU^V04 in: every value has its place, or is told; out: what a dose says comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.exchange.v2 import tables, vxu
from commonchart.exchange.v2.message import parse
from commonchart.exchange.v2.vxu import PATIENT, Vxu
from commonchart.fhir.validate import validate
from tests.exchange.v2.samples import dose, message, obx, orc, pid, rxa
from tests.shared import shared_data


def read(*segments: str, **how: str) -> Vxu:
    found = vxu.read(parse(message(*segments, **how)))
    if not found.errors:
        for one in (found.patient, *(d.resource for d in found.doses), *found.observations, *found.related):
            validate(one)
    return found


def only(*segments: str) -> dict[str, Any]:
    found = read(pid(), *segments)
    assert found.errors == ()
    (one,) = found.doses
    return one.resource


def told(found: Vxu) -> set[tuple[str, str]]:
    return {(note.at, note.severity) for note in found.notes}


def test_a_dose_given_there() -> None:
    found = only(*dose(), "RXR|C38238^Subcutaneous^NCIT|LT^Left thigh^HL70163")
    assert found["status"] == "completed"
    assert found["vaccineCode"]["coding"] == [{"system": tables.CVX, "code": "03", "display": "MMR"}]
    assert found["occurrenceDateTime"] == "2025-03-01"
    assert found["primarySource"] is True
    assert found["identifier"][0]["value"] == "D1"
    assert found["identifier"][0]["system"] == "urn:hl7-v2:authority:COUNTY"
    assert found["doseQuantity"] == {
        "value": pytest.approx(0.5),
        "unit": "mL",
        "system": tables.UCUM,
        "code": "mL",
    }
    assert (found["lotNumber"], found["expirationDate"]) == ("L1", "2027-01-01")
    assert found["manufacturer"]["identifier"] == {"system": tables.MVX, "value": "MSD"}
    assert found["location"]["display"] == "Oak Clinic"
    assert found["route"]["coding"][0]["code"] == "C38238"
    assert found["site"]["coding"][0]["code"] == "LT"
    assert found["patient"] == {"reference": PATIENT}
    giver = found["contained"][0]
    assert (giver["name"][0]["family"], giver["identifier"][0]["value"]) == ("Jackson", "7824")


def test_a_historical_dose_says_so() -> None:
    found = only(*dose(origin="01^Historical^NIP001", amount="999|"))
    assert found["primarySource"] is False
    assert found["reportOrigin"]["coding"][0]["code"] == "01"
    assert "doseQuantity" not in found


def test_a_refusal_has_its_reason_and_is_not_done() -> None:
    found = only(*dose(status="RE", reason="00^Parental decision^NIP002", amount="999|"))
    assert found["status"] == "not-done"
    codes = [one["code"] for one in found["statusReason"]["coding"]]
    assert codes == ["00", "PATOBJ"]


def test_a_partial_dose_is_sub_potent() -> None:
    found = only(*dose(status="PA"))
    assert (found["status"], found["isSubpotent"]) == ("completed", True)
    assert found["subpotentReason"][0]["coding"][0]["code"] == "partial"


def test_not_given_is_not_done() -> None:
    assert only(*dose(status="NA"))["status"] == "not-done"


def test_funding_eligibility_statements_and_series_have_their_place() -> None:
    found = only(
        *dose(),
        obx("30963-3", "CE", "VXC51^Public VFC^CDCPHINVS"),
        obx("64994-7", "CE", "V02^VFC eligible^HL70064", "2"),
        obx("69764-9", "CE", "253088698300012711120420^MMR VIS^cdcgs1vis", "3"),
        obx("29769-7", "TS", "20250301", "3"),
        obx("30956-7", "CE", "94^MMRV^CVX", "4"),
        obx("29768-9", "TS", "20210806", "4"),
        obx("30973-2", "NM", "2", "5"),
        obx("59782-3", "NM", "2", "5"),
    )
    assert found["fundingSource"]["coding"][0]["code"] == "VXC51"
    assert found["programEligibility"][0]["coding"][0] == {
        "system": "http://terminology.hl7.org/CodeSystem/v2-0064", "code": "V02", "display": "VFC eligible",
    }  # fmt: skip
    first, second = found["education"]
    assert (first["documentType"], first["presentationDate"]) == ("MMR VIS", "2025-03-01")
    assert (second["documentType"], second["publicationDate"]) == ("MMRV", "2021-08-06")
    assert found["protocolApplied"] == [{"doseNumberPositiveInt": 2, "seriesDosesPositiveInt": 2}]


def test_immunity_and_contraindications_become_observations() -> None:
    found = read(
        pid(),
        "ORC|RE||9999^COUNTY",
        "RXA|0|1|20250301||998^No vaccine administered^CVX|999||||||||||||||NA",
        obx("59784-9", "CE", "38907003^Varicella^SCT"),
        obx("30945-0", "CE", "VXC18^Allergy to gelatin^CDCPHINVS", "2"),
    )
    assert found.doses == ()
    first, second = found.observations
    assert first["valueCodeableConcept"]["coding"][0]["code"] == "38907003"
    assert second["code"]["coding"][0]["code"] == "30945-0"
    assert first["effectiveDateTime"] == "2025-03-01"
    assert found.notes == ()


def test_a_reaction_is_part_of_its_dose() -> None:
    found = read(pid(), *dose(), obx("31044-1", "CE", "VXC12^Fever^CDCPHINVS"))
    assert found.observations[0]["partOf"] == [{"reference": found.doses[0].url}]


def test_the_person_and_next_of_kin() -> None:
    found = read(
        "PID|1||77^^^COUNTY&2.16.840.1.113883.9.9&ISO^MR~123456789^^^USSSA^SS||Lovelace^Ada^King^^^^L~Byron^Ada^^^^^M|"
        "Milbanke^Anne^^^^^M|20240215|F||2106-3^White^CDCREC|1 Elm St^Apt 2^Springfield^IL^62701^USA^H||"
        "^PRN^PH^^^217^5550142~^NET^Internet^ada@example.org||eng^English^HL70296|||||||N^Not Hispanic^HL70189||Y|2|||||N",
        "NK1|1|Milbanke^Anne^^^^^L|MTH^Mother^HL70063|1 Elm St^^Springfield^IL^62701^USA^H|^PRN^PH^^^217^5550143",
    )
    who = found.patient
    assert who["identifier"][0]["system"] == "urn:oid:2.16.840.1.113883.9.9"
    assert who["identifier"][1]["system"] == tables.SSN
    assert [one["use"] for one in who["name"]] == ["official", "maiden"]
    assert (who["birthDate"], who["gender"]) == ("2024-02-15", "female")
    assert (who["multipleBirthInteger"], who["deceasedBoolean"]) == (2, False)
    assert [one["value"] for one in who["telecom"]] == ["(217) 555-0142", "ada@example.org"]
    urls = [one["url"].rsplit("/", 1)[1] for one in who["extension"]]
    assert urls == ["patient-mothersMaidenName", "us-core-race", "us-core-ethnicity"]
    assert who["extension"][2]["extension"][0]["valueCoding"]["code"] == "2186-5"
    assert found.related[0]["relationship"][0]["coding"][0]["code"] == "MTH"


def test_nothing_is_lost_in_silence() -> None:
    found = read(
        pid() + "||||||||||||||||||US^United States^ISO3166", "PV1|1|O", "ZIM|1|x", orc() + "||||||||||||||CLINIC",
        rxa() + "||||||somewhere", "PD1||||||||||||Y",
    )  # fmt: skip
    assert {
        ("PID-26", "I"),
        ("PV1", "I"),
        ("ZIM", "I"),
        ("ORC-17", "I"),
        ("RXA-27", "I"),
        ("PD1-12", "W"),
    } == told(found)


@pytest.mark.parametrize(
    ("segments", "at"),
    [
        ((pid(number=""), *dose()), "PID-3"),
        ((pid(name=""), *dose()), "PID-5"),
        ((pid(born="20241301"), *dose()), "PID-7"),
        (dose(), "PID"),
        ((pid(), rxa()), "RXA"),
        ((pid(), orc(""), rxa()), "ORC-3"),
        ((pid(), orc(), rxa(date="")), "RXA-3"),
        ((pid(), orc(), rxa(date="20250230")), "RXA-3"),
        ((pid(), orc(), rxa(vaccine="")), "RXA-5"),
        ((pid(), orc(), rxa(vaccine="90707^MMR^C4")), "RXA-5"),
        ((pid(), orc(), rxa(status="XX")), "RXA-20"),
        ((pid(), orc(), rxa(action="Q")), "RXA-21"),
        ((pid(), *dose(), *dose()), "RXA[2]"),
    ],
)
def test_an_error_names_segment_and_field(segments: tuple[str, ...], at: str) -> None:
    errors = read(*segments).errors
    assert at in {note.at for note in errors}


def test_a_doubtful_value_is_told_and_the_dose_stays() -> None:
    found = read(pid(), orc(), rxa(amount="half|mL^mL^UCUM").replace("20270101", "soon"))
    assert {("RXA-6", "W"), ("RXA-16", "W")} <= told(found)
    assert "expirationDate" not in found.doses[0].resource
    assert found.errors == ()


def test_a_time_takes_the_offset_of_the_message() -> None:
    found = only(orc(), rxa(date="20250301101500"))
    assert found["occurrenceDateTime"] == "2025-03-01T10:15:00-05:00"
    bare = vxu.read(parse(message(pid(), orc(), rxa(date="20250301101500")).replace("-0500", "")))
    assert bare.doses[0].resource["occurrenceDateTime"] == "2025-03-01"
    assert ("RXA-3", "I") in told(bare)


def test_the_null_clears_and_the_empty_does_not() -> None:
    found = read(pid(), orc(), rxa(lot='""'))
    assert found.doses[0].cleared == ("lotNumber",)
    assert read(pid(), orc(), rxa(lot="")).doses[0].cleared == ()


@pytest.mark.parametrize("text", ["²", "two", "0", "-1", "99999999", "٣"])
def test_a_dose_number_that_is_none_is_kept_as_text(text: str) -> None:
    assert only(*dose(), obx("30973-2", "NM", text))["protocolApplied"] == [{"doseNumberString": text}]


def test_ndc_without_cvx_is_kept_and_told() -> None:
    found = read(pid(), orc(), rxa(vaccine="00006-4681-00^MMR II^NDC"))
    assert found.errors == ()
    assert ("RXA-5", "I") in told(found)
    both = only(orc(), rxa(vaccine="00006-4681-00^MMR II^NDC^03^MMR^CVX"))
    assert [one["system"] for one in both["vaccineCode"]["coding"]] == [tables.NDC, tables.CVX]


def test_the_shared_messages_are_read_and_valid() -> None:
    for name, doses in (("VXU-V04-01.hl7", 1), ("VXU-V04-02.hl7", 3)):
        found = vxu.read(parse(shared_data("hl7v2", name).read_bytes()))
        assert found.errors == ()
        assert len(found.doses) == doses
        for one in (found.patient, *(d.resource for d in found.doses), *found.observations, *found.related):
            validate(one)
        assert {note.at for note in found.notes} >= {"PV1", "IN1", "PID-26", "RXA-27"}


words = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="|^~\\&\x7f"), max_size=8
)
fields = st.lists(st.lists(words, min_size=1, max_size=6).map("^".join), max_size=30).map("|".join)
lines = st.builds(
    lambda name, rest: f"{name}|{rest}",
    st.sampled_from(["PID", "PD1", "NK1", "ORC", "RXA", "RXR", "OBX", "NTE", "PV1", "ZZZ"]),
    fields,
)


@given(st.lists(lines, max_size=12))
@settings(max_examples=200, deadline=None)
def test_no_content_makes_it_raise(segments: list[str]) -> None:
    found = vxu.read(parse(message(*segments)))
    places = {note.at.split("-")[0].split(".")[0] for note in found.notes}
    assert places <= {f"{s}[{n}]" for s in ("PID", "PD1", "NK1", "ORC", "RXA", "RXR", "OBX", "NTE", "PV1", "ZZZ") for n in range(2, 14)} | {
        "PID", "PD1", "NK1", "ORC", "RXA", "RXR", "OBX", "NTE", "PV1", "ZZZ"}  # fmt: skip
