"""Putting a label on one entry, lifting one from it, and putting back what was lifted: each with a reason, and kept.

A label is put as a code of `meta.security`, so that it goes wherever the entry goes. Lifted is what somebody put, and what a
rule told from codes, for exactly these codes; never what a sender says, nor what comes of something the entry is made of.
What is lifted is open at once and stands on `/labels` until somebody else has agreed. The new version keeps its author, who
sees what they wrote whatever its label, and whoever labels it is no author.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, label_following, trail
from commonchart.care import labels_by_hand
from commonchart.care.labels import labels, names
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Forbidden, Gone, Invalid, Issue, NotFound
from commonchart.fhir.validate import validate
from commonchart.record import label_acts, people
from commonchart.record.label_acts import LIFTED, PUT, RESTORED, LabelAct
from commonchart.record.rows import Stored, Write
from commonchart.search.index import extract

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.access.records import Records, Transaction
    from commonchart.record.database import Connection

# who may put a label on what they see, and lift one; nobody through an app
PUTTERS = frozenset({"clinician", "nurse", "privacy-officer"})
LIFTERS = frozenset({"clinician", "privacy-officer"})
# the whole record is narrowed by a consent, and these are about the record
NOT_ENTRIES = frozenset({"Patient", "Consent", "Provenance", "AuditEvent", "Task", "Subscription"})
MOST_REASON = 400
LATELY = 100

Key = tuple[str, str]


class Carried(Struct, frozen=True):
    """A label that an entry carries and why: `hand`, `codes` of a rule, what a sender says, what it is `made_of`."""

    name: str
    title: str
    hand: bool
    codes: tuple[str, ...]
    said: tuple[str, ...]
    made_of: tuple[Key, ...]

    @property
    def fixed(self) -> bool:
        """Whether it cannot be lifted here."""
        return bool(self.said or self.made_of)


class Sheet(Struct, frozen=True):
    """An entry's labels, what was done to them (newest first), and which may be put or put back."""

    carried: tuple[Carried, ...]
    acts: tuple[LabelAct, ...]
    free: tuple[str, ...]
    lifted: tuple[LabelAct, ...]


class Shown(Struct, frozen=True):
    """An act as `/labels` lists it: `waits` for somebody else to agree; `current` while nothing was done since."""

    act: LabelAct
    waits: bool
    current: bool


def may_put(actor: Actor) -> bool:
    """Whether this actor labels what they see."""
    return not actor.app and actor.role in PUTTERS


def may_lift(actor: Actor) -> bool:
    """Whether this actor lifts labels."""
    return not actor.app and actor.role in LIFTERS


async def sheet(records: Records, rtype: str, id: str) -> Sheet:
    """Raises Forbidden, NotFound."""
    await _required(records, may_put(records.actor), rtype, id)
    async with records.transaction() as tx:
        entry = await _entry(tx, rtype, id)
        acts = await label_acts.of_entry(tx.conn, records.actor.tenant, rtype, id)
        carried = await _carried(tx, entry, acts)
    held = {one.name for one in carried}
    newest = [label_acts.last(acts, name) for name in labels()]
    lifted = tuple(one for one in newest if one is not None and one.act == LIFTED and one.label not in held)
    free = tuple(name for name in labels() if name not in held)
    return Sheet(tuple(carried), tuple(reversed(acts)), free, lifted)


async def acts_of(records: Records, rtype: str, id: str) -> list[LabelAct]:
    """What was done by hand to the labels of an entry that the caller has read, oldest first."""
    if rtype in NOT_ENTRIES:
        return []
    async with records.database.single() as conn:
        return await label_acts.of_entry(conn, records.actor.tenant, rtype, id)


async def put(records: Records, rtype: str, id: str, label: str, reason: str) -> None:
    """Put a label on an entry. Raises Forbidden, NotFound, Invalid, Conflict."""
    await _required(records, may_put(records.actor), rtype, id)
    reason = _said(reason, label)
    async with records.transaction() as tx:
        entry = await _entry(tx, rtype, id)
        acts = await label_acts.of_entry(tx.conn, records.actor.tenant, rtype, id)
        if any(one.name == label for one in await _carried(tx, entry, acts)):
            raise Conflict(f"It carries this label already: {labels()[label].title}", at="label")
        await _labelled(tx, entry, label, PUT, reason)


