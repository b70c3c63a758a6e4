"""Checkpoints: a seal's signed statement as a line of a file, to be kept where whoever changes the database cannot reach.

A line carries the public key. A checkpoint that was copied away before an attack is believed for its own sake: `verify`
holds the trail against it, whatever the folder of keys says by then.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from commonchart.access.sealing import chain, keys
from commonchart.fhir.outcome import Malformed

LONGEST_FILE = 64 << 20


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """That after seal `n` there were `total` events with this `head` (hex), signed by `public` (hex)."""

    n: int
    at: datetime
    total: int
    head: str
    public: str
    signature: str

    def stands(self) -> bool:
        """Whether its own key signed it."""
        try:
            head, public, signature = (
                bytes.fromhex(text) for text in (self.head, self.public, self.signature)
            )
        except ValueError:
            return False
        return keys.signed(public, signature, chain.statement(self.n, self.at, self.total, head))


def of(seal: chain.Seal, public: bytes) -> Checkpoint:
    """The checkpoint of a seal."""
    return Checkpoint(seal.n, seal.at, seal.total, seal.head.hex(), public.hex(), seal.signature.hex())


def append(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint to the file of its day, on the disk before this returns."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{checkpoint.at:%Y-%m-%d}.jsonl"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(checkpoint) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path


def read(path: Path) -> list[Checkpoint]:
    """The checkpoints of a file, one a line. Raises Malformed naming the line that is none."""
    if path.stat().st_size > LONGEST_FILE:
        raise Malformed(f"{path} is too long for a file of checkpoints")
    out = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            out.append(msgspec.json.decode(line, type=Checkpoint))
        except msgspec.MsgspecError as error:
            raise Malformed(f"{path}, line {number} is not a checkpoint: {error}") from None
    return out
