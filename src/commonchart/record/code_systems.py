"""Loading code systems, value sets and concept maps: each version in one transaction, beside the others or not at all."""

from __future__ import annotations

import hashlib
import json as plain_json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection

from commonchart.fhir.outcome import NotFound
from commonchart.record.concepts import Extra
from commonchart.terminology import bits
from commonchart.terminology.systems import CodeSystem, Index, index

Conn = AsyncConnection[Any]
Progress = Callable[[str, int, int], None]

MAX_SAID = 1000


class Loaded(Struct, frozen=True):
    """What became of one thing that was loaded: state is loaded, unchanged or replaced; `left_out` says what and why."""

    kind: str
    url: str
    version: str
    state: str
    count: int = 0
    left_out: tuple[str, ...] = ()
    left_out_count: int = 0


class Listed(Struct, frozen=True):
    """A line of what is loaded."""

    kind: str
    url: str
    version: str
    name: str
    concepts: int
    chosen: bool
    loaded: datetime
    source: str


def _nothing(_what: str, _done: int, _total: int) -> None:
    return None


async def load_system(
    conn: Conn,
    system: CodeSystem,
    source: str,
    now: datetime,
    *,
    whole: str = "",
    progress: Progress = _nothing,
) -> Loaded:
    """Load a version of a code system and make it the default. The connection must be in a transaction."""
    made = index(system)
    digest = _digest(made)
    found = await (
        await conn.execute(
            "SELECT id, sha256 FROM code_system WHERE url = %s AND version = %s FOR UPDATE",
            [system.url, system.version],
        )
    ).fetchone()
    said = (tuple(made.left_out[:MAX_SAID]), len(made.left_out))
    if found is not None and found[1] == digest:
        return Loaded("CodeSystem", system.url, system.version, "unchanged", made.size, *said)
    if found is not None:
        await _drop(conn, found[0])
    await conn.execute("UPDATE code_system SET chosen = false WHERE url = %s", [system.url])
    receipt = msgspec.json.encode({"left_out": said[0], "left_out_count": said[1]}).decode()
    row = await (
        await conn.execute(
            "INSERT INTO code_system (url, version, name, content, concepts, value_set, types, copyright, sha256, source, "
            "loaded, chosen, receipt) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, true, %s) RETURNING id",
            [
                system.url, system.version, system.name, system.content, made.size, whole,
                plain_json.dumps(dict(system.types)), system.copyright, digest, source, now, receipt,
            ],
        )
    ).fetchone()  # fmt: skip
    assert row is not None
    await _copy(conn, row[0], made, progress)
    await changed(conn)
    return Loaded(
        "CodeSystem", system.url, system.version, "replaced" if found else "loaded", made.size, *said
    )


async def _copy(conn: Conn, system: int, made: Index, progress: Progress) -> None:
    async with conn.cursor().copy(
        "COPY concept (system, n, code, display, inactive, parents, children, below, extra) FROM STDIN"
    ) as copy:
        for n, row in enumerate(_concept_rows(system, made)):
            await copy.write_row(row)
            if n % 5000 == 0:
                progress("concepts", n, made.size)
    async with conn.cursor().copy("COPY concept_set (system, kind, key, held) FROM STDIN") as copy:
        for n, ((kind, key), held) in enumerate(made.sets.items()):
            await copy.write_row((system, kind, key, held))
            if n % 5000 == 0:
                progress("words", n, len(made.sets))
    if made.size > 10_000:
        await conn.execute("ANALYZE concept")
        await conn.execute("ANALYZE concept_set")


def _concept_rows(system: int, made: Index) -> Iterator[tuple[Any, ...]]:
    for n, concept in enumerate(made.concepts):
        below = made.hierarchy.below[n]
        alone = len(below) == 1 and below[0] == (n, n + 1)
        extra = None
        if concept.properties or concept.designations:
            extra = msgspec.json.encode(Extra(concept.properties, concept.designations)).decode()
        yield (
            system, n, concept.code, concept.display, concept.inactive, made.hierarchy.parents[n],
            made.hierarchy.children[n], b"" if alone else bits.pack_runs(below, made.size), extra,
        )  # fmt: skip


