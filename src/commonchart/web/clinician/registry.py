"""The registry: who is due for what, from the stored due table only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct
from starlette.responses import Response

from commonchart.access import views
from commonchart.access.due import MOST_ROWS, OPEN, ORDER, RANGES, SORTS, Filters, Registry, registry
from commonchart.fhir.outcome import Malformed
from commonchart.search.query import parse
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.panels import back_of, heading, side
from commonchart.web.present import dates, due, people

PAGE = 25
RANGE_WORDS = {"in": "In range", "out": "Out of range", "none": "No value"}
HEADINGS = (
    ("name", "Patient", ""), ("born", "Age", ""), ("", "Status", ""), ("what", "What", ""), ("due", "Due", ""),
    ("last", "Last done", ""), ("clinician", "Clinician", "lo"),
)  # fmt: skip
"""Columns that sort the list, by the key of their order; "what" does not."""


class Row(Struct, frozen=True):
    """One patient and rule as the table shows it; `pick` names both for the form of the selection."""

    href: str
    name: str
    age: str
    sex: str
    mrn: str
    item: due.Item
    pick: str = ""
    due_on: str = ""
    last_on: str = ""
    clinician: str = ""
    within: str = ""


async def page(call: Call) -> Response:
    """The registry, narrowed by what the address says; counts add up to everybody the rule is asked of."""
    saved, chosen = await views.listed(call.records)
    if not call.request.url.query and chosen:
        return go(f"/registry?{query_of(await views.filters_of(call.records, chosen))}&view={chosen}")
    return await shown(call, saved=saved, default=chosen)


async def shown(
    call: Call, issues: Sequence[tuple[str, str]] = (), status: int = 200, *, saved: Any = None, default: str = ""
) -> Response:  # fmt: skip
    """The page itself, with what is wrong with a form on it."""
    if saved is None:
        saved, default = await views.listed(call.records)
    filters, number = filters_of(call), _number(call)
    offset = min((number - 1) * PAGE, MOST_ROWS - PAGE)
    found = await registry(call.records, filters, as_of=call.today, limit=PAGE, offset=offset)
    given = call.request.query_params
    return call.page(
        "registry.html",
        status,
        title="Registry",
        filters=filters,
        rows=[_row(call, one) for one in found.rows],
        total=found.total,
        first=offset + 1,
        chips=_chips(call, filters, found),
        ranges=[(one, RANGE_WORDS[one], found.ranges.get(one)) for one in RANGES],
        rules=found.rules,
        clinicians=await clinicians(call),
        newer=_address(call, page=number - 1) if number > 1 else "",
        older=_address(call, page=number + 1) if offset + PAGE < min(found.total, MOST_ROWS) else "",
        asked=sum(found.statuses.values()),
        whole=found.whole,
        chosen=given.get("status", ""),
        contact=_address(call).replace("/registry?", "/campaigns/new?"),
        headings=[heading(call, *one, sort=filters.sort) for one in HEADINGS],
        kept=[
            (name, value) for name, value in given.multi_items() if name not in ("page", "pick", "do", "all")
        ],
        side=await side(call, "/registry", saved, given.get("view", "")),
        view=next((one for one in saved if one.id == given.get("view", "")), None),
        default=default,
        back=back_of(call),
        issues=list(issues),
        errors=dict(issues),
        said=SAID.get(given.get("said", ""), ""),
        can_defer=call.may("create", "ServiceRequest"),
    )


SAID = {"saved": "The filter is saved.", "renamed": "Renamed.", "default": "The registry opens with this filter from now on."}  # fmt: skip


def filters_of(call: Call) -> Filters:
    """What the address narrows the registry to. Raises Malformed naming the field."""
    given = {name: text.replace("\0", "") for name, text in call.request.query_params.items()}
    status = given.get("status", "")
    if status and status not in (*ORDER, "all", "attention"):
        raise Malformed("There is no such status", at="status")
    chosen = OPEN if not status else ORDER if status in ("all", "attention") else (status,)
    sort = given.get("sort", "")
    return Filters(
        rule=given.get("rule", "")[:64],
        statuses=tuple(chosen),
        min_age=age(given.get("from", ""), "from"),
        max_age=age(given.get("to", ""), "to"),
        sex=given.get("sex", "") if given.get("sex") in ("female", "male", "other", "unknown") else "",
        clinician=given.get("clinician", "")[:64],
        text=given.get("name", "")[:80],
        within=given.get("range", "") if given.get("range") in RANGES else "",
        attention=status == "attention",
        org=given.get("org", "")[:64],
        sort=sort if sort.removeprefix("-") in SORTS else "",
        picked=_picked(call.request.query_params.getlist("pick")),
    )


def _picked(given: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = [one.replace("\0", "").partition("~") for one in given[:500] if len(one) < 200]
    return tuple((patient, rule) for patient, _, rule in pairs if patient and rule)


def query_of(filters: Filters) -> str:
    """The address of a filter, without its path."""
    status = (
        "attention"
        if filters.attention
        else ""
        if filters.statuses == OPEN
        else "all"
        if set(filters.statuses) == set(ORDER)
        else filters.statuses[0]
    )
    values = {
        "rule": filters.rule, "status": status, "clinician": filters.clinician, "from": filters.min_age, "to": filters.max_age,
        "sex": filters.sex, "name": filters.text, "range": filters.within, "org": filters.org, "sort": filters.sort,
    }  # fmt: skip
    return urlencode({name: value for name, value in values.items() if value not in ("", None)})


def age(text: str, name: str) -> int | None:
    """A whole number of years, None for nothing. Raises Malformed."""
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
    left_out = ("page", "pick", "do", "all", "said", "view")
    kept = {
        name: value for name, value in call.request.query_params.items() if name not in left_out and value
    }
    kept |= {name: str(value) for name, value in changes.items()}
    return "/registry?" + urlencode({name: value for name, value in kept.items() if value})


def _chips(call: Call, filters: Filters, found: Registry) -> list[tuple[str, str, str, int, bool]]:
    """(address, mark, words, how many, current) of each status, of the open ones, and of all."""
    now = call.request.query_params.get("status", "")
    waiting = sum(found.statuses.get(status, 0) for status in OPEN)
    out = [
        (_address(call, status=""), "", "Open", waiting, now == ""),
        (
            _address(call, status="attention"),
            "",
            "Out of range or overdue",
            found.attention,
            now == "attention",
        ),
    ]
    for status in ORDER:
        mark, words = due.STATUSES[status]
        out.append((_address(call, status=status), mark, words, found.statuses.get(status, 0), now == status))
    return [*out, (_address(call, status="all"), "", "All", sum(found.statuses.values()), now == "all")]


WITHIN = {"out": "out of range", "alert": "out of range, alert", "in": "in range", "none": "no value"}


def _row(call: Call, one: Any) -> Row:
    body = fact_of(one.patient).body
    banner = people.banner(body, call.today)
    doctors = body.get("generalPractitioner") or [{}]
    return Row(
        f"/patients/{one.patient.id}", banner.name, banner.age, banner.sex, banner.mrn, due.item(one.due, zone=call.zone),
        f"{one.due.patient}~{one.due.rule}", dates.of_date(one.due.due_on) if one.due.due_on else "",
        dates.of_date(one.due.last_on) if one.due.last_on else "", str(doctors[0].get("display") or ""),
        WITHIN.get(one.due.within, ""),
    )  # fmt: skip


async def clinicians(call: Call) -> list[tuple[str, str]]:
    """(id, name) of everybody who may have a panel."""
    found = await call.records.search(parse("Practitioner", [("_count", "200"), ("_sort", "family")]))
    names = [(one.id, msgspec.json.decode(one.body or b"{}")) for one in found.matches]
    return [(id, people.listed_name(body)) for id, body in names]
