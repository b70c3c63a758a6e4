"""The rules of a site as an actor may see and change them.

Who treats or administers reads, writes drafts and decides what is used; only a clinician of the site, by name, approves
(docs/decisions/0018). Every act leaves its audit row in its own transaction, and nothing is used by halves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import audit, policy
from commonchart.care import editions
from commonchart.care.editions import Edition
from commonchart.care.review import Approval, Standing, standing
from commonchart.care.rules import built_in
from commonchart.care.schema import Pack, Rule
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound
from commonchart.record import due, rules
from commonchart.record import rule_previews as previews
from commonchart.record.changes import CHANNEL
from commonchart.record.due import Run
from commonchart.record.rule_previews import Preview
from commonchart.record.rules import BOX, OFF, SITE, Choice, Signed, Use, Version

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

MOST_WORDS = 500
CURRENT_DAYS = 7
"""For how many days a preview says how things are."""
DECIDING = ("clinician", "administrator", "system")


class Entry(Struct, frozen=True):
    """A rule in the library. `state` is site, box or off; `draft` the site's newest version where it is not used."""

    rule: Rule
    state: str
    standing: Standing
    approval: Approval | None
    counts: dict[str, int]
    draft: str = ""
    unused: str = ""


class Sheet(Struct, frozen=True):
    """Everything about one rule: as it is used now (as it was, when it is not used), its versions, uses and approvals."""

    entry: Entry
    edition: Edition
    pack: Pack
    boxed: Rule | None
    versions: tuple[Version, ...]
    uses: tuple[Use, ...]
    approvals: tuple[Signed, ...]
    preview: Preview | None
    stale: str = ""

    @property
    def seq(self) -> int:
        """The number of the latest decision about what is used, 0 before the first."""
        return self.uses[0].seq if self.uses else 0

    @property
    def before(self) -> Choice | None:
        """What one step back is; None when the rule always was as it is."""
        if not self.uses:
            return None
        if len(self.uses) > 1:
            return Choice(self.uses[1].state, self.uses[1].n)
        return Choice(BOX) if self.boxed is not None else Choice(OFF)

    def version(self, n: int) -> Version:
        """One of the site's versions. Raises NotFound."""
        found = next((one for one in self.versions if one.n == n), None)
        if found is None:
            raise NotFound("There is no such version of this rule")
        return found


# ---- reading ---------------------------------------------------------------------------------------------------


async def library(records: Records) -> list[Entry]:
    """Every rule: of the box, of the site, and drafts of new ones, by title. Raises Forbidden, NotFound."""
    await reading(records)
    tenant = records.actor.tenant
    async with records.database.connection() as conn:
        now, latest = (
            await rules.active(conn, tenant),
            {one.rule: one for one in await rules.latest(conn, tenant)},
        )
        signed, counts = await rules.standing(conn, tenant), await rules.counts(conn, tenant)
    out: list[Entry] = []
    for id in dict.fromkeys((*built_in().by_id, *now.pack.by_id, *latest)):
        rule = now.pack.by_id.get(id) or built_in().by_id.get(id) or latest[id].edition.rule
        out.append(_entry(rule, now, latest.get(id), signed.get((id, rule.version)), counts.get(id, {})))
    return sorted(out, key=lambda one: (one.rule.title.lower(), one.rule.id))


def _entry(
    rule: Rule, now: rules.Active, latest: Version | None, approval: Approval | None, counts: dict[str, int]
) -> Entry:
    state = SITE if rule.id in now.pack.site else BOX if rule.id in now.pack.by_id else OFF
    draft = latest.name if latest is not None and not (state == SITE and latest.name == rule.version) else ""
    stands = standing(rule, [approval] if approval else [])
    return Entry(rule, state, stands, approval, counts, draft, now.unused.get(rule.id, ""))


async def sheet(records: Records, rule: str) -> Sheet:
    """Everything about one rule. Raises Forbidden, NotFound."""
    await reading(records)
    async with records.database.connection() as conn:
        return await _sheet(conn, records, rule)


async def _sheet(conn: Connection, records: Records, id: str) -> Sheet:
    tenant = records.actor.tenant
    now, boxed = await rules.active(conn, tenant), built_in().by_id.get(id)
    versions, uses = await rules.versions(conn, tenant, id), await rules.uses(conn, tenant, id)
    if boxed is None and not versions:
        raise NotFound("There is no such rule")
    edition = _shown(id, now, versions, uses)
    signed = await rules.approvals(conn, tenant, id)
    stands = next(
        (
            one.approval
            for one in signed
            if one.approval.version == edition.rule.version and not one.approval.withdrawn
        ),
        None,
    )
    counts = (await rules.counts(conn, tenant, id)).get(id, {})
    preview = await previews.of_rule(conn, tenant, id)
    return Sheet(
        _entry(edition.rule, now, versions[0] if versions else None, stands, counts), edition, now.pack, boxed,
        tuple(versions), tuple(uses), tuple(signed), preview, await _stale(conn, records, preview),
    )  # fmt: skip


