"""Hold the trail against its seals, and the seals against checkpoints that were kept elsewhere.

What is looked for: an event edited, deleted, inserted behind a seal or out of its place; a seal changed, taken out or
signed by a key nobody knows; the end cut off, up to the last checkpoint given. What no seal covers yet is counted and
said. One REPEATABLE READ snapshot is looked at, so that events written meanwhile are not mistaken for wrong ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access.sealing import chain, keys, sealer
from commonchart.access.sealing.chain import COLUMNS, Seal
from commonchart.access.sealing.checkpoints import Checkpoint
from commonchart.record import seals
from commonchart.record.audit_months import following

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

SEALS = 50
NUMBERS = 50_000
SHOWN = 20


class Finding(Struct, frozen=True):
    """Something that is not as it was sealed: what it is about ("event 17", "seal 3", "checkpoint 9") and what is wrong."""

    about: str
    wrong: str


class Report(Struct, frozen=True):
    """What verifying found. `oldest` is the moment of the first event that no seal covers.

    `apart` counts the events in archives that were not given, which nobody looked at.
    """

    seals: int
    events: int
    apart: int
    checkpoints: int
    unsealed: int
    oldest: datetime | None
    findings: tuple[Finding, ...]
    wrong: int

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return self.wrong == 0


class Archived(Struct, frozen=True):
    """Events that lie in archives: the digests by number of those given; of the others, the months and how many there are."""

    digests: Mapping[int, bytes] = {}
    months: tuple[date, ...] = ()
    rows: int = 0

    def may_hold(self, lo: datetime, hi: datetime) -> bool:
        """Whether an event between these moments may lie in an archive that was not given."""
        return any(lo.date() < following(month) and hi.date() >= month for month in self.months)


class Numbers:
    """A set of event numbers, eight to a byte, for trails of any length."""

    WIDTH = 1 << 16

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}

    def add(self, number: int) -> bool:
        """Put a number in; whether it is new."""
        block = self._blocks.setdefault(number // self.WIDTH, bytearray(self.WIDTH // 8))
        place, bit = divmod(number % self.WIDTH, 8)
        new = not block[place] >> bit & 1
        block[place] |= 1 << bit
        return new

    def __contains__(self, number: int) -> bool:
        block = self._blocks.get(number // self.WIDTH)
        place, bit = divmod(number % self.WIDTH, 8)
        return block is not None and bool(block[place] >> bit & 1)


class _Found:
    """Findings as they come: the first ones are kept, all are counted."""

    def __init__(self) -> None:
        self.first: list[Finding] = []
        self.count = 0

    def add(self, about: str, wrong: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(Finding(about, wrong))


async def verify(
    database: Database,
    public: Mapping[str, bytes],
    checkpoints: Sequence[Checkpoint] = (),
    archived: Archived | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Hold everything against everything. `public` are the known keys by name (`keys.known`).

    The public keys of checkpoints given are believed too. `progress(events done, events sealed)`.
    """
    trusted = {
        **public,
        **{keys.name_of(bytes.fromhex(c.public)): bytes.fromhex(c.public) for c in checkpoints if c.stands()},
    }
    async with database.connection(snapshot=True) as conn:
        await conn.execute("SET LOCAL statement_timeout = 0")
        work = _Verifying(conn, trusted, archived or Archived())
        await work.walk(checkpoints, progress)
        return await work.report(checkpoints)


