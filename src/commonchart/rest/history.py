"""history of a resource, a type, everything. http://hl7.org/fhir/R4/http.html#history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.outcome import Malformed
from commonchart.record.rows import Stored
from commonchart.rest import cursors
from commonchart.rest.exchange import Answer, Asked, etag, moment
from commonchart.rest.search import joined

MAX_COUNT = 1000


async def history(records: Records, asked: Asked) -> Answer:
    """Versions newest first, a page at a time (`_count`, `_since`, `_at`)."""
    names = [segment for segment in asked.segments if segment != "_history"]
    rtype = asked.rtype if names else None
    id = asked.id if len(names) > 1 else None
    count, after = _count(asked), cursors.place(asked, records, tuple[datetime, str, str, int])
    page = await records.history(
        rtype, id, since=moment(asked, "_since"), at=moment(asked, "_at"), count=count, after=after
    )
    links = [{"relation": "self", "url": cursors.url(asked, records)}]
    if page.next:
        links.append({"relation": "next", "url": cursors.url(asked, records, page.next)})
    entries = [_entry(asked.base, one) for one in page.matches]
    total = b',"total":%d' % len(entries) if page.next is None and after is None else b""
    return Answer(200, joined(b"history", entries, b',"link":' + json.encode(links), total))


def _count(asked: Asked) -> int:
    text = dict(asked.params).get("_count", "50")
    if not text.isdigit() or not int(text[:6]) >= 1:
        raise Malformed("_count is a whole number from 1", at="_count")
    return min(int(text[:6]), MAX_COUNT)


def _entry(base: str, stored: Stored) -> bytes:
    method = "DELETE" if stored.deleted else "POST" if stored.vid == 1 else "PUT"
    url = stored.rtype if method == "POST" else f"{stored.rtype}/{stored.id}"
    rest: dict[str, Any] = {
        "request": {"method": method, "url": url},
        "response": {
            "status": "204" if stored.deleted else "201" if stored.vid == 1 else "200",
            "etag": etag(stored.vid),
            "lastModified": stored.recorded.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        },
    }
    full = f'{{"fullUrl":"{base}/{stored.rtype}/{stored.id}",'.encode()
    body = b"" if stored.body is None else b'"resource":' + stored.body + b","
    return full + body + json.encode(rest)[1:]
