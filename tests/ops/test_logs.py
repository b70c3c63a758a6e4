from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from commonchart.ops import logs

Lines = Any


@pytest.fixture
def lines(capfdbinary: Any) -> Lines:
    """What has been logged since, as dicts."""
    before = logging.root.handlers, logging.root.level
    for name in ("uvicorn", "uvicorn.error"):  # another test may have run a server that set these
        logging.getLogger(name).setLevel(logging.NOTSET)
        logging.getLogger(name).propagate = True
    logs.configure("info", process="test")
    yield lambda: [json.loads(line) for line in capfdbinary.readouterr().err.splitlines()]
    logging.root.handlers, level = before
    logging.root.setLevel(level)
    structlog.reset_defaults()


def test_a_name_that_is_not_listed_is_left_out(lines: Lines) -> None:
    structlog.get_logger().info("stored", count=3, family="Lovelace")
    (line,) = lines()
    assert line["count"] == 3
    assert line["left_out"] == ["family"]
    assert "Lovelace" not in str(line)


def test_an_error_is_its_type_and_places_without_its_message(lines: Lines) -> None:
    try:
        raise ValueError("Ada Lovelace, born 1815")
    except ValueError:
        structlog.get_logger().exception("a bug")
    (line,) = lines()
    assert line["error"] == "ValueError"
    assert line["places"][-1].startswith("test_logs.test_an_error")
    assert "Ada" not in str(line)


def test_other_libraries_are_named_and_not_quoted(lines: Lines) -> None:
    logging.getLogger("psycopg").warning("could not store Ada Lovelace")
    logging.getLogger("uvicorn.error").warning("lost %s", "Ada Lovelace")
    psycopg, uvicorn = lines()
    assert (psycopg["logger"], psycopg["event"]) == ("psycopg", "a library reports")
    assert uvicorn["event"] == "lost %s"
    assert "Ada" not in str(psycopg) + str(uvicorn)


async def asked(app: ASGIApp, path: str) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        return None

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"name=Ada",
        "headers": [],
        "root_path": "",
    }
    await logs.AccessLog(app)(scope, receive, send)  # type: ignore[arg-type]


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


async def api(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("ok")(scope, receive, send)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/patients/ada", "/patients/{id}"),
        ("/fhir/Patient/ada-1/_history/3", "/fhir/Patient/{id}/_history/{id}"),
        ("/fhir/Patient/Ada/$everything", "/fhir/Patient/{id}/$everything"),
        ("/fhir/Patient", "/fhir/Patient"),
        ("/fhir/metadata", "/fhir/metadata"),
        ("/fhir", "/fhir"),
        ("/fhir/Lovelace", "/fhir/{id}"),
        ("/nothing/ada", "unknown"),
        ("/somewhere/ada/c", "unknown"),
        ("/files/css/main.css", "/files/{path}"),
    ],
)
async def test_a_request_is_its_route_without_ids_or_query(lines: Lines, path: str, said: str) -> None:
    files = Mount("/files", routes=[Route("/{path:path}", answer)])
    somewhere = Mount("/somewhere", routes=[Route("/else", answer)])
    fhir = [Route("/fhir", answer), Mount("/fhir", app=api)]
    app = Starlette(routes=[Route("/patients/{id}", answer), *fhir, files, somewhere])
    await asked(app, path)
    (line,) = lines()
    assert line["path"] == said
    assert "Ada" not in str(line)


async def test_what_is_asked_all_the_time_is_not_told(lines: Lines) -> None:
    await asked(Starlette(routes=[Route("/health", answer)]), "/health")
    assert lines() == []


def test_for_people_it_is_a_plain_line() -> None:
    event = {
        "timestamp": "2026-11-18T10:00:00.5Z",
        "level": "info",
        "process": "web",
        "event": "request",
        "status": 200,
    }
    assert logs.plain(None, "info", event) == b"10:00:00 web request status=200"


@pytest.mark.parametrize(
    "text", ["a\r\nb", '","event":"forged', "\x1b[31mred", "a\u2028b\u2029c", "\x00\x08", "{}\n{}"]
)
def test_a_line_is_one_event_whatever_is_in_it(text: str, capfdbinary: Any, lines: Lines) -> None:
    """F5: what a client sends can be in a name that is listed (the route, the kind of an error); it never makes a second event."""
    structlog.get_logger().info(text, route=text, kind=text)
    logging.getLogger("uvicorn.error").warning(text)
    written = capfdbinary.readouterr().err
    assert len(written.splitlines()) == 2
    for line in written.splitlines():
        found = json.loads(line)
        assert found["event"] != "forged"
    assert not any(byte < 32 and byte != 10 for byte in written)
    assert b"\xe2\x80\xa8" not in written
