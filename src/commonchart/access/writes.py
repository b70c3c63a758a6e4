"""What an actor asks to be stored, and the rules that hold whichever door it comes through."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care import labels_by_hand
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict
from commonchart.fhir.validate import Valid
from commonchart.record.rows import Index, Stored, Write
from commonchart.search.index import extract


class Put(Struct, frozen=True):
    """Store under this id: a new resource, or the next version of it.

    Security labels of the version before stay, unless it `relabels`, which is for administrators. `made`: the id was made
    here for it just now.
    """

    valid: Valid
    id: str
    if_match: int | None = None
    must_be_new: bool = False
    skip_unchanged: bool = False
    relabels: bool = False
    made: bool = False


class Create(Struct, frozen=True):
    """Store under a new id of ours (UUIDv7)."""

    valid: Valid


class Delete(Struct, frozen=True):
    """Mark as deleted; every version stays."""

    rtype: str
    id: str
    if_match: int | None = None


Wanted = Put | Create | Delete


def new_id(now: datetime) -> str:
    """A UUIDv7 (RFC 9562): milliseconds of `now`, then chance."""
    value = int(now.timestamp() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def write_of(wanted: Wanted, now: datetime) -> Write:
    """The store's Write, with what search keeps of the resource."""
    if isinstance(wanted, Delete):
        return Write(wanted.rtype, wanted.id, None, if_match=wanted.if_match)
    id = new_id(now) if isinstance(wanted, Create) else wanted.id
    rtype = wanted.valid.rtype
    body = {**wanted.valid.resource, "id": id}
    index = extract(rtype, body)
    if isinstance(wanted, Create):
        return Write(rtype, id, body, index, must_be_new=True, ours=True)
    return Write(
        rtype, id, body, index, wanted.if_match, wanted.must_be_new, wanted.skip_unchanged, wanted.relabels, wanted.made
    )  # fmt: skip


def write_ready(put: Put, index: Index) -> Write:
    """The store's Write of a resource that carries its id and was extracted already (elsewhere, by the loader)."""
    return Write(
        put.valid.rtype, put.id, put.valid.resource, index, put.if_match, put.must_be_new, put.skip_unchanged
    )


def type_of(wanted: Wanted) -> str:
    """The resource type that is written."""
    return wanted.rtype if isinstance(wanted, Delete) else wanted.valid.rtype


def over(old: Stored, new: Write) -> Write:
    """What may come after a version: a signed note is only added to, and labels are only raised. Raises Conflict.

    What was lifted by hand stays lifted. `old` with `deleted` is the version before a deletion.
    """
    if old.rtype == "DocumentReference" and not old.deleted:
        keep_signed(old, new.body)
    if new.body is None or new.judged:
        return new
    before = old.body or b""
    if not new.relabels and b'"security":[' in before:
        new = _labelled(old, new, new.body)
    return _lifted(old, new) if labels_by_hand.LIFTED.encode() in before else new


def _lifted(old: Stored, new: Write) -> Write:
    """The write with what was lifted of the version before, as far as it carries the same codes."""
    body = labels_by_hand.lifting(new.body or {}, labels_by_hand.lifts(json.decode(old.body or b"{}")))
    mask = labels_by_hand.kept(body) | new.taken
    return replace(new, body=body, index=replace(new.index, labels=mask))


def unjudged(write: Write) -> Write:
    """The write without lifted labels, which nobody sends."""
    if write.judged or write.body is None or not labels_by_hand.lifts(write.body):
        return write
    return replace(write, body=labels_by_hand.lifting(write.body, {}))


def _labelled(old: Stored, new: Write, body: dict[str, Any]) -> Write:
    """The write with the labels that it left out."""
    before = json.decode(old.body or b"{}").get("meta", {}).get("security", [])
    meta = body.get("meta") or {}
    sent = meta.get("security", [])
    known = {(label.get("system"), label.get("code")) for label in sent}
    left_out = [label for label in before if (label.get("system"), label.get("code")) not in known]
    if not left_out:
        return new
    whole = {**body, "meta": {**meta, "security": [*sent, *left_out]}}
    index = extract(new.rtype, whole)
    return replace(new, body=whole, index=replace(index, labels=index.labels | new.index.labels))


def keep_signed(old: Stored, new: dict[str, Any] | None) -> None:
    """A signed note is only added to, by whichever door. Raises Conflict (hazard H8)."""
    before = json.decode(old.body or b"{}")
    if before.get("docStatus") not in ("final", "amended") or before.get("status") == "entered-in-error":
        return
    if new is None:
        raise Conflict(
            "A signed note is not deleted: mark it as entered in error", at="DocumentReference.docStatus"
        )
    retracted = new.get("status") == "entered-in-error"
    kept = before.get("content", [])
    if new.get("content", [])[: len(kept)] != kept or (
        new.get("docStatus") not in ("final", "amended") and not retracted
    ):
        raise Conflict("A signed note is not changed: add an addendum", at="DocumentReference.content")
