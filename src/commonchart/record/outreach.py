"""Campaigns and their outbox as rows. A message is one person of one campaign, whatever became of it.

waiting -> sending -> sent, or back to waiting when it certainly was not taken; doubt when nobody can tell whether it
was; failed; left-out; stopped. What is in doubt is never sent again by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.record.database import Connection

BACKOFF_SECONDS = (60, 300, 900, 3600, 10_800, 21_600)
"""Between tries of a server that does not take a message; the last one over and over: nothing is given up."""

_CAMPAIGN = "tenant, id, title, filters, channel, wording, state, actor, at, error, kind"
_MESSAGE = (
    "tenant, patient, campaign, channel, rules, linked, state, why, attempts, next_try, message_id, content, created, sent_at, "
    "answer, answered_at"
)


class Campaign(Struct, frozen=True):
    """One campaign; `filters` and `actor` are JSON, `wording` is the name of the words it uses.

    `kind` is "" for a campaign of reminders, `result` for a message to one person that a result is there.
    """

    tenant: int
    id: str
    title: str
    filters: str
    channel: str
    wording: str
    state: str
    actor: str
    at: datetime
    error: str
    kind: str = ""


class Message(Struct, frozen=True):
    """One person of a campaign; `content` is JSON of what is sent, "" before."""

    tenant: int
    patient: str
    campaign: str
    channel: str
    rules: list[str]
    linked: list[str]
    state: str
    why: str
    attempts: int
    next_try: datetime | None
    message_id: str
    content: str
    created: datetime
    sent_at: datetime | None
    answer: str
    answered_at: datetime | None


async def begin(conn: Connection, campaign: Campaign) -> bool:
    """Keep a new campaign; False when one with this id is there already (the form was sent twice)."""
    cursor = await conn.execute(
        f"INSERT INTO outreach_campaign ({_CAMPAIGN}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        tuple(getattr(campaign, name) for name in _CAMPAIGN.split(", ")),
    )
    return cursor.rowcount == 1


async def put(conn: Connection, messages: Iterable[Message]) -> None:
    """Put messages into the outbox, in the transaction that begins their campaign."""
    names = _MESSAGE.split(", ")
    async with conn.cursor() as cursor:
        await cursor.executemany(
            f"INSERT INTO outreach_message (pk, {_MESSAGE}) VALUES ({', '.join(['%s'] * (len(names) + 1))})",
            [(patient_key(one.patient), *(getattr(one, name) for name in names)) for one in messages],
        )


async def campaign(conn: Connection, tenant: int, id: str) -> Campaign | None:
    """One campaign."""
    cursor = await conn.execute(
        f"SELECT {_CAMPAIGN} FROM outreach_campaign WHERE tenant = %s AND id = %s", (tenant, id)
    )
    row = await cursor.fetchone()
    return Campaign(*row) if row else None


async def campaigns(conn: Connection, tenant: int, limit: int = 100) -> list[tuple[Campaign, dict[str, int]]]:
    """The newest campaigns, each with how many messages are in which state."""
    cursor = await conn.execute(
        f"SELECT {_CAMPAIGN} FROM outreach_campaign WHERE tenant = %s AND kind = '' ORDER BY at DESC, id LIMIT %s",
        (tenant, limit),
    )
    found = [Campaign(*row) for row in await cursor.fetchall()]
    cursor = await conn.execute(
        "SELECT campaign, state, count(*) FROM outreach_message WHERE tenant = %s AND campaign = ANY(%s) GROUP BY 1, 2",
        (tenant, [one.id for one in found]),
    )
    counts: dict[str, dict[str, int]] = {one.id: {} for one in found}
    for id, state, n in await cursor.fetchall():
        counts[id][state] = int(n)
    return [(one, counts[one.id]) for one in found]


async def messages(
    conn: Connection, tenant: int, campaign: str, states: Sequence[str] = (), *, lock: bool = False
) -> list[Message]:
    """The messages of a campaign, by patient; locked until the transaction ends when something is to be done with them."""
    narrowed = " AND state = ANY(%s)" if states else ""
    cursor = await conn.execute(
        f"SELECT {_MESSAGE} FROM outreach_message WHERE tenant = %s AND campaign = %s{narrowed} ORDER BY patient"
        + (" FOR UPDATE" if lock else ""),
        (tenant, campaign, *([list(states)] if states else [])),
    )
    return [Message(*row) for row in await cursor.fetchall()]


async def message(
    conn: Connection, tenant: int, campaign: str, patient: str, *, lock: bool = False
) -> Message | None:
    """One message."""
    cursor = await conn.execute(
        f"SELECT {_MESSAGE} FROM outreach_message WHERE pk = %s AND tenant = %s AND patient = %s AND campaign = %s"
        + (" FOR UPDATE" if lock else ""),
        (patient_key(patient), tenant, patient, campaign),
    )
    row = await cursor.fetchone()
    return Message(*row) if row else None


async def tenants(conn: Connection) -> list[int]:
    """Who has anything in the outbox."""
    cursor = await conn.execute(
        "SELECT DISTINCT tenant FROM outreach_message WHERE state IN ('waiting', 'sending')"
    )
    return [row[0] for row in await cursor.fetchall()]


async def next_one(
    conn: Connection, tenant: int, channels: Sequence[str], now: datetime
) -> tuple[Message, Campaign] | None:
    """A message that may be tried now, those tried least first, so that a bad one holds up nobody. It is not taken yet."""
    columns = ", ".join(f"m.{name}" for name in _MESSAGE.split(", "))
    more = ", ".join(f"c.{name}" for name in _CAMPAIGN.split(", "))
    cursor = await conn.execute(
        f"SELECT {columns}, {more} FROM outreach_message m JOIN outreach_campaign c ON c.tenant = m.tenant AND c.id = m.campaign "
        "WHERE m.tenant = %s AND m.state = 'waiting' AND m.channel = ANY(%s) AND c.state = 'running' "
        "AND (m.next_try IS NULL OR m.next_try <= %s) ORDER BY m.attempts, m.created, m.patient LIMIT 1",
        (tenant, list(channels), now),
    )
    row = await cursor.fetchone()
    width = len(_MESSAGE.split(", "))
    return (Message(*row[:width]), Campaign(*row[width:])) if row else None


async def taken(conn: Connection, one: Message, message_id: str, content: str, until: datetime) -> bool:
    """It is about to be sent, once: whether it was still waiting."""
    cursor = await conn.execute(
        "UPDATE outreach_message SET state = 'sending', attempts = attempts + 1, message_id = %s, content = %s, held_until = %s "
        "WHERE pk = %s AND tenant = %s AND patient = %s AND campaign = %s AND state = 'waiting'",
        (message_id, content, until, patient_key(one.patient), one.tenant, one.patient, one.campaign),
    )
    return cursor.rowcount == 1


async def settle(
    conn: Connection, one: Message, state: str, *, was: str, why: str = "", now: datetime | None = None,
    next_try: datetime | None = None,
) -> bool:  # fmt: skip
    """What became of it; whether it was as expected before. `now` is when it was sent, for those that were."""
    cursor = await conn.execute(
        "UPDATE outreach_message SET state = %s, why = %s, sent_at = coalesce(%s, sent_at), next_try = %s, held_until = NULL "
        "WHERE pk = %s AND tenant = %s AND patient = %s AND campaign = %s AND state = %s",
        (state, why, now, next_try, patient_key(one.patient), one.tenant, one.patient, one.campaign, was),
    )
    return cursor.rowcount == 1


async def written(conn: Connection, one: Message, message_id: str, content: str) -> None:
    """Keep what was written, for what is made and settled in one transaction (letters, portal messages)."""
    await conn.execute(
        "UPDATE outreach_message SET message_id = %s, content = %s, attempts = attempts + 1 "
        "WHERE pk = %s AND tenant = %s AND patient = %s AND campaign = %s",
        (message_id, content, patient_key(one.patient), one.tenant, one.patient, one.campaign),
    )


async def answered(conn: Connection, one: Message, answer: str, now: datetime) -> None:
    """Somebody has answered."""
    await conn.execute(
        "UPDATE outreach_message SET answer = %s, answered_at = %s WHERE pk = %s AND tenant = %s AND patient = %s AND campaign = %s",
        (answer, now, patient_key(one.patient), one.tenant, one.patient, one.campaign),
    )


async def postpone(conn: Connection, tenant: int, channel: str, until: datetime, why: str) -> None:
    """A server does not answer: nothing by this channel is tried before then."""
    await conn.execute(
        "UPDATE outreach_message SET next_try = greatest(coalesce(next_try, %s), %s), why = %s "
        "WHERE tenant = %s AND channel = %s AND state = 'waiting'",
        (until, until, why, tenant, channel),
    )


PROBE = timedelta(minutes=15)
"""The longest that a whole channel rests before some message tries its server again."""


def retry_at(attempts: int, now: datetime) -> datetime:
    """When to try again after so many tries."""
    return now + timedelta(seconds=BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS) - 1)])


async def abandoned(conn: Connection, tenant: int, now: datetime) -> list[Message]:
    """Messages whose sender has not been heard of since before their time was over."""
    cursor = await conn.execute(
        f"SELECT {_MESSAGE} FROM outreach_message WHERE tenant = %s AND state = 'sending' AND held_until <= %s ORDER BY patient",
        (tenant, now),
    )
    return [Message(*row) for row in await cursor.fetchall()]


async def stop(conn: Connection, tenant: int, id: str, error: str) -> int:
    """Nothing more of this campaign is sent; how many messages were still waiting."""
    await conn.execute(
        "UPDATE outreach_campaign SET state = 'stopped', error = %s WHERE tenant = %s AND id = %s",
        (error, tenant, id),
    )
    cursor = await conn.execute(
        "UPDATE outreach_message SET state = 'stopped', why = %s WHERE tenant = %s AND campaign = %s AND state = 'waiting'",
        (error or "the campaign was stopped", tenant, id),
    )
    return cursor.rowcount


async def last_contacts(
    conn: Connection, tenant: int, patients: Sequence[str], states: Sequence[str], but: str = ""
) -> dict[str, datetime]:
    """Patient -> when the last reminder in one of these states was sent, or put into the outbox, leaving out a campaign.

    Word of a result (`result-...`) is no reminder.
    """
    cursor = await conn.execute(
        "SELECT patient, max(coalesce(sent_at, created)) FROM outreach_message WHERE pk = ANY(%s) AND tenant = %s "
        "AND patient = ANY(%s) AND state = ANY(%s) AND campaign <> %s AND campaign NOT LIKE 'result-%%' GROUP BY patient",
        ([patient_key(one) for one in patients], tenant, list(patients), list(states), but),
    )
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def hurry(conn: Connection, tenant: int, id: str, now: datetime) -> None:
    """Try what waits again at once."""
    await conn.execute(
        "UPDATE outreach_message SET next_try = %s WHERE tenant = %s AND campaign = %s AND state = 'waiting'",
        (now, tenant, id),
    )
