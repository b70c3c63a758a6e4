"""Receipts of loads: what became of every entry."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.exchange.load import receipt
from commonchart.fhir.outcome import Forbidden
from commonchart.web.call import Call

PAGE = 50


async def recent(call: Call) -> Response:
    """The newest loads."""
    _allowed(call)
    found = await receipt.recent(call.records)
    rows = [
        (f"/receipts/{id}", source, call.zone.stamp(started), state) for id, source, started, state in found
    ]
    return call.page("receipts.html", title="Import receipts", rows=rows)


async def one(call: Call) -> Response:
    """One receipt: sums that add up, rejections by reason, and the rejected entries a page at a time."""
    _allowed(call)
    run = call.request.path_params["run"]
    found = await receipt.read(call.records, run)
    number = _number(call)
    rejected = await receipt.lines(
        call.records, run, outcome="rejected", limit=PAGE, offset=(number - 1) * PAGE
    )
    took = found.finished - found.started if found.finished else None
    return call.page(
        "receipt.html",
        title=f"Import receipt {found.id[:8]}",
        receipt=found,
        started=call.zone.stamp(found.started),
        took=f"{took.total_seconds():.0f} s" if took else "",
        rejected=rejected,
        newer=f"/receipts/{run}?page={number - 1}" if number > 1 else "",
        older=f"/receipts/{run}?page={number + 1}" if number * PAGE < found.total.rejected else "",
    )


async def download(call: Call) -> Response:
    """The receipt as JSON with every rejected entry."""
    _allowed(call)
    run = call.request.path_params["run"]
    found = await receipt.read(call.records, run)
    rejected = await receipt.lines(call.records, run, outcome="rejected", limit=1_000_000)
    headers = {"content-disposition": f'attachment; filename="receipt-{found.id[:8]}.json"'}
    return Response(receipt.as_json(found, rejected), media_type="application/json", headers=headers)


def _allowed(call: Call) -> None:
    if not (call.may("create", "Patient") and call.may("read", "Observation")):
        raise Forbidden("Your role does not allow you to see receipts")


def _number(call: Call) -> int:
    text = call.request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1
