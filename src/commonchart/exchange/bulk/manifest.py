"""The manifest of an export in a folder: what was exported, when, in which files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from commonchart.exchange.bulk.wanted import Export
from commonchart.exchange.bulk.write import Made
from commonchart.fhir.dates import instant

NAME = "manifest.json"
MARK = "Commonchart"
MAX_BYTES = 1_000_000


def written(wanted: Export, at: datetime, made: Sequence[Made]) -> bytes:
    """The manifest as JSON: that of the Bulk Data specification, with file names for addresses."""
    kinds: dict[str, list[dict[str, object]]] = {"output": [], "deleted": [], "error": []}
    for one in made:
        kinds[one.kind].append({"type": one.rtype, "url": one.name, "count": one.resources})
    request = "/".join(("commonchart export", wanted.level))
    head = {"transactionTime": instant(at), "request": request, "requiresAccessToken": False}
    return msgspec.json.encode({**head, **kinds, "extension": {"exportedBy": MARK}})


def ours(folder: Path) -> bool:
    """Whether a folder is an export of ours, whose ids stay as they are when it is loaded."""
    path = folder / NAME
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return False
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return False
    return isinstance(found, dict) and (found.get("extension") or {}) == {"exportedBy": MARK}


def resource_files(paths: Iterable[Path]) -> list[Path]:
    """The files of resources in folders of ours: without the manifest and the deletions."""
    return [
        path for folder in paths for path in sorted(folder.glob("*.ndjson")) if path.name != "deleted.ndjson"
    ]
