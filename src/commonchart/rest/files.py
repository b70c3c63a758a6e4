"""`/fhir/_bulk`: the state of an export or import, its manifest, its files, and giving it up."""

from __future__ import annotations

import asyncio
import gzip
import shutil
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from commonchart.access import audit, scopes
from commonchart.access.records import Records
from commonchart.exchange.bulk import links, runs
from commonchart.exchange.bulk.place import Place
from commonchart.exchange.bulk.runs import File, Run
from commonchart.exchange.bulk.withdrawn import withdrawn
from commonchart.fhir import json
from commonchart.fhir.dates import instant
from commonchart.fhir.outcome import Forbidden, Gone, Invalid, MethodNotAllowed, NotFound, Refused
from commonchart.rest.exchange import Answer, Asked

NDJSON = "application/fhir+ndjson"
PACKED_UP_TO = 256_000_000


class Failed(Refused):
    """The export could not be finished (500): its words are ours and name no patient."""

    status = 500
    code = "exception"


async def bulk(records: Records, asked: Asked) -> Answer:
    """GET or DELETE of a run, GET of a file of one. Raises NotFound, Throttled."""
    if len(asked.segments) == 2 and asked.method in ("GET", "HEAD"):
        return await _state(records, asked)
    if len(asked.segments) == 2 and asked.method == "DELETE":
        await runs.cancel(records, asked.segments[1])
        return Answer(202)
    if len(asked.segments) == 3 and asked.method in ("GET", "HEAD"):
        return await _file(records, asked)
    if len(asked.segments) in (2, 3):
        raise MethodNotAllowed("GET, HEAD, DELETE" if len(asked.segments) == 2 else "GET, HEAD")
    raise NotFound("There is nothing at this address")


async def _state(records: Records, asked: Asked) -> Answer:
    run = await runs.of(records, asked.segments[1])
    if run.state in runs.OPEN:
        await runs.polled(records, run.id)
        return Answer(202, None, {"X-Progress": run.progress or run.state, "Retry-After": "1"})
    if run.expires is not None and run.expires <= records.clock():
        raise NotFound("This export has expired")
    if run.state == "refused":
        raise Invalid(run.error)
    if run.state == "failed":
        raise Failed(run.error)
    async with records.database.single() as conn:
        made = await runs.files(conn, run.id)
    headers = {"content-type": "application/json"}
    if run.expires is not None:
        headers["Expires"] = format_datetime(run.expires, usegmt=True)
    return Answer(200, json.encode(_manifest(asked, run, made)), headers)


def _manifest(asked: Asked, run: Run, made: list[File]) -> dict[str, Any]:
    kinds: dict[str, list[dict[str, Any]]] = {"output": [], "deleted": [], "error": []}
    secret = asked.settings.secret if asked.settings else b""
    for one in made:
        assert run.expires is not None
        url = links.address(asked.base, run.id, one.n, one.rtype, run.expires, secret)
        kinds[one.kind].append({"type": one.rtype, "url": url, "count": one.resources})
    if run.kind == "import":
        return {"transactionTime": instant(run.at), "request": run.request, "outcome": run.error, "error": []}
    return {
        "transactionTime": instant(run.at), "request": run.request, "requiresAccessToken": True, **kinds,
    }  # fmt: skip


async def _file(records: Records, asked: Asked) -> Answer:
    run = await runs.of(records, asked.segments[1])
    number = asked.segments[2].partition(".")[0]
    n = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0
    said = dict(asked.params)
    assert asked.settings is not None
    links.check(
        run.id, n, said.get("expires", ""), said.get("signature", ""), records.clock(), asked.settings.secret
    )
    if run.state != "finished":
        raise NotFound("There is no such file of this export")
    async with records.database.single() as conn:
        made = {one.n: one for one in await runs.files(conn, run.id)}
        if n not in made:
            raise NotFound("There is no such file of this export")
    _still_allowed(records, run, made[n])
    path = Place(asked.settings.data_dir).folder("export", run.id) / made[n].name
    if not path.is_file():
        raise NotFound("The files of this export have been removed")
    await _consented(records, run, made[n], path)
    headers = {"content-type": NDJSON}
    if _packed(asked) and made[n].bytes <= PACKED_UP_TO:
        return Answer(
            200, None, {**headers, "content-encoding": "gzip"}, await asyncio.to_thread(_gzipped, path)
        )
    return Answer(200, None, headers, path)


async def _consented(records: Records, run: Run, file: File, path: Path) -> None:
    """Leave the row of the file. Raises Gone for one that holds what a consent has hidden since."""
    gone = await withdrawn(records, run, file, path)
    async with records.database.single() as conn:
        await audit.note(
            conn, records.actor, records.clock(), "export-file", outcome=audit.SERIOUS if gone else audit.OK,
            rtype=file.rtype, detail=f"{run.id}/{file.n}",
        )  # fmt: skip
    if gone:
        raise Gone("A consent has changed what this file may hold: begin the export anew")


def _still_allowed(records: Records, run: Run, file: File) -> None:
    """Raises Forbidden for a token with less than the export was begun with, of the type of the file."""
    rtype = "*" if file.kind == "deleted" else file.rtype
    if not records.actor.app or file.kind == "error":
        return
    if not scopes.carried(rtype, run.who().scopes, records.actor.scopes):
        raise Forbidden("What this app was allowed does not cover this file")


def _packed(asked: Asked) -> bool:
    wanted = asked.headers.get("accept-encoding", "").replace(" ", "").lower().split(",")
    return "gzip" in wanted and "range" not in asked.headers


def _gzipped(path: Path) -> Path:
    """The packed file, made when it is first asked for; it gets its name only when all of it is written."""
    packed = path.with_suffix(".ndjson.gz")
    if not packed.exists():
        partial = packed.with_suffix(f".{id(packed)}.part")
        with path.open("rb") as source, gzip.open(partial, "wb", compresslevel=1) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        partial.replace(packed)
    return packed
