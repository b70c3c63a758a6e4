"""Where a request comes from, and where the browser believes it is."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from commonchart.access.people import breached
from commonchart.access.people.guessing import Origin
from commonchart.access.people.passkeys import Site
from commonchart.settings import client_address, public_address

DEVICE_COOKIE = "commonchart-device"


def origin(request: Request) -> Origin:
    """The device's cookie, the address (through a proxy only where the settings name it), the browser in its own words."""
    peer = request.client.host if request.client else ""
    address = client_address(_settings(request), peer, request.headers.get("x-forwarded-for", ""))
    return Origin(
        request.cookies.get(DEVICE_COOKIE, "")[:100],
        address[:64],
        request.headers.get("user-agent", "")[:200],
    )


def _settings(request: Request) -> Any:
    return getattr(request.app.state, "settings", None)


def passkey_site(request: Request) -> Site:
    """What passkeys are bound to: the host and origin that people use."""
    found = public_address(_settings(request), request.url.scheme, request.url.netloc)
    return Site(urlsplit(found).hostname or "", found)


def passkeys_work(request: Request) -> bool:
    """Whether browsers make passkeys here: they need a host with a name, and https except on this machine."""
    host = passkey_site(request).host
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost" or passkey_site(request).origin.startswith("https://")
    return False


def breached_list(request: Request) -> Path | None:
    """Where the site's list of breached passwords lies, if there is one."""
    folder = getattr(_settings(request), "data_dir", None)
    return Path(folder) / breached.FILE if folder else None