class _Verifying:
    """One pass over the seals, then one over the numbers of the events."""

    def __init__(self, conn: Connection, trusted: Mapping[str, bytes], archived: Archived) -> None:
        self._conn, self._trusted, self._archived = conn, trusted, archived
        self._found, self._sealed = _Found(), Numbers()
        self._last: Seal | None = None
        self._events = self._apart = self._seals = 0

    async def walk(self, checkpoints: Sequence[Checkpoint], progress: Callable[[int, int], None]) -> None:
        """Every seal with its events, and the checkpoints on the way."""
        newest = await sealer.newest(self._conn)
        waiting = {c.n: c for c in checkpoints}
        while rows := await seals.after(self._conn, self._last.n if self._last else 0, SEALS):
            for row in rows:
                seal = sealer.read(row)
                self._follow(seal)
                await self._hold(seal, row[9], row[10])
                self._meet(waiting.pop(seal.n, None), seal)
                progress(self._events, newest.total if newest else 0)
        for n, checkpoint in sorted(waiting.items()):
            self._cut(n, checkpoint)

    def _follow(self, seal: Seal) -> None:
        before = self._last
        n, begin, total = (before.n + 1, before.head, before.total) if before else (1, chain.BEGINNING, 0)
        about = f"seal {seal.n}"
        if seal.n != n:
            self._found.add(f"seal {n}", "is missing")
        elif seal.before != begin:
            self._found.add(about, "does not follow from the seal before it")
        if len(seal.digests) != chain.SIZE * len(seal.seqs):
            self._found.add(about, "does not have a digest for each of its events")
        elif seal.n == n and seal.total != total + len(seal.seqs):
            self._found.add(about, "counts another number of events than there are")
        if seal.head != chain.head(seal.before, seal.n, seal.digests):
            self._found.add(about, "was changed: its head is not that of its digests")
        self._signature(seal)
        self._last = seal
        self._seals += 1

    def _signature(self, seal: Seal) -> None:
        public = self._trusted.get(seal.key)
        said = chain.statement(seal.n, seal.at, seal.total, seal.head)
        if public is None:
            self._found.add(f"seal {seal.n}", f"is signed by the key {seal.key}, which nobody here knows")
        elif not keys.signed(public, seal.signature, said):
            self._found.add(f"seal {seal.n}", "was changed: its signature is not by its key")

    async def _hold(self, seal: Seal, lo: datetime, hi: datetime) -> None:
        rows = await seals.events(self._conn, COLUMNS, seal.seqs, lo, hi)
        elsewhere = self._archived.may_hold(lo, hi)
        for place, seq in enumerate(seal.seqs):
            if not self._sealed.add(seq):
                self._found.add(f"event {seq}", f"is sealed twice (seal {seal.n})")
            self._event(seq, seal.digest(place), rows.get(seq), seal.n, elsewhere)

    def _event(
        self, seq: int, sealed: bytes, row: tuple[object, ...] | None, n: int, elsewhere: bool
    ) -> None:
        self._events += 1
        if row is not None:
            if chain.digest(row) != sealed:
                self._found.add(f"event {seq}", f"was edited after it was sealed (seal {n})")
        elif seq in self._archived.digests:
            if self._archived.digests[seq] != sealed:
                self._found.add(f"event {seq}", f"was edited in its archive (seal {n})")
        elif elsewhere and self._apart < self._archived.rows:
            self._apart += 1
        else:
            self._found.add(f"event {seq}", f"was deleted (seal {n})")

    def _meet(self, checkpoint: Checkpoint | None, seal: Seal) -> None:
        if checkpoint is None:
            return
        about = f"checkpoint {checkpoint.n}"
        if not checkpoint.stands():
            self._found.add(about, "is not signed by the key it names")
        elif (checkpoint.head, checkpoint.total, checkpoint.at) != (seal.head.hex(), seal.total, seal.at):
            self._found.add(about, f"says otherwise than seal {seal.n}: the trail was rewritten up to there")

    def _cut(self, n: int, checkpoint: Checkpoint) -> None:
        last = self._last.n if self._last else 0
        if not checkpoint.stands():
            self._found.add(f"checkpoint {n}", "is not signed by the key it names")
        elif n > last:
            lost = checkpoint.total - (self._last.total if self._last else 0)
            self._found.add(
                f"seal {last + 1}", f"is missing: the end was cut off, {lost} events before checkpoint {n}"
            )

    async def report(self, checkpoints: Sequence[Checkpoint]) -> Report:
        """The second pass, for what no seal covers, and the sum of both."""
        place = await seals.place(self._conn)
        unsealed, oldest = 0, None
        after: tuple[int, datetime] | None = None
        seen = Numbers()
        while rows := await seals.numbers(self._conn, after, NUMBERS):
            for seq, at, xid in rows:
                if not seen.add(seq):
                    self._found.add(f"event {seq}", "is there twice: one of them was inserted")
                elif seq in self._sealed:
                    continue
                elif (xid, seq) <= (place.xid, place.seq):
                    self._found.add(
                        f"event {seq}", "was inserted: it stands behind a seal that does not cover it"
                    )
                else:
                    unsealed, oldest = unsealed + 1, min(oldest or at, at)
            after = rows[-1][:2]
        return Report(
            self._seals, self._events, self._apart, len(checkpoints), unsealed, oldest,
            tuple(self._found.first), self._found.count,
        )  # fmt: skip
