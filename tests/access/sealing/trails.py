"""A trail with events, seals and checkpoints, and the hands of somebody who changes it behind the program's back."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import psycopg

from commonchart.access import audit
from commonchart.access.sealing import checkpoints, keys, sealer, verifying
from commonchart.access.sealing.checkpoints import Checkpoint
from commonchart.access.sealing.keys import Signer
from commonchart.access.sealing.verifying import Report
from commonchart.record.database import Database
from tests.actors import clinician


class Trail:
    """A database's trail with the folder of its keys."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder

    @property
    def signer(self) -> Signer:
        return keys.signer(self.folder)

    async def note(self, count: int, now: datetime, *, patient: str = "ada") -> None:
        async with self.database.connection() as conn:
            for n in range(count):
                await audit.note(
                    conn,
                    clinician(),
                    now,
                    "read",
                    rtype="Observation",
                    id=f"o{n}",
                    patients=[patient],
                    query="Zoë & 1.10",
                )

    async def seal(self, now: datetime) -> Checkpoint:
        made = await sealer.seal(self.database, self.signer, now)
        assert made is not None
        return checkpoints.of(made, keys.known(self.folder)[made.key])

    async def verify(self, *given: Checkpoint) -> Report:
        return await verifying.verify(self.database, keys.known(self.folder), given)

    def tamper(self, sql: str, *args: object) -> int:
        """A statement as the owner of the database would run it; how many rows it met."""
        with psycopg.connect(self.database.url) as conn:
            return conn.execute(sql, list(args)).rowcount
