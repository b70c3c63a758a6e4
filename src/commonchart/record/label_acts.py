"""What was done to labels by hand, as rows beside the patient's; what a row stands for is decided by `access.labelling`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.record.keys import patient_key, resource_key

if TYPE_CHECKING:
    from commonchart.record.database import Connection

COLUMNS = "patient, rtype, id, n, label, act, hand, codes, vid, at, actor, reason, reviewed, reviewer"
PUT, LIFTED, RESTORED = "put", "lifted", "restored"


class LabelAct(Struct, frozen=True):
    """One label `put` on an entry, `lifted` from it or `restored`, making its version `vid`; `actor` is a user id.

    Of what was lifted: whether it had been put by `hand`, and the `codes` that carry it, in words.
    """

    patient: str
    rtype: str
    id: str
    n: int
    label: str
    act: str
    hand: bool
    codes: str
    vid: int
    at: datetime
    actor: str
    reason: str
    reviewed: datetime | None = None
    reviewer: str = ""


def act_of(row: Sequence[Any]) -> LabelAct:
    """A row of `COLUMNS`."""
    return LabelAct(*row)


async def add(conn: Connection, tenant: int, new: LabelAct) -> None:
    """Keep it after those that are there; its `n` is not looked at."""
    pk = patient_key(new.patient) if new.patient else resource_key(new.rtype, new.id)
    await conn.execute(
        f"INSERT INTO label_act (pk, tenant, {COLUMNS}) SELECT %s, %s, %s, %s, %s, coalesce(max(n), 0) + 1, %s, %s, %s, %s, %s, "
        "%s, %s, %s, NULL, '' FROM label_act WHERE tenant = %s AND rtype = %s AND id = %s",
        (pk, tenant, new.patient, new.rtype, new.id, new.label, new.act, new.hand, new.codes, new.vid, new.at, new.actor,
         new.reason, tenant, new.rtype, new.id),
    )  # fmt: skip


async def of_entry(conn: Connection, tenant: int, rtype: str, id: str) -> list[LabelAct]:
    """What was done to the labels of one entry, oldest first."""
    rows = await conn.fetch(
        f"SELECT {COLUMNS} FROM label_act WHERE tenant = %s AND rtype = %s AND id = %s ORDER BY n",
        (tenant, rtype, id),
    )
    return [act_of(row) for row in rows]


async def reviewed(conn: Connection, tenant: int, one: LabelAct, who: str, now: datetime) -> bool:
    """Somebody has agreed to what was lifted; whether nobody had before."""
    rows = await conn.fetch(
        "UPDATE label_act SET reviewed = %s, reviewer = %s WHERE tenant = %s AND rtype = %s AND id = %s AND n = %s "
        "AND reviewed IS NULL RETURNING n",
        (now, who, tenant, one.rtype, one.id, one.n),
    )
    return bool(rows)


def last(acts: Sequence[LabelAct], label: str) -> LabelAct | None:
    """The newest act of a label."""
    return next((one for one in reversed(acts) if one.label == label), None)


def by_hand(acts: Sequence[LabelAct], label: str) -> bool:
    """Whether the label stands because somebody put it, or put back what somebody had put."""
    newest = last(acts, label)
    return newest is not None and newest.act != LIFTED and newest.hand
