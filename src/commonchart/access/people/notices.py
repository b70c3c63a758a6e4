"""What somebody is told by e-mail of their own account, or of an app that they registered or look after; and when it was.

The row is committed with the act; the worker sends it. It holds no name of a person, nothing of a patient, and nothing secret.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from msgspec import Struct

from commonchart.access import credentials
from commonchart.record.changes import CHANNEL

if TYPE_CHECKING:
    from commonchart.record.database import Connection

Kind = Literal[
    "password", "factor-added", "factor-removed", "codes", "email", "browser",
    "app-waiting", "app-changing",  # to administrators
    "link-proof", "link-apps",  # to an address that may be a stranger's: a link, made when it is sent
    "app-approved", "app-refused", "app-disabled", "app-secret", "app-withdrawn", "change-approved", "change-refused",
]  # fmt: skip
KEPT = timedelta(days=30)
LINKS_KEPT = timedelta(days=2)
GIVEN_UP = timedelta(days=1)
GATHERED = timedelta(hours=1)
"""Administrators are told at most so often that apps wait."""


class Notice(Struct, frozen=True):
    """One e-mail to one address. `about` is the name of an app, `words` a reason, both empty where there is none."""

    id: str
    tenant: int
    kind: Kind
    address: str
    at: datetime
    about: str
    words: str


async def note(conn: Connection, user: str, kind: Kind, now: datetime, *, before: str = "") -> None:
    """Tell somebody, in the transaction of the connection; at the address `before` too. Without an address nobody is told.

    New recovery codes that come with a factor are told with it.
    """
    await conn.execute(
        "INSERT INTO account_notice (id, tenant, actor, kind, address, at, next_try) "
        "SELECT %s || '-' || a.n, u.tenant, u.id, %s, a.address, %s, %s FROM app_user u, "
        "unnest(ARRAY[u.email, %s]) WITH ORDINALITY AS a(address, n) WHERE u.id = %s AND a.address <> '' "
        "AND NOT (a.n = 2 AND a.address = u.email) AND NOT (%s = 'codes' AND EXISTS (SELECT 1 FROM account_notice o "
        "WHERE o.actor = u.id AND o.at = %s AND o.kind = 'factor-added'))",
        (uuid4().hex, kind, now, now, before, user, kind, now),
    )
    await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


async def to_developer(conn: Connection, app: str, kind: Kind, now: datetime, words: str = "") -> None:
    """Tell whoever registered an app, in the transaction of the connection; nobody for one of an administrator."""
    await conn.fetch(
        "INSERT INTO account_notice (id, tenant, actor, kind, address, at, next_try, about, words) "
        "SELECT %s, r.tenant, '', %s, r.email, %s, %s, a.name, %s FROM developer_registration r JOIN app a ON a.id = r.id "
        "WHERE r.id = %s AND r.proven IS NOT NULL",
        (uuid4().hex, kind, now, now, words, app),
    )
    await conn.fetch("SELECT pg_notify(%s, '')", (CHANNEL,))


async def to_administrators(conn: Connection, tenant: int, kind: Kind, now: datetime) -> None:
    """Tell every administrator that an app waits, in the transaction of the connection; of several within an hour once."""
    await conn.fetch(
        "INSERT INTO account_notice (id, tenant, actor, kind, address, at, next_try) "
        "SELECT %s || '-' || row_number() OVER (), u.tenant, u.id, %s, u.email, %s, %s FROM app_user u WHERE u.tenant = %s "
        "AND u.active AND u.email <> '' AND EXISTS (SELECT 1 FROM membership m WHERE m.actor = u.id AND m.role = 'administrator' "
        f"AND {credentials.IN_FORCE}) AND NOT EXISTS (SELECT 1 FROM account_notice o "
        "WHERE o.actor = u.id AND o.kind = %s AND o.at > %s)",
        (uuid4().hex, kind, now, now, tenant, kind, now - GATHERED),
    )
    await conn.fetch("SELECT pg_notify(%s, '')", (CHANNEL,))


async def post(
    conn: Connection, tenant: int, id: str, kind: Kind, address: str, now: datetime, *, sent: bool = True
) -> None:
    """A letter to an address of nobody here, in the transaction of the connection; not `sent`: the row alone, at the same cost."""
    await conn.fetch(
        "INSERT INTO account_notice (id, tenant, actor, kind, address, at, next_try, state) VALUES (%s, %s, '', %s, %s, %s, %s, %s)",
        (id, tenant, kind, address, now, now, "waiting" if sent else "none"),
    )
    await conn.fetch("SELECT pg_notify(%s, '')", (CHANNEL,))


async def stuck(conn: Connection, tenant: int) -> str:
    """Why the last letter with a link that was tried has not been sent, "" where it was."""
    rows = await conn.fetch(
        "SELECT state, error FROM account_notice WHERE tenant = %s AND kind IN ('link-proof', 'link-apps') "
        "AND (state = 'sent' OR error <> '') ORDER BY at DESC, next_try DESC NULLS LAST LIMIT 1",
        (tenant,),
    )
    return str(rows[0][1]) if rows and rows[0][0] in ("waiting", "failed") else ""


async def take(conn: Connection, now: datetime, until: datetime) -> Notice | None:
    """The next that waits, which nobody else takes before `until`; what is long over is forgotten."""
    await conn.execute(
        "DELETE FROM account_notice WHERE at < %s OR (kind IN ('link-proof', 'link-apps') AND at < %s)",
        (now - KEPT, now - LINKS_KEPT),
    )
    rows = await conn.fetch(
        "UPDATE account_notice SET next_try = %s WHERE id = (SELECT id FROM account_notice WHERE state = 'waiting' "
        "AND next_try <= %s ORDER BY next_try LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, tenant, kind, address, at, about, words",
        (until, now),
    )
    return Notice(*rows[0]) if rows else None


async def settle(conn: Connection, one: Notice, state: str, error: str, again: datetime | None) -> None:
    """What became of it; tried `again`, but not for longer than GIVEN_UP after the act."""
    if again is not None and again > one.at + GIVEN_UP:
        state, again = "failed", None
    await conn.execute(
        "UPDATE account_notice SET state = %s, error = %s, next_try = %s WHERE id = %s",
        (state, error[:400], again, one.id),
    )
