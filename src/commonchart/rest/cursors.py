"""Where the next page begins: opaque, signed, and good only for the reader and the address it was made for."""

from __future__ import annotations

import base64
import hmac
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from commonchart.access.records import Records
from commonchart.fhir.outcome import Malformed
from commonchart.rest.exchange import Asked

SIGNED = 12
T = TypeVar("T")


def url(asked: Asked, records: Records, place: Any = None) -> str:
    """The address of this page, or of the one that begins after a place (anything that msgspec encodes)."""
    params = [(name, value) for name, value in asked.params if name != "_cursor"]
    if place is not None:
        payload = msgspec.json.encode(place)
        signed = _signature(payload, records, asked) + payload
        params.append(("_cursor", base64.urlsafe_b64encode(signed).decode().rstrip("=")))
    path = "/".join((asked.base, *asked.segments))
    return f"{path}?{urlencode(params)}" if params else path


def place(asked: Asked, records: Records, kind: type[T]) -> T | None:
    """Where the asked page begins, None for the first. Raises Malformed for a cursor of others, or a changed one."""
    text = dict(asked.params).get("_cursor")
    if text is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        signature, payload = raw[:SIGNED], raw[SIGNED:]
        if hmac.compare_digest(signature, _signature(payload, records, asked)):
            return msgspec.json.decode(payload, type=kind)
    except (ValueError, msgspec.DecodeError):
        pass
    raise Malformed("_cursor does not belong to this address: begin again without it", at="_cursor")


def _signature(payload: bytes, records: Records, asked: Asked) -> bytes:
    actor = records.actor
    owner = (actor.tenant, actor.user, actor.client, asked.segments)
    return hmac.digest(records.key, msgspec.json.encode(owner) + payload, "sha256")[:SIGNED]
