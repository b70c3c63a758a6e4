"""Campaigns as pages: begun from the registry after a look, followed, answered for; templates, wishes, the digest."""

from __future__ import annotations

import re
from typing import Any

import pytest

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record import outreach, site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.outreach import woman
from tests.web.conftest import Client, SignIn, token_of

NEW = "/campaigns/new?rule=colorectal"


@pytest.fixture
async def due(app: Any, database: Database, clock: Clock) -> Records:
    """Two women who are due for a screening, and a practice that says who it is."""
    records = Records(database, Actor(1, "loader", "Loader", "system", "alder", "test", network=False), clock)
    await records.commit([Put(validate(one), one["id"]) for one in (woman("ada"), woman("bea"))])
    await worker.drain(database, clock)
    async with database.single() as conn:
        await site.put(conn, 1, "name", "Alder Street Practice")
        await site.put(conn, 1, "practice_phone", "555 0100")
    return records


def hidden(page: Any, **more: str) -> dict[str, str]:
    form = page.text[page.text.index('method="post"') :]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)) | more


async def begun(sage: Client, title: str = "Mammograms") -> str:
    page = await sage.get(NEW)
    sent = await sage.post(NEW, data=hidden(page, title=title))
    assert sent.status_code == 303, sent.text
    return str(sent.headers["location"])


async def test_from_the_registry_to_printed_letters(sage: Client, due: Records) -> None:
    registry = (await sage.get("/registry?rule=colorectal")).text
    assert 'href="/campaigns/new?rule=colorectal"' in registry
    assert "Nobody has been contacted yet" in (await sage.get("/campaigns")).text
    page = await sage.get(NEW)
    assert page.status_code == 200
    assert "Colorectal cancer screening" in page.text
    assert "Alder Street Practice" in page.text
    address = await begun(sage)
    campaign = await sage.get(address)
    assert "Write the letters" in campaign.text
    assert (await sage.get(f"{address}/letters")).status_code == 404
    written = await sage.post(address, data={"csrf": token_of(campaign), "do": "letters"})
    assert written.status_code == 303
    pdf = await sage.get(f"{address}/letters")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF")
    assert "Mammograms" in (await sage.get("/patients/ada/timeline")).text
    assert "Contacted" in (await sage.get(f"{address}?stage=contacted")).text


async def test_what_is_missing_refuses_the_whole_and_stands_at_its_field(
    sage: Client, due: Records, database: Database
) -> None:
    page = await sage.get(NEW)
    untitled = await sage.post(NEW, data=hidden(page, title=""))
    assert untitled.status_code == 422
    assert 'href="#title"' in untitled.text
    async with database.single() as conn:
        await site.put(conn, 1, "practice_phone", "")
    sent = await sage.post(NEW, data=hidden(page, title="x"))
    assert sent.status_code == 422
    assert "no value for {phone}" in sent.text
    assert 'href="#wording"' in sent.text
    async with database.single() as conn:
        assert await outreach.campaigns(conn, 1) == []


async def test_a_channel_that_is_not_set_up_says_so(sage: Client, due: Records) -> None:
    page = await sage.get(f"{NEW}&channel=email")
    assert "has not set up this channel" in page.text
    assert "Confirm" not in page.text


async def test_a_list_that_has_changed_is_shown_again(
    sage: Client, due: Records, database: Database, clock: Clock
) -> None:
    page = await sage.get(NEW)
    await due.commit([Put(validate(woman("eva")), "eva")])
    await worker.drain(database, clock)
    sent = await sage.post(NEW, data=hidden(page, title="x"))
    assert sent.status_code == 409
    assert "The list has changed" in sent.text


async def test_nobody_selected_is_said(sage: Client, app: Any) -> None:
    assert "Nobody can be contacted" in (await sage.get("/campaigns/new?rule=none")).text


async def test_a_doubt_is_decided_and_an_answer_kept(
    sage: Client, due: Records, database: Database, clock: Clock
) -> None:
    address = await begun(sage)
    page = await sage.get(address)
    await sage.post(address, data={"csrf": token_of(page), "do": "letters"})
    async with database.single() as conn:
        await conn.execute("UPDATE outreach_message SET state = 'doubt' WHERE patient = 'ada'")
    page = await sage.get(address)
    assert "May have been sent" in page.text
    assert "1 may have been sent" in page.text
    token = token_of(page)
    assert (await sage.post(address, data={"csrf": token, "do": "sent", "patient": "ada"})).status_code == 303
    none = await sage.post(address, data={"csrf": token, "do": "answer", "patient": "ada", "answer": ""})
    assert none.status_code == 422
    assert 'href="#answer-ada"' in none.text
    kept = await sage.post(
        address, data={"csrf": token, "do": "answer", "patient": "ada", "answer": "declined"}
    )
    assert kept.status_code == 303
    assert "Does not want it" in (await sage.get(f"{address}?stage=answered")).text


