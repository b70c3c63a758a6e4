"""Saved filters as a page: save, rename, share, open with, delete and bring back."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access import views
from commonchart.fhir.outcome import Invalid, TooCostly
from commonchart.web.call import Call, go
from commonchart.web.clinician.panels import side
from commonchart.web.clinician.registry import filters_of, query_of, shown
from commonchart.web.clinician.writing import texts


async def open_one(call: Call) -> Response:
    """The registry with a saved filter, written out in the address."""
    id = call.request.path_params["view"]
    return go(f"/registry?{query_of(await views.filters_of(call.records, id))}&view={id}")


async def save(call: Call) -> Response:
    """Keep what the address narrows to, under a name."""
    sent = await texts(call)
    try:
        made = await views.save(
            call.records, sent.get("view-name", ""), filters_of(call), shared=sent.get("shared") == "yes"
        )
    except (Invalid, TooCostly) as refusal:
        return await shown(call, [("view-name", one.message) for one in refusal.issues], refusal.status)
    return go(f"/registry?{query_of(filters_of(call))}&view={made.id}&said=saved")


async def page(call: Call) -> Response:
    """All saved filters, with what can be done with each."""
    return await _page(call, [])


async def change(call: Call) -> Response:
    """Rename and share, open with, delete, bring back."""
    sent = await texts(call)
    id, todo = sent.get("id", ""), sent.get("do", "")
    try:
        await _done(call, id, todo, sent)
    except Invalid as refusal:
        return await _page(call, [(f"name-{id}", one.message) for one in refusal.issues], refusal.status)
    return go("/registry/views" + (f"?deleted={id}" if todo == "delete" else "?said=yes"))


async def _done(call: Call, id: str, todo: str, sent: dict[str, str]) -> None:
    if todo == "rename":
        await views.rename(call.records, id, sent.get("name", ""), shared=sent.get("shared") == "yes")
    elif todo in ("delete", "back"):
        await views.delete(call.records, id, back=todo == "back")
    elif todo in ("default", "no-default"):
        await views.make_default(call.records, id if todo == "default" else "")
    else:
        raise Invalid("The form is not complete: open it again")


async def _page(call: Call, issues: list[tuple[str, str]], status: int = 200) -> Response:
    saved, default = await views.listed(call.records)
    given = call.request.query_params
    mine = [
        {
            "view": one, "default": one.id == default, "own": one.owner == call.actor.user,
            "changes": one.owner == call.actor.user or call.actor.role == "administrator",
            "counted": call.zone.stamp(one.counted_at) if one.counted_at else "",
        }
        for one in saved
    ]  # fmt: skip
    return call.page(
        "registry-views.html", status, title="Saved filters", views=mine, issues=issues, errors=dict(issues),
        said="Done." if given.get("said") else "", deleted=given.get("deleted", "")[:64],
        side=await side(call, "/registry/views", saved),
    )  # fmt: skip
