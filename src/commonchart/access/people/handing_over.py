"""Results addressed to somebody who leaves go to a colleague, or to everybody of the organisation, with the leaving itself."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit
from commonchart.care.inbox.judge import KINDS
from commonchart.fhir.outcome import Invalid
from commonchart.record.inbox import alerts, covers, items
from commonchart.record.inbox.covers import Colleague
from commonchart.record.inbox.items import Act, Item

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.record.database import Connection

POOL = "pool"


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
    """How many results wait for somebody by `kinds` (`care.inbox.judge.KINDS`), and who may take them over."""

    kinds: dict[str, int]
    heirs: tuple[Colleague, ...]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.kinds.values())


async def waiting(conn: Connection, actor: Actor, who: Leaver) -> Waiting:
    """What waits for somebody, and the clinicians who may take it over: in a network those of the same organisation."""
    found = await items.kinds_with(conn, actor.tenant, who.id, who.within)
    everybody = await covers.colleagues(conn, actor.tenant, ("clinician",))
    heirs = [one for one in everybody if one.id != who.id and (actor.network is False or one.org == who.org)]
    heirs.sort(key=lambda one: one.org != who.org)  # of who works for both, the place in the same one
    return Waiting({name: found[n] for n, name in enumerate(KINDS) if n in found}, tuple(heirs))


async def hand_over(conn: Connection, actor: Actor, now: datetime, who: Leaver, to: str) -> int:
    """Hand all of it to a user id of the heirs, or to POOL, in the transaction of the connection; how many. Nothing undoes it.

    Raises Invalid: nobody is chosen though something critical waits, or somebody who is not there.
    """
    found = await waiting(conn, actor, who)
    if not to and found.kinds.get(KINDS[0]):
        raise Invalid("Critical results wait for this person: choose who takes them over", at="to")
    heir = next((one for one in found.heirs if one.id == to), None)
    if to not in ("", POOL) and heir is None:
        raise Invalid("Choose a clinician who works here, or everybody of the organization", at="to")
    told = f"from {who.name} to {heir.name if heir else 'everybody'} by {actor.name}"
    held = await items.with_user(conn, actor.tenant, who.id, who.within)
    for one in held:
        await items.put(conn, _handed(one, who, heir, actor))
        await items.acted(
            conn,
            Act(one.tenant, one.patient, one.item, 0, now, actor.user, "", "handed", one.version, note=told),
        )
        rtype, _, id = one.item.partition("/")
        await audit.note(conn, actor, now, "hand-over", rtype=rtype, id=id, patients=[one.patient], detail=f"{who.id} -> {to or POOL}")  # fmt: skip
    await alerts.readdressed(conn, actor.tenant, who.id, heir.id if heir else "", who.within)
    return len(held)


def _handed(one: Item, who: Leaver, heir: Colleague | None, actor: Actor) -> Item:
    """The item with its new owner; one that was only forwarded goes on to them, or back to whose it is."""
    new = heir.id if heir else ""
    if one.owner == who.id:
        by = f"was handed over from {who.name} by {actor.name}"
        one = replace(one, owner=new, owner_by=by, org=heir.org if heir else one.org or who.org)
    if one.forwarded_to == who.id:
        one = replace(one, forwarded_to=new if new != one.owner else "")
    return one if one.forwarded_to else replace(one, forwarded_by="", forward_note="")
