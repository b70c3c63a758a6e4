"""FHIR packages that a site loaded, as constraint tables and listed value sets; several versions lie side by side.

What is loaded is kept per process until a package comes or goes. The newest loaded version of a url is the one that is
meant where none is named; what is in the box (US Core 6.1.0) lies below all of it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from msgspec import Struct, structs
from psycopg import AsyncConnection

from commonchart.fhir.outcome import Malformed, NotFound
from commonchart.fhir.packages import Package, read
from commonchart.fhir.profiles.known import Known, boxed, constraining, of_definitions

Conn = AsyncConnection[Any]
MAX_PACKAGES = 100
_LOCK = 7_266_366_247_005


class Loaded(Struct, frozen=True):
    """A package that is loaded. `left_out` are urls of profiles that could not be compiled and so are not known."""

    name: str
    version: str
    source: str
    loaded: datetime
    profiles: int
    value_sets: int
    left_out: tuple[str, ...] = ()
    state: str = "loaded"


_COLUMNS = "name, version, source, loaded, profiles, value_sets, left_out"
_known: dict[int, tuple[str, Known]] = {}


async def add(conn: Conn, tenant: int, data: bytes, source: str, now: datetime) -> Loaded:
    """Load a package; the same again changes nothing, another content of the same version takes its place.

    Raises Malformed, TooLarge for what is no package or holds no definition.
    """
    package, digest = read(data), hashlib.sha256(data).hexdigest()
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    before = await listed(conn, tenant)
    same = [one for one in before if (one.name, one.version) == (package.name, package.version)]
    if same and await _digest(conn, tenant, package) == digest:
        return structs.replace(same[0], state="unchanged")
    if not same and len(before) >= MAX_PACKAGES:
        raise Malformed(f"At most {MAX_PACKAGES} packages may be loaded: remove one first")
    await remove(conn, tenant, package.name, package.version, missing_ok=True)
    return await _store(conn, tenant, package, digest, source, now)


async def _digest(conn: Conn, tenant: int, package: Package) -> str:
    found = await conn.execute(
        "SELECT sha256 FROM package WHERE (tenant, name, version) = (%s, %s, %s)",
        (tenant, package.name, package.version),
    )
    row = await found.fetchone()
    return "" if row is None else str(row[0])


async def _store(
    conn: Conn, tenant: int, package: Package, digest: str, source: str, now: datetime
) -> Loaded:
    made = of_definitions(package.resources, await known(conn, tenant))
    wanted = {
        str(one["url"])
        for one in package.resources
        if one["resourceType"] == "StructureDefinition" and one.get("url") and constraining(one)
    }
    left_out = tuple(sorted(wanted - made.tables.keys()))
    if not made.tables and not made.sets:
        raise Malformed("This package defines no profile and no value set of FHIR R4")
    rows = [("profile", url, json.dumps(body)) for url, body in made.tables.items()]
    rows += [("set", url, json.dumps(body)) for url, body in made.sets.items()]
    key = (tenant, package.name, package.version)
    loaded = Loaded(package.name, package.version, source, now, len(made.tables), len(made.sets), left_out)
    await conn.execute(
        "INSERT INTO package (tenant, name, version, sha256, source, loaded, profiles, value_sets, left_out) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (*key, digest, source, now, loaded.profiles, loaded.value_sets, json.dumps(left_out)),
    )
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO package_entry (tenant, name, version, kind, url, body) VALUES (%s, %s, %s, %s, %s, %s)",
            [(*key, *row) for row in rows],
        )
    return loaded


async def listed(conn: Conn, tenant: int) -> list[Loaded]:
    """What is loaded, the oldest first."""
    found = await conn.execute(
        f"SELECT {_COLUMNS} FROM package WHERE tenant = %s ORDER BY loaded, name, version", (tenant,)
    )
    return [
        Loaded(name, version, source, loaded, profiles, value_sets, tuple(json.loads(left_out)))
        for name, version, source, loaded, profiles, value_sets, left_out in await found.fetchall()
    ]


async def remove(conn: Conn, tenant: int, name: str, version: str = "", *, missing_ok: bool = False) -> int:
    """Remove a package, all its versions where none is named: how many. Raises NotFound where there is none."""
    where = "tenant = %s AND name = %s AND (%s = '' OR version = %s)"
    key = (tenant, name, version, version)
    await conn.execute(f"DELETE FROM package_entry WHERE {where}", key)
    count = (await conn.execute(f"DELETE FROM package WHERE {where}", key)).rowcount
    if not count and not missing_ok:
        raise NotFound("There is no such package: `commonchart package list` says what is loaded")
    return count


async def known(conn: Conn, tenant: int) -> Known:
    """The profiles and value sets that the tenant knows: what is in the box, and over it what is loaded."""
    found = await conn.execute(
        "SELECT coalesce(string_agg(name || '|' || version || '|' || sha256 || loaded, ',' ORDER BY loaded, name, version), '') "
        "FROM package WHERE tenant = %s",
        (tenant,),
    )
    row = await found.fetchone()
    state = str(row[0]) if row else ""
    if not state:
        _known.pop(tenant, None)
        return boxed()
    held = _known.get(tenant)
    if held is None or held[0] != state:
        held = _known[tenant] = (state, await _read(conn, tenant))
    return held[1]


async def _read(conn: Conn, tenant: int) -> Known:
    out = boxed()
    for package in await listed(conn, tenant):
        rows = await conn.execute(
            "SELECT kind, url, body FROM package_entry WHERE (tenant, name, version) = (%s, %s, %s)",
            (tenant, package.name, package.version),
        )
        tables: dict[str, Any] = {}
        sets: dict[str, Any] = {}
        for kind, url, body in await rows.fetchall():
            (tables if kind == "profile" else sets)[url] = json.loads(body)
        out = out.with_(Known(tables, sets))
    return out
