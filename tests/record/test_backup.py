from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.fhir.outcome import Conflict, Invalid, Malformed, Refused, Unsupported
from commonchart.record import backup
from commonchart.record.archive.container import Kind, Writer, blocks
from commonchart.record.archive.tables import Counting, Sum
from commonchart.record.database import Database
from commonchart.record.embedded import reached
from commonchart.record.upgrade import current, head
from tests.access.sealing.trails import Trail
from tests.conftest import Clock

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
AWKWARD = "tab\there, line\nbreak, back\\slash, \\N, quote'\" and Zoë 🩺"


@pytest.fixture
def filled(database_url: str) -> str:
    """A database with a little of everything that is awkward to copy."""
    with psycopg.connect(database_url) as conn:
        conn.execute(
            "INSERT INTO resource (pk, tenant, rtype, id, vid, recorded, org, actor, tokens, date_lo, body) "
            "SELECT n, 1, 'Observation', 'o' || n, 1, %s, 'org', 'actor', ARRAY[n, -n], "
            "'0001-01-01 00:00:00+00', %s || n || repeat('x', (n * 7919) %% 6000) FROM generate_series(1, 5000) n",
            [NOW, AWKWARD],
        )
        conn.execute(
            "INSERT INTO app_user (id, tenant, login, name, role, org, created) "
            "VALUES ('u', 1, 'ada', %s, 'clinician', 'org', %s)",
            [AWKWARD, NOW],
        )
        conn.execute(
            "INSERT INTO membership (id, tenant, actor, org, role, asked, since) VALUES ('m', 1, 'u', 'org', 'clinician', %s, %s)",
            [NOW, NOW],
        )
        conn.execute(
            "INSERT INTO credential (sha256, kind, actor, client, created, expires, used) "
            "VALUES ('\\x00ff', 'token', 'u', 'c', %s, 'infinity', %s)",
            [NOW, NOW],
        )
        conn.execute(
            "INSERT INTO change (xid, tenant, pk, rtype, id, vid, org, recorded, op) "
            "SELECT (900000000000 + n %% 7)::text::xid8, 1, n, 'Observation', 'o' || n, 1, 'org', %s, 'create' "
            "FROM generate_series(1, 50) n",
            [NOW],
        )
        conn.execute(
            "INSERT INTO change_cursor VALUES ('due', '900000000003', 20, %s), ('new', '0', 0, NULL)", [NOW]
        )
        conn.execute(
            "INSERT INTO audit (at, tenant, actor, role, org, client, purpose, action, patients) "
            "VALUES (%s, 1, 'u', 'clinician', 'org', 'web', 'TREAT', 'read', ARRAY['p, 1', NULL, ''])",
            [NOW],
        )
    return database_url


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "secret").write_text("ab" * 32)
    return folder


@pytest.fixture
def emptied(empty_database: Any) -> Iterator[str]:
    name = empty_database.create()
    yield empty_database.url(name)
    empty_database.drop(name)


@pytest.fixture
def saved(filled: str, data: Path, tmp_path: Path) -> Path:
    target = tmp_path / "a.backup"
    backup.make(filled, data, target, now=NOW, program="test")
    return target


