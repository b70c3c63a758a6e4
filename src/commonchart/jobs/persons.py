"""Linking and unlinking: the decision and what it does to due lists, registries and medication alerts are one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commonchart.access import persons
from commonchart.access.medications import standing
from commonchart.jobs import due
from commonchart.record import rules

if TYPE_CHECKING:
    from commonchart.access.records import Records, Transaction


async def decide(records: Records, one: str, other: str, why: str, *, same: bool) -> None:
    """Say whether two records are of one human. Raises as `access.persons.decide`; then nothing is changed."""
    async with records.transaction() as tx:
        await _again(tx, await persons.decide(tx, one, other, why, same=same))


async def take_back(records: Records, one: str, other: str, why: str) -> None:
    """Take back what was decided about two records. Raises as `access.persons.take_back`."""
    async with records.transaction() as tx:
        await _again(tx, await persons.take_back(tx, one, other, why))


async def _again(tx: Transaction, patients: Sequence[str]) -> None:
    """Assess and review everybody whose person changed: each row rests on the union of the records."""
    if not patients:
        return
    tenant, now = tx.records.actor.tenant, tx.records.clock()
    pack = (await rules.active(tx.conn, tenant)).pack
    for patient in patients:
        await due.again(tx.conn, tenant, patient, pack, now)
        await standing.refresh(tx.conn, tenant, patient, now)
