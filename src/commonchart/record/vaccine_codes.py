"""Vaccine codes of other systems (NDC, local ones) as CVX: by the ConceptMaps that the site loaded whose targets are CVX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from commonchart.terminology import resources

if TYPE_CHECKING:
    from commonchart.record.database import Connection

CVX = ("http://hl7.org/fhir/sid/cvx", "urn:oid:2.16.840.1.113883.12.292")
# the CVX code means the same, or more than the code that was used
SURE = frozenset({"equal", "equivalent", "wider", "subsumes"})

Code = tuple[str, str]

_known: tuple[str, Mapping[Code, str]] = ("", {})


async def to_cvx(conn: Connection) -> Mapping[Code, str]:
    """CVX by (system, code); read again when another terminology was loaded."""
    global _known
    rows = await conn.fetch("SELECT generation FROM terminology_state")
    generation = str(rows[0][0]) if rows else ""
    if generation != _known[0]:
        _known = (generation, await _read(conn))
    return _known[1]


async def _read(conn: Connection) -> Mapping[Code, str]:
    cursor = await conn.execute("SELECT body FROM concept_map WHERE chosen ORDER BY url, version")
    out: dict[Code, str] = {}
    for (body,) in await cursor.fetchall():
        for entry in resources.concept_map(msgspec.json.decode(body)).entries:
            if entry.target in CVX and entry.equivalence in SURE and not entry.conditional:
                out.setdefault((entry.source, entry.code), entry.to.zfill(2))
    return out
