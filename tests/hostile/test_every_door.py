"""What holds at every page, whoever builds it next: by enumeration of the routes (hostile list A1, A35, B9, C1, F7, F9, G11, J3)."""

from __future__ import annotations

import re

import httpx
from starlette.applications import Starlette

from commonchart.record.database import Database
from commonchart.web.routes import SHARED, SHARED_POST
from tests.hostile.conftest import OPEN, SignedIn, filled, forms, pages
from tests.web.conftest import token_of

HERS = ("HALLOWBROOK", "Hallowbrook", "004 417 726", "E11.22", "Mill Lane")
"""What stands in the record of Inés and nowhere else."""


def portal(path: str) -> bool:
    return path == "/me" or path.startswith("/me/")


def private(paths: list[str]) -> list[str]:
    return [path for path in paths if not path.startswith(OPEN)]


def told(answer: httpx.Response, *asked: str) -> tuple[int, str, list[tuple[str, str]]]:
    """What an answer gives away: its status, text and headers, the asked ids and the page's own token aside."""
    text = re.sub(r'(name="csrf" value=")[^"]+', r"\1", answer.text)
    kept = [(n, v) for n, v in answer.headers.items() if n not in ("content-length", "set-cookie", "date")]
    for id in asked:
        text = text.replace(id, "ID")
        kept = [(name, value.replace(id, "ID")) for name, value in kept]
    return answer.status_code, text, kept


async def test_nothing_opens_without_signing_in(whole: Starlette, signed_in: SignedIn) -> None:
    stranger = await signed_in()
    wrong = []
    for path in private(pages(whole)):
        answer = await stranger.get(filled(path))
        leads = answer.headers.get("location", "")
        if (
            answer.status_code != 303
            or not leads.startswith("/sign-in")
            or any(h in answer.text for h in HERS)
        ):
            wrong.append(("GET", path, answer.status_code))
    for path in private(forms(whole)):
        answer = await stranger.post(filled(path), data={"csrf": "x"})
        if answer.status_code != 303 or not answer.headers["location"].startswith("/sign-in"):
            wrong.append(("POST", path, answer.status_code))
    assert wrong == []


async def test_no_form_of_another_site_is_taken(whole: Starlette, signed_in: SignedIn) -> None:
    sage, ines = await signed_in("sage"), await signed_in("ines")
    good = {"sage": token_of(await sage.get("/account")), "ines": token_of(await ines.get("/me/you"))}
    wrong = []
    for path in private(forms(whole)):
        name, client = ("ines", ines) if portal(path) else ("sage", sage)
        for data, headers in (
            ({}, {}),
            ({"csrf": "x" * 43}, {}),
            ({"csrf": good[name]}, {"sec-fetch-site": "cross-site"}),
        ):
            answer = await client.post(filled(path), data=data, headers=headers)
            if answer.status_code != 403:
                wrong.append((path, data.keys(), answer.status_code))
    assert wrong == []


async def test_a_hidden_chart_answers_like_an_unknown_one(whole: Starlette, signed_in: SignedIn) -> None:
    """For somebody of another organisation, at every address of a chart, read or sent to."""
    kim = await signed_in("kim", role="clinician", org="birch")
    csrf = token_of(await kim.get("/account"))
    wrong = []
    for path in pages(whole):
        if "{patient}" in path or "{one}" in path:
            hidden = await kim.get(filled(path))
            unknown = await kim.get(filled(path, patient="nobody", one="nobody"))
            if told(hidden, "ines") != told(unknown, "nobody") or any(h in hidden.text for h in HERS):
                wrong.append(("GET", path, hidden.status_code, unknown.status_code))
    for path in forms(whole):
        if "{patient}" in path or "{one}" in path:
            hidden = await kim.post(filled(path), data={"csrf": csrf})
            unknown = await kim.post(filled(path, patient="nobody", one="nobody"), data={"csrf": csrf})
            if told(hidden, "ines") != told(unknown, "nobody") or any(h in hidden.text for h in HERS):
                wrong.append(("POST", path, hidden.status_code, unknown.status_code))
    assert wrong == []


async def test_no_other_page_tells_of_a_hidden_patient(whole: Starlette, signed_in: SignedIn) -> None:
    kim = await signed_in("kim", role="clinician", org="birch")
    quinn = await signed_in("quinn", role="administrator", org="birch")
    wrong = []
    for path in pages(whole):
        if "{patient}" in path or portal(path):
            continue
        for client, query in ((kim, "?q=hallowbrook"), (kim, "?patient=ines"), (quinn, "")):
            answer = await client.get(filled(path) + query)
            shown = answer.text.replace("hallowbrook", "")
            if answer.status_code >= 500 or any(h in shown for h in HERS):
                wrong.append((path, query, answer.status_code))
    assert wrong == []


async def test_patients_and_staff_keep_to_their_own_pages(whole: Starlette, signed_in: SignedIn) -> None:
    """A patient gets no page of the practice, not even about themselves; staff none of the portal."""
    sage, ines = await signed_in("sage"), await signed_in("ines")
    shared = {*SHARED, *SHARED_POST}
    wrong = []
    for path in private(pages(whole)):
        if path not in shared:
            client = sage if portal(path) else ines
            answer = await client.get(filled(path))
            if answer.status_code not in (403, 404) or (not portal(path) and "E11.22" in answer.text):
                wrong.append((path, answer.status_code))
    assert wrong == []


async def test_every_page_about_a_patient_is_in_the_trail(
    whole: Starlette, signed_in: SignedIn, database: Database
) -> None:
    """Census (J3): one request, at least one event that names the patient; and reading twice is told twice."""
    sage, ines = await signed_in("sage"), await signed_in("ines")
    wrong, looked = [], 0
    for path in pages(whole):
        if "{patient}" not in path and not portal(path):
            continue
        client = ines if portal(path) else sage
        before = await _events(database)
        answer = await client.get(filled(path))
        shown = answer.status_code == 200 and ("Inés" in answer.text or answer.headers["content-type"] != "text/html; charset=utf-8")  # fmt: skip
        looked += shown
        if shown and await _events(database) == before:
            wrong.append(path)
    assert wrong == []
    assert looked > 40, looked


async def _events(database: Database) -> int:
    async with database.single() as conn:
        rows = await conn.fetch("SELECT count(*) FROM audit WHERE 'ines' = ANY(patients)", ())
    return int(rows[0][0])


async def test_a_header_does_not_say_who_asks(whole: Starlette, signed_in: SignedIn) -> None:
    """J5, C1: nobody becomes somebody else, or comes from elsewhere, by what they write."""
    stranger = await signed_in()
    forged = {
        "x-user": "root", "x-remote-user": "root", "remote-user": "root", "x-forwarded-user": "root", "x-tenant": "2", "x-role": "administrator",
        "x-original-url": "/sign-in", "x-rewrite-url": "/sign-in", "x-forwarded-host": "evil.example", "x-http-method-override": "GET",
    }  # fmt: skip
    for path in ("/patients/ines", "/reports/access", "/fhir/Patient/ines"):
        answer = await stranger.get(path, headers=forged)
        assert answer.status_code in (303, 401), path
        assert "evil.example" not in str(answer.headers) + answer.text
