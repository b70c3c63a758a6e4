"""The one door to other servers: every outbound address passes here, or is not called (hostile list, H1, H3, G3).

Only https, to public addresses, on the usual ports; what a site lists by its exact origin may also be plain http, on its
own network or on another port. The name is resolved here and the connection goes to the very address that was looked at,
so that a second answer of the name server changes nothing. No redirects, no proxies, no cookies, bounded time and size.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from msgspec import Struct

from commonchart.fhir.outcome import Forbidden

MAX_URL = 2000
MAX_BYTES = 1_000_000
PORTS = frozenset({443, 8443})
NEVER = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})

_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# what `ipaddress` counts as global and nobody should be asked about: translations of IPv4 into IPv6
_TRANSLATED = ("64:ff9b:", "2002:")

Resolve = Callable[[str, int], Awaitable[list[str]]]
Origin = tuple[str, str, int]


class Rules(Struct, frozen=True):
    """What a site has decided: `origins` it trusts whatever their address, and whether it calls nobody else."""

    origins: frozenset[Origin] = frozenset()
    only_these: bool = False


class Target(Struct, frozen=True):
    """An address that may be called: `ip` is where the connection goes, `host` what the certificate must name."""

    url: str
    scheme: str
    host: str
    port: int
    ip: str

    @property
    def origin(self) -> Origin:
        """Scheme, host and port: what is compared, always whole."""
        return self.scheme, self.host, self.port


class Reply(Struct, frozen=True):
    """What came back: never shown to whoever named the address."""

    status: int
    headers: dict[str, str]
    body: bytes


class Unanswered(Exception):
    """The other side could not be reached, took too long, sent too much or wants to send us elsewhere.

    `unsent`: nothing of the request has left, so that it certainly was not acted on.
    """

    def __init__(self, words: str, *, unsent: bool = False) -> None:
        self.unsent = unsent
        super().__init__(words)


def origin_of(url: str) -> Origin:
    """Scheme, host and port of an address. Raises Forbidden naming what is wrong with it."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or re.search(r"[\s\\]", url):
        raise Forbidden("An address outside is plain printable ASCII of at most 2000 characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Forbidden("The address cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise Forbidden("Only https addresses are called")
    if "@" in parts.netloc:
        raise Forbidden("An address with a user name or password is not called")
    if parts.fragment:
        raise Forbidden("An address to be called has no fragment")
    if not url[len(parts.scheme) :].startswith("://"):
        raise Forbidden("The address cannot be read")
    host = _host((parts.hostname or "").lower())
    return parts.scheme, host, port if port is not None else (443 if parts.scheme == "https" else 80)


def _host(host: str) -> str:
    """A name, or an IP address in its one usual spelling. Raises Forbidden: decimal, octal, hex, short forms, zones."""
    try:
        literal = ip_address(host)
    except ValueError:
        if len(host) > 253 or not _NAME.fullmatch(host):
            raise Forbidden("The host is neither a name nor an address in its usual spelling") from None
        return host
    if isinstance(literal, IPv6Address) and literal.scope_id:
        raise Forbidden("The host is neither a name nor an address in its usual spelling")
    return str(literal)


def public(text: str) -> bool:
    """Whether an IP address is one of the public Internet: not private, loopback, link-local, multicast, mapped ..."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None or address.teredo is not None or address.is_site_local:
            return False
        if address.compressed.startswith(_TRANSLATED):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def rules(origins: str, only_these: bool = False) -> Rules:
    """The rules from a list of origins with spaces between them, such as `https://hooks.example http://10.0.0.5:8080`.

    Raises Forbidden for one that cannot be read.
    """
    return Rules(frozenset(origin_of(text) for text in origins.split()), only_these)


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Guard:
    """Calls other servers under a site's rules. `resolver` is for tests."""

    def __init__(self, allowed: Rules, resolver: Resolve = resolve) -> None:
        self.allowed = allowed
        self._resolve = resolver

    def readable(self, url: str) -> Origin:
        """The origin, if the address may be called as far as can be told without looking it up. Raises Forbidden."""
        origin = origin_of(url)
        if origin in self.allowed.origins:
            return origin
        scheme, host, port = origin
        if self.allowed.only_these:
            raise Forbidden("This origin is not on the site's list of those that may be called")
        if scheme != "https":
            raise Forbidden("Only https addresses are called")
        if port not in PORTS:
            raise Forbidden("Only the ports 443 and 8443 are called")
        if "." not in host and ":" not in host:
            raise Forbidden("The host is no full name")
        if _is_literal(host) and not public(host):
            raise Forbidden("The address is not on the public Internet")
        return origin

    async def check(self, url: str) -> Target:
        """Where a call to this address would go. Raises Forbidden; Unanswered for a name that nobody knows."""
        scheme, host, port = origin = self.readable(url)
        try:
            async with asyncio.timeout(5):
                found = [host] if _is_literal(host) else await self._resolve(host, port)
        except (OSError, TimeoutError, UnicodeError):
            raise Unanswered("The name of the host is not known", unsent=True) from None
        if not found:
            raise Unanswered("The name of the host is not known", unsent=True)
        if origin not in self.allowed.origins and not all(public(ip) for ip in found):
            raise Forbidden("The address is not on the public Internet")
        return Target(url, scheme, host, port, found[0])

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        seconds: float = 10.0,
        max_bytes: int = MAX_BYTES,
    ) -> Reply:
        """One request and its whole answer. Raises Forbidden (not to be called), Unanswered."""
        target = await self.check(url)
        chunks: list[bytes] = []

        async def keep(chunk: bytes) -> None:
            chunks.append(chunk)

        status, answered = await _call(target, method, headers, content, seconds, max_bytes, keep)
        return Reply(status, answered, b"".join(chunks))

    async def fetch(
        self,
        url: str,
        path: Path,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float,
        max_bytes: int,
    ) -> Reply:
        """The answer to a GET, its body in a file. Raises Forbidden, Unanswered."""
        target = await self.check(url)
        with path.open("wb") as file:

            async def keep(chunk: bytes) -> None:
                await asyncio.to_thread(file.write, chunk) if len(chunk) > 262_144 else file.write(chunk)

            status, answered = await _call(target, "GET", headers, b"", seconds, max_bytes, keep)
        return Reply(status, answered, b"")


