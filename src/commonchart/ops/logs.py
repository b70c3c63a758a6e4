"""One line per event on standard error, JSON unless that is a terminal, and nothing of a patient in it.

What may be said is listed, not what may not: a value under a name outside `SAYABLE` is left out, an error is its type and
the places it passed through without its message, and a request is its route without the ids and the query string.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.routing import Router

from commonchart.fhir.definitions import r4

SAYABLE = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "process",
        "role",
        "pid",
        "logger",
        "error",
        "places",
        "signal",
        "attempt",
    }
    | {
        "method",
        "path",
        "status",
        "ms",
        "port",
        "workers",
        "mode",
        "schema",
        "state",
        "seconds",
        "count",
        "behind",
    }
    | {"rule", "pack", "version", "files", "stored", "unchanged", "rejected"}
)
LONGEST = 300
FHIR = "/fhir/"
QUIET = ("/health", "/static/")
OURS = ("commonchart", "uvicorn")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def configure(level: str = "info", *, process: str = "") -> None:
    """Send structlog's events and other libraries' records to standard error, redacted."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.contextvars.clear_contextvars()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _named(process),
            redacted,
            plain if os.isatty(2) else structlog.processors.JSONRenderer(serializer=_encoded),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(file=os.fdopen(2, "wb", buffering=0, closefd=False)),
        cache_logger_on_first_use=True,
    )
    logging.root.handlers = [Bridge()]
    logging.root.setLevel(max(number, logging.WARNING))


def redacted(logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The processor: leaves out what is not listed as sayable, and the message of an error."""
    error = event.pop("exc_info", None)
    kept: dict[str, Any] = {key: _short(value) for key, value in event.items() if key in SAYABLE}
    left_out = sorted(set(event) - SAYABLE)
    if left_out:
        kept["left_out"] = left_out
    error = sys.exc_info()[1] if error is True else error[1] if isinstance(error, tuple) else error
    if isinstance(error, BaseException):
        kept |= {"error": type(error).__name__, "places": places(error)}
    return kept


def plain(logger: object, name: str, event: MutableMapping[str, Any]) -> bytes:
    """The processor for people: the time, the event and the rest in a line."""
    rest = {
        key: value for key, value in event.items() if key not in ("timestamp", "event", "level", "process")
    }
    said = [event["timestamp"][11:19], event.get("process", ""), event["event"]]
    line = " ".join([*said, *(f"{key}={value}" for key, value in rest.items())])
    return "".join(map(_escaped, line)).encode()


def places(error: BaseException) -> list[str]:
    """Where an error passed, innermost last: `store.write:212`. Neither its message nor any value."""
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    return [
        f"{frame.filename.rsplit('/', 1)[-1].removesuffix('.py')}.{frame.name}:{frame.lineno}"
        for frame in frames
    ]


class Bridge(logging.Handler):
    """Records of the standard library's logging, without the values filled into them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on: its template from us and uvicorn, only its logger's name from others."""
        own = record.name.split(".")[0] in OURS
        event = str(record.msg) if own else "a library reports"
        log = structlog.get_logger()
        log.log(record.levelno, event.split("\n")[0], logger=record.name, exc_info=record.exc_info)


class AccessLog:
    """ASGI middleware: one event for each request, with its route and never its ids or its query."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request and say so."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            ms = round((perf_counter() - started) * 1000, 1)
            say = self._log.debug if scope["path"].startswith(QUIET) else self._log.info
            say("request", method=scope["method"], path=route(scope), status=status, ms=ms)


def route(scope: Scope) -> str:
    """The path with its parameters as names (`/patients/{id}`); "unknown" for one that no route serves."""
    if scope["path"].startswith(FHIR):
        return _interaction(scope["path"].removeprefix(FHIR).split("/"))
    parameters: dict[str, Any] = scope.get("path_params") or {}
    if isinstance(scope.get("endpoint"), Router | Starlette | None):
        return "unknown"
    names = {str(value): f"{{{name}}}" for name, value in parameters.items()}
    whole: str = scope["path"]
    for value in sorted(names, key=len, reverse=True):
        if "/" in value:
            whole = whole.replace(value, names[value])
    return "/".join(names.get(part, part) for part in whole.split("/"))


def _interaction(segments: list[str]) -> str:
    """A FHIR address without what is only somebody's: types, `_history`, `$operation` and `metadata` stay."""
    known = [
        part
        if (n == 0 and (part in r4().resource_types or part == "metadata")) or part[:1] in ("", "_", "$")
        else "{id}"
        for n, part in enumerate(segments)
    ]
    return FHIR + "/".join(part if part.isascii() and len(part) < 40 else "{id}" for part in known)


def _named(process: str) -> structlog.typing.Processor:
    def add(logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if process:
            event["process"] = process
        return event

    return add


def _short(value: Any) -> Any:
    if isinstance(value, int | float | bool | None):
        return value
    return str(value)[:LONGEST]


def _encoded(event: object, **_options: object) -> bytes:
    """JSON in which nothing breaks a line or steers a terminal: what is not printable is escaped, also beyond ASCII."""
    text = msgspec.json.encode(event).decode()
    return (text if text.isprintable() else "".join(map(_escaped, text))).encode()


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))
