"""Every loaded Synthea resource read back and compared with what was sent: number for number.

uv run python benchmarks/roundtrip.py [FOLDER]

Apart from `id`, server-owned `meta` and resolved references everything must be equal; decimals are compared as written.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import places

from commonchart.access import users
from commonchart.access.records import Records
from commonchart.exchange.load import files
from commonchart.exchange.load.run import Options, load
from commonchart.fhir import json
from commonchart.fhir.links import rewrite
from commonchart.record.database import Database


def spelled(value: Any) -> Any:
    """A value with its decimals as text: 1.10 is not 1.1."""
    if isinstance(value, Decimal):
        return f"decimal {value}"
    if isinstance(value, dict):
        return {name: spelled(inner) for name, inner in sorted(value.items())}
    return [spelled(inner) for inner in value] if isinstance(value, list) else value


def comparable(resource: dict[str, Any]) -> Any:
    """A resource without what the server owns."""
    meta = {
        name: value
        for name, value in resource.get("meta", {}).items()
        if name not in ("versionId", "lastUpdated")
    }
    rest = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    return spelled(rest | ({"meta": meta} if meta else {}))


async def compare(url: str, folder: Path) -> int:
    """How many resources differ from what was sent."""
    database = await Database.open(url, size=2)
    records = Records(database, users.system(1, "roundtrip"), lambda: datetime.now(UTC))
    await load(records, [folder], Options(source="synthea"), lambda *_: None)
    read = different = 0
    for file in files.found([folder]):
        for unit in files.units(file):
            mapping = {
                e.full_url: f"{(e.resource or {})['resourceType']}/{e.full_url[9:]}" for e in unit.entries
            }
            for entry in unit.entries:
                sent = rewrite(entry.resource or {}, mapping).resource
                stored = await records.read(sent["resourceType"], entry.full_url[9:])
                read += 1
                different += comparable(json.decode(stored.body or b"{}")) != comparable(sent)
    await database.close()
    print(f"{read:,} entries read back, {different:,} differ from what was sent")
    return different


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else places.SHARED / "data" / "synthea"
    with places.database("roundtrip") as address:
        sys.exit(1 if asyncio.run(compare(address, where)) else 0)
