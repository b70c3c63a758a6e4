"""The page /validate: what is pasted is looked at, told, and never stored."""

from __future__ import annotations

import json

import pytest

from tests.web.conftest import Client, SignIn, token_of

US = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"


async def sent(client: Client, resource: str, profile: str = "") -> tuple[int, str]:
    token = token_of(await client.get("/validate"))
    page = await client.post("/validate", data={"csrf": token, "resource": resource, "profile": profile})
    return page.status_code, page.text


async def test_a_valid_resource_is_said_to_be_valid_and_is_not_stored(sage: Client) -> None:
    status, text = await sent(sage, '{"resourceType": "Patient", "name": [{"family": "Zyxwv"}]}')
    assert status == 200
    assert "<b>Valid.</b>" in text
    assert "Zyxwv" not in (await sage.get("/patients?q=zyxwv")).text.replace('value="zyxwv"', "").replace(
        "zyxwv", ""
    )


@pytest.mark.parametrize(
    ("resource", "profile", "words"),
    [
        ('{"resourceType": "Patient", "gender": "x"}', "", "Patient.gender"),
        ('{"resourceType": "Patient"}', US, "Patient.name"),
        ("{", "", "<b>Not valid.</b>"),
        ("[]", "", "<b>Not valid.</b>"),
        ("", "", "<b>Not valid.</b>"),
        (json.dumps({"resourceType": "<script>alert(1)</script>"}), "", "<b>Not valid.</b>"),
    ],
)
async def test_what_is_wrong_is_told_with_its_place(
    sage: Client, resource: str, profile: str, words: str
) -> None:
    status, text = await sent(sage, resource, profile)
    assert status == 422
    assert words in text
    assert "<script>alert" not in text


async def test_a_profile_that_is_not_loaded_is_no_pass(sage: Client) -> None:
    status, text = await sent(sage, '{"resourceType": "Patient"}', "http://example.org/unknown")
    assert status == 200
    assert "<b>Not checked:</b> http://example.org/unknown" in text
    assert "<b>Valid.</b>" not in text


async def test_the_page_is_small_and_says_what_the_site_does(sage: Client) -> None:
    page = await sage.get("/validate")
    assert page.status_code == 200
    assert len(page.content) < 60_000
    assert "stored here, with a warning" in page.text


async def test_a_patient_is_not_shown_it(sign_in: SignIn) -> None:
    client = await sign_in("ines")
    assert (await client.get("/validate")).status_code == 403
