"""Sets of concept numbers as Python integers: bit n is concept n of one code system version.

Union, intersection and difference of 500,000 concepts are one machine loop over 62 kB, `bit_count` is an exact total,
and a negative integer is a set that holds everything beyond its last zero: what an unknown set may at most be.

Kept sets are bytes in the smallest of three forms: `L` a list of numbers, `R` runs (start, end), `B` the bits; numbers
are unsigned 32 bit, little endian.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence

EVERYTHING = -1
_CHUNK = 512
_SWAP = sys.byteorder == "big"

Runs = Sequence[tuple[int, int]]


def of(numbers: Iterable[int]) -> int:
    """The set of these numbers."""
    known = list(numbers)
    if not known:
        return 0
    room = bytearray((max(known) >> 3) + 1)
    for n in known:
        room[n >> 3] |= 1 << (n & 7)
    return int.from_bytes(room, "little")


def of_runs(runs: Runs) -> int:
    """The set of numbers in half-open, ascending runs."""
    if not runs:
        return 0
    room = bytearray(((runs[-1][1] - 1) >> 3) + 1)
    for start, end in runs:
        _fill(room, start, end)
    return int.from_bytes(room, "little")


def first(count: int) -> int:
    """The set of all numbers below `count`."""
    return (1 << count) - 1


def holds(bits: int, n: int) -> bool:
    """Whether the set holds n."""
    return bool(bits >> n & 1)


def numbers(bits: int, offset: int = 0, count: int | None = None) -> list[int]:
    """The members of a finite set in ascending order, from the `offset`-th on, at most `count`."""
    found: list[int] = []
    wanted = bits.bit_count() - offset if count is None else count
    data = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    for at in range(0, len(data), _CHUNK):
        if len(found) >= wanted:
            break
        chunk = int.from_bytes(data[at : at + _CHUNK], "little")
        held = chunk.bit_count()
        if offset >= held:
            offset -= held
            continue
        members = list(_members(data[at : at + _CHUNK], at * 8))[offset:]
        offset = 0
        found += members[: wanted - len(found)]
    return found


def pack(numbers_: Sequence[int], size: int) -> bytes:
    """Ascending numbers below `size` as kept."""
    runs = runs_of(numbers_)
    bitmap = (size + 7) // 8
    if 8 * len(runs) <= min(4 * len(numbers_), bitmap):
        return pack_runs(runs)
    if 4 * len(numbers_) <= bitmap:
        return b"L" + _bytes(array("I", numbers_))
    return b"B" + of(numbers_).to_bytes(bitmap, "little")


def pack_runs(runs: Runs, size: int = 0) -> bytes:
    """Half-open ascending runs as kept; as bits where that is read faster and is not much larger."""
    if 32 * len(runs) > (size + 7) // 8 > 0:
        return b"B" + of_runs(runs).to_bytes((size + 7) // 8, "little")
    return b"R" + _bytes(array("I", [bound for run in runs for bound in run]))


def unpack(kept: bytes) -> int:
    """The set that was kept."""
    return union([kept])


def union(kept: Sequence[bytes]) -> int:
    """The union of kept sets."""
    out = 0
    sparse: list[array[int]] = []
    for data in kept:
        kind, rest = data[:1], data[1:]
        if kind == b"B":
            out |= int.from_bytes(rest, "little")
        elif kind == b"R":
            bounds = _array(rest)
            out |= of_runs(list(zip(bounds[::2], bounds[1::2], strict=True)))
        else:
            sparse.append(_array(rest))
    return out | of(n for some in sparse for n in some)


def runs_of(ascending: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as half-open runs."""
    found: list[tuple[int, int]] = []
    start = end = -1
    for n in ascending:
        if n == end:
            end += 1
            continue
        if end >= 0:
            found.append((start, end))
        start, end = n, n + 1
    if end >= 0:
        found.append((start, end))
    return found


def _fill(room: bytearray, start: int, end: int) -> None:
    first_whole, last_whole = (start + 7) >> 3, end >> 3
    if first_whole >= last_whole:
        for n in range(start, end):
            room[n >> 3] |= 1 << (n & 7)
        return
    if start & 7:
        room[start >> 3] |= 0xFF & ~((1 << (start & 7)) - 1)
    room[first_whole:last_whole] = b"\xff" * (last_whole - first_whole)
    if end & 7:
        room[end >> 3] |= (1 << (end & 7)) - 1


def _members(data: bytes, base: int) -> Iterator[int]:
    for at, byte in enumerate(data):
        while byte:
            low = byte & -byte
            yield base + at * 8 + low.bit_length() - 1
            byte ^= low


def _bytes(values: array[int]) -> bytes:
    if _SWAP:
        values.byteswap()
    return values.tobytes()


def _array(data: bytes) -> array[int]:
    values = array("I")
    values.frombytes(data)
    if _SWAP:
        values.byteswap()
    return values
