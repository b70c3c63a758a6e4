"""Whatever comes in, a file or what a listener read: each message is answered for itself, and none is passed over."""

from __future__ import annotations

from collections.abc import Sequence

from commonchart.access.records import Records
from commonchart.exchange.v2 import compose, vxu
from commonchart.exchange.v2.answer import Evaluate, answered
from commonchart.exchange.v2.compose import Site
from commonchart.exchange.v2.message import Message, parse, split
from commonchart.exchange.v2.reading import TYPE, Note
from commonchart.exchange.v2.take import Taken, envelope, take
from commonchart.exchange.v2.vxu import Sender
from commonchart.fhir.outcome import Refused

NOBODY = Sender("", "")


async def received(
    records: Records, data: bytes, site: Site, evaluate: Evaluate | None = None
) -> list[Taken]:
    """VXU^V04 into the record, QBP^Q11 answered, anything else rejected. Raises Forbidden, Busy."""
    try:
        found = split(data)
    except Refused as bad:
        return [_unreadable(records, bad, site, None)]
    return [await _one(records, lines, site, evaluate) for lines in found]


async def _one(records: Records, lines: Sequence[str], site: Site, evaluate: Evaluate | None) -> Taken:
    try:
        message = parse(lines)
    except Refused as bad:
        return _unreadable(records, bad, site, _head(lines))
    if message.kind[0] != "QBP":
        return await take(records, message, site)
    answer = await answered(records, message, site, evaluate)
    msa = answer.first("MSA")
    return Taken(answer, msa is not None and msa.text(1) == "AA")


def _head(lines: Sequence[str]) -> Message | None:
    """The header alone, so that a refusal can say which message it is about."""
    try:
        return parse(lines[:1])
    except Refused:
        return None


def _unreadable(records: Records, bad: Refused, site: Site, head: Message | None) -> Taken:
    """AR for what cannot be read."""
    notes = tuple(Note(issue.at, issue.message, "E", TYPE) for issue in bad.issues)
    outside = envelope(records, site, vxu.sender_of(head) if head else NOBODY)
    answer = compose.ack(outside, "AR", head.control_id if head else "", notes)
    return Taken(answer, False, notes=notes)
