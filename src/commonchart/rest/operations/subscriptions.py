"""`$status`, `$events` and `$get-ws-binding-token` of Subscriptions (R4 backport)."""

from __future__ import annotations

from typing import Any

from commonchart.access.records import Records
from commonchart.exchange.subscriptions import deliver, notification, state, tickets
from commonchart.exchange.subscriptions.plan import CONTENTS
from commonchart.exchange.subscriptions.state import State
from commonchart.exchange.subscriptions.topics import TOPICS
from commonchart.fhir import json
from commonchart.fhir.dates import instant
from commonchart.fhir.outcome import Malformed, NotFound
from commonchart.rest.arguments import Arguments, parameters
from commonchart.rest.exchange import ID, Answer, Asked
from commonchart.rest.operations.operation import Operation

MAX_EVENTS = 1000
DEFINITIONS = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription"
ONLY = frozenset({"Subscription"})


async def mine(records: Records, id: str) -> State:
    """A subscription of whoever asks, or any for an administrator. Raises NotFound, Forbidden, Gone."""
    await records.read("Subscription", id)
    async with records.database.single() as conn:
        found = await state.one(conn, records.actor.tenant, id)
    if found is None or not _theirs(records, found):
        raise NotFound("There is no Subscription of yours with this id that is being worked on")
    return found


def _theirs(records: Records, one: State) -> bool:
    """Of whoever asks, made for the organisation that they act for; an administrator looks after all."""
    actor = records.actor
    return (one.user, one.org) == (actor.user, actor.org) or actor.role == "administrator"


async def _status(records: Records, asked: Asked) -> Answer:
    """One by its id, or all of one's own: those named by `id`, those in a `status`."""
    if len(asked.segments) == 3:
        found = [await mine(records, asked.id)]
    else:
        found = await _several(records, asked.arguments())
    entries: list[dict[str, Any]] = []
    for one in found:
        made = notification.status(asked.base, one, "query-status")
        entries.append({"fullUrl": f"urn:uuid:{made['id']}", "resource": made, "search": {"mode": "match"}})
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return Answer(200, json.encode({**bundle, **({"entry": entries} if entries else {})}))


async def _several(records: Records, given: Arguments) -> list[State]:
    await records.require("read", "Subscription")
    async with records.database.single() as conn:
        found = await state.everyone(conn, records.actor.tenant, 1000)
    ids, states = set(given.every("id")), set(given.every("status"))
    return [
        one
        for one in found
        if _theirs(records, one) and (not ids or one.id in ids) and (not states or one.state in states)
    ]


async def _events(records: Records, asked: Asked) -> Answer:
    """Past events by number, as whoever asks may see them now."""
    one = await mine(records, asked.id)
    given = asked.arguments()
    since, until = given.number("eventsSinceNumber"), given.number("eventsUntilNumber")
    content = given.text("content") or one.how.content
    if content not in CONTENTS:
        raise Malformed(f"content is one of {', '.join(CONTENTS)}", at="content")
    if content == "full-resource" and one.how.content != "full-resource":
        raise Malformed("This subscription does not tell whole resources", at="content", code="not-supported")
    async with records.database.single() as conn:
        found = await state.events(conn, one.tenant, one.id, max(0, (since or 1) - 1), until, MAX_EVENTS)
        told = await deliver.looked_up(conn, records.actor, found, records.clock())
    now = records.clock()
    bundle = notification.bundle(asked.base, one, "query-event", now, told, content)
    await deliver.noted(records, one, told, content)
    return Answer(200, json.encode(bundle))


async def _token(records: Records, asked: Asked) -> Answer:
    """A token that binds one websocket to one's own websocket subscriptions."""
    ids = [asked.id] if len(asked.segments) == 3 else [str(id) for id in asked.arguments().every("id")]
    if not ids or len(ids) > 100 or not all(ID.fullmatch(id) for id in ids):
        raise Malformed("Name the Subscriptions by id", at="id", code="required")
    found = [await mine(records, id) for id in ids]
    if any(one.how.channel != "websocket" or one.state == "off" for one in found):
        raise Malformed("A token binds Subscriptions of the websocket channel that are not off", at="id")
    now = records.clock()
    async with records.database.connection() as conn:
        token = await tickets.issue(conn, records.actor, ids, now)
    socket = asked.base.replace("http", "ws", 1).removesuffix("/fhir") + "/fhir-websocket"
    pairs = [("subscription", "valueString", id) for id in ids]
    made = parameters(
        ("token", "valueString", token),
        ("expiration", "valueDateTime", instant(now + tickets.LIVES)),
        *pairs,
        ("websocket-url", "valueUrl", socket),
    )
    return Answer(200, json.encode(made))


def topic_extensions() -> list[dict[str, str]]:
    """What the CapabilityStatement says beside Subscription: every topic that is offered."""
    url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
    return [{"url": url, "valueCanonical": topic.url} for topic in TOPICS]


SUBSCRIPTIONS = (
    Operation("status", _status, on_type=True, instance=True, types=ONLY, definition=f"{DEFINITIONS}-status"),
    Operation("events", _events, instance=True, types=ONLY, definition=f"{DEFINITIONS}-events"),
    Operation(
        "get-ws-binding-token", _token, on_type=True, instance=True, types=ONLY,
        definition=f"{DEFINITIONS}-get-ws-binding-token",
    ),
)  # fmt: skip
