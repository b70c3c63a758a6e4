"""The synthetic practice: valid, the same every time, ordered, and with every kind of patient in it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from commonchart.care.assess import assess
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.rules import built_in
from commonchart.demo import clinical, practice
from commonchart.demo.practice import Member
from commonchart.fhir.dates import bounds
from commonchart.fhir.validate import validate

UNTIL = date(2026, 11, 18)
STATUSES = {"overdue", "due", "due-soon", "cannot-tell", "up-to-date", "excluded", "not-applicable"}
Resource = dict[str, Any]


@cache
def everybody() -> tuple[Member, ...]:
    return tuple(practice.members(UNTIL))


def resources() -> Iterator[Resource]:
    return (entry.resource for member in everybody() for entry in member.entries)


def current(member: Member) -> list[Resource]:
    return list({(e.resource["resourceType"], e.resource["id"]): e.resource for e in member.entries}.values())


def coded(resource: Resource) -> set[str]:
    return {coding["code"] for coding in resource.get("code", {}).get("coding", ())}


def test_every_resource_is_valid() -> None:
    for entry in practice.staff():
        validate(entry.resource)
    for resource in resources():
        validate(resource)


def test_it_has_the_size_that_was_asked_for() -> None:
    assert len(everybody()) == practice.PATIENTS == 300
    assert 40_000 <= sum(1 for _ in resources()) <= 60_000
    types = Counter(resource["resourceType"] for resource in resources())
    wanted = ("Encounter", "Condition", "MedicationRequest", "AllergyIntolerance", "Immunization", "Procedure", "Coverage",
              "FamilyMemberHistory", "RelatedPerson", "DocumentReference", "DiagnosticReport", "Goal", "CarePlan", "CareTeam")  # fmt: skip
    assert [rtype for rtype in wanted if not types[rtype]] == []


def test_it_is_the_same_every_time() -> None:
    for n in (0, 1, practice.HEAVY, 150):
        assert practice.member(n, UNTIL) == everybody()[n]


def test_ids_are_shared_by_nobody() -> None:
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    for member in everybody():
        for entry in member.entries:
            owners[entry.resource["resourceType"], entry.resource["id"]].add(member.id)
    assert [key for key, who in owners.items() if len(who) > 1] == []


def test_record_numbers_are_unique() -> None:
    numbers = [
        r["identifier"][0]["value"] for m in everybody() for r in current(m) if r["resourceType"] == "Patient"
    ]
    assert len(numbers) == len(set(numbers))


def test_it_is_recorded_in_order_and_never_before_it_happened() -> None:
    for member in everybody():
        times = [entry.recorded for entry in member.entries]
        assert times == sorted(times)
        assert times[-1].date() <= UNTIL
        for entry in member.entries:
            for name in ("effectiveDateTime", "onsetDateTime", "performedDateTime", "recordedDate"):
                if name in entry.resource:
                    happened, _ = bounds(entry.resource[name])
                    assert happened <= entry.recorded + timedelta(days=1), (
                        name,
                        entry.resource["resourceType"],
                    )


def test_nothing_is_recorded_before_birth() -> None:
    for member in everybody():
        born = member.entries[0].resource.get("birthDate")
        assert member.entries[0].resource["resourceType"] == "Patient"
        if born:
            assert member.entries[0].recorded.date() >= date.fromisoformat(born)


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_due_status_is_present(status: str) -> None:
    assert answers()[status]


@cache
def answers() -> Counter[str]:
    found: Counter[str] = Counter()
    for member in everybody():
        now = current(member)
        own = next(one for one in now if one["id"] == member.id)
        found.update(one.status for one in assess(evidence(now), person(own, UNTIL), built_in(), UNTIL))
    return found


def test_one_patient_has_a_thousand_visits_and_twenty_thousand_observations() -> None:
    types = Counter(resource["resourceType"] for resource in current(everybody()[practice.HEAVY]))
    assert types["Encounter"] >= 1000
    assert types["Observation"] >= 20_000


def test_some_have_ten_years_and_a_thousand_observations() -> None:
    found = 0
    for member in everybody():
        days = (member.entries[-1].recorded - member.entries[0].recorded).days
        observations = sum(one["resourceType"] == "Observation" for one in current(member))
        found += days > 3650 and observations >= 1000
    assert found >= 4


def test_egfr_belongs_to_the_creatinine_of_the_same_blood() -> None:
    checked = 0
    for member in everybody():
        first = member.entries[0].resource
        if "birthDate" not in first:
            continue
        taken: dict[str, dict[str, Any]] = defaultdict(dict)
        for one in current(member):
            if (
                one["resourceType"] == "Observation"
                and coded(one) & {"2160-0", "98979-8"}
                and "encounter" not in one
            ):
                taken[one["effectiveDateTime"]][min(coded(one))] = one["valueQuantity"]["value"]
        for when, values in taken.items():
            if len(values) == 2:
                day = datetime.fromisoformat(when).date()
                born = date.fromisoformat(first["birthDate"])
                age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
                expected = clinical.egfr(float(values["2160-0"]), age, first["gender"] == "female")
                assert abs(float(values["98979-8"]) - expected) <= 0.51
                checked += 1
    assert checked > 200


@pytest.mark.parametrize(
    ("creatinine", "age", "female", "expected"),
    [(1.0, 50, False, 92), (1.0, 50, True, 69), (0.6, 30, True, 124), (2.5, 70, False, 27)],
)
def test_egfr_is_the_published_equation(creatinine: float, age: int, female: bool, expected: int) -> None:
    assert round(clinical.egfr(creatinine, age, female)) == expected


@pytest.mark.parametrize(
    ("rate", "code"),
    [(91, "N18.1"), (60, "N18.2"), (59, "N18.31"), (44, "N18.32"), (15, "N18.4"), (9, "N18.5")],
)
def test_kidney_stages(rate: int, code: str) -> None:
    assert clinical.kidney_stage(rate)[0] == code


def test_records_change_over_time() -> None:
    """As-of has something to show: doses, stages, retractions and addenda are later versions of the same id."""
    versions: dict[str, int] = Counter()
    for member in everybody():
        seen: Counter[tuple[str, str]] = Counter(
            (entry.resource["resourceType"], entry.resource["id"]) for entry in member.entries
        )
        for (rtype, _), count in seen.items():
            versions[rtype] += count > 1
    assert all(
        versions[rtype]
        for rtype in ("Patient", "MedicationRequest", "Condition", "Observation", "DocumentReference")
    )


def test_allergies_are_known_absent_and_not_recorded() -> None:
    known = absent = unknown = 0
    for member in everybody():
        found = [one for one in current(member) if one["resourceType"] == "AllergyIntolerance"]
        none = any("716186003" in coded(one) for one in found)
        absent, known, unknown = absent + none, known + bool(found and not none), unknown + (not found)
    assert min(known, absent, unknown) >= 20


def test_the_special_cases_are_there() -> None:
    text = json.dumps(list(resources()), default=str)
    assert '"value": "84"' in text
    assert "entered-in-error" in text
    assert "deceasedDateTime" in text
    assert "BI-RADS 4" in text
    classes = {one["class"]["code"] for one in resources() if one["resourceType"] == "Encounter"}
    assert classes == {"AMB", "VR", "EMER", "IMP"}
    only_snomed = [
        one for one in resources() if one["resourceType"] == "Condition"
        and {coding["system"] for coding in one["code"].get("coding", ())} == {clinical.SCT}
    ]  # fmt: skip
    assert {"44054006", "38341003"} <= {code for one in only_snomed for code in coded(one)}


def test_no_words_of_snomed_are_carried() -> None:
    for resource in resources():
        for coding in resource.get("code", {}).get("coding", ()):
            assert "display" not in coding


def test_more_patients_are_others() -> None:
    more = practice.member(1234, UNTIL)
    assert more.id not in {member.id for member in everybody()}
    for entry in more.entries:
        validate(entry.resource)
