"""What a site has decided for itself and may change at any time: small named texts, kept per tenant."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncConnection

MODE = "mode"
NAME = "name"
SMTP = "smtp_url"
SMTP_LOGIN_FILE = "smtp_password_file"


async def get(conn: AsyncConnection[Any], tenant: int, key: str, default: str = "") -> str:
    """The site's value of `key`, `default` when it has said nothing."""
    found = await conn.execute("SELECT value FROM site_setting WHERE tenant = %s AND key = %s", [tenant, key])
    row = await found.fetchone()
    return default if row is None else str(row[0])


async def put(conn: AsyncConnection[Any], tenant: int, key: str, value: str) -> None:
    """Decide: from now on `key` is `value`."""
    await conn.execute(
        "INSERT INTO site_setting (tenant, key, value) VALUES (%s, %s, %s) "
        "ON CONFLICT (tenant, key) DO UPDATE SET value = excluded.value",
        [tenant, key, value],
    )


def settle(url: str, tenant: int, mode: str) -> None:
    """Make a mode that was only configured the site's own: what organisations share is decided in the database."""
    if mode != "network":
        return
    with psycopg.connect(url, connect_timeout=10) as conn:
        conn.execute(
            "INSERT INTO site_setting (tenant, key, value) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [tenant, MODE, mode],
        )
