"""The limit of each address, before anything else is done for a request. `/health` and the files of pages are always answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from commonchart.access.actors import nobody
from commonchart.access.limits import Limits, limits_of, refuse
from commonchart.fhir.outcome import Refused
from commonchart.settings import client_address

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FREE = ("/health", "/static/")
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
        address = _address(scope) if limits else ""
        wait = limits.wait("address", address, limits.rates.address) if limits and address else 0.0
        if limits is None or not wait:
            await self._app(scope, receive, send)
            return
        await self._refuse(limits, state, address, wait, scope, receive, send)

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
            await refuse(
                limits, state.database, nobody(state.database.tenant), state.clock(), "address", address, wait
            )
        except Refused as refusal:
            await self._answer(scope, refusal)(scope, receive, send)


def _address(scope: Scope) -> str:
    """Whose count it is: the client's address, or what a named proxy says; "" behind one that nobody named."""
    headers = dict(scope.get("headers") or ())
    forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1")
    return client_address(scope["app"].state.settings, scope["client"][0], forwarded)
