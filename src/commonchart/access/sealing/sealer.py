"""The sealer: chains what was committed and signs it, a second at most behind, so that readers never queue on a chain."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from commonchart.access.sealing import chain
from commonchart.access.sealing.chain import COLUMNS, Seal
from commonchart.access.sealing.keys import Signer
from commonchart.record import seals

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

EVENTS = 5_000


async def seal(database: Database, signer: Signer, now: datetime) -> Seal | None:
    """Seal the next events; None when there are none, or another process is sealing."""
    async with database.connection() as conn:
        if not await seals.alone(conn):
            return None
        place = await seals.place(conn)
        rows = await seals.unsealed(conn, COLUMNS, place, EVENTS)
        if not rows:
            return None
        made = next_seal(await newest(conn), [row[1:] for row in rows], signer, now)
        upto = seals.Place(rows[-1][0], rows[-1][1])
        moments = [row[2] for row in rows]
        await seals.add(conn, _row(made), upto, min(moments), max(moments))
    return made


def next_seal(before: Seal | None, rows: list[tuple[object, ...]], signer: Signer, now: datetime) -> Seal:
    """The seal over `rows` (COLUMNS each) that follows `before`."""
    n, begin, total = (before.n + 1, before.head, before.total) if before else (1, chain.BEGINNING, 0)
    digests = b"".join(chain.digest(row) for row in rows)
    head, total = chain.head(begin, n, digests), total + len(rows)
    signature = signer.sign(chain.statement(n, now, total, head))
    seqs = tuple(int(str(row[0])) for row in rows)
    return Seal(n, now, total, seqs, digests, begin, head, signer.name, signature)


async def newest(conn: Connection) -> Seal | None:
    """The newest seal."""
    row = await seals.last(conn)
    return read(row) if row else None


def read(row: tuple[object, ...]) -> Seal:
    """A seal as the table holds it."""
    n, at, total, seqs, digests, before, head, key, signature = row[:9]
    return Seal(n, at, total, tuple(seqs), bytes(digests), bytes(before), bytes(head), key, bytes(signature))  # type: ignore[arg-type, call-overload]


def _row(seal: Seal) -> tuple[object, ...]:
    return (
        seal.n, seal.at, seal.total, list(seal.seqs), seal.digests, seal.before, seal.head, seal.key, seal.signature,
    )  # fmt: skip
