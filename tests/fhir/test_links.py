"""Links follow a mapping wherever R4 says that they may, and nowhere else."""

from __future__ import annotations

import copy
import gzip
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.json import decode, encode
from commonchart.fhir.links import conditional, references, rewrite
from tests.fhir.made import made
from tests.fhir.samples import BUNDLE, GOOD, OBSERVATION, PATIENT, changed
from tests.shared import shared_data

PLACE = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
OTHER = "urn:uuid:9e107d9d-372b-4a3c-8f14-2c963f0c4a11"
MAPPING = {PLACE: "Patient/p9", "http://old.example.org/Patient/1": "Patient/p1"}


def test_references_follow_the_mapping() -> None:
    before = changed(OBSERVATION, "subject.reference", PLACE)
    kept = copy.deepcopy(before)
    after, dangling = rewrite(before, MAPPING)
    assert after == changed(OBSERVATION, "subject.reference", "Patient/p9")
    assert dangling == ()
    assert before == kept


def test_a_reference_to_nothing_is_told_with_its_place() -> None:
    before = changed(changed(OBSERVATION, "subject.reference", PLACE), "performer", [{"reference": OTHER}])
    out = rewrite(before, MAPPING)
    assert out.dangling == (("Observation.performer[0].reference", OTHER),)
    assert out.resource["performer"] == [{"reference": OTHER}]


def test_other_uris_may_lead_nowhere() -> None:
    before = changed(PATIENT, "identifier.0.system", OTHER)
    assert rewrite(before, MAPPING) == (before, ())


def test_uris_urls_and_uuids_follow_and_canonicals_stay() -> None:
    names = ("valueUri", "valueUrl", "valueUuid", "valueOid", "valueCanonical", "valueString", "valueId")
    before = changed(PATIENT, "extension", [{"url": f"http://x/{name}", name: PLACE} for name in names])
    after = rewrite(before, MAPPING).resource
    values = [next(v for k, v in extension.items() if k != "url") for extension in after["extension"]]
    assert values == ["Patient/p9"] * 4 + [PLACE] * 3


def test_profiles_and_instantiated_canonicals_stay() -> None:
    before = {
        "resourceType": "ServiceRequest",
        "meta": {"profile": [PLACE]},
        "status": "active",
        "intent": "order",
        "instantiatesCanonical": [PLACE],
        "instantiatesUri": [PLACE],
        "subject": {"reference": PLACE},
    }
    after = rewrite(before, MAPPING).resource
    assert after["meta"]["profile"] == after["instantiatesCanonical"] == [PLACE]
    assert after["instantiatesUri"] == ["Patient/p9"]


def test_links_in_the_narrative_follow() -> None:
    text = f"""<div xmlns="http://www.w3.org/1999/xhtml"><a href="{PLACE}">A</a> <a class="x" href='{PLACE}'>B</a>
    <img src = "http://old.example.org/Patient/1" alt="{PLACE}"/> {PLACE} <a href="{OTHER}">C</a></div>"""
    after = rewrite(changed(PATIENT, "text.div", text), MAPPING).resource["text"]["div"]
    assert after == text.replace(f'href="{PLACE}"', 'href="Patient/p9"').replace(
        f"href='{PLACE}'", 'href="Patient/p9"'
    ).replace('src = "http://old.example.org/Patient/1"', 'src = "Patient/p1"')


def test_contained_resources_are_followed_into() -> None:
    inside = {"resourceType": "Provenance", "id": "pr", "target": [{"reference": PLACE}]}
    after = rewrite(changed(PATIENT, "contained", [inside]), MAPPING).resource
    assert after["contained"][0]["target"] == [{"reference": "Patient/p9"}]


def test_extensions_of_a_primitive_are_followed_into() -> None:
    extension = {"extension": [{"url": "http://x", "valueReference": {"reference": PLACE}}]}
    after, dangling = rewrite(changed(PATIENT, "_birthDate", extension), MAPPING)
    assert after["_birthDate"]["extension"][0]["valueReference"] == {"reference": "Patient/p9"}
    assert dangling == ()
    many = changed(PATIENT, "name.0._given", [None, extension])
    assert rewrite(many, {}).dangling == (
        ("Patient.name[0]._given[1].extension[0].valueReference.reference", PLACE),
    )


def test_what_has_no_link_is_shared() -> None:
    after = rewrite(changed(PATIENT, "link.0.other.reference", PLACE), {PLACE: "Patient/p2"}).resource
    before = changed(PATIENT, "link.0.other.reference", PLACE)
    same = rewrite(before, {})
    assert same.resource is before
    assert after["name"] == PATIENT["name"]
    assert rewrite(before, {PLACE: "Patient/p2"}).resource["name"] is before["name"]


def test_references_are_listed_with_their_places() -> None:
    assert list(references(PATIENT)) == [
        ("Patient.generalPractitioner[0].reference", "Practitioner/d1"),
        ("Patient.managingOrganization.reference", "#o1"),
        ("Patient.link[0].other.reference", "Patient/p2"),
    ]
    assert [at for at, _ in references(BUNDLE)][-1] == "Bundle.entry[2].resource.subject.reference"


def test_every_reference_of_every_type_is_listed() -> None:
    for rtype in ("Encounter", "Claim", "Provenance", "CareTeam", "ClinicalImpression", "DocumentReference"):
        resource = made(rtype)
        written = encode(resource).count(b'"reference":"')
        assert written == len(list(references(resource))) > 1


def test_a_malformed_resource_is_left_to_the_validator() -> None:
    broken: dict[str, Any] = {
        "resourceType": "Patient",
        "link": "x",
        "name": [None, 5],
        "contained": [{"id": PLACE}],
    }
    assert rewrite(broken, MAPPING) == (broken, ())
    assert rewrite({"link": PLACE}, MAPPING) == ({"link": PLACE}, ())
    assert list(references({"id": "x"})) == []
    assert rewrite({"resourceType": "Nonsense", "a": PLACE}, MAPPING).resource == {
        "resourceType": "Nonsense",
        "a": PLACE,
    }


def test_conditional_references_are_told_apart() -> None:
    assert conditional("Patient?identifier=http://example.org/mrn|12345") == "Patient"
    for text in (
        "Patient/1",
        "http://example.org/Patient?x=1",
        "urn:uuid:x?y=1",
        "Patient?",
        "Patient?a b",
        "#x?y",
    ):
        assert conditional(text) is None


@given(st.sampled_from(GOOD), st.sampled_from(["Patient/p1", "Practitioner/d1", PLACE, "#o1"]))
def test_rewriting_back_is_the_inverse(sample: dict[str, Any], target: str) -> None:
    there = rewrite(sample, {target: "urn:uuid:00000000-0000-4000-8000-000000000001"}).resource
    back = rewrite(there, {"urn:uuid:00000000-0000-4000-8000-000000000001": target}).resource
    assert back == sample


def test_every_reference_in_a_synthetic_bundle_leads_somewhere() -> None:
    data = gzip.decompress(min(shared_data("synthea").glob("*.json.gz")).read_bytes())
    bundle = decode(data, max_bytes=100_000_000)
    mapping = {e["fullUrl"]: f"{e['resource']['resourceType']}/{e['fullUrl'][9:]}" for e in bundle["entry"]}
    for entry in bundle["entry"]:
        after, dangling = rewrite(entry["resource"], mapping)
        assert dangling == ()
        assert not any(text.startswith("urn:uuid:") for _, text in references(after))
