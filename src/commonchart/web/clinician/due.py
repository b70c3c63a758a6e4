"""The whole due list of a patient: every rule that is about them, with its explanation."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access import rules
from commonchart.fhir.outcome import Forbidden
from commonchart.web.call import Call
from commonchart.web.clinician.chart import Chart, due_rail, learn_evidence, opened
from commonchart.web.present.due import STATUSES, Item

PAGE = 25


async def page(call: Call) -> Response:
    """Items by status, some at a time; stored rows only, no rule runs here."""
    if not call.may("read", "Condition"):
        raise Forbidden("Your role does not allow you to see due lists")
    chart = await opened(call, "due", rail=False)
    rail = await due_rail(call, chart.id)
    items = (*rail.open, *rail.closed)
    show = call.request.query_params.get("show", "")
    wanted = [one for one in items if not show or one.status == show]
    rule = call.request.query_params.get("rule", "")
    at = next((n for n, one in enumerate(wanted) if one.rule == rule), None)
    start = _start(call, len(wanted)) if at is None else at // PAGE * PAGE
    shown = wanted[start : start + PAGE]
    await learn_evidence(chart, shown)
    return chart.page(
        "chart/due.html", "Due list", words=rail.words, chips=_chips(chart, items, show), items=shown, rule=rule,
        asks=rail.asks if show in ("", "cannot-tell") and start == 0 else (), empty=rail.empty if not items else "None.",
        off=await rules.switched_off(call.records),
        newer=chart.url("due", show=show, start=max(0, start - PAGE)) if start else "",
        older=chart.url("due", show=show, start=start + PAGE) if start + PAGE < len(wanted) else "",
        paging=f"{start + 1} to {min(start + PAGE, len(wanted))} of {len(wanted)}",
    )  # fmt: skip


def _start(call: Call, many: int) -> int:
    text = call.request.query_params.get("start", "0")
    return min(int(text), many) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _chips(chart: Chart, items: tuple[Item, ...], show: str) -> list[tuple[str, str, int, bool]]:
    counts = {status: sum(one.status == status for one in items) for status in STATUSES}
    found = [
        (chart.url("due", show=status), words, counts[status], status == show)
        for status, (_, words) in STATUSES.items()
        if counts[status] or status == show
    ]
    return [(chart.url("due"), "Everything", len(items), not show), *found]
