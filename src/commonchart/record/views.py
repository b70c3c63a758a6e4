"""Saved filters of the registry: one user's, or shared in their organisation. A deleted one is kept, so that it can be brought back."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from commonchart.record.database import Connection

_COLUMNS = "tenant, id, owner, org, shared, name, filters, at, deleted_at, counted, counted_at"


class View(Struct, frozen=True):
    """One saved filter; `filters` is JSON. `counted` is how many rows fitted at `counted_at`."""

    tenant: int
    id: str
    owner: str
    org: str
    shared: bool
    name: str
    filters: str
    at: datetime
    deleted_at: datetime | None = None
    counted: int | None = None
    counted_at: datetime | None = None


async def put(conn: Connection, view: View) -> None:
    """Keep it as it is now."""
    await conn.execute(
        f"INSERT INTO registry_view ({_COLUMNS}) VALUES ({', '.join(['%s'] * 11)}) ON CONFLICT (tenant, id) DO UPDATE SET "
        "shared = excluded.shared, name = excluded.name, filters = excluded.filters, deleted_at = excluded.deleted_at, "
        "counted = excluded.counted, counted_at = excluded.counted_at",
        tuple(getattr(view, name) for name in _COLUMNS.split(", ")),
    )


async def one(conn: Connection, tenant: int, id: str) -> View | None:
    """A saved filter, deleted or not."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM registry_view WHERE tenant = %s AND id = %s", (tenant, id)
    )
    return View(*rows[0]) if rows else None


async def listed(conn: Connection, tenant: int, owner: str, org: str) -> list[View]:
    """Those that a user made for an organisation, and those shared in it, by name."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM registry_view WHERE tenant = %s AND deleted_at IS NULL AND (owner = %s OR shared) AND org = %s "
        "ORDER BY lower(name), id",
        (tenant, owner, org),
    )
    return [View(*row) for row in rows]


async def living(conn: Connection, tenant: int) -> list[View]:
    """Everybody's."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM registry_view WHERE tenant = %s AND deleted_at IS NULL ORDER BY id",
        (tenant,),
    )
    return [View(*row) for row in rows]


async def default(conn: Connection, tenant: int, user: str) -> str:
    """The id of the view that a user opens the registry with, "" for none."""
    rows = await conn.fetch(
        "SELECT view FROM registry_default WHERE tenant = %s AND user_id = %s", (tenant, user)
    )
    return rows[0][0] if rows else ""


async def set_default(conn: Connection, tenant: int, user: str, view: str) -> None:
    """From now on the registry opens with this one; "" for none."""
    await conn.execute(
        "INSERT INTO registry_default (tenant, user_id, view) VALUES (%s, %s, %s) "
        "ON CONFLICT (tenant, user_id) DO UPDATE SET view = excluded.view",
        (tenant, user, view),
    )
