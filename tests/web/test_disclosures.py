"""Accounting of disclosures as pages: for staff who answer for privacy, and for the patient."""

from __future__ import annotations

import csv
import io

from msgspec.structs import replace

from commonchart.access import audit, users
from commonchart.access.actors import Actor
from commonchart.record import site as decisions
from commonchart.record.database import Database
from commonchart.web import session
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn

NORTH = Actor(1, "nora", "Nora", "clinician", "northgate", "web", "HRESCH", network=True)


async def test_both_doors_tell_what_went_outside(
    sign_in: SignIn, sage: Client, database: Database, clock: Clock
) -> None:
    async with database.connection() as conn:
        await decisions.put(conn, 1, "mode", "network")
        await audit.note(conn, NORTH, clock(), "read", rtype="Observation", patients=["ines"])
        await audit.note(
            conn, replace(NORTH, purpose="TREAT"), clock(), "read", rtype="Condition", patients=["ines"]
        )
    session.forget_sites()
    root, me = await sign_in("root"), await sign_in("ines")
    for client, path in ((root, "/patients/ines/disclosures"), (me, "/me/disclosures")):
        page = (await client.get(path)).text
        assert "Northgate General Hospital" in page
        assert "research" in page
        assert "problems and diagnoses" not in page
        assert "1 line of treatment, payment or operations" in page
        assert "problems and diagnoses" in (await client.get(f"{path}?all=yes")).text
        assert "Nothing" in (await client.get(f"{path}?until=01-Jan-2026")).text
        answer = await client.get(f"{path}?since=soon")
        assert answer.status_code == 422
        assert '<a href="#since">A day looks like' in answer.text
        rows = list(csv.DictReader(io.StringIO((await client.get(f"{path}.csv?all=yes")).text)))
        assert {row["purpose"] for row in rows} == {"research", "treatment"}
    assert (await sage.get("/patients/ines/disclosures")).status_code == 403
    assert "/patients/ines/disclosures" in (await root.get("/patients/ines/consents")).text
    assert "/patients/ines/disclosures" not in (await sage.get("/patients/ines/consents")).text
    assert users.id_of("nora") not in (await me.get("/me/disclosures")).text
