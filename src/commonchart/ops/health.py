"""`/health`: whether this installation does its work, for whoever watches it. Nothing of a patient in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commonchart.fhir.outcome import Refused
from commonchart.record.upgrade import head

if TYPE_CHECKING:
    from commonchart.record.database import Database

FAR_BEHIND = 10_000
STATE = f"""
    WITH slowest AS (
        SELECT xid, seq FROM change_cursor
        UNION ALL SELECT '0', 0 WHERE NOT EXISTS (SELECT FROM change_cursor)
        ORDER BY xid, seq LIMIT 1
    )
    SELECT (SELECT version_num FROM alembic_version),
           (SELECT count(*) FROM (
               SELECT FROM change, slowest WHERE (change.xid, change.seq) > (slowest.xid, slowest.seq)
               LIMIT {FAR_BEHIND}) AS ahead)
"""


class Health(Struct, frozen=True):
    """How it goes: `behind` is how many changes the slowest reader of the feed has yet to see."""

    status: str
    database: str
    schema: str | None = None
    expected: str | None = None
    behind: int | None = None


async def health_of(database: Database) -> Health:
    """Ask the database. Never raises a refusal: being away is an answer."""
    try:
        async with database.single() as conn:
            row = await (await conn.execute(STATE)).fetchone()
    except Refused:
        return Health(status="failing", database="away")
    assert row is not None
    fits = row[0] == head()
    return Health("ok" if fits else "failing", "ok", row[0], head(), row[1])


async def health(request: Request) -> Response:
    """200 when requests can be served, 503 when not."""
    found = await health_of(request.app.state.database)
    return _answer(found, 200 if found.status == "ok" else 503)


async def live(request: Request) -> Response:
    """200 as long as this process answers at all."""
    return _answer({"status": "ok"}, 200)


def routes() -> list[Route]:
    """The routes for the application."""
    return [Route("/health", health), Route("/health/live", live)]


def _answer(body: Any, status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
