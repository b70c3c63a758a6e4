"""The last wall: no answer leaves without its security headers, whichever door made it or refused to.

A door that says one of them itself keeps its own; this only adds what is missing. What is stated here is therefore the
strictest: kept nowhere, shown in no frame, running nothing.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
OVER_TLS = (b"strict-transport-security", b"max-age=31536000")


class Headed:
    """An ASGI application around another. `tls`: people reach it by https, whatever the last hop is."""

    def __init__(self, app: ASGIApp, tls: bool) -> None:
        self.app, self.tls = app, tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application inside does, with what its answer lacks."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        wanted = (*ALWAYS, OVER_TLS) if self.tls or scope.get("scheme") == "https" else ALWAYS

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                missing = [pair for pair in wanted if pair[0] not in there]
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        await self.app(scope, receive, headed)