def header(text: str) -> tuple[str, str]:
    """`Name: value` as one header that somebody may ask us to send. Raises Forbidden."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _HEADER.fullmatch(name) or len(value) > 8000 or not value.isascii():
        raise Forbidden("A header is written Name: value, in ASCII")
    if (value and not value.isprintable()) or name.lower() in NEVER:
        raise Forbidden("This header is not sent for anybody")
    return name, value


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _call(
    target: Target,
    method: str,
    headers: Mapping[str, str] | None,
    content: bytes,
    seconds: float,
    max_bytes: int,
    keep: Callable[[bytes], Awaitable[None]],
) -> tuple[int, dict[str, str]]:
    """Send to the address that was looked at, under the name that was asked for."""
    literal = f"[{target.ip}]" if ":" in target.ip else target.ip
    url = httpx.URL(target.url)
    sent = {"accept-encoding": "identity", "user-agent": "Commonchart", **(headers or {})}
    sent["host"] = url.netloc.decode("ascii")
    extensions: dict[str, Any] = {"sni_hostname": target.host}
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=_patience(seconds)) as client,
            client.stream(
                method, url.copy_with(host=literal), headers=sent, content=content, extensions=extensions
            ) as answer,
        ):
            if 300 <= answer.status_code < 400:
                raise Unanswered("The host answers with a redirect, which is not followed")
            await _read(answer, max_bytes, keep)
            return answer.status_code, dict(answer.headers)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError, OSError) as error:
        raise Unanswered(_words(error), unsent=isinstance(error, _UNSENT)) from None


_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL)


def _patience(seconds: float) -> httpx.Timeout:
    """Connecting has to fail before the whole does, so that it is known that nothing was sent."""
    return httpx.Timeout(seconds, connect=seconds * 0.8)


async def _read(answer: httpx.Response, max_bytes: int, keep: Callable[[bytes], Awaitable[None]]) -> None:
    size = 0
    async for chunk in answer.aiter_raw():
        size += len(chunk)
        if size > max_bytes:
            raise Unanswered("The host sends more than is read")
        await keep(chunk)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "The host does not answer in time"
    if isinstance(error, httpx.ConnectError | OSError):
        return "The host cannot be reached, or its certificate does not hold"
    return "The host does not answer as a web server does"
