"""Results addressed to somebody who leaves go to a colleague, or to everybody of the organisation, with the leaving itself.

Nobody is handed what they may not see: that goes to everybody of the organisation who may. What nobody who works there may
see waits under a name of its own (`UNSEEN`), which administrators are told, with a number and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit
from commonchart.access.people import heirs
from commonchart.access.people.heirs import Key
from commonchart.care.inbox.judge import KINDS
from commonchart.fhir.outcome import Invalid
from commonchart.record.inbox import alerts, covers, items
from commonchart.record.inbox.covers import Colleague
from commonchart.record.inbox.items import Act, Item
from commonchart.search.fold import fold

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.record.database import Connection

POOL = "pool"
UNSEEN = items.UNSEEN
MOST_SHOWN = 100
"""So many colleagues are offered at once, each with what they may not see; others are found by name."""


class Leaver(Struct, frozen=True):
    """Who leaves: user id, name, and the organisation they worked for; `only` it, where they go on working elsewhere."""

    id: str
    name: str
    org: str
    only: bool = False

    @property
    def within(self) -> str | None:
        """The organisation whose results are meant, None for all of theirs."""
        return self.org if self.only else None


class Waiting(Struct, frozen=True):
    """How many results wait for somebody by `kinds` (`care.inbox.judge.KINDS`), and who may take them over.

    `shown`: the colleagues that are offered; `unseen`: (name, how many they may not see) of those of them who may not see all;
    `nobody`: how many no colleague at all may see.
    """

    kinds: dict[str, int]
    heirs: tuple[Colleague, ...]
    unseen: tuple[tuple[str, int], ...] = ()
    nobody: int = 0
    shown: tuple[Colleague, ...] = ()

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.kinds.values())


async def waiting(
    conn: Connection, actor: Actor, now: datetime, who: Leaver, *, named: str = "", chosen: str = ""
) -> Waiting:
    """What waits for somebody, and the clinicians who may take it over: in a network those of the same organisation.

    Of more than MOST_SHOWN the first that are `named` so are looked at, and who is `chosen`. The connection is bound to the tenant only.
    """
    kinds = await _kinds(conn, actor, who)
    others = await _heirs(conn, actor, who)
    shown = _shown(others, named, chosen)
    if not kinds:
        return Waiting(kinds, others, shown=shown)
    held = await items.with_user(conn, actor.tenant, who.id, who.within)
    seen = await heirs.seen_by(conn, actor, now, shown, held)
    unseen = tuple(
        (one.name, len(held) - len(may)) for one, may in zip(shown, seen, strict=True) if len(may) < len(held)
    )
    found = set[Key]().union(*seen)
    rest = [one for one in held if (one.patient, one.item) not in found]
    if rest:
        found |= await _seen_by_anybody(conn, actor, now, [one for one in others if one not in shown], rest)
    return Waiting(kinds, others, unseen, len(held) - len(found), shown)


async def _kinds(conn: Connection, actor: Actor, who: Leaver) -> dict[str, int]:
    found = await items.kinds_with(conn, actor.tenant, who.id, who.within)
    return {name: found[n] for n, name in enumerate(KINDS) if n in found}


async def _heirs(conn: Connection, actor: Actor, who: Leaver) -> tuple[Colleague, ...]:
    everybody = await covers.colleagues(conn, actor.tenant, ("clinician",))
    others = [one for one in everybody if one.id != who.id and (actor.network is False or one.org == who.org)]
    others.sort(key=lambda one: one.org != who.org)  # of who works for both, the place in the same one
    return tuple({one.id: one for one in reversed(others)}.values())[::-1]


def _shown(others: Sequence[Colleague], named: str, chosen: str) -> tuple[Colleague, ...]:
    if len(others) <= MOST_SHOWN:
        return tuple(others)
    words = fold(named).split()
    found = [one for one in others if all(word in fold(f"{one.name} {one.login}") for word in words)]
    return tuple(dict.fromkeys([*found[:MOST_SHOWN], *(one for one in others if one.id == chosen)]))


async def hand_over(conn: Connection, actor: Actor, now: datetime, who: Leaver, to: str) -> int:
    """Hand all of it to a user id of the heirs, or to POOL, in the transaction of the connection; how many. Nothing undoes it.

    What they may not see goes to POOL. The connection is bound to the tenant only. Raises Invalid: nobody is chosen though
    something critical waits, or somebody who is not there.
    """
    others = await _heirs(conn, actor, who)
    if not to and (await _kinds(conn, actor, who)).get(KINDS[0]):
        raise Invalid("Critical results wait for this person: choose who takes them over", at="to")
    heir = next((one for one in others if one.id == to), None)
    if to not in ("", POOL) and heir is None:
        raise Invalid("Choose a clinician who works here, or everybody of the organisation", at="to")
    held = await items.with_user(conn, actor.tenant, who.id, who.within)
    theirs = await heirs.seen(conn, actor, now, heir, held) if heir else set()
    somebodys = await _seen_by_anybody(conn, actor, now, others, held)
    alone = not others  # then it is the pool's as it was, which administrators look into
    for one in held:
        key = (one.patient, one.item)
        mine = heir if key in theirs else None
        await items.put(conn, _handed(one, who, mine, actor, anybody=alone or key in somebodys))
        await _told(conn, actor, now, who, one, mine, heir)
    await alerts.readdressed(
        conn, actor.tenant, who.id, heir.id if heir else "", [item for _, item in theirs], who.within
    )
    return len(held)


async def _seen_by_anybody(
    conn: Connection, actor: Actor, now: datetime, others: Sequence[Colleague], held: Sequence[Item]
) -> set[Key]:
    """What at least one of them may see; no more are asked than it takes."""
    found: set[Key] = set()
    for at in range(0, len(others), heirs.TOGETHER):
        if len(found) == len(held):
            break
        found |= set[Key]().union(
            *await heirs.seen_by(conn, actor, now, others[at : at + heirs.TOGETHER], held)
        )
    return found


async def _told(
    conn: Connection, actor: Actor, now: datetime, who: Leaver, one: Item, to: Colleague | None, chosen: Colleague | None
) -> None:  # fmt: skip
    """The act on the item, and its row in the trail: who has it now, and whom it could not be handed to."""
    words = f"from {who.name} to {to.name if to else 'everybody'} by {actor.name}"
    detail = f"{who.id} -> {to.id if to else POOL}"
    if chosen is not None and to is None:
        words, detail = f"{words}: {chosen.name} may not see it", f"{detail}, not seen by {chosen.id}"
    await items.acted(
        conn, Act(one.tenant, one.patient, one.item, 0, now, actor.user, "", "handed", one.version, note=words)
    )  # fmt: skip
    rtype, _, id = one.item.partition("/")
    await audit.note(conn, actor, now, "hand-over", rtype=rtype, id=id, patients=[one.patient], detail=detail)


def _handed(one: Item, who: Leaver, heir: Colleague | None, actor: Actor, *, anybody: bool) -> Item:
    """The item with its new owner; one that was only forwarded goes on to them, or back to whose it is."""
    new = heir.id if heir else ""
    if one.owner == who.id:
        by = f"was handed over from {who.name} by {actor.name}"
        by = by if anybody else f"{UNSEEN}: {by}"
        one = replace(one, owner=new, owner_by=by, org=heir.org if heir else one.org or who.org)
    if one.forwarded_to == who.id:
        one = replace(one, forwarded_to=new if new != one.owner else "")
    return one if one.forwarded_to else replace(one, forwarded_by="", forward_note="")
