"""Condition registries as pages: one person a row, one parameter a column, out of range or overdue first. Stored rows only."""

from __future__ import annotations

from typing import Any, cast, get_args

from starlette.responses import Response

from commonchart.access import conditions, views
from commonchart.access.conditions import MOST_ROWS, Asked, Chip, Listed
from commonchart.care.registries import built_in
from commonchart.fhir.outcome import Malformed, NotFound
from commonchart.web.call import Call
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.panels import Heading, address, back_of, heading, side
from commonchart.web.clinician.registry import age, clinicians
from commonchart.web.clinician.registry_acts import written
from commonchart.web.present import dates, people
from commonchart.web.present import panels as present
from commonchart.web.present.due import STATUSES

PAGE = 15
MOST_CSV = 20_000
CHIPS = {
    "attention": ("", "Out of range or overdue"), "alert": ("", "Alert"), "overdue": ("overdue", "Overdue"), "due": ("due", "Due"),
    "cannot-tell": ("unknown", "Cannot tell"), "due-soon": ("soon", "Due soon"), "in": ("done", "In range"), "all": ("", "All"),
}  # fmt: skip


async def page(call: Call) -> Response:
    """One registry, narrowed and sorted by what the address says."""
    asked, number = _asked(call), _number(call)
    offset = min((number - 1) * PAGE, MOST_ROWS - PAGE)
    found = await conditions.listed(call.records, asked, as_of=call.today, limit=PAGE, offset=offset)
    saved, _ = await views.listed(call.records)
    return call.page(
        "condition-registry.html", title=found.registry.title, found=found, asked=asked, chips=_chips(call, asked, found),
        headings=_headings(call, asked, found), rows=[_row(call, found, one) for one in found.members],
        first=offset + 1, clinicians=await clinicians(call), control=_control(found),
        newer=address(call, page=number - 1) if number > 1 else "",
        older=address(call, page=number + 1) if offset + PAGE < min(found.total, MOST_ROWS) else "",
        export=address(call).replace(call.request.url.path, f"{call.request.url.path}/export.csv", 1),
        side=await side(call, call.request.url.path, saved), back=back_of(call),
        worked_out=dates.of_date(found.assessed_on) if found.assessed_on else "",
    )  # fmt: skip


async def export(call: Call) -> Response:
    """Everybody who fits as CSV: value, day, range and status of every parameter."""
    asked = _asked(call)
    found = await conditions.exported(call.records, asked, as_of=call.today, limit=MOST_CSV)
    columns = built_in().by_name[asked.registry].columns
    header = ["Name", "Born", "Sex", "Record number", "Status", "Range", "Months in range", "Months known"]
    for one in columns:
        header += [
            f"{one.label} {one.unit}".strip(),
            f"{one.label} on",
            f"{one.label} range",
            f"{one.label} status",
        ]
    rows = [_flat(call, one, [column.id for column in columns]) for one in found]
    return written(f"{asked.registry}-{call.today.isoformat()}.csv", tuple(header), rows)


def _flat(call: Call, one: conditions.Member, columns: list[str]) -> tuple[str, ...]:
    banner, row = people.banner(fact_of(one.patient).body, call.today), one.row
    out = [
        banner.name,
        banner.born,
        banner.sex,
        banner.mrn,
        row.status,
        row.within,
        str(row.inside),
        str(row.known),
    ]
    for id in columns:
        cell = one.cells[id]
        out += [cell.text, cell.day.isoformat() if cell.day else "", cell.within, cell.status]
    return tuple(out)


def _asked(call: Call) -> Asked:
    given = call.request.query_params
    registry, chip = call.request.path_params["registry"], given.get("show", "attention")
    if registry not in built_in().by_name:
        raise NotFound("There is no such registry")
    if chip not in get_args(Chip):
        raise Malformed("There is no such status", at="show")
    return Asked(
        registry, cast(Chip, chip), given.get("clinician", "")[:64], age(given.get("from", ""), "from"),
        age(given.get("to", ""), "to"), given.get("sort", "")[:40],
    )  # fmt: skip


def _number(call: Call) -> int:
    text = call.request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _chips(call: Call, asked: Asked, found: Listed) -> list[tuple[str, str, str, int, bool]]:
    return [
        (address(call, show=name), mark, words, found.chips[name], asked.chip == name)
        for name, (mark, words) in CHIPS.items()
    ]


def _headings(call: Call, asked: Asked, found: Listed) -> list[Heading]:
    sort = asked.sort
    named = [("name", "Patient", ""), ("born", "Age", ""), ("", "Status", "")]
    columns = [(c.id, f"{c.label} {c.unit}".strip(), "") for c in found.registry.columns]
    last = [("control", "In range, 12 months", "lo")] if found.registry.control else []
    return [heading(call, *one, sort=sort) for one in (*named, *columns, *last)]


def _row(call: Call, found: Listed, one: conditions.Member) -> dict[str, Any]:
    banner = people.banner(fact_of(one.patient).body, call.today)
    row = one.row
    mark, word = STATUSES.get(row.status, ("done", "Up to date"))
    return {
        "href": f"/patients/{one.patient.id}", "name": banner.name, "age": f"{banner.age} {banner.sex[:1]}",
        "mark": mark, "word": word, "placed": {"alert": "alert", "out": "out of range"}.get(row.within, ""),
        "cells": [present.cell(column, one.cells[column.id], call.today) for column in found.registry.columns],
        "control": f"{row.inside} of {row.known}" if row.known else "not known",
    }  # fmt: skip


def _control(found: Listed) -> str:
    """The share in control, in words: of whom it is known, and of how many it is not."""
    column = next((one for one in found.registry.columns if one.id == found.registry.control), None)
    inside, known, people_asked = found.control
    if column is None or not people_asked:
        return ""
    share = f"{round(100 * inside / known)} %" if known else "nobody"
    return f"{column.label} in range: {share} ({inside} of {known} with a value that counts; {people_asked - known} without)"
