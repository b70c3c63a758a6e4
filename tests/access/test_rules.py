"""Who may change rules and what that does: versions, use, approval, all with their trace, all or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from commonchart.access import rule_previews, rules, users
from commonchart.access.records import Records
from commonchart.care.editions import Edition
from commonchart.care.rules import built_in
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound, Refused
from commonchart.jobs import rule_previews as working
from commonchart.record import rules as record
from commonchart.record.database import Database
from commonchart.record.rules import Choice
from tests.actors import clinician, front_desk
from tests.conftest import Clock

BOX = built_in()


@pytest.fixture
def records(database: Database, clock: Clock) -> Records:
    return Records(database, clinician(), clock)


def edition(rule: str = "breast", **changes: Any) -> Edition:
    return Edition(structs.replace(BOX.by_id[rule], version="draft", review="needed", **changes))


async def drafted(records: Records, n: int = 1, **changes: Any) -> None:
    made = await rules.draft(records, edition(**({"soon_days": n} | changes)), "Local policy", "box", n - 1)
    assert made.n == n


async def trail(database: Database) -> list[tuple[str, str, str]]:
    async with database.connection() as conn:
        cursor = await conn.execute(
            "SELECT action, id, detail FROM audit WHERE action LIKE '%rule%' OR action LIKE '%approval%' ORDER BY seq"
        )
        return [tuple(row) for row in await cursor.fetchall()]  # type: ignore[misc]


async def in_use(database: Database) -> tuple[str, int]:
    async with database.connection() as conn:
        found = (await record.active(conn, 1)).pack.by_id["breast"]
        return found.version, found.soon_days


async def test_versions_are_used_and_gone_back_from_with_their_trace(
    records: Records, database: Database
) -> None:
    await drafted(records)
    assert await in_use(database) == ("2", 60)
    await rules.activate(records, "breast", Choice("site", 1), "Agreed", 0, anyway=True)
    assert await in_use(database) == ("site.1", 1)
    await drafted(records, 2)
    await rules.activate(records, "breast", Choice("site", 2), "Agreed again", 1, anyway=True)
    assert await in_use(database) == ("site.2", 2)
    assert await rules.rollback(records, "breast", "Too many", 2) == Choice("site", 1)
    assert await in_use(database) == ("site.1", 1)
    await rules.activate(records, "breast", Choice("box"), "As it was", 3, anyway=True)
    assert await in_use(database) == ("2", 60)
    sheet = await rules.sheet(records, "breast")
    assert [one.why for one in sheet.uses] == ["As it was", "Too many", "Agreed again", "Agreed"]
    assert [(one.n, one.why, one.author_name) for one in sheet.versions] == [
        (2, "Local policy", clinician().name), (1, "Local policy", clinician().name),
    ]  # fmt: skip
    assert await trail(database) == [
        ("draft-rule", "breast", "site.1"), ("activate-rule", "breast", "site.1"), ("draft-rule", "breast", "site.2"),
        ("activate-rule", "breast", "site.2"), ("roll-back-rule", "breast", "site.1"), ("activate-rule", "breast", "box"),
    ]  # fmt: skip


async def test_nothing_is_kept_of_what_is_refused(records: Records, database: Database) -> None:
    wrong: list[Any] = [
        rules.draft(records, edition(excluded_by=("no-such-set",)), "x", "box", 0),
        rules.draft(records, edition(), "", "box", 0),
        rules.draft(records, edition(), "y" * 501, "box", 0),
        rules.draft(records, edition(), "x", "box", 3),
        rules.draft(records, edition(), "x", "", 0, new=True),
        rules.activate(records, "breast", Choice("site", 1), "x", 0, anyway=True),
        rules.activate(records, "breast", Choice("box"), "x", 0, anyway=True),
        rules.activate(records, "breast-surveillance", Choice("off"), "x", 0, anyway=True),
        rules.activate(records, "nothing", Choice("off"), "x", 0, anyway=True),
        rules.rollback(records, "breast", "x", 0),
        rules.approve(records, "breast", "77", "x"),
        rules.approve(records, "breast", "2", " "),
        rules.approve(records, "colorectal", BOX.by_id["colorectal"].version, "x"),
        rules.withdraw(records, "breast", "2", "x"),
        rule_previews.begin(records, "breast", Choice("site", 9)),
    ]
    for one in wrong:
        with pytest.raises((Invalid, Conflict, NotFound)):
            await one
    assert await trail(database) == []
    async with database.connection() as conn:
        for table in ("site_rule", "rule_use", "rule_approval", "rule_preview"):
            cursor = await conn.execute(f"SELECT count(*) FROM {table}")
            assert await cursor.fetchone() == (0,)


async def test_only_who_may(database: Database, clock: Clock) -> None:
    desk, patient = (
        Records(database, front_desk(), clock),
        Records(database, structs.replace(clinician(), role="patient", patient="ada"), clock),
    )
    for somebody in (desk, patient):
        for act in (
            rules.library(somebody), rules.sheet(somebody, "breast"), rules.draft(somebody, edition(), "x", "box", 0),
            rules.activate(somebody, "breast", Choice("off"), "x", 0, anyway=True), rules.rollback(somebody, "breast", "x", 0),
            rules.approve(somebody, "breast", "2", "x"), rules.withdraw(somebody, "breast", "2", "x"),
            rule_previews.begin(somebody, "breast", Choice("off")),
        ):  # fmt: skip
            with pytest.raises((Forbidden, NotFound)):
                await act
    for other in (
        users.system(1, "program"),
        structs.replace(clinician(), role="administrator"),
        structs.replace(clinician(), name=" "),
    ):
        with pytest.raises(Forbidden, match="by name"):
            await rules.approve(Records(database, other, clock), "breast", "2", "x")
    administrator = Records(database, structs.replace(clinician(), role="administrator"), clock)
    await drafted(administrator)
    await rules.activate(administrator, "breast", Choice("site", 1), "x", 0, anyway=True)


async def test_somebody_elses_decision_is_not_run_over(records: Records) -> None:
    await drafted(records)
    await rules.activate(records, "breast", Choice("site", 1), "x", 0, anyway=True)
    for act in (
        rules.activate(records, "breast", Choice("off"), "x", 0, anyway=True),
        rules.rollback(records, "breast", "x", 0),
        rules.draft(records, edition(soon_days=9), "x", "box", 0),
    ):
        with pytest.raises(Conflict, match="Somebody else"):
            await act


async def test_a_version_is_not_used_unseen(records: Records, database: Database, clock: Clock) -> None:
    await drafted(records)
    use = lambda seq=0: rules.activate(records, "breast", Choice("site", 1), "x", seq)  # noqa: E731

    async def refused(words: str) -> None:
        with pytest.raises(Invalid, match=words) as found:
            await use()
        assert found.value.issues[0].at == "anyway"

    await refused("no preview has been made")
    await rule_previews.begin(records, "breast", Choice("off"))
    await refused("of another version")
    await rule_previews.begin(records, "breast", Choice("site", 1))
    await refused("not finished")
    while await working.lane(database, clock):
        pass
    clock.advance(days=8)
    await refused("more than 7 days old")
    clock.advance(days=-8)
    await rules.activate(records, "tobacco", Choice("off"), "x", 0, anyway=True)
    await refused("rules in use have been changed")
    await rules.rollback(records, "tobacco", "x", 1)
    await use()
    assert await in_use(database) == ("site.1", 1)


async def test_an_approval_is_for_one_version(records: Records, clock: Clock) -> None:
    await rules.approve(records, "breast", "2", "Read it")
    assert (await rules.sheet(records, "breast")).entry.standing == "approved"
    await drafted(records)
    await rules.activate(records, "breast", Choice("site", 1), "x", 0, anyway=True)
    assert (await rules.sheet(records, "breast")).entry.standing == "needed"
    clock.advance(hours=1)
    await rules.approve(records, "breast", "site.1", "Read our change")
    assert (await rules.sheet(records, "breast")).entry.standing == "approved"
    with pytest.raises(Conflict):
        await rules.approve(records, "breast", "site.1", "Twice")
    await rules.withdraw(records, "breast", "site.1", "It was wrong")
    sheet = await rules.sheet(records, "breast")
    assert sheet.entry.standing == "needed"
    assert [(one.approval.version, bool(one.approval.withdrawn), one.withdrawn_why) for one in sheet.approvals] == [
        ("site.1", True, "It was wrong"), ("2", False, ""),
    ]  # fmt: skip


async def test_a_site_rule_that_no_longer_fits_is_said_and_the_box_is_used(
    records: Records, database: Database
) -> None:
    await drafted(records)
    await rules.activate(records, "breast", Choice("site", 1), "x", 0, anyway=True)
    async with database.connection() as conn:
        await conn.execute("UPDATE site_rule SET body = replace(body, 'breasts-absent', 'gone-from-the-box')")
    assert await in_use(database) == ("2", 60)
    entry = next(one for one in await rules.library(records) if one.rule.id == "breast")
    assert "gone-from-the-box" in entry.unused
    async with database.connection() as conn:
        await conn.execute("UPDATE site_rule SET body = 'no toml'")
    assert await in_use(database) == ("2", 60)


async def test_another_tenant_has_its_own_rules(records: Records, database: Database, clock: Clock) -> None:
    await drafted(records)
    await rules.activate(records, "breast", Choice("site", 1), "x", 0, anyway=True)
    other = Records(database, structs.replace(clinician(), tenant=2), clock)
    assert (await rules.sheet(other, "breast")).entry.rule.version == "2"
    assert (await rules.sheet(other, "breast")).versions == ()
    with pytest.raises(Refused):
        await rule_previews.of_rule(other, "breast")