async def lift(records: Records, rtype: str, id: str, label: str, reason: str) -> None:
    """Lift a label that somebody put, or that a rule told from its codes. Raises Forbidden, NotFound, Invalid."""
    await _required(records, may_lift(records.actor), rtype, id)
    reason = _said(reason, label)
    actor, now = records.actor, records.clock()
    async with records.transaction() as tx:
        entry = await _entry(tx, rtype, id)
        acts = await label_acts.of_entry(tx.conn, actor.tenant, rtype, id)
        found = next((one for one in await _carried(tx, entry, acts) if one.name == label), None)
        if found is None:
            raise Invalid("It does not carry this label any more", at="label")
        if found.fixed:
            raise Invalid(_why_fixed(found), at="label")
        body = labels_by_hand.taken_off(json.decode(entry.body or b"{}"), label)
        vid = await _store(tx, entry, body)
        await label_following.fell(tx.conn, actor.tenant, entry, label)
        codes = ", ".join(found.codes)
        new = LabelAct(entry.patient or "", rtype, id, 0, label, LIFTED, found.hand, codes, vid, now, actor.user, reason)  # fmt: skip
        await _kept(tx.conn, actor, new)


async def restore(records: Records, rtype: str, id: str, label: str, reason: str = "") -> None:
    """Put back a label as it was before it was lifted. Raises Forbidden, NotFound, Invalid."""
    allowed = may_put(records.actor) or records.actor.role in trail.REVIEWERS
    await _required(records, allowed and not records.actor.app, rtype, id)
    if label not in labels():
        raise Invalid("Choose a label", at="label")
    actor, now = records.actor, records.clock()
    async with records.transaction() as tx:
        entry = await _entry(tx, rtype, id)
        acts = await label_acts.of_entry(tx.conn, actor.tenant, rtype, id)
        before = label_acts.last(acts, label)
        if before is None or before.act != LIFTED:
            raise Invalid("This label has not been lifted, or was put back already", at="label")
        await _labelled(tx, entry, label, RESTORED, reason.strip()[:MOST_REASON], by_hand=before.hand)
        await label_acts.reviewed(tx.conn, actor.tenant, before, actor.user, now)


async def agree(records: Records, rtype: str, id: str, n: int) -> None:
    """Somebody else than who lifted it has looked at it, and it stays lifted. Raises Forbidden, NotFound, Invalid."""
    await trail.required(records)
    actor, now = records.actor, records.clock()
    async with records.transaction() as tx:
        await _entry(tx, rtype, id)
        acts = await label_acts.of_entry(tx.conn, actor.tenant, rtype, id)
        one = next((one for one in acts if one.n == n and one.act == LIFTED), None)
        if one is None:
            raise NotFound("There is no such lifted label")
        if one.actor == actor.user:
            raise Forbidden("Somebody else has to look at what you lifted yourself")
        if not await label_acts.reviewed(tx.conn, actor.tenant, one, actor.user, now):
            raise Conflict("Somebody has looked at it already")
        await audit.note(tx.conn, actor, now, "label", rtype=rtype, id=id, patients=_about(one), detail=f"agreed {one.label}")  # fmt: skip


async def listed(records: Records) -> list[Shown]:
    """What was done lately to labels of entries that may be seen; first what waits for somebody else to agree."""
    await trail.required(records)
    predicate, args = records.visible.predicate("r")
    columns = ", ".join(f"a.{name}" for name in label_acts.COLUMNS.split(", "))
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            f"SELECT {columns}, a.act = 'lifted' AND a.reviewed IS NULL AS waits, NOT EXISTS (SELECT 1 FROM label_act b "
            "WHERE b.tenant = a.tenant AND b.rtype = a.rtype AND b.id = a.id AND b.label = a.label AND b.n > a.n) "
            "FROM label_act a JOIN resource_loc l ON l.tenant = a.tenant AND l.rtype = a.rtype AND l.id = a.id "
            "JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id "
            f"WHERE a.tenant = %s AND {predicate} ORDER BY waits DESC, a.at DESC, a.n DESC LIMIT %s",
            (records.actor.tenant, *args, LATELY),
        )
        found = [Shown(label_acts.act_of(row[:-2]), row[-2], row[-1]) for row in rows]
        who = sorted({one.act.patient for one in found if one.act.patient})
        await audit.note(
            conn, records.actor, records.clock(), "report", patients=who, detail="labels by hand"
        )
    return found


async def held(conn: Connection, tenant: int, rtype: str, id: str) -> frozenset[str]:
    """The codes of `meta.security` that somebody put on the entry by hand, so that they are lifted on its page only."""
    acts = await label_acts.of_entry(conn, tenant, rtype, id)
    return frozenset(
        code for name, (_, code) in labels_by_hand.WRITTEN.items() if label_acts.by_hand(acts, name)
    )


