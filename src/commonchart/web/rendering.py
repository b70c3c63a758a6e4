"""Templates into responses, with the headers that every page carries."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from commonchart.web import assets
from commonchart.web.present import dates, values

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


@cache
def environment() -> Environment:
    """The template environment: escapes everything, and refuses a name that no view gave."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(day=_day, ago=dates.ago, unit=values.tidy)
    made.globals.update(asset=assets.url, htmx=assets.has("vendor/htmx.js"))
    return made


def _day(value: date | str) -> str:
    return dates.day(value) if isinstance(value, str) else dates.of_date(value)


def html(template: str, context: dict[str, Any], status: int = 200) -> HTMLResponse:
    """The rendered page with the security headers."""
    return HTMLResponse(environment().get_template(template).render(context), status, headers=HEADERS)


def permitting(response: HTMLResponse, addresses: Iterable[str]) -> HTMLResponse:
    """The page with forms that may also lead on to these addresses: browsers hold `form-action` against redirects too."""
    known = sorted({_origin(address) for address in addresses})
    own = f"form-action 'self' {' '.join(known)}".rstrip()
    response.headers["content-security-policy"] = POLICY.replace("form-action 'self'", own)
    return response


def _origin(address: str) -> str:
    """Scheme and host of a web address, the scheme alone of a native app's."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def secured(response: Response, https: bool) -> Response:
    """Put the headers on a response that has none yet."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if https:
        response.headers.setdefault("strict-transport-security", "max-age=31536000")
    return response
