"""What the store keeps and gives back: plain frozen values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct


class Stored(Struct, frozen=True):
    """One version of one resource as kept. `body` is canonical JSON with id and meta, None for a deletion."""

    rtype: str
    id: str
    vid: int
    recorded: datetime
    org: str
    actor: str
    source: str
    deleted: bool
    body: bytes | None
    patient: str | None = None
    status: str | None = None
    code: int | None = None
    category: int | None = None
    date_lo: datetime | None = None
    date_hi: datetime | None = None
    superseded: datetime | None = None


class Found(Struct, frozen=True):
    """What a search shows of a current resource: all that an entry of a Bundle needs."""

    rtype: str
    id: str
    body: bytes
    patient: str | None = None


class Index(Struct, frozen=True):
    """What is extracted from a resource at write time; `rows` by table name in the column order of `schema.SEARCH_ROWS`.

    `labels` is the mask of its sensitive labels (`care.labels`).
    """

    patient: str | None = None
    status: str | None = None
    code: int | None = None
    category: int | None = None
    date_lo: datetime | None = None
    date_hi: datetime | None = None
    tokens: Sequence[int] = ()
    rows: Mapping[str, Sequence[tuple[Any, ...]]] = {}
    labels: int = 0


class Stamp(Struct, frozen=True):
    """Who commits, for whom, when by our clock: the same for every version of one commit."""

    tenant: int
    org: str
    actor: str
    recorded: datetime
    source: str = ""


class Write(Struct, frozen=True):
    """One resource to be stored (`body` without server-owned meta) or deleted (`body` None).

    `relabels`: the security labels of the version before are given up where this one does not carry them.
    `ours`: the id was made for this Write just now, so that nobody else can know it.
    `judged`: what it says of lifted labels was decided (`care.labels_by_hand`), and is not what somebody sent.
    `author`: who wrote what it says, where that is not who commits it. `taken`: labels of what it is made of.
    """

    rtype: str
    id: str
    body: dict[str, Any] | None
    index: Index = Index()
    if_match: int | None = None
    must_be_new: bool = False
    skip_unchanged: bool = False
    relabels: bool = False
    ours: bool = False
    judged: bool = False
    author: str = ""
    taken: int = 0


class Written(Struct, frozen=True):
    """What became of a Write: state is created, updated, deleted or unchanged."""

    state: str
    stored: Stored


class Change(Struct, frozen=True):
    """One row of the change feed, in an order safe against commit order."""

    seq: int
    tenant: int
    pk: int
    rtype: str
    id: str
    vid: int
    patient: str | None
    org: str
    recorded: datetime
    op: str
