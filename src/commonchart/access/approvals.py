"""The approvals by which rules that nobody reviewed stand: told with due rows when they are read, never stored in them.

So an approval counts at once, and one that is withdrawn ceases at once, without anything being worked out again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from commonchart.record import rules
from commonchart.record.due import DueRow

if TYPE_CHECKING:
    from commonchart.record.database import Connection

NEEDED = '"review":"needed"'


async def told(conn: Connection, tenant: int, rows: Iterable[DueRow]) -> list[DueRow]:
    """The rows, those of a rule that was not reviewed with the approval of exactly this version, if one stands."""
    found = list(rows)
    if not any(needs_review(row) for row in found):
        return found
    standing = await rules.standing(conn, tenant)
    return [
        replace(row, approved=standing.get((row.rule, row.rule_version))) if needs_review(row) else row
        for row in found
    ]


def needs_review(row: DueRow) -> bool:
    """Whether the rule was not read in its source when the row was worked out."""
    return NEEDED in row.why


def stands(row: DueRow) -> bool:
    """Whether the rule of the row was reviewed, or approved in this version."""
    return row.approved is not None or not needs_review(row)
