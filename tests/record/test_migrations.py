from __future__ import annotations

import subprocess
import sys
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from commonchart.fhir.outcome import Busy, Conflict, Invalid
from commonchart.record.upgrade import current, head, migrate, versions


@pytest.fixture
def empty_url(empty_database: Any) -> Any:
    name = empty_database.create()
    yield empty_database.url(name)
    empty_database.drop(name)


def test_an_empty_database_is_brought_to_the_head_once(empty_url: str) -> None:
    assert current(empty_url) is None
    assert migrate(empty_url) is True
    assert current(empty_url) == head()
    assert migrate(empty_url) is False


def test_the_steps_are_numbered_without_gaps() -> None:
    assert [version.revision for version in versions()] == [f"{n:04}" for n in range(1, len(versions()) + 1)]


def test_a_database_of_a_newer_program_is_refused(empty_url: str) -> None:
    migrate(empty_url)
    with psycopg.connect(empty_url) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match="newer"):
        migrate(empty_url)


def test_two_processes_at_once_migrate_once(empty_url: str) -> None:
    program = "import sys; from commonchart.record.upgrade import migrate; print(migrate(sys.argv[1]))"
    both = [
        subprocess.Popen([sys.executable, "-c", program, empty_url], stdout=subprocess.PIPE, text=True)
        for _ in "ab"
    ]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said == ["False", "True"]
    assert current(empty_url) == head()


def test_nothing_to_do_does_not_import_alembic(database_url: str) -> None:
    program = (
        "import sys; from commonchart.record.upgrade import migrate; migrate(sys.argv[1]); "
        "print('alembic' in sys.modules or 'sqlalchemy' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, database_url], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"


def test_an_unreachable_server_is_busy(server_url: str) -> None:
    with pytest.raises(Busy, match="No such file"):
        migrate("host=/nowhere dbname=nothing")
    with pytest.raises(Busy, match="no_such_database"):
        migrate(make_conninfo(server_url, dbname="no_such_database"))


def test_a_database_in_another_encoding_is_refused(server_url: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS cctest_latin1")
        conn.execute(
            "CREATE DATABASE cctest_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"
        )
        try:
            with pytest.raises(Invalid, match="UTF8"):
                migrate(make_conninfo(server_url, dbname="cctest_latin1"))
        finally:
            conn.execute("DROP DATABASE cctest_latin1 WITH (FORCE)")


OLD = """
INSERT INTO app_user (id, tenant, login, name, role, org, practitioner, active, last_sign_in, created) VALUES
    ('s', 1, 'sage', 'Sage', 'clinician', 'alder', 'wren', true, '2026-05-01', '2025-01-01'),
    ('g', 1, 'gone', 'Gone', 'nurse', 'alder', NULL, false, NULL, '2025-01-01'),
    ('p', 1, 'ines', 'Ines', 'patient', '', NULL, true, NULL, '2025-01-01');
INSERT INTO credential (sha256, kind, actor, client, created, expires, used)
    VALUES ('a', 'session', 's', 'web', now(), now() + interval '1 hour', now()), ('b', 'token', 'p', 't', now(), 'infinity', now());
INSERT INTO app_grant (id, tenant, app, actor, scopes, created, used, expires) VALUES ('g1', 1, 'x', 's', '', now(), now(), 'infinity');
INSERT INTO draft (tenant, actor, key, body, saved) VALUES (1, 's', 'k', '{}', now());
INSERT INTO recent_patient (tenant, actor, patient, opened) VALUES (1, 's', 'ines', now());
INSERT INTO inbox_cover (tenant, id, absent, cover, begins, ends, why, set_by, set_at)
    VALUES (1, 'c', 's', 'p', now(), 'infinity', '', 's', now());
INSERT INTO outreach_digest (tenant, user_id, kind, day, state) VALUES (1, 's', 'day', '2026-05-01', 'sent');
"""


def test_who_worked_for_one_organisation_works_for_it_as_before(empty_url: str) -> None:
    """Users, their sessions, tokens and drafts of before memberships: nobody signs in anew, whoever has left stays out."""
    before = [version.revision for version in versions()].index("0028") - 1
    migrate(empty_url, to=versions()[before].revision)
    with psycopg.connect(empty_url) as conn:
        conn.execute(OLD)
    assert migrate(empty_url) is True
    with psycopg.connect(empty_url) as conn:
        works = conn.execute(
            "SELECT actor, org, role, since IS NOT NULL, used IS NOT NULL, ended IS NULL FROM membership ORDER BY actor"
        ).fetchall()
        assert works == [
            ("g", "alder", "nurse", True, False, False), ("p", "", "patient", True, False, True),
            ("s", "alder", "clinician", True, True, True),
        ]  # fmt: skip
        acts = "SELECT m.actor FROM {} k JOIN membership m ON m.id = k.membership ORDER BY 1"
        assert conn.execute(acts.format("credential")).fetchall() == [("p",), ("s",)]
        assert conn.execute(acts.format("app_grant")).fetchall() == [("s",)]
        for table in ("draft", "recent_patient", "inbox_cover", "outreach_digest"):
            assert conn.execute(f"SELECT org FROM {table}").fetchall() == [("alder",)]


def test_it_goes_no_further_than_it_was_told(empty_url: str) -> None:
    """What an old backup is restored into: the schema that it was made with."""
    assert migrate(empty_url, to="0011") is True
    assert current(empty_url) == "0011"
    assert migrate(empty_url) is True
    assert current(empty_url) == head()
