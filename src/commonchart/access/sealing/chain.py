"""The chain, pure: what of an event is sealed, a seal over some events, and what a signature stands for.

A digest is the SHA-256 of an event's canonical form. A seal holds the digests of some events and the head: the SHA-256
over the head before, its own number and the digests. So a head stands for every event up to there, and their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

BEGINNING = bytes(32)
SIZE = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode

COLUMNS = (
    "seq", "at", "tenant", "actor", "role", "org", "client", "purpose", "action", "outcome", "rtype", "id", "vid",
    "patients", "query", "detail",
)  # fmt: skip
"""What of a row of `audit` is sealed, in this order."""


class Seal(Struct, frozen=True):
    """Some events, chained and signed. `total` counts all events up to and with these; `digests` are 32 bytes each."""

    n: int
    at: datetime
    total: int
    seqs: tuple[int, ...]
    digests: bytes
    before: bytes
    head: bytes
    key: str
    signature: bytes

    def digest(self, place: int) -> bytes:
        """The digest of the event at this place."""
        return self.digests[place * SIZE : (place + 1) * SIZE]


def microseconds(moment: datetime) -> int:
    """Since 1970, exact: what a moment is in every canonical form."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def digest(row: Sequence[Any]) -> bytes:
    """The digest of one event, given its COLUMNS."""
    seq, at, *rest = row
    return sha256(_encode([seq, microseconds(at), *rest])).digest()


def head(before: bytes, n: int, digests: bytes) -> bytes:
    """The head after a seal."""
    return sha256(before + n.to_bytes(8, "big") + digests).digest()


def statement(n: int, at: datetime, total: int, head: bytes) -> bytes:
    """What the key signs: that after seal `n`, made at `at`, `total` events had this head."""
    return _encode(["commonchart audit", n, microseconds(at), total, head.hex()])
