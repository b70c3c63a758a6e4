"""A site's list of breached passwords: a file of sorted 8-byte prefixes of SHA-1, searched without reading it whole.

Nothing of it comes with the program. It is made of a file of passwords, or of SHA-1 sums with or without `:count`, as
published lists of breaches have them. A prefix of 8 bytes takes a good password for a breached one once in 10**10 tries
against a thousand million entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha1
from pathlib import Path

FILE = "breached.bin"
"""Its name in the data folder."""
SIZE = 8
_SUM = re.compile(rb"([0-9A-Fa-f]{40})(:\d+)?")


def prefix(line: bytes) -> bytes:
    """What is kept of a line: a SHA-1 sum as it is, anything else as a password."""
    found = _SUM.fullmatch(line)
    return bytes.fromhex(found[1].decode())[:SIZE] if found else _digest(line)


def _digest(password: bytes) -> bytes:
    return sha1(password, usedforsecurity=False).digest()[:SIZE]


def write(lines: Iterable[bytes], path: Path) -> int:
    """Make the list of these lines, in one step; how many it holds. A list that is not sorted is sorted in memory."""
    waiting = path.with_suffix(".new")
    count, last, ordered = 0, b"", True
    with waiting.open("wb") as file:
        for one in (prefix(line) for line in _bare(lines)):
            ordered &= one >= last
            if one != last:
                file.write(one)
                count += 1
            last = one
    if not ordered:
        count = _sort(waiting)
    waiting.replace(path)
    return count


def _bare(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (bare for line in lines if (bare := line.rstrip(b"\r\n")))


def _sort(path: Path) -> int:
    held = path.read_bytes()
    found = sorted({held[at : at + SIZE] for at in range(0, len(held), SIZE)})
    path.write_bytes(b"".join(found))
    return len(found)


def holds(path: Path, password: str) -> bool:
    """Whether the list holds this password; False where there is no list."""
    if not path.is_file():
        return False
    wanted = _digest(password.encode())
    with path.open("rb") as file:
        low, high = 0, path.stat().st_size // SIZE
        while low < high:
            middle = (low + high) // 2
            file.seek(middle * SIZE)
            found = file.read(SIZE)
            if found == wanted:
                return True
            low, high = (middle + 1, high) if found < wanted else (low, middle)
    return False
