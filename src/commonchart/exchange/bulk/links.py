"""Addresses of files: signed, and good until the files expire. The token of whoever asked is needed beside them."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from urllib.parse import urlencode

from commonchart.fhir.outcome import NotFound

_DIGEST = "sha256"


def address(base: str, run: str, n: int, rtype: str, expires: datetime, secret: bytes) -> str:
    """Where the n-th file of a run is fetched."""
    until = int(expires.timestamp())
    query = urlencode({"expires": until, "signature": _signature(run, n, until, secret)})
    return f"{base}/_bulk/{run}/{n}.{rtype}.ndjson?{query}"


def check(run: str, n: int, expires: str, signature: str, now: datetime, secret: bytes) -> None:
    """Raises NotFound, whatever is wrong with the address."""
    until = int(expires) if expires.isascii() and expires.isdigit() and len(expires) < 13 else 0
    expected = _signature(run, n, until, secret)
    good = hmac.compare_digest(signature.encode(), expected.encode())
    if not good or datetime.fromtimestamp(until, UTC) <= now:
        raise NotFound("This address has expired, or was not made here")


def _signature(run: str, n: int, until: int, secret: bytes) -> str:
    if not secret:
        raise NotFound("This server signs no addresses")
    return hmac.digest(secret, f"bulk-file\x1f{run}\x1f{n}\x1f{until}".encode(), _DIGEST).hex()
