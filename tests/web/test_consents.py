"""Consents at the chart: taken down by form, in words, decided on at once, withdrawn and put back; what others would see."""

from __future__ import annotations

import re
from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record import site as decisions
from commonchart.record.database import Database
from commonchart.web import session
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, Client, SignIn, token_of
from tests.web.people import condition

NEW = "/patients/ines/consents/new"
WHOLE = {
    "decision": "permit", "whom": "organization", "organization": "northgate", "what": "all", "purpose": "treat", "how": "paper",
    "given": "2026-11-01", "paper": "consent folder",
}  # fmt: skip
SUD = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}]}


def loader(database: Database, clock: Clock, org: str = "alder") -> Records:
    return Records(database, Actor(1, "loader", "L", "system", org, "test", network=True), clock)


@pytest.fixture
async def shared(app: Any, database: Database, clock: Clock) -> None:
    """A network: Nora of Northgate General, with a condition of Inés that is labelled (42 CFR part 2) at Alder."""
    async with database.connection() as conn:
        await decisions.put(conn, 1, "mode", "network")
    await users.create(
        database, tenant=1, login="nora", name="Nora North", role="clinician", org="northgate", now=clock(), password=PASSWORD,
        practitioner="nora",
    )  # fmt: skip
    sud = condition("sud", "Opioid use", "F11.20", "2024")
    await loader(database, clock).commit([Put(validate(sud), "sud")])
    session.forget_sites()


async def sent(client: Client, path: str, **fields: str) -> Any:
    return await client.post(path, data={"csrf": token_of(await client.get(path)), **fields})


def first_id(page: str) -> str:
    found = re.search(r"consents/([0-9a-f-]{36})", page)
    assert found
    return found[1]


async def test_a_consent_is_taken_down_at_the_desk_and_holds_at_once(
    shared: None, sign_in: SignIn, clock: Clock
) -> None:
    desk, nora = await sign_in("desk"), await sign_in("nora")
    await nora.get("/patients/ines")
    assert (await sent(desk, NEW, **(WHOLE | {"decision": "deny"}))).status_code == 303
    assert (await nora.get("/patients/ines")).status_code == 404
    listed = (await desk.get("/patients/ines/consents")).text
    assert "Denies Northgate General Hospital everything, for treatment" in listed
    assert "Paper: consent folder" in listed
    one = f"/patients/ines/consents/{first_id(listed)}"
    version = {"vid": re.search(r'name="vid" value="(\d+)"', (await desk.get(one)).text)[1]}  # type: ignore[index]
    assert "Say how and why it was withdrawn" in (await sent(desk, one, do="withdraw", **version)).text
    assert (await sent(desk, one, do="withdraw", reason="told us on the phone", **version)).status_code == 303
    assert (await sent(desk, NEW, **WHOLE)).status_code == 303
    assert (await nora.get("/patients/ines")).status_code == 200
    page = (await desk.get("/patients/ines/consents")).text
    assert "told us on the phone" in page
    again = await sent(desk, one, do="back", vid="1")
    assert again.status_code == 412
    version = {"vid": re.search(r'name="vid" value="(\d+)"', again.text)[1]}  # type: ignore[index]
    assert (await sent(desk, one, do="back", **version)).status_code == 303
    assert (await nora.get("/patients/ines")).status_code == 404  # as deep, and they disagree: denied


WRONG: list[tuple[dict[str, str], str, str]] = [
    ({"organization": ""}, "organization", "Choose which one"),
    (
        {"decision": "deny", "organization": "alder"},
        "organization",
        "does not shut out the organisation that treats",
    ),
    (
        {"whom": "role", "role": "nurse", "organization": ""},
        "organization",
        "Choose the organisation whose people",
    ),
    ({"what": "parts"}, "part-problems", "Tick the parts"),
    ({"part-results": "yes"}, "what", "Parts are ticked"),
    ({"what": "protected"}, "label-part2", "Tick what is meant"),
    ({"from": "2026-12-01", "until": "2026-11-30"}, "until", "before the beginning"),
    ({"paper": ""}, "paper", "Say where the signed paper is kept"),
    ({"part2": "yes", "how": "spoken"}, "how", "in writing"),
    ({"part2": "yes", "purpose": "any"}, "purpose", "names its purpose"),
    ({"given": "2030-01-01"}, "given", "must not be in the future"),
    ({"organization": "nobody"}, "organization", "choose one from the list"),
    ({"how": ""}, "how", "Choose the form of the consent"),
]


async def test_what_does_not_go_together_is_said_at_its_field(sign_in: SignIn) -> None:
    desk = await sign_in("desk")
    for wrong, at, words in WRONG:
        answer = await sent(desk, NEW, **(WHOLE | wrong))
        assert answer.status_code == 422, wrong
        assert re.search(rf'<li><a href="#{at}">[^<]*{words}', answer.text), wrong


