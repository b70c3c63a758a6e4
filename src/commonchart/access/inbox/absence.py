"""Covers: who looks at the results of a colleague who is away. One begins and ends by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from msgspec import Struct

from commonchart.access import audit
from commonchart.access.inbox import policy
from commonchart.fhir.outcome import Invalid, Issue, NotFound
from commonchart.record.inbox import covers
from commonchart.record.inbox.covers import Colleague, Cover

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonchart.access.records import Records

LONGEST = timedelta(days=366)


class Covers(Struct, frozen=True):
    """Covers that go on or will begin, and the clinicians to choose from."""

    known: tuple[Cover, ...]
    clinicians: tuple[Colleague, ...]
    names: dict[str, str]


async def listed(records: Records) -> Covers:
    """What is arranged. Raises Forbidden, NotFound."""
    await policy.required(records)
    tenant, now = records.actor.tenant, records.clock()
    async with records.database.connection() as conn:
        found = await covers.known(conn, tenant, now)
        staff = await covers.colleagues(conn, tenant, ["clinician"])
        ids = {id for one in found for id in (one.absent, one.cover, one.set_by)}
        return Covers(tuple(found), tuple(staff), await covers.names(conn, tenant, sorted(ids)))


async def arrange(
    records: Records, absent: str, cover: str, begins: datetime, ends: datetime, why: str
) -> Cover:
    """Somebody covers for somebody. Raises Forbidden, NotFound, Invalid by field."""
    await policy.required(records, "create")
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        staff = {one.id: one for one in await covers.colleagues(conn, actor.tenant, ["clinician"])}
        known = await covers.known(conn, actor.tenant, now)
        issues = _wrong(staff, known, absent, cover, begins, ends, why, now)
        if issues:
            raise Invalid(issues=issues)
        one = Cover(
            actor.tenant,
            uuid4().hex,
            absent,
            cover,
            begins,
            ends,
            why.strip(),
            actor.user,
            now,
            org=actor.org,
        )
        await covers.put(conn, one)
        await audit.note(conn, actor, now, "arrange-cover", id=one.id, detail=f"{absent} by {cover}")
    return one


async def end(records: Records, id: str) -> None:
    """End it now. Raises Forbidden, NotFound."""
    await policy.required(records, "create")
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        if await covers.end(conn, actor.tenant, id, now, actor.user) is None:
            raise NotFound("There is no such cover, or it is over")
        await audit.note(conn, actor, now, "end-cover", id=id)


def _wrong(
    staff: dict[str, Colleague], known: Sequence[Cover], absent: str, cover: str, begins: datetime, ends: datetime, why: str,
    now: datetime,
) -> list[Issue]:  # fmt: skip
    out = [
        Issue("required", f"Choose {words}", field)
        for field, user, words in (("absent", absent, "who is away"), ("cover", cover, "who covers"))
        if user not in staff
    ]
    if not out and absent == cover:
        out.append(Issue("invalid", "Nobody covers for themselves", "cover"))
    if ends <= begins or ends <= now:
        out.append(Issue("invalid", "The end must be after the beginning, and not have passed", "until"))
    elif ends - begins > LONGEST:
        out.append(Issue("invalid", "A cover lasts at most a year", "until"))
    if not why.strip() or len(why) > 200:
        out.append(Issue("required", "Say why, in at most 200 characters", "why"))
    return out or _clashes(staff, known, absent, cover, begins, ends)


def _clashes(
    staff: dict[str, Colleague],
    known: Sequence[Cover],
    absent: str,
    cover: str,
    begins: datetime,
    ends: datetime,
) -> list[Issue]:
    """A chain would leave results with somebody who is away."""
    same = [one for one in known if one.begins < ends and begins < one.ends]
    if any(one.absent == cover for one in same):
        return [Issue("invalid", f"{staff[cover].name} is away then too: choose somebody else", "cover")]
    others = [one.absent for one in same if one.cover == absent]
    if others:
        name = staff[others[0]].name if others[0] in staff else "somebody else"
        return [
            Issue(
                "invalid",
                f"{staff[absent].name} covers for {name} then: give that cover to somebody else first",
                "absent",
            )
        ]
    return []
