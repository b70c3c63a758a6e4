"""The pages over the audit trail, for those who answer for privacy."""

from __future__ import annotations

import csv
import io

import pytest

from commonchart.record.database import Database
from commonchart.web.clinician.access_reports import _plain
from tests.web.conftest import Client, SignIn


@pytest.fixture
async def root(sign_in: SignIn) -> Client:
    return await sign_in("root")


async def test_the_report(root: Client) -> None:
    page = (await root.get("/reports/access")).text
    assert "signed in" in page
    again = (await root.get("/reports/access?kind=sign-ins&sort=actor&order=up")).text
    assert 'aria-sort="ascending"' in again
    assert "No such event" in (await root.get("/reports/access?since=01-Jan-2001&until=02-Jan-2001")).text


async def test_the_same_as_csv(root: Client) -> None:
    answer = await root.get("/reports/access/csv?kind=all")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert "sign-in" in {row["action"] for row in rows}


def test_a_spreadsheet_takes_nothing_for_a_formula() -> None:
    assert _plain("=1+1") == "'=1+1"
    assert _plain("@x") == "'@x"
    assert _plain("code=1") == "code=1"


@pytest.mark.parametrize(
    "query", ["kind=odd", "sort=odd", "since=soon", "since=02-Jan-2026&until=01-Jan-2026"]
)
async def test_what_cannot_be_asked(root: Client, query: str) -> None:
    assert (await root.get(f"/reports/access?{query}")).status_code in (400, 422)


async def test_nothing_unusual(root: Client) -> None:
    assert "Nothing unusual" in (await root.get("/reports/access/unusual")).text


async def test_patients_are_named_where_a_line_or_a_report_is_about_one(
    root: Client, sage: Client, database: Database
) -> None:
    async with database.dedicated(owner=True) as conn:
        await conn.execute(b"UPDATE app_user SET name = 'Sage Hallowbrook' WHERE login = 'sage'")
    assert (await sage.get("/patients/ines")).status_code == 200
    row = (await root.get("/reports/access/unusual")).text.split("same family name")[1].split("</tr>")[0]
    assert '<a href="/patients/ines">HALLOWBROOK, Inés' in row
    heading = (await root.get("/reports/access?patient=ines")).text.split("</h1>")[1].split("</span>")[0]
    assert "HALLOWBROOK, Inés" in heading
    assert "one patient" in (await root.get("/reports/access?patient=nobody")).text


@pytest.mark.parametrize("path", ["/reports/access", "/reports/access/csv", "/reports/access/unusual"])
async def test_others_are_refused(sage: Client, path: str) -> None:
    assert (await sage.get(path)).status_code == 403
    assert 'href="/reports/access"' not in (await sage.get("/patients")).text
