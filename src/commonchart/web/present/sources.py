"""Where a fact came from: two letters, unique on the page, and the organisation's name behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from commonchart.web.present import values

_SMALL = {"of", "the", "and", "for", "at", "in", "de", "la", "inc", "llc", "pc"}


class Mark(Struct, frozen=True):
    """Two letters, the name they stand for, and whether it is the reader's own organisation."""

    letters: str
    name: str
    own: bool


def author_organization(body: Mapping[str, Any], encounters: Mapping[str, Mapping[str, Any]]) -> str:
    """The organisation that the resource itself, else its visit, names as author: an Organization id, or empty."""
    for link in _links(body):
        target = str(link.get("reference") or "")
        if target.startswith("Organization/"):
            return target.removeprefix("Organization/")
    visit = encounter_of(body)
    return author_organization(encounters[visit], {}) if visit and visit in encounters else ""


def encounter_of(body: Mapping[str, Any]) -> str:
    """The id of the Encounter that a resource was recorded in, empty when it names none."""
    context = body.get("context")
    inner = context.get("encounter") if isinstance(context, dict) else None
    for link in (body.get("encounter"), context, *(inner if isinstance(inner, list) else ())):
        target = str(link.get("reference") or "") if isinstance(link, dict) else ""
        if target.startswith("Encounter/"):
            return target.removeprefix("Encounter/")
    return ""


def _links(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The references that can name an author organisation, most telling first."""
    for name in (
        "serviceProvider",
        "custodian",
        "managingOrganization",
        "requester",
        "recorder",
        "informationSource",
        "asserter",
        "performer",
        "author",
    ):
        value = body.get(name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from (
                    part for part in (one.get("actor"), one.get("onBehalfOf"), one) if isinstance(part, dict)
                )


def marks(organizations: Sequence[str], names: Mapping[str, str], own: str) -> dict[str, Mark]:
    """A mark for each Organization id, no two alike; own first, then in the order given, so that letters stay put."""
    taken: set[str] = set()
    out: dict[str, Mark] = {}
    for one in dict.fromkeys([*([own] if own in organizations else []), *organizations]):
        name = values.reference({"reference": f"Organization/{one}"}, names) if one else "Source not recorded"
        letters = next(text for text in _candidates(name) if text not in taken)
        taken.add(letters)
        out[one] = Mark(letters, name, one == own)
    return out


def _candidates(name: str) -> Iterable[str]:
    words = [word for word in re.findall(r"[A-Za-z]+", name) if word.lower() not in _SMALL] or [
        "Unknown",
        "Source",
    ]
    initials = [word[0].upper() for word in words]
    for a in range(len(words)):
        for b in range(a + 1, len(words)):
            yield initials[a] + initials[b]
    for letter in "".join(words)[1:].upper():
        yield initials[0] + letter
    for n in range(2, 1000):
        yield f"{initials[0]}{n}"