def content(
    url: str, *, leave_out: tuple[str, ...] = ("alembic_version", "change", "change_cursor")
) -> dict[str, Any]:
    with psycopg.connect(url) as conn:
        names = [
            row[0] for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        return {
            name: sorted(row[0] for row in conn.execute(f"SELECT (to_jsonb(t) - 'xid')::text FROM {name} t"))
            for name in names
            if name not in leave_out
        }


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_the_drill(filled: str, data: Path, emptied: str, tmp_path: Path, passphrase: bytes | None) -> None:
    target, new = tmp_path / "a.backup", tmp_path / "new"
    new.mkdir()
    made = backup.make(filled, data, target, now=NOW, program="test", passphrase=passphrase)
    restored = backup.restore(target, emptied, new, passphrase=passphrase)
    assert restored == made
    assert made.rows == 5000 + 1 + 1 + 1 + 50 + 2 + 1
    assert content(emptied) == content(filled)
    assert (new / "secret").read_text() == "ab" * 32
    assert current(emptied) == head()


def test_the_feed_goes_on_where_it_was(filled: str, saved: Path, emptied: str, tmp_path: Path) -> None:
    """No cursor skips a change it has not seen, and new changes come after all that were restored."""
    with psycopg.connect(filled) as conn:
        unseen = "SELECT c.seq FROM change c, change_cursor k WHERE k.name = 'due' AND (c.xid, c.seq) > (k.xid, k.seq)"
        before = {row[0] for row in conn.execute(unseen)}
    backup.restore(saved, emptied, tmp_path)
    with psycopg.connect(emptied) as conn:
        after = {row[0] for row in conn.execute(unseen)}
        conn.execute(
            "INSERT INTO change (tenant, pk, rtype, id, vid, org, recorded, op) VALUES (1, 1, 'P', 'new', 1, '', now(), 'c')"
        )
        last = conn.execute("SELECT id FROM change ORDER BY xid DESC, seq DESC LIMIT 1").fetchone()
        future = conn.execute(
            "SELECT count(*) FROM change WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()) AND id <> 'new'"
        )
        assert future.fetchone() == (0,)
    assert before
    assert before <= after
    assert last == ("new",)


def test_numbers_go_on_after_the_largest(saved: Path, emptied: str, tmp_path: Path) -> None:
    backup.restore(saved, emptied, tmp_path)
    with psycopg.connect(emptied) as conn:
        row = conn.execute(
            "INSERT INTO audit (at, tenant, actor, role, org, client, purpose, action) "
            "VALUES (now(), 1, '', '', '', '', '', '') RETURNING seq > (SELECT max(seq) FROM audit)"
        ).fetchone()
    assert row == (True,)


async def test_the_trail_is_sealed_on_where_it_was(
    database: Database, emptied: str, clock: Clock, tmp_path: Path
) -> None:
    """What was sealed verifies in the restored record, and what was not yet is sealed there, once."""
    old = Trail(database, tmp_path / "keys")
    for sealed in (True, True, False):
        await old.note(3, clock())
        if sealed:
            kept = await old.seal(clock())
    with psycopg.connect(database.url) as conn:  # transaction numbers beyond those of the new cluster
        conn.execute("UPDATE audit SET xid = (900000000000 + seq)::text::xid8")
        conn.execute("UPDATE audit_seal SET upto_xid = '900000000006' WHERE n = 2")
    await asyncio.to_thread(backup.make, database.url, tmp_path, tmp_path / "a", now=NOW, program="test")
    await asyncio.to_thread(backup.restore, tmp_path / "a", emptied, tmp_path)
    new = Trail(await Database.open(emptied), tmp_path / "keys")
    await new.note(1, clock())
    assert (await new.verify(kept)).unsealed == 4
    await new.seal(clock())
    report = await new.verify(kept)
    await new.database.close()
    assert report.sound
    assert (report.events, report.unsealed) == (10, 0)


def test_one_moment_while_others_write(filled: str, data: Path, emptied: str, tmp_path: Path) -> None:
    """Pairs that are only ever written together are never apart in the backup."""
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(filled) as conn:
            n = 0
            while not stop.is_set():
                n += 1
                conn.execute("INSERT INTO site_setting VALUES (9, %s, 'x')", [str(n)])
                conn.execute("INSERT INTO recent_patient VALUES (9, 'u', %s, now())", [str(n)])
                conn.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(3):
            backup.make(filled, data, tmp_path / f"{n}.backup", now=NOW, program="test")
    finally:
        stop.set()
        writer.join()
    backup.restore(tmp_path / "2.backup", emptied, tmp_path)
    with psycopg.connect(emptied) as conn:
        pairs = conn.execute(
            "SELECT (SELECT count(*) FROM site_setting WHERE tenant = 9), (SELECT count(*) FROM recent_patient)"
        ).fetchone()
    assert pairs is not None
    assert pairs[0] == pairs[1] > 0


def test_a_file_is_never_overwritten_and_a_failure_leaves_none(
    filled: str, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(Conflict):
        backup.make(filled, data, tmp_path / "there", now=NOW, program="test")
    with pytest.raises(Refused):
        backup.make("host=/nowhere", data, tmp_path / "b", now=NOW, program="test")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "there"]
    assert (tmp_path / "there").read_text() == "mine"


def test_the_passphrase_is_needed_and_must_be_right(filled: str, data: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.backup"
    backup.make(filled, data, target, now=NOW, program="test", passphrase=b"right")
    assert b"Observation" not in target.read_bytes()
    with pytest.raises(Invalid, match="encrypted"):
        backup.verify(target)
    with pytest.raises(Invalid, match="passphrase"):
        backup.verify(target, passphrase=b"wrong")


def test_a_database_with_a_record_is_not_restored_into(saved: Path, filled: str, tmp_path: Path) -> None:
    before = content(filled)
    with pytest.raises(Conflict, match="already"):
        backup.restore(saved, filled, tmp_path)
    assert content(filled) == before


def test_what_is_no_backup_or_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\x03\x04")
    with pytest.raises(Malformed, match="not a backup"):
        backup.verify(tmp_path / "x")
    (tmp_path / "y").write_bytes(b"COMMONCHART BACKUP 2\n{}\n")
    with pytest.raises(Unsupported, match="newer"):
        backup.verify(tmp_path / "y")


def test_a_backup_of_a_newer_schema_is_refused(filled: str, data: Path, emptied: str, tmp_path: Path) -> None:
    with psycopg.connect(filled) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    backup.make(filled, data, tmp_path / "a", now=NOW, program="test")
    with pytest.raises(Conflict, match="newer"):
        backup.restore(tmp_path / "a", emptied, tmp_path)
    assert current(emptied) is None


@pytest.mark.parametrize("passphrase", [None, b"p"])
def test_any_cut_and_any_changed_byte_is_noticed(
    database_url: str, data: Path, tmp_path: Path, passphrase: bytes | None
) -> None:
    target = tmp_path / "a"
    made = backup.make(database_url, data, target, now=NOW, program="test", passphrase=passphrase)
    whole = target.read_bytes()
    places = [*range(0, len(whole), 1 + len(whole) // (4 if passphrase else 60)), len(whole) - 1]
    for place in places:
        for changed in (
            whole[:place],
            whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
            whole + b"x",
        ):
            target.write_bytes(changed)
            with pytest.raises(Refused):
                backup.verify(target, passphrase=passphrase)
    target.write_bytes(whole)
    assert backup.verify(target, passphrase=passphrase) == made


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=20).map(lambda row: row.replace(b"\n", b"")), max_size=8), st.data())
def test_a_sum_knows_the_rows_and_neither_their_order_nor_how_they_were_cut(
    rows: list[bytes], data: Any
) -> None:
    def summed(some: list[bytes], size: int) -> Sum:
        counting = Counting("t")
        whole = b"".join(row + b"\n" for row in some)
        for start in range(0, len(whole), size):
            counting.add(whole[start : start + size])
        return counting.sum()

    whole = summed(rows, 1000)
    assert whole.rows == len(rows)
    assert summed(data.draw(st.permutations(rows)), data.draw(st.integers(1, 30))) == whole
    assert summed([*rows, b"one more"], 7) != whole
    if rows:
        assert summed([*rows[1:], rows[0] + b"!"], 7) != whole


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([Kind.FILE, Kind.ROWS]), st.binary(max_size=200)), max_size=6))
def test_blocks_come_back_as_they_were_written(written: list[tuple[Kind, bytes]]) -> None:
    file = io.BytesIO()
    writer = Writer(file, None)
    for kind, payload in written:
        writer.write(kind, payload)
    writer.end()
    file.seek(0)
    assert list(blocks(file, None)) == written


