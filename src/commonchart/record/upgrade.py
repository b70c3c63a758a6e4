"""Bring a database's schema to the newest version: one numbered file of SQL per step, expand and contract only.

Two processes may start at once: an advisory lock makes the second wait, then find nothing to do.
"""

from __future__ import annotations

from importlib.resources import files
from types import ModuleType
from typing import TYPE_CHECKING

import psycopg
from msgspec import Struct
from psycopg.conninfo import make_conninfo

from commonchart.fhir.outcome import Busy, Conflict, Invalid

if TYPE_CHECKING:
    from alembic.script import Script

OLDEST = 15
LOCK = 7_266_366_247_001


class Version(Struct, frozen=True):
    """One step: its number ("0001"), the step before it, and its SQL."""

    revision: str
    before: str | None
    sql: str


def versions() -> tuple[Version, ...]:
    """Every step in order. The file name is the number, an underscore and a word: `0001_first.sql`."""
    found = sorted(
        (entry.name[:4], entry.read_text("utf-8"))
        for entry in files("commonchart.record.migrations").joinpath("versions").iterdir()
        if entry.name.endswith(".sql")
    )
    before = [None, *(revision for revision, _ in found)]
    return tuple(
        Version(revision, earlier, sql) for earlier, (revision, sql) in zip(before, found, strict=False)
    )


def head() -> str:
    """The number of the newest step this program knows."""
    return max(
        entry.name[:4]
        for entry in files("commonchart.record.migrations").joinpath("versions").iterdir()
        if entry.name.endswith(".sql")
    )


def current(url: str) -> str | None:
    """The step the database is at; None when it is empty. Raises Busy when it cannot be reached."""
    with _connected(url) as conn:
        return _current(conn)


def migrate(url: str, *, to: str = "") -> bool:
    """Bring the database at `url` to `head()`, or only to the step `to`; says whether anything had to be done.

    Raises Conflict when the database was written by a newer Commonchart, Busy when it cannot be reached, Invalid when
    it is too old, not in UTF-8, or the user may not make what is needed.
    Alembic is imported only when there is something to do.
    """
    goal = to or head()
    if (_known(current(url)) or "") >= goal:
        return False
    with _connected(url) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        conn.commit()
        at = _known(_current(conn)) or ""
        conn.rollback()
        if at >= goal:
            return False
        _upgrade(url, at, goal)
    return True


def _known(at: str | None) -> str | None:
    if at is not None and at > head():
        raise Conflict(
            f"These data were written by a newer Commonchart (schema {at}; this program knows {head()}). "
            "Upgrade the program, or restore a backup made by this one."
        )
    return at


def _connected(url: str) -> psycopg.Connection[tuple[object, ...]]:
    try:
        conn = psycopg.connect(make_conninfo(url, connect_timeout=10, application_name="commonchart upgrade"))
    except psycopg.OperationalError as error:
        said = str(error).partition("FATAL:")[2] or str(error).partition("\n")[0].rpartition("failed: ")[2]
        raise Busy(f"The database cannot be reached: {said.strip()}") from error
    unfit = _unfit(conn.info.server_version, conn.info.parameter_status("server_encoding"))
    if unfit:
        conn.close()
        raise Invalid(unfit)
    return conn


def _unfit(version: int, encoding: str | None) -> str:
    if version < OLDEST * 10_000:
        return f"The database is PostgreSQL {version // 10_000}; Commonchart needs {OLDEST} or later"
    if encoding != "UTF8":
        return f"The database is in {encoding}; Commonchart needs one in UTF8: CREATE DATABASE ... ENCODING 'UTF8'"
    return ""


def _current(conn: psycopg.Connection[tuple[object, ...]]) -> str | None:
    row = conn.execute("SELECT to_regclass('alembic_version')").fetchone()
    if row is None or row[0] is None:
        return None
    version = conn.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if version is None else str(version[0])


def _upgrade(url: str, at: str, goal: str) -> None:
    from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
    from alembic.script.revision import RevisionMap
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        scripts = [_script(version, raw) for version in versions()]
        chain = RevisionMap(lambda: scripts)
        assert chain.heads == (head(),)

        def pending(_rev: object, _context: object) -> list[MigrationStep]:
            return [RevisionStep(chain, script, True) for script in scripts if at < script.revision <= goal]

        context = MigrationContext.configure(
            connection, opts={"fn": pending, "transaction_per_migration": True}
        )
        context.run_migrations()
        connection.commit()


def _run(raw: psycopg.Connection[tuple[object, ...]], sql: str) -> None:
    try:
        raw.execute(sql.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise Invalid(f"The database cannot be prepared: {error.diag.message_primary}") from error


def _script(version: Version, raw: psycopg.Connection[tuple[object, ...]]) -> Script:
    from alembic.script import Script

    module = ModuleType(f"commonchart.record.migrations.v{version.revision}")
    module.__dict__.update(
        revision=version.revision,
        down_revision=version.before,
        upgrade=lambda: _run(raw, version.sql),
    )
    return Script(module, version.revision, f"{version.revision}.sql")
