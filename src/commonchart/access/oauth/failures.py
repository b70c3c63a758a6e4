"""Failures at the token endpoint, counted by address, and there by client where a secret was guessed. In memory, of one process.

A signature or a code cannot be guessed: of those only the address is counted, for the work that they make.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from commonchart.fhir.outcome import Throttled

SECONDS = 60.0
MOST = {"client": 20, "address": 300}
KEPT = 10_000


class Failures:
    """What failed in the last minute. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str, str], deque[float]] = {}

    def check(self, client: str, address: str) -> None:
        """Raises Throttled when too much failed from here; `client` "" where no secret was shown."""
        for key in _keys(client, address):
            if len(self._recent(key)) >= MOST[key[0]]:
                raise Throttled("Too many attempts failed: wait a minute")

    def failed(self, client: str, address: str) -> None:
        """Count one."""
        if len(self._seen) >= KEPT:
            self._seen = {key: seen for key, seen in self._seen.items() if self._recent(key)}
        for key in _keys(client, address):
            self._seen.setdefault(key, deque(maxlen=MOST[key[0]])).append(self._clock())

    def _recent(self, key: tuple[str, str, str]) -> deque[float]:
        seen = self._seen.get(key, deque())
        while seen and seen[0] < self._clock() - SECONDS:
            seen.popleft()
        return seen


def _keys(client: str, address: str) -> list[tuple[str, str, str]]:
    if not address:  # behind a proxy that nobody named all have the same: one would shut out the others
        return []
    by_secret = [("client", client[:100], address)] if client else []
    return [*by_secret, ("address", "", address)]
