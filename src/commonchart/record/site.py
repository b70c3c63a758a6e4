"""What a site has decided for itself and may change at any time: small named texts, kept per tenant."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncConnection

from commonchart.record.sealed import Keys

MODE = "mode"
NAME = "name"
SMTP = "smtp_url"
SMTP_LOGIN_FILE = "smtp_password_file"
USE = "site settings"
SEALED = frozenset({SMTP, "outreach_sms_url", "outreach_voice_url", "package_registry"})
"""Addresses that may hold a password or a key, and so are sealed at rest."""


def keys_of(conn: object) -> Keys | None:
    """What seals on this connection, None for nothing."""
    found: Keys | None = getattr(conn, "keys", None)
    return found


def about(tenant: int, key: str) -> str:
    """Where a sealed setting lies: it opens nowhere else."""
    return f"{tenant} {key}"


async def get(conn: AsyncConnection[Any], tenant: int, key: str, default: str = "") -> str:
    """The site's value of `key`, `default` when it has said nothing."""
    found = await conn.execute("SELECT value FROM site_setting WHERE tenant = %s AND key = %s", [tenant, key])
    row = await found.fetchone()
    if row is None:
        return default
    keys = keys_of(conn)
    return keys.open(USE, str(row[0]), about(tenant, key)) if keys and key in SEALED else str(row[0])


async def put(conn: AsyncConnection[Any], tenant: int, key: str, value: str) -> None:
    """Decide: from now on `key` is `value`; what may hold a password is sealed."""
    keys = keys_of(conn)
    if keys and key in SEALED:
        value = keys.seal(USE, value, about(tenant, key))
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
