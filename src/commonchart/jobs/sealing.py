"""The lane that seals the audit trail, writes a checkpoint now and then, and makes the months ahead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from commonchart.access.sealing import checkpoints, keys, sealer
from commonchart.access.sealing.chain import Seal
from commonchart.record import audit_months

if TYPE_CHECKING:
    from commonchart.record.database import Database

EVERY = timedelta(minutes=1)
_told: dict[Path, tuple[datetime, int]] = {}
_made: dict[str, str] = {}


class Site(Protocol):
    """What is needed of `jobs.worker.Site`."""

    @property
    def audit_dir(self) -> Path:
        """Where the keys and checkpoints of the audit trail lie."""
        ...


async def drain(database: Database, clock: Callable[[], datetime], site: Site) -> int:
    """Seal what is waiting, up to one seal's worth; how many events were sealed."""
    now = clock()
    await _months(database, now)
    signer = keys.signer(site.audit_dir / "keys")
    made = await sealer.seal(database, signer, now)
    await _checkpoint(database, site.audit_dir, now)
    return len(made.seqs) if made else 0


async def _months(database: Database, now: datetime) -> None:
    month = f"{now:%Y-%m}"
    if _made.get(database.url) == month:
        return
    async with database.dedicated(owner=True) as conn:
        await audit_months.ahead(conn, now.date())
    _made[database.url] = month


async def _checkpoint(database: Database, folder: Path, now: datetime) -> None:
    """A line for the newest seal, at most one a minute, and only when there is a new seal."""
    last, n = _told.get(folder, (None, 0))
    if last is not None and now - last < EVERY:
        return
    async with database.single() as conn:
        seal = await sealer.newest(conn)
    if seal is not None and seal.n != n:
        write(folder, seal)
        _told[folder] = (now, seal.n)


def write(folder: Path, seal: Seal) -> Path | None:
    """The checkpoint of a seal into today's file; None when its public key is not in the folder."""
    public = keys.known(folder / "keys").get(seal.key)
    return checkpoints.append(folder / "checkpoints", checkpoints.of(seal, public)) if public else None
