"""Forgetting what developers registered and nobody proved or approved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from commonchart.access.developers import clearing

if TYPE_CHECKING:
    from commonchart.record.database import Database


async def drain(database: Database, clock: Callable[[], datetime], site: Any) -> int:
    """Forget what is old; 0, for there is nothing to go on with."""
    await clearing.clear(database, clock())
    return 0
