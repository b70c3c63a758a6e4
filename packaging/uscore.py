"""Derive the constraint table of US Core 6.1.0 from its official package: python packaging/uscore.py PACKAGE.tgz

Facts only, no texts: constraints per element, and value sets as bare codes, without those of licensed systems. The
result is committed (src/commonchart/fhir/tables/us-core-6.1.jsonl); one line per profile or value set, sorted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from commonchart.fhir import packages
from commonchart.fhir.profiles.known import BOX, of_definitions


def lines(data: bytes) -> list[str]:
    """The table of the package's own definitions."""
    known = of_definitions(packages.read(data).resources)
    rows: list[dict[str, Any]] = [known.tables[url] for url in sorted(known.tables)]
    rows += [{"value_set": url, "codes": known.sets[url]} for url in sorted(known.sets)]
    return [json.dumps(row, separators=(",", ":"), sort_keys=True, ensure_ascii=True) for row in rows]


if __name__ == "__main__":
    made = "".join(f"{line}\n" for line in lines(Path(sys.argv[1]).read_bytes()))
    BOX.write_text(made, encoding="utf-8")
    print(f"{BOX.name}: {len(made) // 1024} kB")
