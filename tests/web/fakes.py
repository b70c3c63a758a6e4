"""A record kept in memory: what the views need of Records, so that every section can be drawn quickly for any resource."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from commonchart.access import policy
from commonchart.access.actors import Actor
from commonchart.fhir.json import encode
from commonchart.fhir.outcome import NotFound
from commonchart.record.rows import Stored
from commonchart.web.call import Call, Preferences, Site
from commonchart.web.present import codes, dates, values

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
ACTOR = Actor(1, "u1", "S. Wrenfield, NP", "clinician", "alder", "web", network=False)
_DATES = (
    "effective",
    "onset",
    "performed",
    "occurrence",
    "recordedDate",
    "authoredOn",
    "date",
    "issued",
    "created",
)


def bundle(path: Path) -> list[dict[str, Any]]:
    """The resources of a Synthea file, `urn:uuid:` turned into `Type/id`."""
    entries = json.loads(gzip.decompress(path.read_bytes()), parse_float=Decimal)["entry"]
    known = {e["fullUrl"]: f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries}
    return [_relinked(e["resource"], known) for e in entries]


def _relinked(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            k: known.get(v, v) if k == "reference" and isinstance(v, str) else _relinked(v, known)
            for k, v in value.items()
        }
    return [_relinked(v, known) for v in value] if isinstance(value, list) else value


def clinical(body: dict[str, Any]) -> datetime | None:
    """The main date of a resource."""
    for stem in _DATES:
        text = body.get(stem) if isinstance(body.get(stem), str) else None
        if text is None:
            kind, value = values.choice(body, stem)
            text = (
                value.get("start")
                if kind == "Period"
                else value
                if kind in ("DateTime", "Date", "Instant")
                else None
            )
        if text:
            return _when(text)
    start = (body.get("period") or {}).get("start") if isinstance(body.get("period"), dict) else None
    return _when(start) if start else None


def _when(text: str) -> datetime | None:
    day = dates.first_day(text)
    if day is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return datetime(day.year, day.month, day.day, tzinfo=UTC)


class _Nobody:
    """A database in which nobody may sign in."""

    @asynccontextmanager
    async def single(self) -> AsyncIterator[_Nobody]:
        yield self

    connection = single

    async def execute(self, *_: object) -> _Nobody:
        return self

    async def fetch(self, *_: object) -> list[tuple[str, ...]]:
        return []

    async def fetchall(self) -> list[tuple[str, ...]]:
        return []


class Kept:
    """Resources of one or more patients, each at one version."""

    database = _Nobody()
    actor = ACTOR
    visible = policy.visible(ACTOR)

    def clock(self) -> datetime:
        return NOW

    async def require(self, *_: str) -> None: ...

    def __init__(self, bodies: Iterable[dict[str, Any]], recorded: datetime = NOW) -> None:
        self.rows = [(stored(body, recorded), body) for body in bodies]
        self.by_key = {(row.rtype, row.id): row for row, _ in self.rows}

    async def read(self, rtype: str, id: str) -> Stored:
        if (rtype, id) not in self.by_key:
            raise NotFound("Not here")
        return self.by_key[rtype, id]

    async def named(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Stored]:
        return {key: self.by_key[key] for key in keys if key in self.by_key}

    async def history(self, rtype: str, id: str, **how: Any) -> Any:
        row = self.by_key.get((rtype, id))
        return SimpleNamespace(matches=[row] if row else [])

    async def facts(self, patient: str, rtypes: Sequence[str], *, as_of: datetime | None = None, codes: Sequence[str] = (),
                    categories: Sequence[str] = (), lo: datetime | None = None, hi: datetime | None = None, limit: int = 50,
                    offset: int = 0, newest_first: bool = True) -> Any:  # fmt: skip
        found = [
            row
            for row, body in self.rows
            if row.rtype in rtypes
            and row.patient == patient
            and self._fits(row, body, as_of, codes, categories, lo, hi)
        ]
        found.sort(
            key=lambda row: (row.date_lo is None, -(row.date_lo.timestamp() if row.date_lo else 0), row.id)
        )
        return SimpleNamespace(items=found[offset : offset + limit], total=len(found))

    def _fits(
        self, row: Stored, body: dict[str, Any], as_of: Any, wanted: Any, categories: Any, lo: Any, hi: Any
    ) -> bool:
        category = [
            c.code for one in body.get("category") or () if isinstance(one, dict) for c in codes.codings(one)
        ]
        return (
            (as_of is None or row.recorded <= as_of)
            and (not wanted or codes.key(body.get("code")) in wanted)
            and (not categories or bool(set(category) & set(categories)))
            and (lo is None or (row.date_lo is not None and row.date_lo >= lo))
            and (hi is None or (row.date_lo is not None and row.date_lo < hi))
        )

    async def counts(self, patient: str, as_of: datetime | None = None) -> dict[str, int]:
        out: dict[str, int] = {}
        for row, _ in self.rows:
            if row.patient == patient and (as_of is None or row.recorded <= as_of):
                out[row.rtype] = out.get(row.rtype, 0) + 1
        return out

    async def latest(
        self, patient: str, *, categories: Sequence[str], as_of: datetime | None = None, per_code: int = 2
    ) -> list[Stored]:
        page = await self.facts(patient, ["Observation"], categories=categories, as_of=as_of, limit=100_000)
        seen: dict[str, int] = {}
        out = []
        for row in page.items:
            key = codes.key(json.loads(row.body or b"{}").get("code"))
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= per_code:
                out.append(row)
        return out

    async def find_patients(self, text: str, limit: int) -> list[Stored]:
        return [
            row
            for row, body in self.rows
            if row.rtype == "Patient" and text.lower() in json.dumps(body, default=str).lower()
        ][:limit]

    async def recent_patients(self) -> list[Stored]:
        return [row for row, _ in self.rows if row.rtype == "Patient"]

    async def opened(self, patient: str) -> None: ...


def stored(body: dict[str, Any], recorded: datetime = NOW) -> Stored:
    """A resource as the store would give it back."""
    rtype, id = body["resourceType"], body.get("id", "x")
    link = body.get("subject") or body.get("patient") or body.get("beneficiary") or {}
    link = link if isinstance(link, dict) else {}
    patient = id if rtype == "Patient" else str(link.get("reference", "")).removeprefix("Patient/") or None
    return Stored(
        rtype, id, 1, recorded, "alder", "u1", "", False, encode(body), patient, date_lo=clinical(body)
    )


def call(
    kept: Any,
    path: str,
    query: str = "",
    *,
    mode: str = "network",
    headers: dict[str, str] | None = None,
    **params: str,
) -> Call:
    """One request by a clinician."""
    sent = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": sent, "path_params": params,
             "scheme": "http", "server": ("test", 80)}  # fmt: skip
    return Call(
        Request(scope),
        ACTOR,
        kept,
        NOW,
        "token",
        Preferences(),
        Site(mode, "Alder Street Family Practice", synthetic=True),
    )


def text(response: Response) -> str:
    return bytes(response.body).decode()
