"""Writing by forms: what was typed is stored as versions, refusals name the field, nothing is lost when two people write."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.web.conftest import SignIn

Client = httpx.AsyncClient


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    return found[1]


def vid(page: httpx.Response) -> str:
    found = re.search(r'name="vid" value="(\d+)"', page.text)
    assert found
    return found[1]


async def send(client: Client, path: str, **fields: str) -> httpx.Response:
    page = await client.get(path)
    assert page.status_code == 200, page.text[:300]
    return await client.post(path, data={"csrf": token(page)} | fields)


@pytest.fixture
async def sage(sign_in: SignIn) -> Client:
    return await sign_in("sage")


CONDITION = {
    "name": "Gout of the big toe",
    "icd10": "M10.9",
    "status": "active",
    "certainty": "confirmed",
    "onset": "2025-03",
}


async def test_a_condition_is_added_corrected_and_taken_back(sage: Client) -> None:
    made = await send(sage, "/patients/ines/new/condition", **CONDITION)
    assert made.status_code == 303
    key = made.headers["location"].split("saved=")[1]
    listed = await sage.get(made.headers["location"])
    assert "Gout of the big toe" in listed.text
    assert "Saved." in listed.text

    form = await sage.get(f"/patients/ines/edit/{key}")
    fields = {"csrf": token(form), "vid": vid(form)}
    fixed = await sage.post(f"/patients/ines/edit/{key}", data=fields | CONDITION | {"onset": "2024"})
    assert fixed.status_code == 303

    wrong = await send(sage, f"/patients/ines/retract/{key}", reason="Belongs to somebody else")
    assert wrong.status_code == 303
    fact = await sage.get(f"/patients/ines/facts/{key}")
    assert "Entered in error" in fact.text
    assert "version 3" in fact.text.lower()


async def test_bad_input_comes_back_with_what_was_typed(sage: Client) -> None:
    answer = await send(sage, "/patients/ines/new/condition", **CONDITION | {"onset": "2199", "name": ""})
    assert answer.status_code == 422
    assert 'href="#name"' in answer.text
    assert 'href="#onset"' in answer.text
    assert "M10.9" in answer.text


async def test_the_second_of_two_writers_is_told(sage: Client) -> None:
    made = await send(sage, "/patients/ines/new/condition", **CONDITION)
    key = made.headers["location"].split("saved=")[1]
    form = await sage.get(f"/patients/ines/edit/{key}")
    old = {"csrf": token(form), "vid": vid(form)}
    first = await sage.post(f"/patients/ines/edit/{key}", data=old | CONDITION | {"onset": "2023"})
    second = await sage.post(f"/patients/ines/edit/{key}", data=old | CONDITION | {"onset": "2022"})
    assert first.status_code == 303
    assert second.status_code == 412
    assert 'value="2022"' in second.text
    assert "Somebody else" in second.text


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        (
            "allergy",
            {"kind": "allergy", "substance": "Penicillin", "status": "active", "certainty": "confirmed"},
        ),
        ("medication", {"name": "Metformin 500 mg", "status": "active"}),
        (
            "vitals",
            {
                "when": "2026-11-18T09:00",
                "systolic": "130",
                "diastolic": "80",
                "weight": "80",
                "height": "170",
            },
        ),
        ("result", {"test": "4548-4", "value": "7.10", "unit": "%", "when": "2026-11-17", "status": "final"}),
        ("immunization", {"vaccine": "140", "status": "completed", "when": "2026-10-01", "source": "here"}),
        ("procedure", {"name": "Colonoscopy", "status": "completed", "when": "2019"}),
        ("family", {"relation": "MTH", "condition": "Stroke", "status": "completed"}),
        ("insurance", {"payer": "Harbour Mutual", "status": "active"}),
        ("contact", {"family": "Fell", "given": "Amos", "relation": "SPS", "active": "yes"}),
    ],
)
async def test_every_section_has_a_form_that_stores(sage: Client, form: str, fields: dict[str, str]) -> None:
    made = await send(sage, f"/patients/ines/new/{form}", **fields)
    assert made.status_code == 303, made.text[-2000:]
    key = made.headers["location"].split("saved=")[1]
    assert (await sage.get(f"/patients/ines/facts/{key}")).status_code == 200
    page = await sage.get(f"/patients/ines/edit/{key}")
    assert page.status_code == 200


async def test_a_visit_gets_a_note_that_is_signed_and_then_only_added_to(sage: Client) -> None:
    visit = await send(
        sage,
        "/patients/ines/visits/new",
        **{"class": "AMB", "status": "in-progress", "start": "2026-11-18T09:30", "reason": "Review"},
    )
    assert "/notes/new?visit=" in visit.headers["location"]
    note_page = visit.headers["location"]
    visit_id = note_page.split("visit=")[1]
    page = await sage.get(note_page)
    draft = await sage.post(
        note_page,
        data={
            "csrf": token(page),
            "visit": visit_id,
            "kind": "11506-3",
            "text": "Feels well.",
            "do": "draft",
        },
    )
    key = draft.headers["location"].split("/documents/DocumentReference/")[1].split("?")[0]
    assert "Draft." in (await sage.get(draft.headers["location"])).text
    form = await sage.get(f"/patients/ines/notes/{key}/edit")
    signed = await sage.post(
        f"/patients/ines/notes/{key}/edit",
        data={
            "csrf": token(form),
            "vid": vid(form),
            "kind": "11506-3",
            "text": "Feels very well.",
            "do": "sign",
        },
    )
    assert signed.status_code == 303
    again = await sage.post(
        f"/patients/ines/notes/{key}/edit",
        data={"csrf": token(form), "vid": "2", "kind": "11506-3", "text": "Changed.", "do": "draft"},
    )
    assert again.status_code == 409
    added = await send(sage, f"/patients/ines/notes/{key}/amend", text="Feet looked at as well.")
    assert added.status_code == 303
    whole = await sage.get(f"/patients/ines/documents/DocumentReference/{key}")
    assert "Feels very well." in whole.text
    assert "Feet looked at as well." in whole.text


async def test_what_is_typed_is_kept_and_can_be_discarded(sage: Client) -> None:
    path = "/patients/ines/new/condition"
    page = await sage.get(path)
    kept = await sage.post("/drafts", data={"csrf": token(page), "draft_key": path, "name": "Half a thou"})
    assert kept.status_code == 204
    restored = await sage.get(path)
    assert "Half a thou" in restored.text
    await sage.post("/drafts/drop", data={"csrf": token(page), "draft_key": path})
    assert "Half a thou" not in (await sage.get(path)).text


async def test_the_front_desk_registers_and_does_not_write_clinical_facts(sign_in: SignIn) -> None:
    desk = await sign_in("desk")
    assert (await desk.get("/patients/ines/new/condition")).status_code == 403
    fields = {"family": "Newcomer", "given": "Ann", "born": "1990-02-03", "gender": "female"}
    made = await send(desk, "/patients/new", **fields)
    assert made.status_code == 303
    alike = await send(desk, "/patients/new", **fields)
    assert alike.status_code == 409
    assert "much like this" in alike.text
    sure = await send(desk, "/patients/new", **fields, sure="yes")
    assert sure.status_code == 303


async def test_a_form_without_its_token_stores_nothing(sage: Client) -> None:
    answer = await sage.post("/patients/ines/new/condition", data=CONDITION)
    assert answer.status_code == 403
    assert "Gout" not in (await sage.get("/patients/ines/conditions")).text


async def test_the_registry_lists_filters_and_adds_up(sage: Client) -> None:
    page = await sage.get("/registry?status=all")
    assert page.status_code == 200, page.text[:500]
    assert "HALLOWBROOK" in page.text
    chips = [int(n) for n in re.findall(r"<b>(\d+)</b></a></li>", page.text)]
    assert sum(chips[2:-1]) == chips[-1]  # the first two gather statuses: open, and out of range or overdue
    nobody = await sage.get("/registry?from=140")
    assert "Nobody fits" in nobody.text
    assert (await sage.get("/registry?from=x")).status_code == 400
    assert (await sage.get("/registry?status=late")).status_code == 400


async def test_receipts_are_listed(sage: Client) -> None:
    assert "Nothing has been loaded yet" in (await sage.get("/receipts")).text
    assert (await sage.get("/receipts/none")).status_code == 404
