"""Sensitive labels on pages: chips beside what carries them, and the page that says what labels what."""

from __future__ import annotations

from typing import Any

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn
from tests.web.people import about, condition

CHIP = '<span class="tag" title="A sensitive label: it decides who sees this">HIV</span>'


async def test_a_label_is_shown_beside_what_carries_it_and_beside_what_is_made_of_it(
    sage: Client, sign_in: SignIn, database: Database, clock: Clock
) -> None:
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=False), clock)
    hiv = condition("hiv", "Zebrafinch", "B20", "2024")
    test: dict[str, Any] = about(
        "Observation",
        "seen",
        status="final",
        code={"coding": [{"system": "http://loinc.org", "code": "56888-1"}]},
    )
    report = about(
        "DiagnosticReport",
        "made",
        status="final",
        code={"text": "Panel"},
        result=[{"reference": "Observation/seen"}],
    )
    await loader.commit([Put(validate(one), str(one["id"])) for one in (hiv, test, report)])
    listed = (await sage.get("/patients/ines/conditions")).text
    assert CHIP in listed.split("Zebrafinch")[1][:400]
    assert listed.count(CHIP) == 1
    assert CHIP in (await sage.get("/patients/ines/facts/Condition/hiv")).text
    assert CHIP in (await sage.get("/patients/ines/facts/DiagnosticReport/made")).text
    assert CHIP not in (await sage.get("/patients/ines/facts/Condition/c1")).text
    assert (await sage.get("/labels")).status_code == 403
    root = await sign_in("root")
    page = (await root.get("/labels")).text
    assert "B97.35" in page
    assert "Only by a consent that names it, not in an emergency either" in page
    counted = (await root.get("/labels?count=yes")).text
    assert '<td class="n">3</td>' in counted.split('<th scope="row">HIV')[1].split("</tr>")[0]
