"""Every way to change the trail behind the program's back is found, and what is sound is called sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg
import pytest

from commonchart.access.sealing import checkpoints, keys, sealer
from commonchart.access.sealing.checkpoints import Checkpoint
from commonchart.access.sealing.verifying import Numbers, Report
from commonchart.fhir.outcome import Malformed
from commonchart.record.database import Database
from tests.access.sealing.trails import Trail
from tests.conftest import Clock

REMAKE = "UPDATE audit_seal SET digests = %s, head = %s WHERE n = %s"


@pytest.fixture
async def trail(database: Database, tmp_path: Path, clock: Clock) -> Trail:
    """Nine events under three seals."""
    made = Trail(database, tmp_path / "keys")
    for _ in range(3):
        await made.note(3, clock())
        await made.seal(clock.advance(seconds=1))
    return made


def said(report: Report) -> list[str]:
    return [f"{f.about} {f.wrong}" for f in report.findings]


async def test_a_sound_trail_is_sound(trail: Trail, clock: Clock) -> None:
    await trail.note(2, clock())
    report = await trail.verify()
    assert report.sound
    assert (report.seals, report.events, report.unsealed, report.oldest) == (3, 9, 2, clock.now)
    assert await trail.seal(clock())
    assert (await trail.verify()).unsealed == 0


async def test_nothing_to_seal_makes_no_seal(trail: Trail, clock: Clock) -> None:
    assert await sealer.seal(trail.database, trail.signer, clock()) is None


COLUMNS = {
    "at": "at + interval '1 microsecond'", "actor": "'other'", "patients": "ARRAY['bo']", "query": "'1.1'", "detail": "'x'",
    "outcome": "8", "tenant": "2", "role": "'x'", "org": "'x'", "client": "'x'", "purpose": "'x'", "action": "'x'",
    "rtype": "NULL", "id": "'x'", "vid": "9",
}  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
async def test_an_edited_event_is_named(trail: Trail, column: str) -> None:
    assert trail.tamper(f"UPDATE audit SET {column} = {COLUMNS[column]} WHERE seq = 5") == 1
    assert said(await trail.verify()) == ["event 5 was edited after it was sealed (seal 2)"]


async def test_a_deleted_event_is_named(trail: Trail) -> None:
    assert trail.tamper("DELETE FROM audit WHERE seq = 5") == 1
    assert said(await trail.verify()) == ["event 5 was deleted (seal 2)"]


async def test_an_event_inserted_behind_a_seal_is_named(trail: Trail) -> None:
    again = "INSERT INTO audit SELECT 500, '3', at, tenant, actor, role, org, client, purpose, action FROM audit WHERE seq = 2"
    trail.tamper(again)
    assert said(await trail.verify()) == [
        "event 500 was inserted: it stands behind a seal that does not cover it"
    ]


async def test_an_event_inserted_under_a_number_that_is_taken(trail: Trail) -> None:
    trail.tamper(
        "INSERT INTO audit SELECT seq, xid, at + interval '1 day', tenant, actor, role, org, client, purpose, action "
        "FROM audit WHERE seq = 2"
    )
    report = await trail.verify()
    assert not report.sound
    assert "event 2 is there twice: one of them was inserted" in said(report)


async def test_events_in_another_order_are_named(trail: Trail) -> None:
    trail.tamper("UPDATE audit SET id = CASE id WHEN 'o0' THEN 'o2' ELSE 'o0' END WHERE seq IN (4, 6)")
    assert [f.about for f in (await trail.verify()).findings] == ["event 4", "event 6"]


async def test_a_seal_that_was_made_to_fit_has_no_signature(trail: Trail) -> None:
    """Who edits an event and works out the seal again cannot sign it, nor link it to the seals that follow."""
    trail.tamper("UPDATE audit SET actor = 'other' WHERE seq = 5")
    with psycopg.connect(trail.database.url) as conn:
        rows = conn.execute(
            "SELECT seq, at, tenant, actor, role, org, client, purpose, action, outcome, rtype, id, vid, patients, query, "
            "detail FROM audit WHERE seq BETWEEN 4 AND 6 ORDER BY seq"
        ).fetchall()
        row = conn.execute("SELECT before FROM audit_seal WHERE n = 2").fetchone()
        assert row
        from commonchart.access.sealing import chain

        digests = b"".join(chain.digest(one) for one in rows)
        conn.execute(REMAKE, [digests, chain.head(bytes(row[0]), 2, digests), 2])
    assert said(await trail.verify()) == [
        "seal 2 was changed: its signature is not by its key",
        "seal 3 does not follow from the seal before it",
    ]


async def test_a_trail_signed_again_with_a_key_of_ones_own(
    trail: Trail, tmp_path: Path, clock: Clock
) -> None:
    """Somebody empties the seals and makes new ones: the checkpoints kept elsewhere say otherwise, and nobody knows the key."""
    kept = await checkpoint(trail)
    trail.tamper("UPDATE audit SET actor = 'other' WHERE seq = 5")
    trail.tamper("DELETE FROM audit_seal")
    forger = Trail(trail.database, tmp_path / "forged")
    await forger.seal(clock())
    assert said(await trail.verify())[0].startswith("seal 1 is signed by the key")
    report = await forger.verify(kept)
    assert [f.about for f in report.findings] == ["seal 2"]
    assert "before checkpoint 3" in report.findings[0].wrong


async def checkpoint(trail: Trail) -> Checkpoint:
    async with trail.database.single() as conn:
        seal = await sealer.newest(conn)
    assert seal
    return checkpoints.of(seal, keys.known(trail.folder)[seal.key])


async def test_a_seal_taken_out_of_the_middle(trail: Trail) -> None:
    trail.tamper("DELETE FROM audit_seal WHERE n = 2")
    wrong = said(await trail.verify())
    assert wrong[0] == "seal 2 is missing"
    assert "event 4 was inserted: it stands behind a seal that does not cover it" in wrong


async def test_an_end_cut_off_is_found_up_to_the_last_checkpoint(trail: Trail, clock: Clock) -> None:
    kept = await checkpoint(trail)
    trail.tamper("DELETE FROM audit_seal WHERE n = 3")
    trail.tamper("DELETE FROM audit WHERE seq > 6")
    assert (await trail.verify()).sound  # nothing inside says so: hence the checkpoints
    assert said(await trail.verify(kept)) == [
        "seal 3 is missing: the end was cut off, 3 events before checkpoint 3"
    ]
    await trail.note(3, clock())
    await trail.seal(clock())
    assert said(await trail.verify(kept)) == [
        "checkpoint 3 says otherwise than seal 3: the trail was rewritten up to there"
    ]


async def test_everything_thrown_away(trail: Trail) -> None:
    kept = await checkpoint(trail)
    trail.tamper("TRUNCATE audit, audit_seal")
    assert said(await trail.verify(kept)) == [
        "seal 1 is missing: the end was cut off, 9 events before checkpoint 3"
    ]


async def test_a_forged_checkpoint_does_not_stand(trail: Trail) -> None:
    kept = msgspec.structs.replace(await checkpoint(trail), total=8)
    assert said(await trail.verify(kept)) == ["checkpoint 3 is not signed by the key it names"]
    assert not msgspec.structs.replace(kept, head="zz").stands()


async def test_rotation_keeps_old_seals_and_checkpoints_valid(trail: Trail, clock: Clock) -> None:
    kept = await checkpoint(trail)
    keys.rotate(trail.folder)
    await trail.note(1, clock())
    new = await trail.seal(clock())
    assert new.public != kept.public
    assert (await trail.verify(kept, new)).sound


async def test_late_commits_are_sealed_and_not_called_inserted(trail: Trail, clock: Clock) -> None:
    """A number is drawn before its transaction commits: what commits late waits for its turn."""
    with psycopg.connect(trail.database.url) as slow:
        slow.execute(
            "INSERT INTO audit (at, tenant, actor, role, org, client, purpose, action) VALUES (now(), 1, '', '', '', '', '', 'slow')"
        )
        await trail.note(2, clock())
        assert await sealer.seal(trail.database, trail.signer, clock()) is None
        assert (await trail.verify()).sound
        slow.commit()
    assert (await trail.seal(clock())).total == 12
    report = await trail.verify()
    assert report.sound
    assert report.events == 12


def test_numbers_are_a_set() -> None:
    made = Numbers()
    given: Sequence[int] = [0, 7, 8, 65_535, 65_536, 10**12]
    assert all(made.add(n) for n in given)
    assert not any(made.add(n) for n in given)
    assert all(n in made for n in given)
    assert 9 not in made
    assert 2 * 10**12 not in made


def test_a_file_that_holds_no_checkpoints_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"n": 1}\n')
    with pytest.raises(Malformed, match="line 1"):
        checkpoints.read(path)
