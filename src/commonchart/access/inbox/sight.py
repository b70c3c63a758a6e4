"""Who may open a critical result, so that it goes to people who can, and is not silent where nobody can.

Where a label, a consent or a missing relationship hides it from the clinicians of its step, it goes at once to those of every step
who may open it. Where it is hidden from all of them, it goes to nurses and the laboratory of the organisation who may, and the
privacy officer is told that no clinician may, without a word about whom or what; administrators too where there is none, and from
the second step on. Decided anew every few minutes while it waits, by what decides when they look. Reads as the program.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from commonchart.access import credentials, labelled, policy, users
from commonchart.access.inbox.policy import Policy, staff_for
from commonchart.access.people import heirs
from commonchart.care.inbox import escalate
from commonchart.care.inbox.escalate import Reach, Staff
from commonchart.care.labels import mask, names
from commonchart.record.inbox import covers

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.record.database import Connection
    from commonchart.record.inbox.alerts import Alert
    from commonchart.record.inbox.covers import Colleague

LOOK = timedelta(minutes=5)
"""A result that waits is looked at so often: whether somebody may open it."""
SIGN, STEPS = ("clinician",), ("clinician", "administrator")
BESIDE, OFFICERS = ("nurse", "lab"), ("privacy-officer", "administrator")
LABEL, CLOSED, NOBODY = "label:", "closed", "nobody"
WORKER = "inbox-worker"


async def may_open(conn: Connection, one: Alert, now: datetime, user: str) -> bool:
    """Whether a user may open it, for any organisation that they work for."""
    staff = [it for it in await _people(conn, one.tenant) if it.id == user]
    return bool(await _may(conn, await _asking(conn, one.tenant), one, now, staff, {user}))


async def anybody(conn: Connection, one: Alert, said: Policy, now: datetime) -> bool:
    """Whether a clinician of any step may open it; no more are asked than it takes, whom it is addressed to first."""
    people = await _people(conn, one.tenant)
    staff = await _staff(conn, one, said, now, people)
    who = await _asking(conn, one.tenant)
    every = sorted(staff.covers | staff.on_call | staff.everyone, key=lambda id: (id != one.owner, id))
    sign = _signing(people, one.org)
    signing = [id for id in every if id in sign]
    for at in range(0, len(signing), heirs.TOGETHER):
        if await _may(conn, who, one, now, people, signing[at : at + heirs.TOGETHER]):
            return True
    return False


async def reach(conn: Connection, one: Alert, said: Policy, now: datetime) -> Reach:
    """Whom it goes to at the step it is at."""
    people = await _people(conn, one.tenant)
    staff = await _staff(conn, one, said, now, people)
    who = await _asking(conn, one.tenant)
    level = min(one.level, len(said.plan) - 1)
    first = frozenset(escalate.audience(said.plan, level, one.owner, staff))
    sign = _signing(people, one.org)
    may = await _may(conn, who, one, now, people, first)
    if not may & sign:
        may |= await _may(
            conn, who, one, now, people, (staff.covers | staff.on_call | staff.everyone) - first
        )
    found = escalate.reached(said.plan, level, one.owner, staff, may, sign)
    if found & sign:
        return Reach(found & first, found - first)
    told = _officers(people, one.org, level)
    beside = await _may(conn, who, one, now, people, _of(people, BESIDE, one.org))
    return Reach((found & first) - told, (found - first | beside) - told, told, unseen=True)


async def why(conn: Connection, one: Alert, said: Policy, now: datetime) -> str:
    """Why no clinician of the steps may open it: LABEL with the names of labels, NOBODY works there, or CLOSED by a consent or a missing relationship."""
    people = await _people(conn, one.tenant)
    staff = await _staff(conn, one, said, now, people)
    if not (staff.covers | staff.on_call | staff.everyone) & _signing(people, one.org):
        return NOBODY
    rtype, _, id = one.item.partition("/")
    carried = (await labelled.stored(conn, one.tenant, [(rtype, id)])).get((rtype, id), 0)
    hiding = names(carried & (mask(*policy.HIDDEN["clinician"])))
    return f"{LABEL}{','.join(hiding)}" if hiding else CLOSED


async def _people(conn: Connection, tenant: int) -> list[Colleague]:
    return await covers.colleagues(conn, tenant, (*STEPS, *BESIDE, OFFICERS[0]))


async def _staff(
    conn: Connection, one: Alert, said: Policy, now: datetime, people: Sequence[Colleague]
) -> Staff:
    current = await covers.current(conn, one.tenant, now)
    return staff_for([it for it in people if it.role in STEPS], current, said, one.org, one.owner)


def _of(people: Iterable[Colleague], roles: Sequence[str], org: str = "") -> frozenset[str]:
    return frozenset(one.id for one in people if one.role in roles and org in ("", one.org))


def _signing(people: Iterable[Colleague], org: str) -> frozenset[str]:
    """Who signs results where they would open one of this organisation."""
    return frozenset(
        id for id, places in _places(people, org).items() if any(it.role in SIGN for it in places)
    )


def _officers(people: Sequence[Colleague], org: str, level: int) -> frozenset[str]:
    """The privacy officers of the organisation, else of the site; the administrators as well from the second step on, and where there is none."""
    officers, admins = [_of(people, [role], org) or _of(people, [role]) for role in OFFICERS]
    return officers | admins if level or not officers else officers


async def _asking(conn: Connection, tenant: int) -> Actor:
    """As whom it is asked: the program, knowing whether the site shares between organisations."""
    rows = await conn.fetch(f"SELECT {credentials.NETWORK} FROM (SELECT %s::int AS tenant) u", (tenant,))
    return replace(users.system(tenant, WORKER), network=rows[0][0])


async def _may(
    conn: Connection,
    who: Actor,
    one: Alert,
    now: datetime,
    people: Sequence[Colleague],
    wanted: Iterable[str],
) -> frozenset[str]:
    """Who of the wanted may open it: for the organisation whose it is, else, who does not work there, for any of theirs."""
    there = _places(people, one.org)
    places = [place for id in sorted(set(wanted)) for place in there.get(id, ())]
    seen = await heirs.seen_by(conn, who, now, places, [one])
    return frozenset(place.id for place, may in zip(places, seen, strict=True) if may)


def _places(people: Iterable[Colleague], org: str) -> dict[str, list[Colleague]]:
    """Where each of them would open a result of this organisation: there, or who does not work there anywhere."""
    found: dict[str, list[Colleague]] = {}
    for one in people:
        found.setdefault(one.id, []).append(one)
    return {id: [it for it in every if it.org == org] or every for id, every in found.items()}
