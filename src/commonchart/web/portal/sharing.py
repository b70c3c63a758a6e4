"""Who I share with: rows of one kind, what each sees by the same engine, stopping, sharing again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from commonchart.access import grants
from commonchart.access.actors import Actor
from commonchart.access.grants import Grant
from commonchart.access.portal import links, proxies, seen_as
from commonchart.access.portal.seen_as import SeenAs
from commonchart.fhir.outcome import NotFound
from commonchart.web.call import go
from commonchart.web.clinician.writing import texts
from commonchart.web.portal import days, lines
from commonchart.web.portal.door import Door
from commonchart.web.portal.links import TITLES

SHOWN = 40
"""Lines of a section in a preview."""
SEES = {
    "organization": "Everything that they need to treat you, without specially protected parts that you have not opened to them",
    "app": "What you allowed it", "link": "Your record, as it is when they open it", "key": "Everything that you see yourself",
}  # fmt: skip
PURPOSE = {
    "organization": "Treat you",
    "person": "Act for you",
    "app": "Use it in an app",
    "key": "Use it in a program",
    "link": "Read it by a link",
}


PERSON = {
    True: ("Everything you see", "Everything {name} sees"),
    False: ("Your record without sensitive parts", "The record of {name} without sensitive parts"),
}


class Row(Struct, frozen=True):
    """One grant as the page shows it."""

    grant: Grant
    sees: str
    purpose: str
    until: str
    used: str
    preview: bool
    ended: str = ""
    times: int = 0


async def page(me: Door) -> Response:
    """Everybody with whom the record is shared, and whom it was shared with."""
    found = [await _row(me, one) for one in await grants.grants(me.records, me.patient)]
    return me.page(
        "sharing.html", me.whose("Who I share with", "Who shares {name}’s record"), rows=[row for row in found if row.grant.ended is None],
        stopped=[row for row in found if row.grant.ended is not None], said=me.call.request.query_params.get("said", ""),
    )  # fmt: skip


async def _row(me: Door, one: Grant) -> Row:
    sees = SEES.get(one.kind, "")
    if one.kind == "person":
        sees = me.whose(*PERSON[one.scope == "full"])
    if one.kind == "link":
        sees = _by_link(one)
    mine = me.acting is None
    return Row(
        one, sees, _purpose(me, one), _day(me, one.until) or me.whose("You say stop", "It is ended"), _day(me, one.used) or "Never",
        mine, _day(me, one.ended), one.times,
    )  # fmt: skip


def _purpose(me: Door, one: Grant) -> str:
    words = PURPOSE[one.kind]
    return words if me.acting is None else words.replace("you", me.name)


def _by_link(one: Grant) -> str:
    what = ", ".join(TITLES[name] for name in one.sections if name in TITLES) or SEES["link"]
    return f"{what}, without sensitive parts" if one.scope == "limited" else what


def _day(me: Door, at: datetime | None) -> str:
    return days.of_date(me.zone.day(at)) if at else ""


async def _found(me: Door) -> Grant:
    return await grants.find(me.records, me.patient, me.call.request.path_params["share"])


async def preview(me: Door) -> Response:
    """The record as they see it now: their predicate, this page."""
    one = await _found(me)
    them = await _them(me, one)
    seen = SeenAs(me.records, them)
    if one.kind == "link":
        seen.visible = replace(seen.visible, within=links.parts(me.patient, one.sections))
    theirs, mine = (
        await lines.sections(seen, me.patient, me.zone, brief=None),
        await lines.sections(me.records, me.patient, me.zone, brief=None),
    )
    return me.page(
        "preview.html", "This is your record as they see it", grant=one, sections=[_cut(s) for s in theirs if s.lines], hidden=_hidden(theirs, mine),
        look=one.who,
    )  # fmt: skip


async def _them(me: Door, one: Grant) -> Actor:
    if one.kind == "organization":
        return seen_as.organization(me.records, one.target, me.call.actor.network)
    if one.kind == "person":
        return await _person(me, one)
    if one.kind == "app":
        return replace(me.call.actor, app=one.target, scopes=frozenset(one.scope.split()), context=me.patient)
    if one.kind == "link" and one.ended is None:
        return replace(me.call.actor, role="proxy" if one.scope == "limited" else "patient")
    if one.kind == "key":
        return me.call.actor
    raise NotFound("There is no such page")


async def _person(me: Door, one: Grant) -> Actor:
    """Somebody who acts for the patient, as far as the right goes today."""
    async with me.records.database.single() as conn:
        held = next(
            (
                p
                for p in await proxies.of_patient(conn, me.call.actor.tenant, me.patient)
                if p.id == one.target
            ),
            None,
        )
        ages = await proxies.ages_of(conn, me.call.actor.tenant)
    born = await proxies.born_of(me.records, me.patient)
    scope = proxies.scope_on(held, born, me.today, ages) if held and held.revoked is None else None
    if held is None or scope is None:
        raise NotFound("There is no such page")
    other = Actor(
        me.call.actor.tenant,
        held.user,
        held.name,
        "proxy",
        me.call.actor.org,
        "web",
        network=me.call.actor.network,
    )
    return proxies.as_proxy(other, held, scope)


def _cut(section: lines.Section) -> lines.Section:
    """So that a long record stays one page: what is beyond is counted."""
    more = max(0, len(section.lines) - SHOWN)
    return replace(section, lines=section.lines[:SHOWN], unseen=section.unseen + more)


def _hidden(theirs: Sequence[lines.Section], mine: Sequence[lines.Section]) -> list[tuple[str, int]]:
    """(section, how many) of what the patient sees and they do not."""
    out = []
    for seen, own in zip(theirs, mine, strict=True):
        keys = {line.key for line in seen.lines}
        missing = sum(line.key not in keys for line in own.lines)
        if missing:
            out.append((own.title, missing))
    return out


async def stopping(me: Door) -> Response:
    """What stopping does, and what it cannot undo."""
    one = await _found(me)
    return me.page("share-stop.html", f"Stop sharing with {one.who}?", grant=one)


async def stop(me: Door) -> Response:
    """Stop it. Nobody who acts for the patient stops others."""
    one, sent = await _found(me), await texts(me.call)
    if one.ended is None:
        await grants.stop(me.records, me.patient, one, sent.get("reason", "")[:500])
    return go(f"{me.base}/sharing?said=stopped")


async def again(me: Door) -> Response:
    """Share with an organisation again."""
    one = await _found(me)
    if one.kind != "organization":
        raise NotFound("There is no such page")
    return me.page("share-again.html", f"Share with {one.who}?", grant=one)


async def share(me: Door) -> Response:
    """Permit an organisation to see the record, to treat the patient."""
    one = await _found(me)
    if one.kind != "organization":
        raise NotFound("There is no such page")
    await grants.share(me.records, me.patient, one.target)
    return go(f"{me.base}/sharing?said=shared")
