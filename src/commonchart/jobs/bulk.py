"""The lane of exports and imports. It has one run at a time; what outlives its time is cleaned away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from commonchart.exchange.bulk.place import Place
from commonchart.exchange.bulk.work import carry_out, clean

if TYPE_CHECKING:
    from commonchart.record.database import Database


class Site(Protocol):
    """What is needed of `jobs.worker.Site`."""

    @property
    def data_dir(self) -> Path:
        """Where files lie."""
        ...

    @property
    def secret(self) -> bytes:
        """What signs."""
        ...

    @property
    def base_url(self) -> str:
        """The address clients use."""
        ...


async def drain(database: Database, clock: Callable[[], datetime], site: Site) -> int:
    """Clean, then carry out one run; how much was done."""
    place = Place(site.data_dir, site.secret, site.base_url)
    return await clean(database, clock(), place) + await carry_out(database, clock, place)
