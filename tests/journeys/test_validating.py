"""The page /validate: works with the keyboard alone, tells what is wrong, and axe finds nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Visit

pytestmark = pytest.mark.journey
US = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"


def test_a_resource_is_pasted_and_what_is_wrong_is_told(visit: Visit) -> None:
    page = visit.go("/validate")
    assert visit.violations() == []
    page.get_by_label("Resource as FHIR JSON").fill('{"resourceType": "Patient", "gender": "female"}')
    page.get_by_role("combobox", name="Profile").fill(US)
    page.get_by_role("button", name="Validate").click()
    expect(page.get_by_role("status")).to_contain_text("Not valid.")
    expect(page.get_by_role("row").filter(has_text="Patient.name")).to_contain_text(
        "is required by the profile"
    )
    assert visit.violations() == []
    page.get_by_role("combobox", name="Profile").fill("http://example.org/unknown")
    page.get_by_role("button", name="Validate").click()
    expect(page.get_by_role("status")).to_contain_text("Not checked:")
    assert visit.violations() == []
    page.get_by_role("combobox", name="Profile").fill("")
    page.get_by_role("button", name="Validate").click()
    expect(page.get_by_role("status")).to_contain_text("Valid.")
