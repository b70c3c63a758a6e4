"""A registry's query answered from the record: QBP^Q11 in, RSP^K11 out. Exact matches only, through the one door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from commonchart.access.records import Records
from commonchart.exchange.v2 import compose, history, query, response
from commonchart.exchange.v2.compose import Site
from commonchart.exchange.v2.history import History
from commonchart.exchange.v2.match import Params, agreeing, by_name, by_number
from commonchart.exchange.v2.message import Message
from commonchart.exchange.v2.query import Query
from commonchart.exchange.v2.reading import OTHER, Element, Note
from commonchart.exchange.v2.response import Answer, EvaluatedDose, Forecast
from commonchart.exchange.v2.take import envelope
from commonchart.exchange.v2.vxu import sender_of
from commonchart.fhir import json
from commonchart.fhir.outcome import Busy, Forbidden, Refused
from commonchart.search.query import parse

Evaluate = Callable[[History], Awaitable[tuple[list[EvaluatedDose], list[Forecast]]]]

NOT_EVALUATED = Note(
    "", "NOT CHECKED: no schedule evaluated these doses, and nothing was forecast", "W", OTHER
)


async def answered(
    records: Records, message: Message, site: Site, evaluate: Evaluate | None = None
) -> Message:
    """The RSP^K11 of a QBP^Q11. `evaluate` fills Z42; without it Z42 says that nothing was evaluated.

    Raises Forbidden and Busy; any other refusal is in the answer.
    """
    outside = envelope(records, site, sender_of(message))
    if message.kind != ("QBP", "Q11"):
        code = "200" if message.kind[0] != "QBP" else "201"
        note = Note("MSH-9", "Only QBP^Q11 is answered here", "E", code)
        return compose.ack(outside, "AR", message.control_id, [note], message.kind[1] or "Q11")
    asked = query.read(message)
    if asked.errors:
        return response.build(outside, asked, Answer("Z33", "AE", notes=asked.notes))
    try:
        answer, people = await _answer(records, asked, evaluate)
    except (Forbidden, Busy):
        raise
    except Refused as refusal:
        note = Note("QPD", str(refusal), "E", OTHER)
        answer, people = Answer("Z33", "AE", notes=(note,)), {}
    return response.build(outside, asked, answer, people)


async def _answer(
    records: Records, asked: Query, evaluate: Evaluate | None
) -> tuple[Answer, dict[str, Element]]:
    found = await candidates(records, asked.patient)
    if not found:
        return Answer("Z33", "NF", notes=asked.notes), {}
    if len(found) > asked.limit:
        return Answer("Z33", "TM", notes=asked.notes), {}
    if len(found) > 1:
        return Answer("Z31", candidates=tuple(found), notes=asked.notes), {}
    whole = await history.of(records, str(found[0]["id"]))
    answer = Answer(
        "Z32", patient=whole.patient, doses=whole.doses, observations=whole.observations, related=whole.related,
        notes=asked.notes,
    )  # fmt: skip
    if asked.profile == "Z44":
        answer = await _evaluated(answer, whole, evaluate)
    return answer, dict(whole.people)


async def candidates(records: Records, asked: Element) -> list[Element]:
    """Who is meant: the one with the record number, if nothing contradicts; else all of this name, birth date and sex."""

    async def find(params: Params) -> list[Element]:
        page = await records.search(parse("Patient", [*params, ("_count", "100")], strict=True))
        return [json.decode(one.body or b"{}") for one in page.matches]

    found = [one for one in await by_number(find, asked) if agreeing(one, asked).patient]
    return found or await by_name(find, asked, sex=True)


async def _evaluated(answer: Answer, whole: History, evaluate: Evaluate | None) -> Answer:
    if evaluate is None:
        return replace(answer, profile="Z42", notes=(*answer.notes, NOT_EVALUATED))
    evaluated, forecasts = await evaluate(whole)
    return replace(answer, profile="Z42", evaluated=tuple(evaluated), forecasts=tuple(forecasts))
