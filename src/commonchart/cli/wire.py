"""HTTP/1.1 as it comes in: what takes for ever, is too long or could be read in two ways is ended (hostile E11).

uvicorn's own protocol bounds none of these. A request that comes in one piece costs nothing more here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 * 1024
ONCE = frozenset({b"host", b"authorization", b"content-type", b"content-encoding", b"if-match"})
_NOTHING, _HEAD, _BODY = range(3)


class Wire(HttpToolsProtocol):
    """One connection. `head_seconds` for the lines before the body (and before the first of them), `body_seconds` for it."""

    head_seconds = 20.0
    body_seconds = 300.0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._part = _NOTHING
        self._length = 0
        self._seen: set[bytes] = set()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, not for ever."""
        super().connection_made(transport)
        self._wait(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; then wait for the rest of the part that is not whole."""
        before = self._part
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._stop()
            return
        if self._part == _HEAD:
            self._length += len(data)
            if self._length > MAX_HEAD:
                self.send_400_response("The header lines are too long.")
                return
        if self._part != before or self._part == _NOTHING:
            self._stop()
        if self._part != _NOTHING and self._timer is None:
            self._wait(self.head_seconds if self._part == _HEAD else self.body_seconds)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._part, self._length = _HEAD, 0
        self._seen.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line. Raises ValueError, which is answered 400."""
        self._length += len(name) + len(value)
        lower = name.lower()
        if self._length > MAX_HEAD or (lower in ONCE and lower in self._seen):
            raise ValueError("too long, or given twice")
        self._seen.add(lower)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body begins."""
        super().on_headers_complete()
        self._part = _BODY

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._part = _NOTHING

    def _wait(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._over)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._timer = None
        self.transport.close()
