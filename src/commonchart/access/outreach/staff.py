"""Campaigns are for those who see every record: patients, who may read their own messages, see nothing of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonchart.access import policy
from commonchart.fhir.outcome import NotFound

if TYPE_CHECKING:
    from commonchart.access.records import Records


async def required(records: Records, action: str = "search") -> None:
    """Raises Forbidden for a role that may not do this with messages, NotFound for one that sees only its own record."""
    await records.require(action, "Communication")
    if not policy.visible(records.actor).everything:
        raise NotFound("There is nothing here")
