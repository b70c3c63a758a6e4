"""The e-mail address of one's own account: where links for a new password go, and what is told about the account."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from commonchart.access import audit
from commonchart.access.people import links, notices
from commonchart.fhir.outcome import Invalid

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.record.database import Connection, Database


async def kept(conn: Connection, user: str) -> str:
    """The address that is kept of somebody, "" for none."""
    cursor = await conn.execute("SELECT email FROM app_user WHERE id = %s", (user,))
    row = await cursor.fetchone()
    return str(row[0]) if row else ""


async def change(database: Database, actor: Actor, address: str, now: datetime) -> None:
    """Keep another one; links that went to the old one end. The caller has asked for a factor again.

    Both addresses are told. Raises Invalid at `email`.
    """
    wanted = address.strip()
    if not links.EMAIL.fullmatch(wanted):
        raise Invalid("The e-mail address must look like name@example.org", at="email")
    async with database.connection() as conn:
        cursor = await conn.execute("SELECT email FROM app_user WHERE id = %s FOR UPDATE", (actor.user,))
        before = str((await cursor.fetchone() or ("",))[0])
        if wanted == before:
            return
        await conn.execute("UPDATE app_user SET email = %s WHERE id = %s", (wanted, actor.user))
        await links.end_all(conn, actor.user, now)
        await audit.note(conn, actor, now, "change-email", detail="by its owner")
        await notices.note(conn, actor.user, "email", now, before=before)
