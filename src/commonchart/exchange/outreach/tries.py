"""One try to send an e-mail of the program's own, and what became of it: of notices about accounts and critical results, and digests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access.actors import Actor
from commonchart.care.outreach import reach
from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.fhir import json
from commonchart.fhir.outcome import Busy, Refused
from commonchart.record import store

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

HOLD = timedelta(minutes=5)
"""For so long nobody else sends what somebody took."""
AGAIN = timedelta(minutes=1)
"""A notice does not wait longer than this between two tries."""


class Post(Struct, frozen=True):
    """What sending needs: the database, the time, and the address that links lead to."""

    database: Database
    clock: Callable[[], datetime]
    base: str


class Tried(Struct, frozen=True):
    """`sent`, `none` (it needs not, or cannot be; `error` says why), `waiting` for another try `again`, `doubt`, or `failed`."""

    state: str
    error: str = ""
    again: datetime | None = None


async def tried(sending: Awaitable[str], again: datetime, *, twice: bool = True) -> Tried:
    """What became of sending, which gives "" or why it was not needed. Raises Busy.

    `twice`: what may have been taken is sent again, since a second one harms nobody.
    """
    try:
        why = await sending
    except NotTaken as away:
        return Tried("waiting", str(away), again)
    except InDoubt as doubt:
        return Tried("waiting", str(doubt), again) if twice else Tried("doubt", str(doubt))
    except Busy:
        raise
    except (NeverTaken, Refused) as refusal:
        return Tried("failed", str(refusal))
    return Tried("none" if why else "sent", why)


async def address_of(conn: Connection, actor: Actor, day: date) -> str:
    """The e-mail address that the Practitioner of a user has on a day, "" for none."""
    found = await store.read(conn, actor.tenant, "Practitioner", actor.practitioner or "")
    body = json.decode(found.body) if found is not None and found.body else {}
    addresses = reach.numbers(body, "email", day)
    return str(addresses[0].lines[0]) if addresses else ""
