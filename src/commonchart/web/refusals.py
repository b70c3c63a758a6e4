"""Refusals as pages with the right status, and the page for what should never happen, which tells no details."""

from __future__ import annotations

from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from commonchart.fhir.outcome import Refused, Throttled
from commonchart.web import rendering
from commonchart.web.call import Preferences, Site
from commonchart.web.links import next_query

log = structlog.get_logger(__name__)
HEADINGS = {
    400: "That cannot be read",
    401: "Sign in",
    403: "Not allowed",
    404: "Not here",
    405: "Not allowed",
    409: "Somebody else changed this",
    410: "Deleted",
    412: "Somebody else changed this",
    413: "Too large",
    422: "There is a problem",
    429: "Too much at once",
    500: "Something went wrong here",
    501: "Not offered",
    503: "Not just now",
}
ADVICE = {
    403: "Your role does not allow it. If you need it for your work, ask an administrator.",
    404: "It may have been moved, or it is not yours to see. Look for the patient again.",
    409: "Open it again, look at what changed, and repeat your change if it is still needed. Nothing of yours was stored.",
    410: "Earlier versions are kept in the history.",
    412: "Open it again, look at what changed, and repeat your change if it is still needed. Nothing of yours was stored.",
    500: "Nothing was half stored. What happened has been noted for the administrator. Try again, or go back to the patient list.",
    503: "Nothing was stored. Try again in a moment.",
}


NOT_YOURS = "There is nothing at this address, or it is not yours to see."
"""What a patient reads, instead of the kind of resource that was not found."""


def page(request: Request, status: int, messages: list[str], **more: Any) -> Response:
    """A refusal as a page."""
    context = {
        "title": HEADINGS.get(status, "Not possible"),
        "messages": [message for message in messages if message],
        "advice": ADVICE.get(status, ""),
        "status": status,
        "chart": _chart_of(request),
        "actor": None,
        "prefs": Preferences(),
        "site": Site(),
        "may": {},
        "q": "",
    }
    if request.url.path == "/me" or request.url.path.startswith("/me/"):
        context |= {
            "messages": [NOT_YOURS] if status == 404 else context["messages"],
            "_": str,
            "language": "en",
            "translated": False,
            "look": "",
            "me": None,
            "base": "/me",
            "nav": [],
            "practice": "",
            "phone": "",
            "issues": [],
        }
        return rendering.html("portal/refused.html", context | more, status)
    return rendering.html("refused.html", context | more, status)


def _chart_of(request: Request) -> str:
    """The address of the chart that this page lies in, empty for others."""
    patient = request.path_params.get("patient")
    return f"/patients/{patient}" if patient and request.url.path != f"/patients/{patient}" else ""


def refused(request: Request, refusal: Refused) -> Response:
    """The page for a refusal; a 401 leads to the sign-in page and back."""
    if refusal.status == 401:
        if request.headers.get("hx-request") == "true":
            return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
        return RedirectResponse(f"/sign-in{next_query(request)}", 303)
    response = page(request, refusal.status, [issue.message for issue in refusal.issues])
    if refusal.status == 503:
        response.headers["retry-after"] = "5"
    if isinstance(refusal, Throttled):
        response.headers["retry-after"] = str(refusal.seconds)
    return response


def unknown(request: Request, error: HTTPException) -> Response:
    """An address that nothing answers (404), or a method that it does not know (405)."""
    response = page(request, error.status_code, [])
    response.headers.update(error.headers or {})  # Allow, which goes with 405 (RFC 9110, section 15.5.6)
    return response


def bug(request: Request, error: Exception) -> Response:
    """The 500 page. The log names the place in the program and the kind of error, never the text: it could hold patient data."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    log.error(
        "page_failed", kind=type(error).__name__, where=where, route=request.scope.get("route_path", "")
    )
    return page(request, 500, [])


def handlers() -> dict[Any, Any]:
    """For the app: pages for addresses that nothing answers, for refusals outside a view, and for bugs."""
    return {HTTPException: unknown, Refused: refused, Exception: bug}
