"""One FHIR request and its answer, whether it came by HTTP or as an entry of a Bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid, Malformed, NotFound
from commonchart.record.rows import Stored
from commonchart.rest.arguments import Arguments, arguments
from commonchart.settings import Settings

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_ETAG = re.compile(r'(?:W/)?"(\d{1,9})"')
MAX_QUERY = 64_000

Params = tuple[tuple[str, str], ...]


class Asked(Struct, frozen=True):
    """What is asked: `segments` of the path below the base, `params` of the query, `headers` in lower case.

    `large`: too much to look at on the event loop. `settings` are the installation's, None in a test of one part.
    """

    method: str
    segments: tuple[str, ...]
    params: Params
    base: str
    headers: Mapping[str, str] = {}
    body: dict[str, Any] | None = None
    large: bool = False
    settings: Settings | None = None

    @property
    def rtype(self) -> str:
        """The resource type in the path. Raises NotFound for what is none."""
        if self.segments[0] not in r4().resource_types:
            raise NotFound("There is no such resource type in FHIR R4", code="not-supported")
        return self.segments[0]

    @property
    def id(self) -> str:
        """The id in the path. Raises NotFound for what cannot be one."""
        if not ID.fullmatch(self.segments[1]):
            raise NotFound(f"There is no {self.rtype} with this id")
        return self.segments[1]

    @property
    def strict(self) -> bool:
        """Whether unknown search parameters are refused (`Prefer: handling=strict`)."""
        return self.preference("handling") == "strict"

    def preference(self, name: str) -> str:
        """A value of the Prefer header, "" if it does not say."""
        for part in re.split(r"[,;]", self.headers.get("prefer", "")):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value.strip('" ')
        return ""

    def arguments(self) -> Arguments:
        """What an operation is given. Raises Malformed."""
        return arguments(self.params, self.body)

    def resource(self) -> dict[str, Any]:
        """The body, which must be of the type in the path. Raises Malformed."""
        if self.body is None:
            raise Malformed("The request has no body: send the resource as application/fhir+json")
        if self.body.get("resourceType") != self.rtype:
            raise Malformed(
                f"The body must be a {self.rtype}, as the address says", at="resourceType", code="invalid"
            )
        return self.body


class Answer(Struct, frozen=True):
    """What is answered: `body` is JSON bytes, already as stored wherever possible, or `file` is sent as it is."""

    status: int
    body: bytes | None = None
    headers: dict[str, str] = {}
    file: Path | None = None


def etag(vid: int) -> str:
    """The weak entity tag of a version."""
    return f'W/"{vid}"'


def version_headers(stored: Stored) -> dict[str, str]:
    """ETag and Last-Modified of a version."""
    return {"ETag": etag(stored.vid), "Last-Modified": format_datetime(stored.recorded, usegmt=True)}


def if_match(asked: Asked) -> int | None:
    """The version that If-Match names, None without it. Raises Malformed."""
    text = asked.headers.get("if-match")
    if text is None:
        return None
    found = _ETAG.fullmatch(text.strip())
    if not found:
        raise Malformed('If-Match is a version such as W/"3"', at="If-Match")
    return int(found[1])


def unmodified(asked: Asked, stored: Stored) -> bool:
    """Whether the client has this version already (If-None-Match, If-Modified-Since)."""
    tags = asked.headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or str(stored.vid) in _ETAG.findall(tags)
    since = asked.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return stored.recorded.replace(microsecond=0) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def location(asked: Asked, stored: Stored) -> str:
    """The address of a version."""
    return f"{asked.base}/{stored.rtype}/{stored.id}/_history/{stored.vid}"


def query_params(text: str) -> Params:
    """The parameters of a query string or form, in order; bytes that are no text, and NUL, refused. Raises Malformed."""
    if len(text) > MAX_QUERY:
        raise Malformed(f"The query is longer than {MAX_QUERY} characters", code="too-long")
    if "%00" in text or "\x00" in text:
        raise Malformed("The query holds a NUL character")
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=200))
    except (UnicodeDecodeError, ValueError):
        raise Malformed("The query is not UTF-8, or has more than 200 parameters") from None


def moment(asked: Asked, name: str) -> datetime | None:
    """A parameter that is an instant, None without it. Raises Malformed."""
    from commonchart.fhir import dates

    text = next((value for key, value in asked.params if key == name), None)
    if text is None:
        return None
    try:
        return dates.bounds(text.replace(" ", "+"))[0]
    except Invalid:
        raise Malformed(f"{name} is a moment such as 2026-11-18T10:00:00Z", at=name) from None
