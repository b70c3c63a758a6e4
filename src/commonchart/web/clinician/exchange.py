"""For administrators: exports and imports with their progress, and subscriptions with what keeps them from arriving."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.responses import FileResponse, Response

from commonchart.access import audit
from commonchart.exchange.bulk import runs
from commonchart.exchange.bulk.place import Place
from commonchart.exchange.bulk.runs import Run
from commonchart.exchange.bulk.wanted import Export
from commonchart.exchange.subscriptions import tending
from commonchart.exchange.subscriptions.state import State
from commonchart.exchange.subscriptions.topics import BY_URL
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.web.call import Call, go
from commonchart.web.session import form

STATES = {
    "waiting": ("soon", "Waiting"), "running": ("due", "Being written"), "finished": ("done", "Finished"),
    "failed": ("overdue", "Failed"),
    "refused": ("overdue", "Refused"), "cancelled": ("not", "Given up"), "removed": ("not", "Removed"),
    "requested": ("soon", "Being greeted"), "active": ("done", "Active"), "error": ("overdue", "In error"),
    "off": ("not", "Off"),
}  # fmt: skip


async def page(call: Call) -> Response:
    """Both lists, and the form that begins an export."""
    return await _page(call)


async def _page(call: Call, status: int = 200, issues: Any = (), types: str = "") -> Response:
    _allowed(call)
    found = await runs.recent(call.records)
    listed = [await _run(call, one) for one in found]
    told = [_subscription(call, one) for one in await tending.everyone(call.records)]
    return call.page(
        "exchange.html", status, title="Exchange", runs=listed, subscriptions=told, issues=issues, types=types,
        said=call.request.query_params.get("said", ""),
    )  # fmt: skip


async def begin(call: Call) -> Response:
    """Begin an export of everything, or of the types that are named."""
    _allowed(call)
    text = str((await form(call.request)).get("types", ""))[:2000]
    names = tuple(dict.fromkeys(text.replace(",", " ").split()))
    unknown = [name for name in names if name not in r4().resource_types]
    if unknown:
        return await _page(
            call, 422, [("types", "Write types of FHIR R4, such as Patient Observation")], text
        )
    await runs.begin(call.records, Export(types=names), "page /exchange")
    return go("/exchange?said=begun")


async def cancel(call: Call) -> Response:
    """Give an export or import up, and remove its files."""
    _allowed(call)
    await runs.cancel_any(call.records, str((await form(call.request)).get("run", "")))
    return go("/exchange?said=cancelled")


async def again(call: Call) -> Response:
    """Try a subscription again at once."""
    _allowed(call)
    await tending.try_again(call.records, str((await form(call.request)).get("subscription", "")))
    return go("/exchange?said=again")


async def download(call: Call) -> Response:
    """A file of one's own export. Raises NotFound."""
    _allowed(call)
    run = await runs.of(call.records, call.request.path_params["run"])
    number = call.request.query_params.get("n", "")
    async with call.records.database.single() as conn:
        made = {str(one.n): one for one in await runs.files(conn, run.id)}
        if run.state != "finished" or number not in made:
            raise NotFound("There is no such file")
        await audit.note(
            conn, call.actor, call.now, "export-file", rtype=made[number].rtype, detail=f"{run.id}/{number}"
        )
    path = Place(call.request.app.state.settings.data_dir).folder("export", run.id) / made[number].name
    if not path.is_file():
        raise NotFound("The files of this export have been removed")
    return FileResponse(
        path, media_type="application/fhir+ndjson", filename=path.name, headers={"cache-control": "no-store"}
    )


def _allowed(call: Call) -> None:
    if call.actor.role != "administrator":
        raise Forbidden("Your role does not allow you to see exports and subscriptions")


async def _run(call: Call, run: Run) -> dict[str, Any]:
    own = run.user == call.actor.user
    async with call.records.database.single() as conn:
        files = await runs.files(conn, run.id) if own and run.state == "finished" else []
    mark, words = STATES[run.state]
    return {
        "id": run.id, "kind": run.kind.title(), "started": call.zone.stamp(run.at), "mark": mark, "state": words,
        "who": run.who().name, "progress": run.error or (run.progress if run.progress != run.state else ""),
        "resources": run.resources, "until": call.zone.stamp(run.expires) if run.expires and run.state == "finished" else "",
        "open": run.state in (*runs.OPEN, "finished"), "own": own,
        "files": [(f"/exchange/{run.id}/file?n={one.n}", one.name, one.resources) for one in files],
    }  # fmt: skip


def _subscription(call: Call, one: State) -> dict[str, Any]:
    plan = one.how
    mark, words = STATES[one.state]
    where = plan.endpoint if plan.channel != "rest-hook" else urlsplit(plan.endpoint).netloc
    return {
        "id": one.id, "topic": BY_URL[plan.topic].title if plan.topic in BY_URL else plan.topic, "mark": mark,
        "state": words, "channel": plan.channel, "where": where, "pending": one.events - one.delivered,
        "events": one.events, "error": one.error, "retry": call.zone.stamp(one.retry_at) if one.retry_at else "",
        "failing": one.state == "error" or one.failures > 0,
    }  # fmt: skip