def _shown(id: str, now: rules.Active, versions: list[Version], uses: list[Use]) -> Edition:
    """The rule as it is used, else as it last was, else as it was first written."""
    if id in now.pack.by_id and id not in now.pack.site:
        return Edition(now.pack.by_id[id])
    n = next((one.n for one in uses if one.state == SITE), 0)
    found = next((one for one in versions if one.n == n), None)
    if found is not None:
        return found.edition
    return Edition(built_in().by_id[id]) if id in built_in().by_id else versions[0].edition


async def _stale(conn: Connection, records: Records, one: Preview | None) -> str:
    """Why a preview does not say how things are now, "" when it does."""
    if one is None:
        return "no preview has been made"
    if one.run != "done":
        return "the preview is not finished" if one.run == "running" else f"the preview failed: {one.error}"
    if (await rules.active(conn, records.actor.tenant)).pack.hash != one.before_hash:
        return "the rules in use have been changed since the preview"
    if (records.clock().date() - one.as_of).days > CURRENT_DAYS:
        return f"the preview is more than {CURRENT_DAYS} days old"
    return ""


async def progress(records: Records) -> Run | None:
    """How far everybody has been worked out again with changed rules; None when everybody is. Raises Forbidden, NotFound."""
    await reading(records)
    async with records.database.connection() as conn:
        return await due.running(conn)


async def in_use(records: Records) -> Pack:
    """The rules that are used here now: the pack in the box with what the site changed. No patient data."""
    async with records.database.single() as conn:
        return (await rules.active(conn, records.actor.tenant)).pack


async def switched_off(records: Records) -> list[str]:
    """The titles of rules in the box that the site does not use: a due list says so, or their silence would look like safety."""
    await records.require("read", "Condition")
    pack = await in_use(records)
    return sorted(rule.title for rule in built_in().rules if rule.id not in pack.by_id)


async def reading(records: Records) -> None:
    """Whether the actor may look at rules. Raises Forbidden, NotFound: the library is for those who treat or administer."""
    await records.require("read", "Condition")
    if not policy.visible(records.actor).everything:
        raise NotFound("There is no rule library here")


# ---- drafts ----------------------------------------------------------------------------------------------------


async def draft(
    records: Records, edition: Edition, why: str, based_on: str, seen: int, *, new: bool = False
) -> Version:
    """Keep a version that nobody uses yet. `seen` is the newest of the site's versions when writing began.

    Raises Forbidden, Invalid by field, Conflict when somebody else has written one meanwhile.
    """
    await deciding(records)
    id, actor, now = edition.rule.id, records.actor, records.clock()
    reason = _reason(why)
    async with records.database.connection() as conn:
        await rules.alone(conn, actor.tenant)
        versions = await rules.versions(conn, actor.tenant, id)
        if new and (id in built_in().by_id or versions):
            raise Invalid(f"There is a rule {id} already: change that one, or choose another name", at="id")
        if (versions[0].n if versions else 0) != seen:
            raise Conflict(
                "Somebody else has written a version since you opened this one. Compare, then save again"
            )
        await rules.with_edition(conn, actor.tenant, edition)
        text = editions.text_of(edition)
        if versions and versions[0].body == text:
            raise Invalid("Nothing is changed from the newest version", at="")
        kept = await rules.keep(
            conn, actor.tenant, Version(id, 0, text, based_on, actor.user, actor.name, now, reason)
        )
        await audit.note(conn, actor, now, "draft-rule", id=id, detail=kept.name)
        return kept


def _reason(text: str) -> str:
    found = text.strip()
    if not found or len(found) > MOST_WORDS:
        raise Invalid(f"Say why, in at most {MOST_WORDS} characters", at="why")
    return found


async def deciding(records: Records) -> None:
    """Whether the actor may change rules. Raises Forbidden, NotFound."""
    await reading(records)
    if records.actor.role not in DECIDING:
        raise Forbidden("Only clinicians and administrators change rules")


# ---- what is used ----------------------------------------------------------------------------------------------


