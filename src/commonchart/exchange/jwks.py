"""The public keys of apps at their registered addresses: through the one egress guard, and remembered as long as they say.

64 KiB, 3 seconds, no redirects, public addresses only (hostile list, G3).
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from commonchart.access.oauth.assertions import Key, keys_of
from commonchart.access.oauth.denied import UnknownClient
from commonchart.exchange.egress import Guard, Reply, Unanswered
from commonchart.fhir.outcome import Refused

MAX_BYTES = 64 * 1024
SECONDS = 3.0
DEFAULT_SECONDS = 300.0
LONGEST_SECONDS = 3600.0
AGAIN_SECONDS = 10.0
MOST = 1000

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})\b")


class _Remembered(Struct, frozen=True):
    keys: list[Key]
    fetched: float
    until: float


class KeySets:
    """What was fetched, for one process. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Remembered] = {}

    async def of(self, url: str, guard: Callable[[], Awaitable[Guard]], afresh: bool = False) -> list[Key]:
        """The keys at an address; `afresh` asks again, at most every few seconds. Raises UnknownClient."""
        now = self._clock()
        known = self._known.get(url)
        if known is not None and (now < known.fetched + AGAIN_SECONDS if afresh else now < known.until):
            return known.keys
        reply = await self._fetched(url, await guard())
        if len(self._known) >= MOST:
            self._known.clear()
        try:
            keys = keys_of(reply.body)
        except Refused:
            raise UnknownClient("The registered address of keys holds no keys that can be used") from None
        self._known[url] = _Remembered(keys, now, now + lasting(reply.headers))
        return keys

    async def _fetched(self, url: str, guard: Guard) -> Reply:
        try:
            reply = await guard.send(
                "GET", url, headers={"accept": "application/json"}, seconds=SECONDS, max_bytes=MAX_BYTES
            )
        except (Refused, Unanswered):
            raise UnknownClient("The registered address of keys cannot be read") from None
        if reply.status != 200:
            raise UnknownClient("The registered address of keys cannot be read")
        return reply


def lasting(headers: dict[str, str]) -> float:
    """For how many seconds an answer may be remembered: never longer than it says, nor than an hour."""
    said = headers.get("cache-control", "").lower()
    if "no-store" in said or "no-cache" in said:
        return 0.0
    age = _MAX_AGE.search(said)
    return min(float(age[1]), LONGEST_SECONDS) if age else DEFAULT_SECONDS