# ---- one entry -------------------------------------------------------------------------------------------------


async def _required(records: Records, allowed: bool, rtype: str, id: str) -> None:
    if allowed and rtype not in NOT_ENTRIES:
        return
    async with records.database.single() as conn:
        await audit.note(
            conn, records.actor, records.clock(), "label", outcome=audit.SERIOUS, rtype=rtype, id=id[:64]
        )
    raise Forbidden(
        "A whole record, and what is about it, carries no label: take down a consent"
        if rtype in NOT_ENTRIES
        else "Your role does not allow this with sensitive labels"
    )


def _said(reason: str, label: str) -> str:
    """The reason, cleaned. Raises Invalid, by field."""
    issues = [] if label in labels() else [Issue("value", "Choose a label", "label")]
    if not reason.strip():
        issues.append(Issue("required", "Say why", "reason"))
    if len(reason.strip()) > MOST_REASON:
        issues.append(Issue("value", f"At most {MOST_REASON} characters", "reason"))
    if issues:
        raise Invalid(issues=issues)
    return reason.strip()


async def _entry(tx: Transaction, rtype: str, id: str) -> Stored:
    await tx.alone(f"labels {rtype}/{id}")
    found = await tx.read(rtype, id)
    if found is None:
        raise NotFound("There is no such fact in this chart")
    if found.deleted:
        raise Gone("This has been deleted from the chart")
    return found


async def _carried(tx: Transaction, entry: Stored, acts: list[LabelAct]) -> list[Carried]:
    body = json.decode(entry.body or b"{}")
    mask, of_members = await label_following.masks(tx.conn, tx.records.actor.tenant, entry)
    out = []
    for name in names(mask):
        hand = label_acts.by_hand(acts, name)
        said = labels_by_hand.said(body, name) - ({labels_by_hand.WRITTEN[name]} if hand else frozenset())
        made_of = tuple(key for key, one in of_members.items() if one & labels()[name].mask)
        lifted = labels_by_hand.lifts(body).get(name, frozenset())
        codes = labels_by_hand.carrying(body, name) - lifted
        out.append(Carried(name, labels()[name].title, hand, _codes(codes), _codes(said), made_of))
    return out


def _codes(found: frozenset[labels_by_hand.Code]) -> tuple[str, ...]:
    return tuple(f"{system.rpartition('/')[2]} {code}" for system, code in sorted(found))


def _why_fixed(one: Carried) -> str:
    if one.said:
        return f"Whoever sent it says so ({', '.join(one.said)}): ask them; an administrator can correct what they sent"
    return "It comes of what this is made of: lift it there"


async def _labelled(
    tx: Transaction, entry: Stored, label: str, act: str, reason: str, *, by_hand: bool = True
) -> None:
    """Store the entry with the label, and label at once what is made of it, and what was worked out from it."""
    actor, now = tx.records.actor, tx.records.clock()
    body = json.decode(entry.body or b"{}")
    if by_hand:
        body = labels_by_hand.put(body, label)
    else:
        left = {name: codes for name, codes in labels_by_hand.lifts(body).items() if name != label}
        body = labels_by_hand.lifting(body, left)
    vid = await _store(tx, entry, body)
    same = await people.linked_on(tx.conn, actor.tenant, entry.patient) if entry.patient else []
    await label_following.rose(tx.conn, actor.tenant, entry, label, same)
    await _kept(tx.conn, actor, LabelAct(entry.patient or "", entry.rtype, entry.id, 0, label, act, by_hand, "", vid, now, actor.user, reason))  # fmt: skip


async def _store(tx: Transaction, entry: Stored, body: labels_by_hand.Body) -> int:
    """The next version, of the same author; its number."""
    validate(body)
    index = extract(entry.rtype, body)
    index = replace(index, labels=labels_by_hand.kept(body))
    one = Write(entry.rtype, entry.id, body, index, entry.vid, relabels=True, judged=True, author=entry.actor)
    (written,) = await tx.write_labels([one])
    return written.stored.vid


async def _kept(conn: Connection, actor: Actor, new: LabelAct) -> None:
    await label_acts.add(conn, actor.tenant, new)
    await audit.note(
        conn, actor, new.at, "label", rtype=new.rtype, id=new.id, patients=_about(new), detail=f"{new.act} {new.label}"
    )  # fmt: skip


def _about(one: LabelAct) -> list[str]:
    return [one.patient] if one.patient else []
