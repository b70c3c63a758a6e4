"""A Subscription as this server works by it: read from the resource with the backport's extensions, or refused."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, NoReturn

from msgspec import Struct

from commonchart.exchange.bulk.wanted import query_pairs
from commonchart.exchange.subscriptions.topics import BY_URL, Topic
from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid

EXT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
CHANNELS = ("rest-hook", "email", "websocket")
CONTENTS = ("empty", "id-only", "full-resource")
MIME = "application/fhir+json"
MAX_FILTERS = 20
MAX_HEADERS = 10

_ADDRESS = re.compile(r"mailto:([A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})")


class Criterion(Struct, frozen=True):
    """One condition on a type of a topic: any of the values of a search parameter."""

    rtype: str
    code: str
    values: tuple[str, ...]


class Plan(Struct, frozen=True):
    """What to tell whom, and how. `heartbeat` and `timeout` are in seconds, 0 for no heartbeat."""

    topic: str
    channel: str
    endpoint: str = ""
    headers: tuple[str, ...] = ()
    content: str = "empty"
    criteria: tuple[Criterion, ...] = ()
    heartbeat: int = 0
    timeout: int = 10
    max_count: int = 10
    ends: datetime | None = None


def plan_of(resource: dict[str, Any]) -> Plan:
    """The plan of a Subscription. Raises Invalid naming the rule that it breaks."""
    topic = BY_URL.get(str(resource.get("criteria", "")))
    if topic is None:
        _refuse(
            "criteria",
            "criteria is the canonical url of a topic that this server offers: see the CapabilityStatement",
        )
    channel = resource.get("channel") or {}
    kind = channel.get("type")
    if kind not in CHANNELS or _extensions(channel.get("_type"), "channel-type"):
        _refuse("channel.type", f"The channels offered are {', '.join(CHANNELS)}")
    ends = resource.get("end")
    return Plan(
        topic.url,
        kind,
        str(channel.get("endpoint", "")),
        _headers(channel),
        _content(channel),
        _criteria(resource, topic),
        _number(channel, "heartbeat-period", 0, (10, 604_800)),
        _number(channel, "timeout", 10, (1, 60)),
        _number(channel, "max-count", 10, (1, 100)),
        dates.bounds(ends)[0] if isinstance(ends, str) else None,
    )


def address_of(endpoint: str) -> str:
    """The e-mail address of a `mailto:` endpoint. Raises Invalid."""
    found = _ADDRESS.fullmatch(endpoint)
    if found is None:
        _refuse("channel.endpoint", "The endpoint of an e-mail channel is mailto: and one address")
    return found[1]


def _refuse(at: str, words: str) -> NoReturn:
    raise Invalid(words, at=f"Subscription.{at}", code="not-supported")


def _extensions(holder: Any, name: str) -> list[Any]:
    """The values of the backport's extension of this name."""
    listed = holder.get("extension", []) if isinstance(holder, dict) else []
    return [
        next((value for key, value in one.items() if key.startswith("value")), None)
        for one in listed
        if isinstance(one, dict) and one.get("url") == EXT + name
    ]


def _headers(channel: dict[str, Any]) -> tuple[str, ...]:
    listed = channel.get("header", [])
    if len(listed) > MAX_HEADERS:
        _refuse("channel.header", f"At most {MAX_HEADERS} headers are sent")
    return tuple(listed)


def _content(channel: dict[str, Any]) -> str:
    said = _extensions(channel.get("_payload"), "payload-content")
    content = str(said[0]) if said else "empty" if "payload" not in channel else "id-only"
    if content not in CONTENTS or len(said) > 1:
        _refuse("channel.payload", f"The content levels offered are {', '.join(CONTENTS)}")
    if channel.get("payload", MIME) != MIME:
        _refuse("channel.payload", f"The payload offered is {MIME}")
    return content


def _number(channel: dict[str, Any], name: str, default: int, allowed: tuple[int, int]) -> int:
    said = _extensions(channel, name)
    if not said:
        return default
    value = said[0]
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or not (value == default or allowed[0] <= value <= allowed[1])
    ):
        _refuse("channel.extension", f"{name} is a number from {allowed[0]} to {allowed[1]}")
    return value


def _criteria(resource: dict[str, Any], topic: Topic) -> tuple[Criterion, ...]:
    out: list[Criterion] = []
    for text in _extensions(resource.get("_criteria"), "filter-criteria"):
        rtype, mark, query = str(text).partition("?")
        pairs = query_pairs(query)
        if not mark or rtype not in {one.rtype for one in topic.triggers} or not pairs:
            _refuse("criteria", "A filter is Type?parameter=value, of a type that the topic is about")
        for name, value in pairs:
            if name not in topic.filters:
                _refuse("criteria", f"This topic may be narrowed by {', '.join(sorted(topic.filters))}")
            out.append(Criterion(rtype, name, tuple(filter(None, value.split(",")))))
    if len(out) > MAX_FILTERS or any(not one.values or len(one.values) > 100 for one in out):
        _refuse("criteria", f"At most {MAX_FILTERS} filters, each with values")
    return tuple(out)


def patients_named(plan: Plan) -> frozenset[str] | None:
    """The patients to which a plan is narrowed, for every type of its topic; None if it is not."""
    found: set[str] = set()
    for trigger in BY_URL[plan.topic].triggers:
        held = [c for c in plan.criteria if c.rtype == trigger.rtype and _names_patients(c)]
        if not held:
            return None
        found |= set.intersection(*({value.removeprefix("Patient/") for value in c.values} for c in held))
    return frozenset(found)


def _names_patients(one: Criterion) -> bool:
    """Whether a criterion says whose record."""
    if one.code == "_id":
        return one.rtype == "Patient"
    return one.code in ("patient", "subject") and all(value.startswith("Patient/") for value in one.values)
