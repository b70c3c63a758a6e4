"""The gate that every medication order of a user passes, by whichever door it comes (docs/decisions/0019).

An order that an interrupting alert speaks against is not stored. It is stored when it carries a reason that was given after
exactly these alerts were shown to this user; what was checked is kept with it. Programs (imports, the role system) have
nobody to ask: theirs is stored, and the review that follows every commit raises the alerts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.access import audit
from commonchart.access.medications import events, reading
from commonchart.access.medications.approvals import approved
from commonchart.access.medications.standing import accept
from commonchart.access.writes import Create, write_of
from commonchart.care.medications.answers import Alert, Checked
from commonchart.care.medications.checking import check
from commonchart.care.medications.from_fhir import medication
from commonchart.care.medications.pack import built_in
from commonchart.fhir import json
from commonchart.fhir.outcome import Invalid, Issue, TooCostly
from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.access.records import Records, Transaction
    from commonchart.fhir.validate import Valid
    from commonchart.record.rows import Stored, Write, Written

OVERRIDE = "http://commonchart.org/StructureDefinition/medication-alert-override"
MOST_ORDERS = 100
_ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
_DECIDING = (
    "status", "intent", "subject", "doNotPerform", "medicationCodeableConcept", "medicationReference", "contained",
    "dosageInstruction", "priorPrescription",
)  # fmt: skip
Body = dict[str, Any]


class Looked(Struct, frozen=True):
    """One order that was checked: what it is, what was found, the digest of what stops it, and the reason to go on."""

    id: str
    patient: str
    text: str
    checked: Checked
    digest: str
    reason: str = ""


class Interrupted(Invalid):
    """An order is stopped by alerts (422): each is an issue, and so is the way to order all the same."""

    code = "business-rule"

    def __init__(self, stopped: Sequence[Looked]) -> None:
        self.stopped = tuple(stopped)
        super().__init__(issues=[issue for one in stopped for issue in _issues(one)])


def is_order(body: Mapping[str, Any]) -> bool:
    """Whether this tells somebody to give a medicine: an active order, not a plan, a proposal or a prohibition."""
    return (
        body.get("resourceType") == "MedicationRequest"
        and body.get("status") == "active"
        and body.get("intent") in _ORDERS
        and body.get("doNotPerform") is not True
    )


def with_override(body: Body, digest: str, reason: str) -> Body:
    """The order with the reason to go on; one of an earlier decision is taken off. Without a digest or a reason: only that."""
    kept = [one for one in body.get("extension") or () if one.get("url") != OVERRIDE]
    if digest and reason:
        parts = [{"url": "alerts", "valueString": digest}, {"url": "reason", "valueString": reason}]
        kept.append({"url": OVERRIDE, "extension": parts})
    without = {name: value for name, value in body.items() if name != "extension"}
    return without | ({"extension": kept} if kept else {})


async def looked_at(tx: Transaction, writes: Sequence[Write]) -> list[Looked]:
    """Check what is ordered by these writes. Raises Interrupted, which leaves the alerts as shown; TooCostly."""
    orders = [one for one in writes if one.body is not None and one.index.patient and is_order(one.body)]
    if not orders or tx.source or tx.records.actor.role == "system":
        return []
    old = await tx.read_many([("MedicationRequest", one.id) for one in orders])
    new = [one for one in orders if _decides(old.get(("MedicationRequest", one.id)), one)]
    found = await _checked(tx, new, writes)
    stopped = [one for one in found if one.checked.interrupting and not one.reason]
    if stopped:
        await events.show(tx.records, [_stop(one) for one in stopped])
        raise Interrupted(stopped)
    return found


async def preview(records: Records, valid: Valid) -> Looked | None:
    """What would be found if this were ordered; nothing is stored. None for what is no order. Raises as `looked_at`."""
    if not is_order(valid.resource):
        return None
    write = write_of(Create(valid), records.clock())
    async with records.transaction() as tx:
        found = await _checked(tx, [write], [write])
        await audit.note(
            tx.conn, records.actor, records.clock(), "check-order", patients=[one.patient for one in found]
        )
    if any(one.checked.interrupting for one in found):
        await events.show(records, [_stop(one) for one in found])
        raise Interrupted(found)
    return found[0] if found else None


async def keep(tx: Transaction, found: Sequence[Looked], written: Sequence[Written]) -> None:
    """With each order that was stored: what was checked, and why it was ordered all the same."""
    actor, now = tx.records.actor, tx.records.clock()
    versions = {one.stored.id: one.stored.vid for one in written if one.stored.rtype == "MedicationRequest"}
    for one in found:
        await tx.conn.execute(
            "INSERT INTO medication_check (pk, tenant, patient, id, vid, at, actor, text, pack, lines, alerts, reason) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (patient_key(one.patient), actor.tenant, one.patient, one.id, versions[one.id], now, actor.user, one.text[:400],
             one.checked.pack, _json(one.checked.lines), _json(one.checked.alerts), one.reason),
        )  # fmt: skip
        if one.reason:
            await events.decide(tx.conn, actor, one.patient, one.digest, "overridden", now, one.reason)
            await accept(tx.conn, actor, one.patient, one.checked.interrupting, one.reason, now)
        key = ("MedicationRequest", one.id)
        tx.told[key] = (*tx.told.get(key, ()), *_told(one.checked))
    for patient in sorted({one.patient for one in found}):
        await events.changed(tx.conn, actor, patient, "medication", now)


def _decides(old: Stored | None, new: Write) -> bool:
    """Whether this is another order than the stored one: a note or a label is no new decision."""
    if old is None or old.body is None or new.body is None:
        return True
    before = json.decode(old.body)
    return not is_order(before) or any(before.get(name) != new.body.get(name) for name in _DECIDING)


async def _checked(tx: Transaction, orders: Sequence[Write], writes: Sequence[Write]) -> list[Looked]:
    """Each order beside everything else, what is written with it included; one user at a time for a patient."""
    out: list[Looked] = []
    actor, as_of = tx.records.actor, tx.records.clock().date()
    allowed = await approved(tx.conn, actor.tenant) if orders else frozenset[str]()
    for patient in sorted({one.index.patient or "" for one in orders}):
        own = [one.body for one in orders if one.index.patient == patient and one.body is not None]
        if len(own) > MOST_ORDERS:
            raise TooCostly(
                f"At most {MOST_ORDERS} orders for one patient at once: send them one after the other"
            )
        await tx.alone(f"orders {patient}")
        known = await reading.known(
            tx.conn, actor, tx.records.clock(), patient, as_of, reading.pending(writes, patient)
        )
        for body in own if known is not None else ():
            assert known is not None
            order = medication(body, built_in(), known.seen)
            record = known.record
            checked = await asyncio.to_thread(
                check, order, record.medications, record.allergies, record.facts, built_in(), as_of, allowed,
                known.withheld,
            )  # fmt: skip
            out.append(await _reasoned(tx, body, Looked(body["id"], patient, order.text, checked, "")))
    return out


async def _reasoned(tx: Transaction, body: Body, found: Looked) -> Looked:
    """With the digest, and with the reason where it was given for exactly these alerts after they were shown."""
    alerts = found.checked.interrupting
    if not alerts:
        return found
    own = f"MedicationRequest/{found.id}"
    digest = events.digest_of(found.patient, found.text, *(_said(one, own) for one in alerts))
    named, reason = _given(body)
    seen = named == digest and await events.was_shown(
        tx.conn, tx.records.actor, found.patient, digest, tx.records.clock()
    )
    return msgspec.structs.replace(found, digest=digest, reason=reason if seen else "")


def _said(alert: Alert, own: str) -> str:
    """What an alert says and rests on, but for the order itself, which has no id yet."""
    refs = sorted(f"{one.ref} {one.text}" for one in alert.facts if one.ref != own)
    return "\x1e".join((alert.rule, alert.title, alert.why, *refs))


def _given(body: Body) -> tuple[str, str]:
    """(digest, reason) of the override that an order carries."""
    for one in body.get("extension") or ():
        if one.get("url") == OVERRIDE:
            parts = {
                part.get("url"): str(part.get("valueString") or "") for part in one.get("extension") or ()
            }
            return parts.get("alerts", ""), parts.get("reason", "").strip()[: events.MOST_REASON]
    return "", ""


def _stop(one: Looked) -> events.Stop:
    shown = tuple(events.Shown(alert.rule, alert.title, alert.pack) for alert in one.checked.interrupting)
    return events.Stop("medication", one.patient, one.text, one.digest, shown)


# ---- in words ---------------------------------------------------------------------------------------------------


def _issues(one: Looked) -> list[Issue]:
    at = "MedicationRequest"
    told = list(_told(one.checked))
    how = (
        f"{one.text}: not stored. Change the order; or, if it is right, send it again with the extension {OVERRIDE}, "
        f'its part "alerts" {one.digest} and its part "reason" why'
    )
    stops = [
        Issue("business-rule", f"{one.text}: {alert.title}: {alert.why}", at)
        for alert in one.checked.interrupting
    ]
    return [*stops, Issue("business-rule", how, at), *told]


def _told(checked: Checked) -> list[Issue]:
    """What does not stop: passive alerts as warnings, what was covered and NOT CHECKED as information."""
    passive = [one for one in checked.alerts if one.tier != "interrupt"]
    return [
        *(Issue("informational", f"{one.title}: {one.why}", severity="warning") for one in passive),
        *(Issue("informational", line, severity="information") for line in checked.lines),
    ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