@pytest.mark.parametrize(
    "move", [lambda b: [b[1], b[0], b[2]], lambda b: [b[0], b[0], b[2]], lambda b: [b[0], b[2]]]
)
def test_encrypted_blocks_cannot_be_moved_doubled_or_left_out(
    move: Callable[[list[bytes]], list[bytes]],
) -> None:
    file = io.BytesIO()
    writer = Writer(file, b"p")
    start = file.tell()
    ends = [start]
    for payload in (b"one", b"two"):
        writer.write(Kind.ROWS, payload)
        ends.append(file.tell())
    writer.end()
    whole = file.getvalue()
    pieces = [whole[a:b] for a, b in zip(ends, [*ends[1:], len(whole)], strict=True)]
    forged = io.BytesIO(whole[:start] + b"".join(move(pieces)))
    with pytest.raises(Refused):
        list(blocks(forged, b"p"))


def commonchart(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from commonchart.cli import main; main()", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={"PATH": "/usr/bin:/bin", **env}
    )


def test_the_commands_from_folder_to_folder(tmp_path: Path) -> None:
    old, new, target = tmp_path / "old", tmp_path / "new one", tmp_path / "kept.backup"
    (tmp_path / "phrase").write_text("open sesame\n")
    assert commonchart("mode", "network", "--data", str(old)).stdout == "network\n"
    phrase = ["--passphrase-file", str(tmp_path / "phrase")]
    made = commonchart("backup", str(target), *phrase, "--data", str(old))
    assert made.returncode == 0, made.stderr
    assert "read back whole" in made.stdout

    refused = commonchart("restore", str(target), "--data", str(new))
    assert refused.returncode == 1
    assert "encrypted" in refused.stderr
    assert not new.exists()

    restored = commonchart("restore", str(target), *phrase, "--data", str(new))
    assert restored.returncode == 0, restored.stderr
    assert commonchart("mode", "--data", str(new)).stdout == "network\n"
    assert (new / "secret").read_text() == (old / "secret").read_text()

    again = commonchart("restore", str(target), *phrase, "--data", str(new))
    assert again.returncode == 1
    assert "not empty" in again.stderr


