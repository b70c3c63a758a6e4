"""The registry: who is due for what, from the stored due table only."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct
from starlette.responses import Response

from commonchart.access.due import OPEN, ORDER, Filters, Registry, registry
from commonchart.fhir.outcome import Malformed
from commonchart.search.query import parse
from commonchart.web.call import Call
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.present import due, people

PAGE = 25


class Row(Struct, frozen=True):
    """One patient and rule as the table shows it."""

    href: str
    name: str
    age: str
    sex: str
    mrn: str
    item: due.Item


async def page(call: Call) -> Response:
    """The registry, narrowed by what the address says; counts add up to everybody the rule is asked of."""
    filters, number = filters_of(call), _number(call)
    found = await registry(call.records, filters, as_of=call.today, limit=PAGE, offset=(number - 1) * PAGE)
    return call.page(
        "registry.html",
        title="Registry",
        filters=filters,
        rows=[_row(call, one) for one in found.rows],
        total=found.total,
        first=(number - 1) * PAGE + 1,
        chips=_chips(call, filters, found),
        rules=found.rules,
        clinicians=await _clinicians(call),
        newer=_address(call, page=number - 1) if number > 1 else "",
        older=_address(call, page=number + 1) if number * PAGE < found.total else "",
        asked=sum(found.statuses.values()),
        chosen=call.request.query_params.get("status", ""),
        contact=_address(call).replace("/registry?", "/campaigns/new?"),
    )


def filters_of(call: Call) -> Filters:
    """What the address narrows the registry to. Raises Malformed naming the field."""
    given = call.request.query_params
    status = given.get("status", "")
    if status and status not in (*ORDER, "all"):
        raise Malformed("There is no such status", at="status")
    chosen = OPEN if not status else ORDER if status == "all" else (status,)
    return Filters(
        rule=given.get("rule", "")[:64],
        statuses=tuple(chosen),
        min_age=_age(given.get("from", ""), "from"),
        max_age=_age(given.get("to", ""), "to"),
        sex=given.get("sex", "") if given.get("sex") in ("female", "male", "other", "unknown") else "",
        clinician=given.get("clinician", "")[:64],
        text=given.get("name", "")[:80],
    )


def _age(text: str, name: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= 150):
        raise Malformed("An age is a whole number of years", at=name)
    return int(text)


def _number(call: Call) -> int:
    text = call.request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _address(call: Call, **changes: Any) -> str:
    kept = {name: value for name, value in call.request.query_params.items() if name != "page" and value}
    kept |= {name: str(value) for name, value in changes.items()}
    return "/registry?" + urlencode({name: value for name, value in kept.items() if value})


def _chips(call: Call, filters: Filters, found: Registry) -> list[tuple[str, str, str, int, bool]]:
    """(address, mark, words, how many, current) of each status, of the open ones, and of all."""
    now = call.request.query_params.get("status", "")
    waiting = sum(found.statuses.get(status, 0) for status in OPEN)
    out = [(_address(call, status=""), "", "Open", waiting, now == "")]
    for status in ORDER:
        mark, words = due.STATUSES[status]
        out.append((_address(call, status=status), mark, words, found.statuses.get(status, 0), now == status))
    return [*out, (_address(call, status="all"), "", "All", sum(found.statuses.values()), now == "all")]


def _row(call: Call, one: Any) -> Row:
    banner = people.banner(fact_of(one.patient).body, call.today)
    return Row(
        f"/patients/{one.patient.id}", banner.name, banner.age, banner.sex, banner.mrn, due.item(one.due)
    )


async def _clinicians(call: Call) -> list[tuple[str, str]]:
    found = await call.records.search(parse("Practitioner", [("_count", "200"), ("_sort", "family")]))
    names = [(one.id, msgspec.json.decode(one.body or b"{}")) for one in found.matches]
    return [(id, people.listed_name(body)) for id, body in names]
