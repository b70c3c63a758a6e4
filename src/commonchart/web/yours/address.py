"""The e-mail address of one's own account."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access.people import address
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call, go
from commonchart.web.session import form, plain
from commonchart.web.yours import look

HERE = "/account/email"


async def page(call: Call) -> Response:
    """The form, with the address that is kept."""
    async with call.records.database.single() as conn:
        return await _page(call, await address.kept(conn, call.actor.user))


async def change(call: Call) -> Response:
    """Keep another one."""
    wanted = plain(await form(call.request)).get("email", "")[:300]
    try:
        await address.change(call.records.database, call.actor, wanted, call.now)
    except Invalid as refusal:
        return await _page(call, wanted, [("email", refusal.issues[0].message)])
    return go(f"{HERE}?said=kept")


async def _page(call: Call, email: str, issues: list[tuple[str, str]] | None = None) -> Response:
    return await look.page(
        call, "email.html", "Your e-mail address", 422 if issues else 200, issues=issues or [], errors=dict(issues or []),
        said=call.request.query_params.get("said") == "kept", email=email, idle=False,
    )  # fmt: skip
