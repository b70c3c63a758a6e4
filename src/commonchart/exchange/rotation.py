"""Everything that is kept sealed, sealed by the newest secret: after a change of secrets, and what an earlier program kept in the clear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.access.people import cipher
from commonchart.exchange.subscriptions import headers
from commonchart.exchange.subscriptions.plan import Plan
from commonchart.fhir import json
from commonchart.fhir.outcome import Invalid
from commonchart.record import sealed, site

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database
    from commonchart.record.sealed import Keys

IN_USE = "secret_in_use"
"""The site's setting: the id of the newest secret that a server was started with."""
EVERY_TENANT = 0


class Done(Struct, frozen=True):
    """How many were sealed anew; `lost` cannot be opened any more, `waiting` are hashes that rest on an older secret."""

    settings: int
    subscriptions: int
    factors: int
    lost: int
    waiting: int


class _Count:
    def __init__(self) -> None:
        self.done = {"settings": 0, "subscriptions": 0, "factors": 0}
        self.lost = 0


async def renew(database: Database, keys: Keys) -> Done:
    """Seal everything by the newest secret, in one transaction. What it finds sealed by it stays as it is."""
    count = _Count()
    async with database.connection() as conn:
        await _settings(conn, keys, count)
        await _plans(conn, keys, count)
        for table in ("resource", "history"):
            await _bodies(conn, keys, table, count)
        await _factors(conn, keys, count)
        row = await (
            await conn.execute(
                "SELECT count(*) FROM factor WHERE kind = 'recovery' AND ended IS NULL AND used IS NULL AND substr(secret, 1, %s) <> %s",
                (sealed.ID, sealed.id_of(sealed.ring(keys.secret)[0])),
            )
        ).fetchone()
    return Done(**count.done, lost=count.lost, waiting=row[0] if row else 0)


async def _settings(conn: Connection, keys: Keys, count: _Count) -> None:
    rows = await conn.fetch(
        "SELECT tenant, key, value FROM site_setting WHERE key = ANY(%s) AND value <> ''",
        (sorted(site.SEALED),),
    )
    for tenant, key, value in rows:
        try:
            new = keys.anew(site.USE, value, site.about(tenant, key))
        except Invalid:
            count.lost += 1
            continue
        if new != value:
            await conn.execute(
                "UPDATE site_setting SET value = %s WHERE tenant = %s AND key = %s", (new, tenant, key)
            )
            count.done["settings"] += 1


async def _plans(conn: Connection, keys: Keys, count: _Count) -> None:
    rows = await conn.fetch("SELECT tenant, id, plan FROM subscription_state FOR UPDATE")
    for tenant, id, text in rows:
        plan = msgspec.json.decode(text, type=Plan)
        try:
            new = tuple(headers.anew(keys, tenant, plan.endpoint, one) for one in plan.headers)
        except Invalid:
            count.lost += 1
            continue
        if new != plan.headers:
            plan = msgspec.structs.replace(plan, headers=new)
            await conn.execute(
                "UPDATE subscription_state SET plan = %s WHERE tenant = %s AND id = %s",
                (msgspec.json.encode(plan).decode(), tenant, id),
            )
            count.done["subscriptions"] += 1


async def _bodies(conn: Connection, keys: Keys, table: str, count: _Count) -> None:
    """Every version of every Subscription with a header: the version stays, its text is sealed anew."""
    rows = await conn.fetch(
        f"SELECT pk, tenant, id, vid, body FROM {table} WHERE rtype = 'Subscription' AND body LIKE '%%\"header\"%%'"
    )
    for pk, tenant, id, vid, body in rows:
        resource = json.decode(body.encode())
        new = _resealed(keys, tenant, resource)
        if new is None:
            count.lost += table == "resource"
        elif new != resource:
            await conn.execute(
                f"UPDATE {table} SET body = %s WHERE pk = %s AND tenant = %s AND rtype = 'Subscription' AND id = %s AND vid = %s",
                (json.encode(new).decode(), pk, tenant, id, vid),
            )


def _resealed(keys: Keys, tenant: int, resource: dict[str, Any]) -> dict[str, Any] | None:
    channel = resource.get("channel") or {}
    endpoint = str(channel.get("endpoint", ""))
    try:
        new = [headers.anew(keys, tenant, endpoint, str(one)) for one in channel.get("header") or ()]
    except Invalid:
        return None
    return {**resource, "channel": {**channel, "header": new}} if new else resource


async def _factors(conn: Connection, keys: Keys, count: _Count) -> None:
    rows = await conn.fetch("SELECT id, secret FROM factor WHERE kind = 'totp' AND ended IS NULL FOR UPDATE")
    for id, kept in rows:
        if sealed.of_newest(keys.secret, bytes(kept)):
            continue
        try:
            text = cipher.opened(keys.secret, bytes(kept), id)
        except Invalid:
            count.lost += 1
            continue
        await conn.execute(
            "UPDATE factor SET secret = %s WHERE id = %s", (cipher.seal(keys.secret, text, id), id)
        )
        count.done["factors"] += 1


async def begun(database: Database, keys: Keys) -> None:
    """A server starts: what is in the clear is sealed, and it is noted which secret the server seals by."""
    async with database.connection() as conn:
        await site.put(conn, EVERY_TENANT, IN_USE, sealed.id_of(sealed.ring(keys.secret)[0]).hex())
    await renew(database, keys)


async def in_use(database: Database) -> str:
    """The id of the secret that a server was last started with, "" when none was."""
    async with database.single() as conn:
        return await site.get(conn, EVERY_TENANT, IN_USE)
