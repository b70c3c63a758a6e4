"""How long something took, over many: median and ninth decile by nearest rank, which are times that really occurred."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from msgspec import Struct


class Span(Struct, frozen=True):
    """Minutes over so many; None over none."""

    count: int
    median: float | None = None
    p90: float | None = None
    longest: float | None = None


def span(minutes: Sequence[float]) -> Span:
    """The times of some acknowledgements."""
    if not minutes:
        return Span(0)
    found = sorted(minutes)
    return Span(len(found), _rank(found, 0.5), _rank(found, 0.9), found[-1])


def _rank(found: Sequence[float], part: float) -> float:
    return found[max(1, ceil(part * len(found))) - 1]
