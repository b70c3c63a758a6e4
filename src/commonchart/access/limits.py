"""How much one user, one app and one address may ask of one process in a minute, so that nobody uses up the others' share.

A bucket of a minute's worth that fills evenly, kept as one number per key (the generic cell rate algorithm, ITU-T I.371). It is
counted in each process for itself: with several of them, that many times more. What is too much is refused with how many
seconds to wait, and is an event once a minute, not once a request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit
from commonchart.access.actors import Actor
from commonchart.fhir.outcome import Throttled

if TYPE_CHECKING:
    from commonchart.record.database import Database

MINUTE = 60.0
KEPT = 100_000
"""So many keys are remembered; then those whose bucket is full are forgotten."""


class Rates(Struct, frozen=True):
    """Requests a minute; 0 is no limit."""

    user: int = 0
    client: int = 0
    address: int = 0


class Limits:
    """The buckets of one process. `clock` counts seconds."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        self.rates = rates
        self._clock = clock
        self._full: dict[tuple[str, str], float] = {}
        self._said: dict[tuple[str, str], float] = {}

    def wait(self, kind: str, key: str, rate: int) -> float:
        """Take one request of this key: 0.0, or how many seconds it has to wait; then nothing was taken."""
        if not rate:
            return 0.0
        now = self._clock()
        full = self._full.get((kind, key), 0.0)
        after = (full if full > now else now) + MINUTE / rate
        if after - now > MINUTE:
            return after - now - MINUTE
        if len(self._full) >= KEPT:
            self._sweep(now)
        self._full[kind, key] = after
        return 0.0

    def first(self, kind: str, key: str) -> bool:
        """Whether nothing was said of this key within the last minute; from now on something was."""
        now = self._clock()
        if now - self._said.get((kind, key), -MINUTE) < MINUTE:
            return False
        if len(self._said) >= KEPT:
            self._said.clear()
        self._said[kind, key] = now
        return True

    def _sweep(self, now: float) -> None:
        self._full = {key: full for key, full in self._full.items() if full > now}
        if len(self._full) >= KEPT:
            self._full.clear()


def limits_of(state: Any) -> Limits | None:
    """The limits of an application, None where none were set up."""
    found: Limits | None = getattr(state, "limits", None)
    return found


async def hold(limits: Limits | None, database: Database, actor: Actor, now: datetime) -> None:
    """Count one request of somebody, and of the app that asks for them. Raises Throttled."""
    if limits is None:
        return
    wait = limits.wait("user", actor.user, limits.rates.user)
    if wait:
        await refuse(limits, database, actor, now, "user", actor.user, wait)
    if actor.app:
        wait = limits.wait("client", actor.client, limits.rates.client)
        if wait:
            await refuse(limits, database, actor, now, "client", actor.client, wait)


async def refuse(
    limits: Limits, database: Database, actor: Actor, now: datetime, kind: str, key: str, wait: float
) -> None:
    """Note it, once a minute. Raises Throttled, always."""
    if limits.first(kind, key):
        async with database.single() as conn:
            await audit.note(conn, actor, now, "throttle", outcome=audit.MINOR, detail=f"by {kind}")
    raise Throttled(WORDS[kind], seconds=ceil(wait))


WORDS = {
    "user": "You asked for more in a minute than one user may: wait, and ask more slowly",
    "client": "This app asked for more in a minute than one app may: wait, and ask more slowly",
    "address": "More was asked for from this address in a minute than one may: wait, and ask more slowly",
}
