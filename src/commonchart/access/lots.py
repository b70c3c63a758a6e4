"""Vaccine stock: the lots of an organisation, how many doses are left, and every movement of them.

A dose that is given is taken from its lot in the transaction that records the Immunization, so that stock and record
cannot disagree. Stock may fall below nothing counted: giving is never refused because a count is wrong, it is reported.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, get_args
from uuid import uuid4

from msgspec import Struct

from commonchart.access import audit
from commonchart.fhir.outcome import Conflict, Invalid, Issue, NotFound

if TYPE_CHECKING:
    from commonchart.access.records import Records, Transaction
    from commonchart.record.database import Connection

Funding = Literal["private", "vfc", "state"]
Why = Literal["received", "given", "returned", "counted", "wasted"]
MAX_DOSES = 100_000
_COLUMNS = "id, cvx, product, manufacturer, lot, expires, funding, doses, withdrawn, added"


class Lot(Struct, frozen=True):
    """One lot. `manufacturer` is an MVX code, `doses` what is left, `withdrawn` why it must not be given ("" if it may).

    `expires` is the last day on which it may be given.
    """

    id: str
    cvx: str
    product: str
    manufacturer: str
    lot: str
    expires: date
    funding: Funding
    doses: int
    withdrawn: str
    added: datetime

    def expired(self, day: date) -> bool:
        """Whether its last day lies before `day`."""
        return self.expires < day

    def refused(self, day: date) -> str:
        """Why no dose of it may be given on `day`, "" if one may."""
        if self.withdrawn:
            return f"Lot {self.lot} is withdrawn: {self.withdrawn}"
        return f"Lot {self.lot} expired on {self.expires:%d-%b-%Y}" if self.expired(day) else ""


class NewLot(Struct, frozen=True):
    """A lot as it arrives."""

    cvx: str
    product: str
    manufacturer: str
    lot: str
    expires: date
    funding: Funding
    doses: int


class Movement(Struct, frozen=True):
    """Doses that came or went: `actor` the name of who did it, `doses` the difference, `immunization` the id of what was given."""

    n: int
    at: datetime
    actor: str
    doses: int
    why: Why
    note: str
    immunization: str


async def listed(records: Records, *, cvx: str = "", empty: bool = False) -> list[Lot]:
    """The lots of the actor's organisation, first to expire first; used-up ones only with `empty`. Raises Forbidden."""
    await records.require("create", "Immunization")
    where, args = "tenant = %s AND org = %s", [records.actor.tenant, records.actor.org]
    if cvx:
        where, args = f"{where} AND cvx = %s", [*args, cvx]
    if not empty:
        where += " AND doses > 0"
    async with records.database.single() as conn:
        rows = await conn.fetch(
            f"SELECT {_COLUMNS} FROM vaccine_lot WHERE {where} ORDER BY expires, product, lot LIMIT 1000",
            args,
        )
    return [Lot(*row) for row in rows]


async def one(records: Records, id: str) -> tuple[Lot, list[Movement]]:
    """A lot and its movements, newest first. Raises Forbidden, NotFound."""
    await records.require("create", "Immunization")
    async with records.database.connection() as conn:
        lot = await _lot(conn, records, id)
        cursor = await conn.execute(
            "SELECT m.n, m.at, coalesce(u.name, m.actor), m.doses, m.why, m.note, m.immunization FROM vaccine_movement m "
            "LEFT JOIN app_user u ON u.id = m.actor AND u.tenant = m.tenant "
            "WHERE m.tenant = %s AND m.lot = %s ORDER BY m.n DESC LIMIT 500",
            (records.actor.tenant, id),
        )
        return lot, [Movement(*row) for row in await cursor.fetchall()]


async def receive(records: Records, new: NewLot) -> Lot:
    """A delivery: a new lot, or more doses of a known one. Raises Forbidden, Invalid (by field), Conflict."""
    await records.require("create", "Immunization")
    _checked(new)
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            "INSERT INTO vaccine_lot (tenant, id, org, cvx, product, manufacturer, lot, expires, funding, doses, added) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 0, %s) ON CONFLICT (tenant, org, cvx, lot, funding) "
            f"DO UPDATE SET lot = excluded.lot RETURNING {_COLUMNS}",
            (actor.tenant, uuid4().hex, actor.org, new.cvx, new.product, new.manufacturer, new.lot, new.expires,
             new.funding, now),
        )  # fmt: skip
        lot = Lot(*(await cursor.fetchone() or ()))
        if lot.expires != new.expires:
            raise Conflict(
                f"Lot {new.lot} is known here with the expiry {lot.expires:%d-%b-%Y}: check the box, "
                "and withdraw the known lot if it was typed wrong"
            )
        return await _moved(conn, records, lot, new.doses, "received")


