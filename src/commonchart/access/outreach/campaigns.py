"""Campaigns: whom one would reach and in which words, begun as a whole or not at all, stopped, answered for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.access import audit
from commonchart.access.due import Filters, selected
from commonchart.access.outreach import known, staff, words
from commonchart.access.outreach.policy import Policy, policy_of
from commonchart.access.outreach.words import Content
from commonchart.care.outreach.decide import LeftOut, decide
from commonchart.care.outreach.reach import CHANNELS, full_name
from commonchart.care.outreach.wording import Wording
from commonchart.care.schema import Pack
from commonchart.fhir.outcome import Conflict, Invalid, Issue, NotFound
from commonchart.record import outreach, rules
from commonchart.record.changes import CHANNEL
from commonchart.record.outreach import Campaign, Message

if TYPE_CHECKING:
    from commonchart.access.records import Records

MOST = 20_000
TOGETHER = 200


class Wanted(Struct, frozen=True):
    """A campaign as it is asked for: the registry filter, the channel, the name of the words."""

    filters: Filters
    channel: str
    wording: str = words.BUILT_IN
    title: str = ""


class Person(Struct, frozen=True):
    """Somebody selected: what they would get, or why they are left out; `problem` names placeholders without a value."""

    patient: str
    name: str
    rules: tuple[str, ...]
    linked: tuple[str, ...]
    content: Content | None = None
    why: str = ""
    problem: tuple[str, ...] = ()


class Preview(Struct, frozen=True):
    """Everybody selected, and what stands in the way of beginning (by field)."""

    people: tuple[Person, ...]
    issues: tuple[Issue, ...] = ()

    @property
    def contacts(self) -> list[Person]:
        """Who would be contacted."""
        return [one for one in self.people if not one.why]

    @property
    def left_out(self) -> list[tuple[str, int]]:
        """Why people are left out, and how many, the most frequent first."""
        return Counter(one.why for one in self.people if one.why).most_common()

    @property
    def samples(self) -> list[tuple[Content, int]]:
        """One example of each text by language, and how many get that language."""
        first: dict[str, Content] = {}
        count: Counter[str] = Counter()
        for one in self.contacts:
            if one.content is not None:
                first.setdefault(one.content.language, one.content)
                count[one.content.language] += 1
        return [(first[language], n) for language, n in count.most_common()]


async def preview(records: Records, wanted: Wanted) -> Preview:
    """Whom the campaign would reach. Nothing is kept. Raises Forbidden, NotFound, TooCostly, Invalid (the channel)."""
    _channel(wanted.channel)
    await staff.required(records, "create")
    now = records.clock()
    async with records.database.single() as conn:
        site = await policy_of(conn, records.actor.tenant)
        texts = [one for one in await words.all_of(conn, records.actor.tenant) if one.name == wanted.wording]
    chosen = await selected(records, wanted.filters, as_of=site.day(now), limit=MOST)
    people: list[Person] = []
    every = list(chosen)
    for at in range(0, len(every), TOGETHER):
        some = {patient: chosen[patient] for patient in every[at : at + TOGETHER]}
        people += await _judged(records, some, wanted.channel, texts, site, now)
    return Preview(tuple(people), tuple(_issues(wanted, people, site)))


def _channel(channel: str) -> None:
    if channel not in CHANNELS:
        raise Invalid("Choose a channel", at="channel")


async def _judged(
    records: Records, some: Mapping[str, Sequence[str]], channel: str, texts: Sequence[Wording], site: Policy,
    now: datetime,
) -> list[Person]:  # fmt: skip
    async with records.database.single() as conn:
        found = await known.known(conn, records, some, states=known.PROMISED)
        names = await words.clinicians(conn, records.actor.tenant, [one.patient for one in found.values()])
        pack = (await rules.active(conn, records.actor.tenant)).pack
    return [_person(one, some[id], channel, texts, site, names, pack, now) for id, one in found.items()]


def _person(
    one: Any, rules: Sequence[str], channel: str, texts: Sequence[Wording], site: Policy, names: Mapping[str, str],
    pack: Pack, now: datetime,
) -> Person:  # fmt: skip
    patient = one.patient
    answer = decide(
        one, channel, pack, now, site.day(now), gap_days=site.gap_days, default_language=site.language
    )
    linked = tuple(str(other["id"]) for other in one.patients)
    shown = full_name(patient)
    if isinstance(answer, LeftOut):
        return Person(str(patient["id"]), shown, tuple(rules), linked, why=answer.why)
    try:
        content = words.content(texts, channel, answer, patient, site, names, now)
    except Invalid as bad:
        return Person(
            str(patient["id"]), shown, answer.rules, linked, problem=tuple(i.message for i in bad.issues)
        )
    return Person(str(patient["id"]), shown, answer.rules, linked, content)


def _issues(wanted: Wanted, people: Sequence[Person], site: Policy) -> list[Issue]:
    """What stands in the way of the whole campaign."""
    out: list[Issue] = []
    if wanted.channel not in site.ready:
        out.append(
            Issue(
                "required",
                "This site has not set up this channel: see *Contact patients* in the manual",
                "channel",
            )
        )
    missing = Counter(problem for one in people for problem in one.problem)
    contacts = sum(not one.why for one in people)
    out += [
        Issue("required", f"{problem} for {n} of {contacts} people, so nothing can be sent", "wording")
        for problem, n in missing.most_common()
    ]
    if not contacts:
        out.append(Issue("invalid", "Nobody can be contacted: see below why they are left out"))
    return out


async def begin(records: Records, id: str, wanted: Wanted, expected: int) -> Campaign:
    """Begin it: every message is put into the outbox, or none.

    `id` is made with the form, so that a form that is sent twice begins one campaign; `expected` is the number of people
    that was shown. Raises Invalid naming what is missing, Conflict when the list is another one by now.
    """
    if not wanted.title.strip() or len(wanted.title) > 100 or not wanted.title.isprintable():
        raise Invalid("Give the campaign a name of at most 100 characters", at="title")
    async with records.database.single() as conn:
        there = await outreach.campaign(conn, records.actor.tenant, id)
    if there is not None:
        return there
    found = await preview(records, wanted)
    if found.issues:
        raise Invalid(issues=found.issues)
    if len(found.contacts) != expected:
        raise Conflict(
            f"The list has changed: it is {len(found.contacts)} people now. Look at it again, then confirm"
        )
    return await _kept(records, id, wanted, found)


async def _kept(records: Records, id: str, wanted: Wanted, found: Preview) -> Campaign:
    actor, now = records.actor, records.clock()
    campaign = Campaign(
        actor.tenant, id, wanted.title.strip(), msgspec.json.encode(wanted.filters).decode(), wanted.channel,
        wanted.wording, "running", msgspec.json.encode(actor).decode(), now, "",
    )  # fmt: skip
    async with records.database.connection() as conn:
        if await outreach.begin(conn, campaign):
            await outreach.put(conn, [_message(one, campaign) for one in found.people])
            await audit.note(
                conn, actor, now, "begin-campaign", id=id, patients=sorted(one.patient for one in found.contacts),
                detail=wanted.channel,
            )  # fmt: skip
            await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
    return campaign


def _message(one: Person, campaign: Campaign) -> Message:
    return Message(
        campaign.tenant, one.patient, campaign.id, campaign.channel, list(one.rules), list(one.linked),
        "left-out" if one.why else "waiting", one.why, 0, None, "", "", campaign.at, None, "", None,
    )  # fmt: skip


# ---- afterwards ------------------------------------------------------------------------------------------------


async def recent(records: Records) -> list[tuple[Campaign, dict[str, int]]]:
    """The campaigns, newest first, with how many messages are in which state. Raises Forbidden."""
    await staff.required(records)
    async with records.database.single() as conn:
        return await outreach.campaigns(conn, records.actor.tenant)


async def one(records: Records, id: str) -> Campaign:
    """A campaign. Raises Forbidden, NotFound."""
    await staff.required(records)
    async with records.database.single() as conn:
        found = await outreach.campaign(conn, records.actor.tenant, id)
    if found is None:
        raise NotFound("There is no campaign with this id")
    return found


async def stop(records: Records, id: str) -> int:
    """Send nothing more of it; how many messages had not been sent. Raises Forbidden, NotFound."""
    await one(records, id)
    await staff.required(records, "create")
    async with records.database.connection() as conn:
        waiting = await outreach.stop(conn, records.actor.tenant, id, "")
        await audit.note(conn, records.actor, records.clock(), "stop-campaign", id=id)
    return waiting


async def hurry(records: Records, id: str) -> None:
    """Try again at once what waits for a server. Raises Forbidden, NotFound."""
    await one(records, id)
    await staff.required(records, "create")
    async with records.database.connection() as conn:
        await outreach.hurry(conn, records.actor.tenant, id, records.clock())
        await audit.note(conn, records.actor, records.clock(), "hurry-campaign", id=id)
        await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
