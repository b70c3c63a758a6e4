"""A new password of one's own."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access import passwords, signin
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call, go
from commonchart.web.session import form, plain
from commonchart.web.whence import breached_list
from commonchart.web.yours import look


async def page(call: Call) -> Response:
    """The form."""
    return await _page(call)


async def change(call: Call) -> Response:
    """Keep it; every other session ends."""
    sent = plain(await form(call.request))
    new, again = (sent.get(name, "")[:400] for name in ("password", "again"))
    missing = [(name, words) for name, words, text in (
        ("password", "Enter a new password", new), ("again", "Enter the new password once more", again),
    ) if not text]  # fmt: skip
    if missing:
        return await _page(call, missing)
    if new != again:
        return await _page(call, [("again", "The two are not the same: enter the new password twice")])
    assert call.session is not None
    try:
        await signin.change_password(
            call.records.database,
            call.actor,
            call.session.token,
            new,
            call.now,
            breached=breached_list(call.request),
        )
    except Invalid as refusal:
        return await _page(call, [("password", refusal.issues[0].message)])
    return go("/account/password?said=kept")


async def _page(call: Call, issues: list[tuple[str, str]] | None = None) -> Response:
    return await look.page(
        call, "password.html", "Change your password", 422 if issues else 200, issues=issues or [], errors=dict(issues or []),
        said=call.request.query_params.get("said") == "kept", shortest=passwords.SHORTEST,
    )  # fmt: skip
