"""Resources that nobody here wrote: all valid ones pass, and the published ones that break R4 are told why."""

from __future__ import annotations

import gzip
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from commonchart.fhir import packages
from commonchart.fhir.json import decode, encode
from commonchart.fhir.outcome import Invalid, Issue
from commonchart.fhir.profiles.known import of_definitions
from commonchart.fhir.validate import examine, validate
from tests.shared import shared_data

# examples that were made for another version of FHIR, and the rule of 4.0.1 that each breaks
BROKEN = {
    "bundle-questionnaire.json": ("Questionnaire.item[0].item[0].linkId", "required"),
    "codesystem-example.json": ("CodeSystem", "invariant"),  # csd-1: one code twice
    "devicemetric-example.json": ("DeviceMetric.parent.reference", "value"),
    "deviceusestatement-example.json": ("DeviceUseStatement.reasonReference[0].reference", "value"),
    "medicationrequest0301.json": ("MedicationRequest.dispenseRequest.performer.reference", "value"),
}


def issues_of(data: bytes) -> list[Issue]:
    try:
        validate(decode(data, max_bytes=100_000_000))
    except Invalid as invalid:
        return list(invalid.issues)
    return []


def test_every_synthetic_bundle_is_valid_entry_by_entry() -> None:
    files = sorted(shared_data("synthea").glob("*.json.gz"))
    found: Counter[str] = Counter()
    issues: list[Issue] = []
    for file in files:
        data = gzip.decompress(file.read_bytes())
        bundle = decode(data, max_bytes=100_000_000)
        issues += issues_of(data)
        found.update(entry["resource"]["resourceType"] for entry in bundle["entry"])
    assert issues == []
    assert (len(files), sum(found.values())) == (120, 32_612)


def test_a_synthetic_bundle_comes_back_number_for_number() -> None:
    data = gzip.decompress(min(shared_data("synthea").glob("*.json.gz")).read_bytes())
    once = encode(decode(data, max_bytes=100_000_000))
    assert encode(decode(once)) == once
    assert b"".join(once.split()) == b"".join(data.split())


def test_the_official_examples_are_valid_but_for_those_of_other_versions() -> None:
    files = sorted(shared_data("r4-examples").rglob("*.json"))
    assert len(files) == 72
    broken = {file.name: issues for file in files if (issues := issues_of(file.read_bytes()))}
    assert {name: (issues[0].at, issues[0].code) for name, issues in broken.items()} == BROKEN


def test_the_us_core_examples_are_valid() -> None:
    bodies = us_core(shared_data("packages", "hl7.fhir.us.core-6.1.0.tgz"))
    assert len(bodies) == 183
    assert {name: issues for name, body in bodies.items() if (issues := issues_of(body))} == {}


def test_the_us_core_examples_fit_the_profiles_they_state() -> None:
    bodies = us_core(shared_data("packages", "hl7.fhir.us.core-6.1.0.tgz"))
    wrong = {name: examine(decode(body)) for name, body in bodies.items()}
    assert {name: r.issues for name, r in wrong.items() if not r.valid} == {}


def test_the_package_gives_the_verdicts_of_the_box_on_examples_with_anything_left_out() -> None:
    package = shared_data("packages", "hl7.fhir.us.core-6.1.0.tgz")
    known = of_definitions(packages.read(package.read_bytes()).resources)
    verdicts: Counter[bool] = Counter()
    for body in us_core(package).values():
        whole = decode(body)
        for name in list(whole)[1:]:
            less = {key: value for key, value in whole.items() if key != name}
            ours, theirs = examine(less), examine(less, known=known)
            assert set(ours.issues) == set(theirs.issues)
            verdicts[ours.valid] += 1
    assert min(verdicts.values()) > 150


def us_core(package: Path) -> dict[str, bytes]:
    with tarfile.open(package) as archive:
        members = [m for m in archive.getmembers() if m.name.startswith("package/example/") and m.isfile()]
        found = {m.name: archive.extractfile(m) for m in members if not m.name.endswith("index.json")}
        return {name: file.read() for name, file in found.items() if file is not None}


@pytest.mark.parametrize("name", ["observation-example.json", "patient-example.json"])
def test_comments_of_earlier_versions_are_no_elements(name: str) -> None:
    found = issues_of(shared_data("fhirpath", "inputs", name).read_bytes())
    assert all(issue.code in ("structure", "value") for issue in found)
    assert any(issue.at.endswith("fhir_comments") for issue in found)
