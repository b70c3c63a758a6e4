"""Is this resource valid FHIR, and does it fit a profile? A page to paste one into; nothing is stored."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commonchart.access.profiles import examined, mode
from commonchart.fhir.json import decode
from commonchart.fhir.outcome import Forbidden, Issue, Refused
from commonchart.record import packages
from commonchart.web.call import Call
from commonchart.web.session import form

SHOWN = 100
MAX_URL = 500
_WORDS = {"fatal": "Error", "error": "Error", "warning": "Warning", "information": "Note"}
_MARKS = {"fatal": "overdue", "error": "overdue", "warning": "due", "information": "not"}


async def page(call: Call) -> Response:
    """The form, and which profiles are known."""
    return await _page(call, {"resource": "", "profile": ""})


async def look(call: Call) -> Response:
    """What is found in the text that was sent; status 422 where it can be read and is not valid, or cannot be read."""
    sent = await form(call.request)
    given = {
        "resource": str(sent.get("resource", "")),
        "profile": str(sent.get("profile", ""))[:MAX_URL].strip(),
    }
    return await _page(call, given, sent=True)


async def _page(call: Call, given: dict[str, str], *, sent: bool = False) -> Response:
    if call.records.actor.role != "administrator" and not call.may("create", "Patient"):
        raise Forbidden("Your role does not allow you to validate resources")
    tenant = call.records.actor.tenant
    async with call.records.database.connection() as conn:
        found = await _found(conn, tenant, given) if sent else None
        known = await packages.known(conn, tenant)
        loaded = await packages.listed(conn, tenant)
        how = await mode(conn, tenant)
    return call.page(
        "validate.html",
        200 if found is None or found["valid"] else 422,
        idle=not sent,
        title="Validate",
        given=given,
        found=found,
        urls=known.urls(),
        packages=[(one, call.zone.stamp(one.loaded)) for one in loaded],
        how=how,
    )


async def _found(conn: Any, tenant: int, given: dict[str, str]) -> dict[str, Any]:
    try:
        resource = decode(given["resource"].encode())
    except Refused as refused:
        return _told(refused.issues, ())
    report = await examined(conn, tenant, resource, [given["profile"]] if given["profile"] else [])
    return _told(report.issues, report.not_checked)


def _told(issues: tuple[Issue, ...], not_checked: tuple[str, ...]) -> dict[str, Any]:
    valid = not any(issue.severity in ("error", "fatal") for issue in issues)
    rows = [(_MARKS[one.severity], _WORDS[one.severity], one.at, one.message) for one in issues[:SHOWN]]
    return {"valid": valid, "rows": rows, "more": max(0, len(issues) - SHOWN), "not_checked": not_checked}
