"""The login that the program works with: it owns nothing, so that not even RESET ROLE makes a statement the owner's.

It may take on the roles of `record.bounds` and has no rights of its own. On the embedded PostgreSQL it is made here and let
in by the socket alone; on any other its address is a setting (docs/how-to/own-postgresql.md). See decision 0034.
"""

from __future__ import annotations

import psycopg
from psycopg.conninfo import make_conninfo

from commonchart.record.bounds import PATIENT_ROLE, PROGRAM_ROLE, ROLE

LOGIN = "commonchart_login"
LOCK = 7_266_366_247_004
_HELD = "SELECT count(*) FROM unnest(%s::text[]) AS r WHERE pg_has_role(%s, r, 'MEMBER')"
_ROLES = [ROLE, PROGRAM_ROLE, PATIENT_ROLE]


def made(url: str) -> str:
    """The address of a migrated database for the login, which is made if it is not there. `url` is a superuser's."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        if conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (LOGIN,)).fetchone() is None:
            conn.execute(
                f"CREATE ROLE {LOGIN} LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
            )
        held = conn.execute(_HELD, (_ROLES, LOGIN)).fetchone()
        if held is None or held[0] < len(_ROLES):
            conn.execute(f"GRANT {', '.join(_ROLES)} TO {LOGIN}")
    return make_conninfo(url, user=LOGIN)


def owns(url: str) -> bool:
    """Whether whoever connects here owns the tables, or is a superuser, and so could undo every wall."""
    with psycopg.connect(url, connect_timeout=10) as conn:
        found = conn.execute(
            "SELECT rolsuper OR pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'audit'::regclass), 'MEMBER') "
            "FROM pg_roles WHERE rolname = session_user"
        ).fetchone()
    return bool(found and found[0])
