"""Previews of a changed rule over everybody: how far each has come, whom it would change, and how many in which way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.record.database import Connection


class Preview(Struct, frozen=True):
    """One preview. `counts` as JSON: "before>after" -> people; `run` is running, done or failed."""

    tenant: int
    id: str
    rule: str
    state: str
    n: int
    before_hash: str
    after_hash: str
    as_of: date
    run: str
    after_id: str
    done: int
    total: int
    counts: str
    actor: str
    actor_name: str
    begun: datetime
    ended: datetime | None
    error: str

    @property
    def numbers(self) -> dict[str, int]:
        """The counts."""
        return msgspec.json.decode(self.counts, type=dict[str, int])


class Changed(Struct, frozen=True):
    """Somebody whose answer would be another; "" where the rule would say nothing."""

    patient: str
    before: str
    after: str
    before_due: date | None
    after_due: date | None
    because: str


_COLUMNS = ", ".join(Preview.__struct_fields__)


async def begin(conn: Connection, one: Preview) -> None:
    """Keep a preview that is to be worked out; what earlier ones of the rule found goes."""
    await conn.execute(
        "DELETE FROM rule_preview_change WHERE tenant = %s AND preview IN "
        "(SELECT id FROM rule_preview WHERE tenant = %s AND rule = %s)",
        (one.tenant, one.tenant, one.rule),
    )
    await conn.execute("DELETE FROM rule_preview WHERE tenant = %s AND rule = %s", (one.tenant, one.rule))
    values = [getattr(one, name) for name in Preview.__struct_fields__]
    await conn.execute(
        f"INSERT INTO rule_preview ({_COLUMNS}) VALUES ({', '.join(['%s'] * len(values))})", values
    )


async def of_rule(conn: Connection, tenant: int, rule: str) -> Preview | None:
    """The latest preview of a rule."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM rule_preview WHERE tenant = %s AND rule = %s ORDER BY begun DESC LIMIT 1",
        (tenant, rule),
    )
    row = await cursor.fetchone()
    return Preview(*row) if row else None


async def take(conn: Connection) -> Preview | None:
    """The oldest that is running, held until the end of the transaction; None when nothing waits."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM rule_preview WHERE run = 'running' ORDER BY begun LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    row = await cursor.fetchone()
    return Preview(*row) if row else None


async def advance(
    conn: Connection, one: Preview, after: str, changed: Sequence[Changed], more: dict[str, int]
) -> None:
    """Some more people are done, up to the id `after`: whom it changes, and the counts."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO rule_preview_change (pk, tenant, patient, preview, before, after, before_due, after_due, because) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (
                    patient_key(c.patient),
                    one.tenant,
                    c.patient,
                    one.id,
                    c.before,
                    c.after,
                    c.before_due,
                    c.after_due,
                    c.because,
                )
                for c in changed
            ],
        )
    sums = one.numbers
    for key, n in more.items():
        sums[key] = sums.get(key, 0) + n
    await conn.execute(
        "UPDATE rule_preview SET after_id = %s, done = %s, counts = %s WHERE tenant = %s AND id = %s",
        (after, sum(sums.values()), msgspec.json.encode(sums).decode(), one.tenant, one.id),
    )


async def end(conn: Connection, one: Preview, run: str, now: datetime, error: str = "") -> None:
    """It is done, or has failed."""
    await conn.execute(
        "UPDATE rule_preview SET run = %s, ended = %s, error = %s WHERE tenant = %s AND id = %s",
        (run, now, error, one.tenant, one.id),
    )


async def next_people(conn: Connection, one: Preview, limit: int) -> list[str]:
    """The ids of the next Patients of the tenant."""
    cursor = await conn.execute(
        "SELECT id FROM resource_loc WHERE rtype = 'Patient' AND tenant = %s AND id > %s ORDER BY id LIMIT %s",
        (one.tenant, one.after_id, limit),
    )
    return [row[0] for row in await cursor.fetchall()]


async def people(conn: Connection, tenant: int) -> int:
    """How many Patients the tenant has."""
    cursor = await conn.execute(
        "SELECT count(*) FROM resource_loc WHERE rtype = 'Patient' AND tenant = %s", (tenant,)
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
