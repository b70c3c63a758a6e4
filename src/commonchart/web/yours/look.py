"""One page in two looks: the workspace of staff, and the portal of patients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.responses import HTMLResponse

from commonchart.access.actors import FOR_A_PATIENT
from commonchart.web.call import Call
from commonchart.web.portal import days
from commonchart.web.portal.door import opened


def moments(call: Call) -> Callable[[datetime], str]:
    """How a moment is written for whoever asks: patients read it as it is at the practice."""
    if call.actor.role not in FOR_A_PATIENT:
        return call.zone.stamp

    def words(at: datetime) -> str:
        return f"{days.of_date(call.zone.day(at))}, {days.clock(at, call.zone)}"

    return words


async def page(
    call: Call, template: str, title: str, status: int = 200, *, idle: bool = True, **context: Any
) -> HTMLResponse:
    """A page of `templates/yours`, in the look of whoever asks: `layout` is what it extends, `home` where it leads back."""
    if call.actor.role in FOR_A_PATIENT:
        me = await opened(call)
        shared = me.shared(title) | {"layout": "portal/layout.html", "portal": True, "home": "/me/you"}
    else:
        shared = {"title": title, "layout": "page.html", "portal": False, "home": "/account"}
    given: dict[str, Any] = shared | {"issues": [], "errors": {}} | context
    return call.page(f"yours/{template}", status, idle=idle, **given)