def test_an_interrupted_restore_is_not_taken_for_a_record(saved: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    (new / "restoring" / "postgres").mkdir(parents=True)
    with pytest.raises(Conflict, match="interrupted"), reached(new):
        pass
    assert commonchart("restore", str(saved), "--data", str(new)).returncode == 0
    with reached(new) as url, psycopg.connect(url) as conn:
        assert conn.execute("SELECT count(*) FROM resource").fetchone() == (5000,)


def test_a_database_given_by_address_is_backed_up_and_restored_into(
    filled: str, emptied: str, tmp_path: Path
) -> None:
    target, data = tmp_path / "a.backup", tmp_path / "data"
    made = commonchart("backup", str(target), "--data", str(tmp_path / "old"), DATABASE_URL=filled)
    assert made.returncode == 0, made.stderr
    restored = commonchart("restore", str(target), "--data", str(data), DATABASE_URL=emptied)
    assert restored.returncode == 0, restored.stderr
    came, was = content(emptied), content(filled)
    changed = {name for name in was if came[name] != was[name]}
    assert changed == {
        "audit",
        "audit_rest",
        "credential",
        "privacy_notice",
    }  # that nobody returns, and who is told
    assert [json.loads(row)["revoked"] is None for row in came["credential"]] == [False] * len(
        was["credential"]
    )
    assert set(was["audit"]) < set(came["audit"])
    assert {json.loads(row)["action"] for row in set(came["audit"]) - set(was["audit"])} == {"restore"}
    again = commonchart("restore", str(target), "--data", str(tmp_path / "other"), DATABASE_URL=emptied)
    assert again.returncode == 1
    assert "already" in again.stderr