async def activate(
    records: Records, rule: str, choice: Choice, why: str, seen: int, *, anyway: bool = False
) -> None:
    """From now on use the rule so; everybody is worked out again. `seen` is the latest decision that was shown.

    `anyway`: without a preview that says how things are now. Raises Forbidden, NotFound, Invalid, Conflict.
    """
    await deciding(records)
    reason = _reason(why)
    async with records.database.connection() as conn:
        await rules.alone(conn, records.actor.tenant)
        found = await _decided(conn, records, rule, seen)
        _possible(found, choice)
        if not anyway:
            _previewed(found, choice)
        await _use(conn, records, rule, choice, reason, "activate-rule")


async def rollback(records: Records, rule: str, why: str, seen: int) -> Choice:
    """One step back to what was used before, at once; what that is. Raises Forbidden, NotFound, Invalid, Conflict."""
    await deciding(records)
    reason = _reason(why)
    async with records.database.connection() as conn:
        await rules.alone(conn, records.actor.tenant)
        found = await _decided(conn, records, rule, seen)
        if found.before is None:
            raise Conflict("This rule has never been changed: there is nothing to go back to")
        await _use(conn, records, rule, found.before, reason, "roll-back-rule")
        return found.before


async def _decided(conn: Connection, records: Records, rule: str, seen: int) -> Sheet:
    found = await _sheet(conn, records, rule)
    if found.seq != seen:
        raise Conflict(
            "Somebody else has changed what is used since you opened this page. Look again, then decide"
        )
    return found


def _possible(found: Sheet, choice: Choice) -> None:
    if choice.state == SITE:
        found.version(choice.n)
    elif choice.state == BOX and found.boxed is None:
        raise NotFound("This rule is the site's own: there is none in the box")
    used = found.uses[0] if found.uses else None
    now = Choice(used.state, used.n) if used else Choice(BOX) if found.boxed is not None else Choice(OFF)
    if now == choice:
        raise Conflict("The rule is used so already")


def _previewed(found: Sheet, choice: Choice) -> None:
    one = found.preview
    other = one is not None and (one.state, one.n) != (choice.state, choice.n)
    why = "the latest preview was of another version" if other else found.stale
    if why:
        raise Invalid(
            f"This would be used unseen: {why}. Make a preview, or say that it is to be used all the same",
            at="anyway",
        )


async def _use(conn: Connection, records: Records, rule: str, choice: Choice, why: str, act: str) -> None:
    actor, now = records.actor, records.clock()
    await rules.chosen(conn, actor.tenant, rule, choice)
    await rules.use(
        conn, actor.tenant, Use(rule, 0, choice.state, choice.n, actor.user, actor.name, now, why)
    )
    said = editions.version_name(choice.n) if choice.state == SITE else choice.state
    await audit.note(conn, actor, now, act, id=rule, detail=said)
    await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


# ---- approval --------------------------------------------------------------------------------------------------


async def approve(records: Records, rule: str, version: str, comment: str) -> None:
    """A clinician stands behind one version of a rule. Raises Forbidden, NotFound, Invalid, Conflict."""
    await reading(records)
    _clinician(records)
    said = comment.strip()
    if not said or len(said) > MOST_WORDS:
        raise Invalid(f"Say what you compared it with, in at most {MOST_WORDS} characters", at="comment")
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        await rules.alone(conn, actor.tenant)
        found = _of_version(await _sheet(conn, records, rule), version)
        if found.review == "reviewed":
            raise Conflict("This version was read in its source: it needs no approval")
        if (rule, version) in await rules.standing(conn, actor.tenant):
            raise Conflict("This version is approved already")
        await rules.approve(conn, actor.tenant, actor.user, Approval(rule, version, actor.name, now, said))
        await audit.note(conn, actor, now, "approve-rule", id=rule, detail=version)


async def withdraw(records: Records, rule: str, version: str, why: str) -> None:
    """Take approvals of a version back: from now on it sends nothing. Raises Forbidden, NotFound, Invalid, Conflict."""
    await reading(records)
    _clinician(records)
    reason, actor, now = _reason(why), records.actor, records.clock()
    async with records.database.connection() as conn:
        await rules.alone(conn, actor.tenant)
        if not await rules.withdraw(conn, actor.tenant, rule, version, actor.name, now, reason):
            raise Conflict("This version is not approved")
        await audit.note(conn, actor, now, "withdraw-approval", id=rule, detail=version)


def _clinician(records: Records) -> None:
    if records.actor.role != "clinician" or not records.actor.name.strip():
        raise Forbidden("Only a clinician of the site, by name, approves a rule")


def _of_version(found: Sheet, version: str) -> Rule:
    """The rule in this version, of the box or the site."""
    if found.boxed is not None and found.boxed.version == version:
        return found.boxed
    one = next((one for one in found.versions if one.name == version), None)
    if one is None:
        raise NotFound("There is no such version of this rule")
    return one.edition.rule
