"""Whose message is this? By record number first; never filed to somebody on a guess (hostile D7).

The rule: exactly one patient with one of the record numbers sent, whose birth date and name do not contradict the
message, is the patient. Record numbers of two patients, or a contradiction, are refused. Without a record number known
here, somebody of the same name and birth date stops the message until a person has decided; else the patient is new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from commonchart.access.records import Transaction
from commonchart.exchange.v2 import person
from commonchart.exchange.v2.reading import DUPLICATE, UNKNOWN_KEY, Element, Note
from commonchart.fhir import json
from commonchart.search.fold import fold
from commonchart.search.query import parse

MAX_NUMBERS = 20
MAX_FOUND = 500
WHOLE_DAY = len("1999-12-31")

Params = list[tuple[str, str]]
Find = Callable[[Params], Awaitable[list[Element]]]


class Match(Struct, frozen=True):
    """The patient found (None: nobody), or why the message cannot be filed."""

    patient: Element | None = None
    refused: Note | None = None


async def match(tx: Transaction, sent: Element) -> Match:
    """The patient that a message means, by the rule above. Raises Forbidden."""

    async def find(params: Params) -> list[Element]:
        keys = await tx.search_ids(parse("Patient", params, strict=True), MAX_FOUND)
        stored = await tx.read_many(keys)
        return [json.decode(one.body) for one in stored.values() if one.body is not None]

    found = await by_number(find, sent)
    if len(found) > 1:
        return Match(refused=_note("The record numbers are those of more than one patient here", DUPLICATE))
    if found:
        return agreeing(found[0], sent)
    if await by_name(find, sent):
        return Match(
            refused=_note("Nobody here has this record number, and somebody has this name and birth date")
        )
    return Match()


def _note(why: str, code: str = UNKNOWN_KEY) -> Note:
    return Note("PID-3", why, "E", code)


async def by_number(find: Find, sent: Element) -> list[Element]:
    """The patients with any of the record numbers sent, by id."""
    found: dict[str, Element] = {}
    for system, value in person.record_numbers(sent)[:MAX_NUMBERS]:
        found |= {
            str(one["id"]): one for one in await find([("identifier", f"{plain(system)}|{plain(value)}")])
        }
    return [found[id] for id in sorted(found)]


async def by_name(find: Find, sent: Element, *, sex: bool = False) -> list[Element]:
    """The patients with the same family and given name and birth date (and sex); nobody when one of them is not sent."""
    born = sent.get("birthDate", "")
    names = [one for one in sent.get("name", []) if one.get("family") and one.get("given")]
    if len(born) != WHOLE_DAY:
        return []
    found: dict[str, Element] = {}
    for name in names[:MAX_NUMBERS]:
        met = await find([("birthdate", born), ("family", plain(name["family"]))])
        wanted = (fold(name["family"]), fold(name["given"][0]))
        found |= {str(one["id"]): one for one in met if wanted in _names(one)}
    known = sent.get("gender") if sex else None
    return [
        one for _, one in sorted(found.items()) if not known or one.get("gender") in (None, "unknown", known)
    ]


def plain(text: str) -> str:
    """The text as one value of a search: its separators escaped."""
    for sign in "\\|,$":
        text = text.replace(sign, f"\\{sign}")
    return text


def _names(patient: Element) -> set[tuple[str, str]]:
    return {
        (fold(one.get("family", "")), fold(given))
        for one in patient.get("name", [])
        for given in one.get("given", [])[:1]
    }


def agreeing(known: Element, sent: Element) -> Match:
    """The patient, unless birth date or name say that the record number is somebody else's."""
    born, told = known.get("birthDate", ""), sent.get("birthDate", "")
    shared = min(len(born), len(told))
    if born[:shared] != told[:shared]:
        return Match(refused=_note("The record number is that of a patient with another birth date"))
    if known.get("name") and sent.get("name") and not _words(known) & _words(sent):
        return Match(refused=_note("The record number is that of a patient of another name"))
    return Match(known)


def _words(patient: Element) -> set[str]:
    """Every name that a person goes by, family and given."""
    found: list[Any] = [
        part for one in patient.get("name", []) for part in (one.get("family", ""), *one.get("given", []))
    ]
    return {fold(part) for part in found} - {""}