async def test_a_campaign_is_stopped(sage: Client, due: Records) -> None:
    address = await begun(sage)
    token = token_of(await sage.get(address))
    assert (await sage.post(address, data={"csrf": token, "do": "stop"})).status_code == 303
    assert "Stopped" in (await sage.get(address)).text
    assert (await sage.post(address, data={"csrf": token, "do": "letters"})).status_code == 409
    assert (await sage.post(address, data={"csrf": token, "do": "eat"})).status_code == 422
    assert (await sage.get("/campaigns/none")).status_code == 404


async def test_templates_are_changed_by_administrators_and_checked(sign_in: SignIn, sage: Client) -> None:
    assert "Administrators change templates" in (await sage.get("/templates")).text
    root = await sign_in("root")
    page = await root.get("/templates?edit=reminder/sms/en/plain")
    new = {
        "csrf": token_of(page), "name": "reminder", "channel": "sms", "language": "en", "level": "plain", "subject": "",
        "general": "Call {practice}: {checks}", "detail": "",
    }  # fmt: skip
    wrong = await root.post("/templates", data=new)
    assert wrong.status_code == 422
    assert 'href="#general"' in wrong.text
    assert "others may read this text" in wrong.text
    kept = await root.post("/templates", data=new | {"general": "Please call {practice} at {phone}."})
    assert kept.status_code == 303
    assert "Please call {practice} at {phone}." in (await sage.get("/templates")).text
    assert (
        await sage.post("/templates", data=new | {"csrf": token_of(await sage.get("/account"))})
    ).status_code == 403


async def test_wishes_are_kept_in_the_record(sage: Client, due: Records) -> None:
    page = await sage.get("/patients/ada/contact-preferences")
    assert 'id="in-sms" name="in-sms" value="yes" checked' in page.text
    form = {"csrf": token_of(page), "vid": re.findall(r'name="vid" value="(\d+)"', page.text)[0]}
    wrong = await sage.post(
        "/patients/ada/contact-preferences", data=form | {"preferred": "sms", "out-sms": "yes"}
    )
    assert wrong.status_code == 422
    assert 'href="#preferred"' in wrong.text
    kept = await sage.post("/patients/ada/contact-preferences", data=form | {"out-all": "yes"})
    assert kept.status_code == 303
    assert "asked not to be reminded" in (await sage.get(NEW)).text
    stale = await sage.post("/patients/ada/contact-preferences", data=form)
    assert stale.status_code == 412


async def test_the_digest_names_todays_patients(sage: Client, due: Records, clock: Clock) -> None:
    assert "No appointment is recorded for today" in (await sage.get("/digest")).text
    await due.commit([Put(validate(appointment("a1", "ada", "2026-11-18T14:30:00Z")), "a1")])
    page = (await sage.get("/digest")).text
    assert "<b>1</b> patient today, <b>1</b> with something due" in page
    assert "14:30" in page
    assert "Colorectal cancer screening" in page


async def test_the_desk_contacts_nobody(sign_in: SignIn, due: Records) -> None:
    desk = await sign_in("desk")
    for address in ("/campaigns", NEW, "/templates", "/digest"):
        assert (await desk.get(address)).status_code == 403
    assert 'href="/campaigns"' not in (await desk.get("/patients")).text


async def test_a_patient_sees_nothing_of_any_campaign(sign_in: SignIn, sage: Client, due: Records) -> None:
    address = await begun(sage, "Secret title")
    await sage.post(address, data={"csrf": token_of(await sage.get(address)), "do": "letters"})
    ines = await sign_in("ines")
    for path in ("/campaigns", address, f"{address}/letters", NEW, "/templates", "/digest"):
        page = await ines.get(path)
        assert page.status_code in (403, 404), path
        assert "Secret title" not in page.text


def appointment(id: str, patient: str, start: str, status: str = "booked") -> dict[str, Any]:
    return {
        "resourceType": "Appointment", "id": id, "status": status, "start": start, "end": start.replace(":30", ":45"),
        "participant": [{"actor": {"reference": f"Patient/{patient}"}, "status": "accepted"}],
    }  # fmt: skip
