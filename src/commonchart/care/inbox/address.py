"""To whom a result is addressed, and whether it is news at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from commonchart.care.evidence import first_moment
from commonchart.care.inbox.judge import CORRECTED, GONE, taken_of

JsonObject = Mapping[str, Any]
DAYS = 30
"""A result that was issued longer before it was recorded here is history, unless the site says otherwise."""
LONG_DAYS = 400
"""So long after it was taken a result is history, whenever it was issued."""


def candidates(
    resources: Sequence[JsonObject],
    orders: Mapping[str, JsonObject],
    visits: Mapping[str, JsonObject],
    patient: JsonObject,
) -> Iterator[tuple[str, str]]:
    """(reference, why) of those it may be addressed to, the first who reads here gets it: nobody left means the pool.

    `resources` are the report and its results; `orders` and `visits` what they refer to, by "Type/id".
    """
    for one in _referred(resources, "basedOn", orders):
        yield from _named([one.get("requester")], "ordered it")
    for one in resources:
        yield from _named(one.get("resultsInterpreter") or (), "interprets it")
    for one in _referred(resources, "encounter", visits):
        yield from _named(
            [who.get("individual") for who in one.get("participant") or ()], "saw the patient at that visit"
        )
    yield from _named(patient.get("generalPractitioner") or (), "is the patient's usual clinician")


def _referred(
    resources: Sequence[JsonObject], name: str, held: Mapping[str, JsonObject]
) -> Iterator[JsonObject]:
    for ref in references(resources, name):
        if ref in held:
            yield held[ref]


def references(resources: Sequence[JsonObject], name: str) -> list[str]:
    """The local references of an element, in order, each once."""
    out: dict[str, None] = {}
    for one in resources:
        value = one.get(name) or ()
        for link in value if isinstance(value, list | tuple) else [value]:
            out[str(link.get("reference", ""))] = None
    return [ref for ref in out if ref.count("/") == 1]


def _named(links: Sequence[Any], why: str) -> Iterator[tuple[str, str]]:
    for link in links:
        ref = str((link or {}).get("reference", ""))
        if ref.partition("/")[0] in ("Practitioner", "PractitionerRole"):
            yield ref, why


def is_news(resource: JsonObject, vid: int, recorded: datetime, days: int = DAYS) -> bool:
    """Whether a result enters the inbox: issued (else taken) at most `days` before it was recorded here.

    One without a date is news. A later version that corrects or withdraws what is in the chart is news, however old.
    """
    status = str(resource.get("status", ""))
    if vid > 1 and (status in CORRECTED or status in GONE):
        return True
    taken = taken_of(resource)
    issued = str(resource.get("issued") or "") or taken
    if not issued:
        return True
    if taken and first_moment(taken) < recorded - timedelta(days=LONG_DAYS):
        return False
    return first_moment(issued) >= recorded - timedelta(days=days)
