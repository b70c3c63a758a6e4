"""Section E11 of the hostile list: what comes over the wire slowly, too long, or so that it could be read in two ways."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from commonchart.cli.wire import MAX_HEAD, Wire


class Hasty(Wire):
    head_seconds = 0.4
    body_seconds = 0.4


async def told(scope: Any, receive: Any, send: Any) -> None:
    """Answers with how many bytes the body had."""
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
    await send({"type": "http.response.body", "body": b"%08d" % size})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(told, http=Hasty, lifespan="off", log_config=None))
    running = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    running.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    running.join()


def said(port: int, *pieces: bytes, pause: float = 0.0, patience: float = 1.5) -> tuple[bytes, bool]:
    """What is answered, and whether the connection was ended within the patience."""
    out = b""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.settimeout(patience)
        try:
            for piece in pieces:
                wire.sendall(piece)
                time.sleep(pause)
            while part := wire.recv(65536):
                out += part
        except TimeoutError:
            return out, False
        except OSError:  # ended while we were still sending
            return out, True
    return out, True


HOST = b"Host: x\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST


def test_a_request_is_answered_and_the_next_one_too(port: int) -> None:
    post = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    answer, _ = said(port, GET + b"\r\n" + post)
    assert answer.count(b"200 OK") == 2
    assert answer.endswith(b"00000003")


def test_one_that_is_slow_but_goes_on_is_answered(port: int) -> None:
    answer, _ = said(port, GET, b"X-A: b\r\n", b"\r\n", pause=0.1)
    assert b"200 OK" in answer


@pytest.mark.parametrize(
    "pieces",
    [
        (b"",),
        (b"GET / HT",),
        (GET, *[b"X-%d: a\r\n" % n for n in range(12)]),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99\r\n\r\n", *[b"a"] * 12),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\na\r\n"] * 12),
    ],
)
def test_what_never_ends_is_ended(port: int, pieces: tuple[bytes, ...]) -> None:
    began = time.monotonic()
    answer, ended = said(port, *pieces, pause=0.1)
    assert ended
    assert b"200" not in answer
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "request_",
    [
        GET + b"X-A: " + b"a" * (1 << 20) + b"\r\n\r\n",
        GET + b"X-A: " + b"a" * (MAX_HEAD + 70_000),
        GET + b"".join(b"X-%d: a\r\n" % n for n in range(20_000)) + b"\r\n",
        b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n\r\n",
        GET + HOST + b"\r\n",
        GET + b"Authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        GET + b"X-A: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        gzip.compress(b"GET / HTTP/1.1\r\n\r\n", mtime=0),
    ],
)
def test_what_is_too_long_or_ambiguous_is_refused_and_ended(port: int, request_: bytes) -> None:
    answer, ended = said(port, request_)
    assert ended
    assert b"200 OK" not in answer
    assert answer.count(b"HTTP/1.1") <= 1
