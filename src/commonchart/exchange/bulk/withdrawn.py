"""Whether a finished file holds what its reader may not see any more, because a consent has changed since."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from commonchart.access import exports, policy
from commonchart.exchange.bulk.runs import File, Run

if TYPE_CHECKING:
    from commonchart.access.records import Records

_ID = re.compile(rb'"id":"([A-Za-z0-9\-.]{1,64})"')
_URL = re.compile(rb'"url":"([A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64})"')
CHUNK = 1 << 22


async def withdrawn(records: Records, run: Run, file: File, path: Path) -> bool:
    """Whether something in the file is hidden from the reader now; also where so many consents changed that it is not looked for."""
    now = records.clock()
    rtype = None if file.kind == "deleted" else file.rtype
    async with records.whole.single() as conn:
        hidden = await exports.hidden_since(conn, policy.visible(records.actor, now), run.at, now, rtype)
    if hidden is None:
        return True
    return bool(hidden) and await asyncio.to_thread(_holds, path, rtype, hidden)


def _holds(path: Path, rtype: str | None, hidden: frozenset[str]) -> bool:
    """Whether one of these is in the file: by the ids of its lines, or by what its Bundles of deletions name."""
    with path.open("rb") as file:
        while lines := file.readlines(CHUNK):
            text = b"".join(lines)
            found = (
                _URL.findall(text)
                if rtype is None
                else [rtype.encode() + b"/" + id for id in _ID.findall(text)]
            )
            if not hidden.isdisjoint(one.decode() for one in found):
                return True
    return False