async def test_what_they_would_see_is_told_by_the_engine_that_decides(
    shared: None, sign_in: SignIn, sage: Client, database: Database, clock: Clock
) -> None:
    look = "/patients/ines/would-see?organization=northgate&purpose=TREAT"
    assert (
        "does not treat the patient"
        in (await sage.get("/patients/ines/would-see?organization=meridian")).text
    )
    await sent(sage, NEW, **WHOLE)
    before = (await sage.get(look)).text
    assert "Opioid use" in before.split("crosses to another organisation only")[1]
    assert "Clinicians of Northgate General Hospital, for treatment" in before
    await sent(sage, NEW, **(WHOLE | {"part2": "yes"}))
    after = (await sage.get(look)).text
    assert "Opioid use" not in after
    nora = await sign_in("nora")
    assert (await nora.get("/patients/ines/facts/Condition/sud")).status_code == 200
    await sent(
        sage, NEW, **(WHOLE | {"decision": "deny", "whom": "person", "person": "nora", "purpose": "any"})
    )
    person = users.id_of("nora")
    denied = (await sage.get(f"/patients/ines/would-see?user={person}")).text
    assert "Denied by a consent" in denied
    assert "The consent</a>" in denied
    assert (await nora.get("/patients/ines")).status_code == 404
    for bad in (
        "user=nobody",
        "role=king",
        "organization=none",
        "user=x&role=nurse",
        "purpose=FUN&role=nurse",
    ):
        assert (await sage.get(f"/patients/ines/would-see?{bad}")).status_code == 422, bad


async def test_the_notice_goes_with_a_consent_by_part_2(shared: None, sage: Client) -> None:
    await sent(sage, NEW, **(WHOLE | {"part2": "yes"}))
    page = (await sage.get("/patients/ines/consents")).text
    assert "42 CFR part 2 prohibits unauthorized use or disclosure of these records." in page
    assert (
        "Permits Northgate General Hospital to see what is labelled Substance use treatment (42 CFR part 2)"
        in page
    )


async def test_what_is_not_understood_waits_for_the_privacy_officer(
    shared: None, sage: Client, sign_in: SignIn, database: Database, clock: Clock
) -> None:
    odd = {
        "resourceType": "Consent", "id": "odd", "status": "active", "patient": {"reference": "Patient/ines"},
        "scope": {"coding": [{"code": "weather"}]}, "category": [{"text": "?"}], "policyRule": {"text": "?"}, "provision": {"type": "permit"},
    }  # fmt: skip
    await loader(database, clock).commit([Put(validate(odd), "odd")])
    assert "its scope is not known here" in (await sage.get("/patients/ines/consents")).text
    assert (await sage.get("/reports/consents")).status_code == 404
    root = await sign_in("root")
    page = await root.get("/reports/consents")
    assert "/patients/ines/consents/odd" in page.text
    number = page.text.split('name="notice" value="')[1].split('"')[0]
    assert (await sent(root, "/reports/consents", notice=number, do="seen")).status_code == 303
    assert "Nothing to look at" in (await root.get("/reports/consents")).text
    assert (await sent(root, "/reports/consents", notice=number, do="open")).status_code == 303
    assert "Nothing to look at" not in (await root.get("/reports/consents")).text
    assert (await sent(root, "/reports/consents", notice="1e9", do="seen")).status_code == 422


async def test_a_role_of_an_organisation_is_permitted_and_nobody_else_of_it(
    shared: None, sage: Client, database: Database, clock: Clock, sign_in: SignIn
) -> None:
    await users.create(
        database, tenant=1, login="ned", name="Ned", role="nurse", org="meridian", now=clock(), password=PASSWORD
    )  # fmt: skip
    await users.create(
        database, tenant=1, login="mo", name="Mo", role="clinician", org="meridian", now=clock(), password=PASSWORD
    )  # fmt: skip
    answer = await sent(sage, NEW, **(WHOLE | {"whom": "role", "role": "nurse", "organization": "meridian"}))
    assert answer.status_code == 303
    assert (
        "Permits nurses of Meridian Laboratory to see everything"
        in (await sage.get("/patients/ines/consents")).text
    )
    assert (await (await sign_in("ned")).get("/patients/ines")).status_code == 200
    assert (await (await sign_in("mo")).get("/patients/ines")).status_code == 404


async def test_who_may_not_read_consents_is_refused(
    shared: None, database: Database, clock: Clock, sign_in: SignIn
) -> None:
    await users.create(
        database, tenant=1, login="lou", name="Lou Lab", role="lab", org="alder", now=clock(), password=PASSWORD
    )  # fmt: skip
    lou = await sign_in("lou")
    for path in ("/patients/ines/consents", "/patients/ines/would-see?role=nurse", NEW):
        assert (await lou.get(path)).status_code == 403, path


QUIET = "Some information is not shown to you."


async def test_that_something_is_not_shown_is_said_only_where_it_may_be(
    shared: None, sage: Client, sign_in: SignIn, database: Database, clock: Clock
) -> None:
    await sent(sage, NEW, **WHOLE)
    nora = await sign_in("nora")
    for path in ("", "/medications", "/allergies", "/results", "/medication-check"):
        page = (await nora.get(f"/patients/ines{path}")).text
        assert QUIET not in page, (
            path
        )  # what is labelled for 42 CFR part 2 is hidden, and not even that is said
    assert "Opioid use" not in (await nora.get("/patients/ines/conditions")).text
    await sent(
        sage,
        NEW,
        **(
            WHOLE
            | {
                "decision": "deny",
                "what": "parts",
                "part-allergies": "yes",
                "part-results": "yes",
                "purpose": "any",
            }
        ),
    )
    for path, said in (
        ("", True),
        ("/allergies", True),
        ("/results", True),
        ("/medication-check", True),
        ("/medications", False),
    ):
        page = (await nora.get(f"/patients/ines{path}")).text
        assert (QUIET in page) is said, path
        assert ('<a href="/emergency">break the glass</a>' in page) is said, path
    assert QUIET not in (await sage.get("/patients/ines")).text
    await users.create(
        database, tenant=1, login="fay", name="Fay", role="front-desk", org="northgate", now=clock(), password=PASSWORD
    )  # fmt: skip
    fay = await sign_in("fay")
    assert QUIET not in (await fay.get("/patients/ines")).text
