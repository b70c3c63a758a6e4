"""Covers as rows, and who works here: users who may look at results, by organisation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from commonchart.record.database import Connection

_COVER = "tenant, id, absent, cover, begins, ends, why, set_by, set_at, ended_by, org"


class Cover(Struct, frozen=True):
    """Somebody (`cover`) looks at the results of somebody else (`absent`), users both, from `begins` to `ends` (excluded).

    `org` is the organisation for which it was arranged.
    """

    tenant: int
    id: str
    absent: str
    cover: str
    begins: datetime
    ends: datetime
    why: str
    set_by: str
    set_at: datetime
    ended_by: str = ""
    org: str = ""


class Colleague(Struct, frozen=True):
    """A user who may look at results, for one organisation: who works for two stands here twice."""

    id: str
    name: str
    role: str
    org: str
    practitioner: str
    login: str


async def put(conn: Connection, one: Cover) -> None:
    """Keep a new cover."""
    names = _COVER.split(", ")
    await conn.fetch(
        f"INSERT INTO inbox_cover ({_COVER}) VALUES ({', '.join(['%s'] * len(names))})",
        tuple(getattr(one, name) for name in names),
    )


async def known(conn: Connection, tenant: int, since: datetime) -> list[Cover]:
    """Covers that end after `since`, the first to begin first."""
    rows = await conn.fetch(
        f"SELECT {_COVER} FROM inbox_cover WHERE tenant = %s AND ends > %s ORDER BY begins, id",
        (tenant, since),
    )
    return [Cover(*row) for row in rows]


async def current(conn: Connection, tenant: int, now: datetime) -> list[Cover]:
    """Covers of this moment."""
    return [one for one in await known(conn, tenant, now) if one.begins <= now]


async def end(conn: Connection, tenant: int, id: str, now: datetime, by: str) -> Cover | None:
    """A cover ends now; None where there is none that could."""
    rows = await conn.fetch(
        "UPDATE inbox_cover SET ends = greatest(begins, %s), ended_by = %s WHERE tenant = %s AND id = %s AND ends > %s "
        f"RETURNING {_COVER}",
        (now, by, tenant, id, now),
    )
    return Cover(*rows[0]) if rows else None


async def colleagues(
    conn: Connection, tenant: int, roles: Sequence[str] = ("clinician", "administrator")
) -> list[Colleague]:
    """The active users of these roles, by name, once for each organisation."""
    rows = await conn.fetch(
        "SELECT u.id, u.name, m.role, m.org, coalesce(u.practitioner, ''), u.login FROM app_user u JOIN membership m "
        "ON m.actor = u.id WHERE u.tenant = %s AND u.active AND m.since IS NOT NULL AND m.ended IS NULL AND m.role = ANY(%s) "
        "ORDER BY u.name, u.id, m.org",
        (tenant, list(roles)),
    )
    return [Colleague(*row) for row in rows]


async def names(conn: Connection, tenant: int, ids: Sequence[str]) -> dict[str, str]:
    """User id -> name, of those who have left too."""
    rows = await conn.fetch(
        "SELECT id, name FROM app_user WHERE tenant = %s AND id = ANY(%s)", (tenant, list(ids))
    )
    return {row[0]: row[1] for row in rows}
