"""The limit of each address, before anything else is done for a request. `/health` and the files of pages are always answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from commonchart.access.actors import Actor
from commonchart.access.limits import Limits, limits_of, refuse
from commonchart.fhir.outcome import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FREE = ("/health", "/static/")
OURSELVES = frozenset({"127.0.0.1", "::1"})
NOBODY = Actor(0, "", "", "system", "", "web")
TRY_LATER = 1013


class Addresses:
    """ASGI middleware. `answer` makes the response of a refusal for a request."""

    def __init__(self, app: App, answer: Callable[[Scope, Refused], App]) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it."""
        client = scope.get("client")
        if client is None or scope["type"] not in ("http", "websocket") or scope["path"].startswith(FREE):
            await self._app(scope, receive, send)
            return
        state = scope["app"].state
        limits = limits_of(state)
        wait = limits.wait("address", client[0], limits.rates.address) if limits else 0.0
        if limits is None or not wait or _proxied(state, client[0]):
            await self._app(scope, receive, send)
            return
        await self._refuse(limits, state, client[0], wait, scope, receive, send)

    async def _refuse(
        self,
        limits: Limits,
        state: Any,
        address: str,
        wait: float,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": TRY_LATER})
            return
        try:
            await refuse(limits, state.database, NOBODY, state.clock(), "address", address, wait)
        except Refused as refusal:
            await self._answer(scope, refusal)(scope, receive, send)


def _proxied(state: Any, address: str) -> bool:
    """Whether it is a proxy on this machine, behind which everybody has the same address: it counts for itself."""
    return address in OURSELVES and bool(getattr(state.settings, "base_url", ""))
