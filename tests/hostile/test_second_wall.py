"""With the first wall torn down, the second still holds: each statement asks for everything, and PostgreSQL shows its part.

Hostile list C5, B1. What is asked for stands in tests/hostile/test_labels_everywhere.py.
"""

from __future__ import annotations

import pytest
from starlette.applications import Starlette

from commonchart.access import policy
from commonchart.access.actors import Actor
from commonchart.record.database import Database
from commonchart.search.visible import Visible
from tests.conftest import Clock
from tests.hostile.conftest import SignedIn, filled, pages, peopled, program_of
from tests.hostile.test_labels_everywhere import CANARY, NUMBER, addresses, birch, without_links
from tests.web.conftest import Client

__all__ = ["birch", "peopled"]


# looks past the second wall (`access.withheld`), so that what is hidden is NOT CHECKED and not taken for absent
PAST = frozenset({"/patients/ines/medication-check"})


@pytest.fixture
def torn_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement has a condition any more, and every role may read every type."""

    def everything(self: Visible, alias: str) -> tuple[str, list[object]]:
        return f"{alias}.pk IS NOT NULL", []

    def anything(actor: Actor, action: str, rtype: str) -> bool:
        return action in policy.READ

    monkeypatch.setattr(Visible, "predicate", everything)
    monkeypatch.setattr(Visible, "due", everything)
    monkeypatch.setattr(policy, "allowed", anything)


async def test_a_label_is_kept_from_a_role_that_never_sees_it(
    birch: Client, whole: Starlette, database: Database, clock: Clock, signed_in: SignedIn, torn_down: None
) -> None:
    lab = await program_of(whole, database, clock, "lab-app", role="lab", org="birch")
    liv = await signed_in("liv", role="lab", org="birch")
    wrong, seen = [], 0
    for client, path in [(lab, a) for a in addresses()] + [(liv, filled(p)) for p in pages(whole)]:
        shown = without_links(await client.get(path))
        seen += "Hallowbrook" in shown or "HALLOWBROOK" in shown
        if path not in PAST and (CANARY.lower() in shown.lower() or NUMBER in shown):
            wrong.append(path)
    others = {path for path in addresses() if CANARY in without_links(await birch.get(path))}
    await lab.aclose()
    assert wrong == []
    assert seen > 30, seen  # Birch's laboratory sees Alder's record: the first wall is down
    assert len(others) > 15, others  # and a clinician there sees what Part 2 covers


async def test_a_patient_is_kept_to_their_own_record(
    whole: Starlette, database: Database, clock: Clock, torn_down: None
) -> None:
    blank = await program_of(
        whole, database, clock, "blank-app", role="patient", org="alder", patient="blank"
    )
    own = await blank.get("/fhir/Patient?_count=100")
    assert {one["resource"]["id"] for one in own.json()["entry"]} == {"blank"}
    for path in addresses():
        shown = without_links(await blank.get(path))
        assert "Hallowbrook" not in shown, path
        assert "HALLOWBROOK" not in shown, path
    await blank.aclose()
    clinician = await program_of(whole, database, clock, "kim-app", role="clinician", org="birch")
    assert "Hallowbrook" in (await clinician.get("/fhir/Patient/ines")).text
    await clinician.aclose()
