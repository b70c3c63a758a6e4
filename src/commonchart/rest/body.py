"""Bodies over the wire, in both directions: formats, encodings, and the bounds of each."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import msgspec
from starlette.types import Receive, Scope

from commonchart.fhir import json
from commonchart.fhir.outcome import Malformed, NotAcceptable, TooLarge, UnsupportedMedia
from commonchart.rest.exchange import Answer, Params, query_params

MEDIA = "application/fhir+json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
GRAPHQL = "application/graphql"
FORM = "application/x-www-form-urlencoded"
THREAD_FROM = 256_000
GZIP_FROM = 1_400
JSON_TYPES = frozenset(
    {
        "application/fhir+json",
        "application/json",
        "text/json",
        "application/json+fhir",
        "*/*",
        "application/*",
        "",
    }
)
# what an operation answers in beside FHIR: the files and the state of an export
ALSO_GIVEN = frozenset(
    {"json", "application/fhir+ndjson", "application/ndjson", "application/x-ndjson", "ndjson"}
)


class Gone(Exception):
    """The client went away while it was sending."""


def acceptable(params: Params, headers: dict[str, str]) -> None:
    """Only JSON is spoken: `_format` decides before Accept. Raises NotAcceptable."""
    asked = next((value for name, value in params if name == "_format"), "") or headers.get("accept", "*/*")
    if asked in JSON_TYPES:
        return
    kinds = [part.split(";")[0].strip().lower() for part in asked.replace(" json", "+json").split(",")]
    if not any(kind in JSON_TYPES or kind in ALSO_GIVEN for kind in kinds):
        raise NotAcceptable(f"This server answers in {MEDIA} only; XML and Turtle are not offered")


async def content(
    receive: Receive, headers: dict[str, str], segments: tuple[str, ...]
) -> tuple[Params, dict[str, Any] | None, bool]:
    """Parameters of a form, or the JSON body, and whether that is large. Raises Malformed, TooLarge, UnsupportedMedia."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    data = await _received(receive, headers)
    if segments[-1:] == ("_search",):
        if kind not in (FORM, ""):
            raise UnsupportedMedia(f"_search takes {FORM}")
        if not data.isascii():
            raise Malformed("A form is percent-encoded")
        return query_params(data.decode()), None, False
    if kind == GRAPHQL and segments[-1:] == ("$graphql",):
        return (), {"query": _utf8(data)}, False
    if kind not in JSON_TYPES and kind not in (JSON_PATCH, MERGE_PATCH):
        raise UnsupportedMedia(
            f"Send {MEDIA} (a patch: {JSON_PATCH}, {MERGE_PATCH}, or Parameters); XML and Turtle are not offered"
        )
    if not data:
        return (), None, False
    if kind == JSON_PATCH:
        data = b'{"patch":' + data + b"}"
    large = len(data) > THREAD_FROM
    decoded = await asyncio.to_thread(json.decode, data) if large else json.decode(data)
    if kind == JSON_PATCH and decoded.keys() != {"patch"}:
        raise Malformed("A JSON Patch is one list of operations")
    return (), decoded, large


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8") from None


async def _received(receive: Receive, headers: dict[str, str]) -> bytes:
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise UnsupportedMedia("A body is sent as it is, or compressed by gzip")
    _announced(headers.get("content-length", "0"))
    unzip = _Unzip() if encoding == "gzip" else None
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunk = message.get("body", b"")
        if unzip is not None:
            chunk = unzip(chunk, json.MAX_BYTES - size)
        size += len(chunk)
        if size > json.MAX_BYTES:
            raise TooLarge(f"A body has at most {json.MAX_BYTES} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            break
    if unzip is not None:
        unzip.end()
    return b"".join(chunks)


def _announced(text: str) -> None:
    if not text.isdigit():
        raise Malformed("Content-Length is not a number")
    if len(text) > 12 or int(text) > json.MAX_BYTES:
        raise TooLarge(f"A body has at most {json.MAX_BYTES} bytes")


class _Unzip:
    """One gzip member, never more than is wanted of it at a time."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def __call__(self, chunk: bytes, room: int) -> bytes:
        try:
            out = self._stream.decompress(chunk, room + 1)
        except zlib.error:
            raise Malformed("Content-Encoding says gzip, and the body is not") from None
        if len(out) > room:
            raise TooLarge(f"A body has at most {json.MAX_BYTES} bytes")
        return out

    def end(self) -> None:
        if not self._stream.eof or self._stream.unused_data:
            raise Malformed("The gzip body is cut off, or something follows it")


async def shaped(scope: Scope, headers: dict[str, str], answer: Answer) -> Answer:
    """The answer as this client wants it: laid out for reading (`_pretty=true`), compressed where it pays."""
    content = answer.body
    if not content:
        return answer
    if b"_pretty=true" in scope["query_string"] and content[:1] == b"{":
        content = msgspec.json.format(content, indent=2) + b"\n"
    if len(content) >= GZIP_FROM and "gzip" in headers.get("accept-encoding", ""):
        content = (
            await asyncio.to_thread(_zipped, content) if len(content) > THREAD_FROM else _zipped(content)
        )
        return Answer(answer.status, content, {**answer.headers, "content-encoding": "gzip"})
    return answer if content is answer.body else Answer(answer.status, content, answer.headers)


def _zipped(content: bytes) -> bytes:
    stream = zlib.compressobj(4, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return stream.compress(content) + stream.flush()
