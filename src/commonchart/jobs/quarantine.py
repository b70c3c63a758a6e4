"""Deciding about a result in quarantine: the decision and what it does to the due list are one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import quarantine
from commonchart.access.outreach.policy import local
from commonchart.access.quarantine import Choice
from commonchart.access.records import Create, Put
from commonchart.care.evidence import codes_of, moment_day
from commonchart.care.rules import built_in
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.jobs import due
from commonchart.record import changes, rules
from commonchart.record import due as kept_due
from commonchart.record.due import DueRow
from commonchart.record.people import linked_on
from commonchart.record.rows import Stored

if TYPE_CHECKING:
    from commonchart.access.records import Records, Transaction
    from commonchart.record.database import Connection

Key = tuple[str, str, str]
"""(patient, type, id) of a result."""
BULK = 100


class Effect(Struct, frozen=True):
    """What a rule says now, and what it would say; "" where it would not be about this person."""

    rule: str
    title: str
    before: str
    after: str
    because: str


class Correction(Struct, frozen=True):
    """A result as it should have been: `day` None leaves the date as it is."""

    value: Decimal
    unit: str
    day: date | None = None


async def effects(records: Records, patient: str, ref: str) -> list[Effect]:
    """What releasing a result would do to the due list, worked out but not kept: of the rows that the actor may see before and
    after. Raises Forbidden."""
    await records.require("read", "Condition")
    tenant, now = records.actor.tenant, records.clock()
    seen = records.visible.due("d")
    async with records.whole.connection() as conn:
        pack = (await rules.active(conn, tenant)).pack
        after = (await due.weighed(conn, tenant, patient, pack, now, suppose=[ref])).rows
        before = await _before(conn, tenant, patient, after, now)
        if before is None:
            before = (await due.weighed(conn, tenant, patient, pack, now)).rows
        hidden = await kept_due.unseen(conn, tenant, [*before, *after], seen)
    return [one for one in differences(before, after) if one.rule not in hidden]


async def _before(
    conn: Connection, tenant: int, patient: str, after: Sequence[DueRow], now: datetime
) -> list[DueRow] | None:
    """The stored rows; None where they are behind the record, the day or the rules of `after`."""
    stored = await kept_due.of_patient(conn, tenant, patient)
    behind = await changes.waiting_about(conn, kept_due.CURSOR, tenant, patient)
    day = moment_day(now)
    due_again = any(one.next_change_on is not None and one.next_change_on <= day for one in stored)
    same = {one.pack for one in stored} == {one.pack for one in after}
    return stored if same and not due_again and kept_due.READ.isdisjoint(behind) else None


def differences(before: Sequence[DueRow], after: Sequence[DueRow]) -> list[Effect]:
    """The rules whose answer is another one."""
    old, new = {one.rule: one for one in before}, {one.rule: one for one in after}
    out = []
    for rule in sorted({*old, *new}):
        a, b = old.get(rule), new.get(rule)
        if (a and (a.status, a.why)) != (b and (b.status, b.why)):
            why = json.decode((b or a).why.encode()) if a or b else {}  # type: ignore[union-attr]
            said = str(why.get("because", "")) if b else "Not about this person any more."
            out.append(Effect(rule, (b or a).title, a.status if a else "", b.status if b else "", said))  # type: ignore[union-attr]
    return out


async def settle(records: Records, keys: Sequence[Key], choices: Sequence[Choice]) -> int:
    """Decide about results, all or none, and assess their patients at once; how many. Raises as `access.quarantine.decide`."""
    if not keys:
        raise Invalid("Choose at least one result", at="chosen")
    if len(keys) > BULK:
        raise Invalid(f"Choose at most {BULK} results at a time", at="chosen")
    async with records.transaction() as tx:
        for (patient, rtype, id), choice in zip(keys, choices, strict=True):
            await quarantine.decide(tx, patient, rtype, id, choice)
        for patient in sorted({key[0] for key in keys}):
            await _again(tx, patient)
    return len(keys)


async def correct(records: Records, key: Key, made: Correction, choice: Choice, analyte: str) -> Stored:
    """Store the result as it should have been, as its next version; it is judged anew.

    Raises Forbidden, NotFound, Stale, Invalid (a field; a result of several parts or none of this analyte), Conflict.
    """
    patient, rtype, id = key
    async with records.transaction() as tx:
        before = await tx.read(rtype, id)
        await quarantine.decide(tx, patient, rtype, id, choice)
        assert before is not None
        now = await local(tx.conn, records.actor.tenant, records.clock())
        body = corrected(
            json.decode(before.body or b"{}"), made, choice.comment, tx.records.actor.name, now, analyte
        )
        (written,) = await tx.write([Put(validate(body), id, if_match=choice.vid)])
        await _again(tx, patient)
    return written.stored


def corrected(
    body: dict[str, Any], made: Correction, comment: str, by: str, now: datetime, analyte: str
) -> dict[str, Any]:
    """The next version of an Observation; `now` is on the clocks of the site. Raises Invalid."""
    if made.day is not None and made.day > now.date():
        raise Invalid("The date lies in the future", at="day")
    part = _part(body, analyte)
    was = part.get("valueQuantity") or {}
    quantity: dict[str, Any] = {"value": made.value}
    if made.unit:
        quantity |= {"unit": made.unit, "system": "http://unitsofmeasure.org", "code": made.unit}
    part["valueQuantity"] = quantity
    part.pop("interpretation", None)
    words = (
        f"Corrected: was {was.get('value', 'no number')} {was.get('unit') or was.get('code') or ''}".strip()
    )
    if made.day is not None:
        words += f" on {body.get('effectiveDateTime', 'no date')}"
        body.pop("effectivePeriod", None)
        body["effectiveDateTime"] = made.day.isoformat()
    note = {"authorString": by, "time": now.isoformat(timespec="seconds")}
    body["note"] = [*body.get("note", []), note | {"text": f"{words}. {comment.strip()}"}]
    return body | {"status": "corrected"}


def _part(body: dict[str, Any], analyte: str) -> dict[str, Any]:
    """The part of a result that measures an analyte: the whole, or one component."""
    if body["resourceType"] != "Observation":
        raise Invalid("Only a measurement can be corrected here: ask for a corrected report", at="value")
    if "component" not in body or "valueQuantity" in body:
        return body
    pack = built_in()
    name = pack.analytes[analyte].codes if analyte in pack.analytes else ""
    for part in body["component"]:
        codes = codes_of(part.get("code"))
        if name and pack.holds(name, codes):
            found: dict[str, Any] = part
            return found
    raise Invalid("This result has several parts: correct it in the chart", at="value")


async def restore(records: Records, key: Key, comment: str) -> Stored:
    """Undo a correction: the version before it stands again, and is asked about again. Raises as `correct`."""
    patient, rtype, id = key
    text = quarantine.checked(comment)
    item = await quarantine.one(records, patient, rtype, id)
    last = item.answers[-1] if item.answers else None
    if last is None or last.decision != "corrected" or last.vid + 1 != item.result.vid:
        raise Conflict("There is no correction to undo: the result has changed since")
    old = await records.vread(rtype, id, last.vid)
    async with records.transaction() as tx:
        body = json.decode(old.body or b"{}")
        (written,) = await tx.write([Put(validate(body), id, if_match=item.result.vid)])
        await quarantine.keep(tx, patient, written.stored, "undone", last.reason, text)
        await _again(tx, patient)
    return written.stored


async def ask(records: Records, key: Key, choice: Choice) -> Stored:
    """Ask registration or the laboratory whose result it is, as a Task; the result stays where and as it is.

    Raises Forbidden, NotFound, Invalid, Conflict.
    """
    patient, rtype, id = key
    async with records.transaction() as tx:
        answer = await quarantine.decide(tx, patient, rtype, id, choice)
        actor, now = records.actor, records.clock()
        task: dict[str, Any] = {
            "resourceType": "Task", "status": "requested", "intent": "order", "priority": "urgent",
            "code": {"text": "Find out whose result this is"}, "description": f"{answer.reason}. {answer.comment}",
            "focus": {"reference": f"{rtype}/{id}"}, "for": {"reference": f"Patient/{patient}"},
            "authoredOn": now.isoformat(timespec="seconds"),
        }  # fmt: skip
        if actor.practitioner:
            task["requester"] = {"reference": f"Practitioner/{actor.practitioner}"}
        (written,) = await tx.write([Create(validate(task))])
    return written.stored


async def _again(tx: Transaction, patient: str) -> None:
    """Assess a patient, and everybody linked to the same person, within the transaction."""
    tenant = tx.records.actor.tenant
    found = await linked_on(tx.conn, tenant, patient)
    if not found:
        raise NotFound("There is no Patient with this id")
    pack = (await rules.active(tx.conn, tenant)).pack
    for one in found:
        await due.again(tx.conn, tenant, one, pack, tx.records.clock())