def _digest(made: Index) -> str:
    hashed = hashlib.sha256(
        msgspec.json.encode([made.system.name, made.system.content, sorted(made.system.types.items())])
    )
    for concept in made.concepts:
        hashed.update(msgspec.msgpack.encode(concept))
    return hashed.hexdigest()


async def _drop(conn: Conn, system: int) -> None:
    await conn.execute("DELETE FROM concept WHERE system = %s", [system])
    await conn.execute("DELETE FROM concept_set WHERE system = %s", [system])
    await conn.execute("DELETE FROM code_system WHERE id = %s", [system])


async def changed(conn: Conn) -> None:
    """Say that what is loaded has changed, so that nobody answers from what they remember."""
    await conn.execute(
        "INSERT INTO terminology_state (generation) VALUES (gen_random_uuid()::text) "
        "ON CONFLICT (one) DO UPDATE SET generation = excluded.generation"
    )


async def load_resource(conn: Conn, resource: Mapping[str, Any], source: str, now: datetime) -> Loaded:
    """Load a ValueSet or ConceptMap resource that was read already, and make it the default of its url."""
    table = "value_set" if resource["resourceType"] == "ValueSet" else "concept_map"
    url, version = resource["url"], resource.get("version", "")
    body = msgspec.json.encode(
        {k: v for k, v in resource.items() if k not in ("text", "meta", "contact")}
    ).decode()
    found = await (
        await conn.execute(f"SELECT body FROM {table} WHERE url = %s AND version = %s", [url, version])
    ).fetchone()
    if found is not None and found[0] == body:
        return Loaded(resource["resourceType"], url, version, "unchanged")
    await conn.execute(f"UPDATE {table} SET chosen = false WHERE url = %s", [url])
    await conn.execute(
        f"INSERT INTO {table} (url, version, name, body, source, loaded, chosen) VALUES (%s, %s, %s, %s, %s, %s, true) "
        "ON CONFLICT (url, version) DO UPDATE SET name = excluded.name, body = excluded.body, source = excluded.source, "
        "loaded = excluded.loaded, chosen = true",
        [url, version, resource.get("title") or resource.get("name") or "", body, source, now],
    )
    await changed(conn)
    return Loaded(resource["resourceType"], url, version, "replaced" if found else "loaded")


async def listed(conn: Conn) -> list[Listed]:
    """Everything that is loaded: code systems first, by url, the newest load of each first."""
    rows = await (
        await conn.execute(
            "SELECT 'CodeSystem', url, version, name, concepts, chosen, loaded, source FROM code_system UNION ALL "
            "SELECT 'ValueSet', url, version, name, 0, chosen, loaded, source FROM value_set UNION ALL "
            "SELECT 'ConceptMap', url, version, name, 0, chosen, loaded, source FROM concept_map ORDER BY 1, 2, 7 DESC, 3"
        )
    ).fetchall()
    return [Listed(*row) for row in rows]


async def remove(conn: Conn, url: str, version: str = "") -> int:
    """Remove what is loaded under a url, all versions or one; the newest that is left becomes the default.

    Raises NotFound when there is nothing.
    """
    args = [url, version, version]
    rows = await (
        await conn.execute("SELECT id FROM code_system WHERE url = %s AND (%s = '' OR version = %s)", args)
    ).fetchall()
    for (system,) in rows:
        await _drop(conn, system)
    count = len(rows)
    for table in ("value_set", "concept_map"):
        gone = await conn.execute(f"DELETE FROM {table} WHERE url = %s AND (%s = '' OR version = %s)", args)
        count += gone.rowcount
    if not count:
        raise NotFound("Nothing of this address and version is loaded")
    for table in ("code_system", "value_set", "concept_map"):
        await conn.execute(
            f"UPDATE {table} t SET chosen = (t.version = (SELECT version FROM {table} WHERE url = t.url "
            "ORDER BY loaded DESC, version DESC LIMIT 1)) WHERE url = %s",
            [url],
        )
    await changed(conn)
    return count