async def count(records: Records, id: str, doses: int, note: str) -> Lot:
    """The shelf was counted: so many are left. Raises Forbidden, NotFound, Invalid."""
    await records.require("create", "Immunization")
    if not 0 <= doses <= MAX_DOSES:
        raise Invalid(f"Doses left must be between 0 and {MAX_DOSES:,}", at="doses")
    async with records.database.connection() as conn:
        lot = await _lot(conn, records, id, lock=True)
        return await _moved(conn, records, lot, doses - lot.doses, "counted", note)


async def waste(records: Records, id: str, doses: int, note: str) -> Lot:
    """Doses were thrown away, and why. Raises Forbidden, NotFound, Invalid."""
    await records.require("create", "Immunization")
    issues = [Issue("required", "Say why they were thrown away", "note")] if not note.strip() else []
    async with records.database.connection() as conn:
        lot = await _lot(conn, records, id, lock=True)
        if not 0 < doses <= lot.doses:
            issues.append(
                Issue("invalid", f"Doses must be between 1 and the {lot.doses} that are left", "doses")
            )
        if issues:
            raise Invalid(issues=issues)
        return await _moved(conn, records, lot, -doses, "wasted", note)


async def withdraw(records: Records, id: str, why: str) -> Lot:
    """The lot must not be given any more (a recall, a cold-chain failure); "" lets it be given again.

    Raises Forbidden, NotFound.
    """
    await records.require("create", "Immunization")
    actor = records.actor
    async with records.database.connection() as conn:
        await _lot(conn, records, id, lock=True)
        cursor = await conn.execute(
            f"UPDATE vaccine_lot SET withdrawn = %s WHERE tenant = %s AND id = %s RETURNING {_COLUMNS}",
            (why.strip()[:200], actor.tenant, id),
        )
        await audit.note(
            conn, actor, records.clock(), "withdraw-lot", id=id, detail=why.strip()[:200] or "released"
        )
        return Lot(*(await cursor.fetchone() or ()))


async def given(tx: Transaction, id: str, immunization: str) -> Lot:
    """One dose was given: take it from the lot, in the transaction that records it. Raises NotFound.

    An expired or withdrawn lot is not refused here: what was given is recorded as it was. Ask `Lot.refused` before.
    """
    lot = await _lot(tx.conn, tx.records, id, lock=True)
    return await _moved(tx.conn, tx.records, lot, -1, "given", immunization=immunization)


async def _lot(conn: Connection, records: Records, id: str, *, lock: bool = False) -> Lot:
    actor = records.actor
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM vaccine_lot WHERE tenant = %s AND org = %s AND id = %s"
        + (" FOR UPDATE" if lock else ""),
        (actor.tenant, actor.org, id),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("There is no lot with this id")
    return Lot(*row)


async def _moved(
    conn: Connection, records: Records, lot: Lot, doses: int, why: Why, note: str = "", immunization: str = ""
) -> Lot:
    """The lot after so many doses came or went, with the movement and its audit row. The lot's row is locked."""
    actor, now = records.actor, records.clock()
    cursor = await conn.execute(
        f"UPDATE vaccine_lot SET doses = doses + %s WHERE tenant = %s AND id = %s RETURNING {_COLUMNS}",
        (doses, actor.tenant, lot.id),
    )
    after = Lot(*(await cursor.fetchone() or ()))
    await conn.execute(
        "INSERT INTO vaccine_movement (tenant, lot, n, at, actor, doses, why, note, immunization) "
        "SELECT %s, %s, coalesce(max(n), 0) + 1, %s, %s, %s, %s, %s, %s FROM vaccine_movement WHERE tenant = %s AND lot = %s",
        (
            actor.tenant,
            lot.id,
            now,
            actor.user,
            doses,
            why,
            note.strip()[:400],
            immunization,
            actor.tenant,
            lot.id,
        ),
    )
    await audit.note(conn, actor, now, "stock", id=lot.id, detail=f"{why} {doses:+}")
    return after


def _checked(new: NewLot) -> None:
    """Raises Invalid with an issue per bad field."""
    issues = [
        Issue("required", f"Enter the {words}", field)
        for field, words in (("cvx", "vaccine"), ("product", "product"), ("lot", "lot number"))
        if not getattr(new, field).strip()
    ]
    if not 0 < new.doses <= MAX_DOSES:
        issues.append(Issue("invalid", f"Doses must be between 1 and {MAX_DOSES:,}", "doses"))
    if new.funding not in get_args(Funding):
        issues.append(Issue("invalid", f"Funding must be one of {', '.join(get_args(Funding))}", "funding"))
    issues += [
        Issue("too-long", f"The {field} must be 60 characters or fewer", field)
        for field in ("lot", "manufacturer", "cvx")
        if len(getattr(new, field)) > 60
    ]
    if issues:
        raise Invalid(issues=issues)
