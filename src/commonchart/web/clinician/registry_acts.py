"""What is done with rows of the registry: contact, put off, print, take out as CSV; with those chosen, or with all that fit."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from starlette.responses import Response

from commonchart.access import deferral
from commonchart.access.deferral import Deferring
from commonchart.access.due import Filters, exported
from commonchart.care.calendar import add_months
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import fact_of, patients_called
from commonchart.web.clinician.registry import filters_of, shown
from commonchart.web.clinician.writing import texts
from commonchart.web.present import dates, due, people

MOST_CSV = 20_000
MOST_PRINTED = 1000
TARGETS = {"contact": "/campaigns/new", "defer": "/registry/defer", "print": "/registry/print", "csv": "/registry/export.csv"}  # fmt: skip


async def act(call: Call) -> Response:
    """From the selection to the page of what is to be done; 422 where nothing is chosen."""
    given = call.request.query_params
    todo, all_of = given.get("do", ""), given.get("all") == "yes"
    if todo not in TARGETS:
        raise NotFound("There is no such page")
    if not all_of and not given.getlist("pick"):
        return await shown(
            call, [("all", "Choose at least one row, or tick that it is for all that fit")], 422
        )
    left_out = {"do", "all", "page", "said", "view", *(("pick",) if all_of else ())}
    kept = [(name, value) for name, value in given.multi_items() if value and name not in left_out]
    return go(f"{TARGETS[todo]}?{urlencode(kept)}")


# ---- putting off -----------------------------------------------------------------------------------------------


async def defer(call: Call) -> Response:
    """Who would be put off and who not, and the form for reason and day."""
    until = dates.of_date(add_months(call.today, 3))
    return await _form(call, {"reason": "", "until": until}, uuid4().hex, [])


async def deferring(call: Call) -> Response:
    """Put off what may be, and report on every row."""
    sent = await texts(call)
    id = sent.get("id", "")
    if not (len(id) == 32 and id.isalnum() and id.isascii()):
        raise Invalid("The form is not complete: open it again")
    typed = {"reason": sent.get("reason", ""), "until": sent.get("until", "")}
    try:
        done = await deferral.defer(call.records, filters_of(call), _wanted(id, typed), as_of=call.today)
    except (Forbidden, NotFound):
        raise
    except Refused as refusal:
        issues = [(one.at if one.at in typed else "", one.message) for one in refusal.issues]
        return await _form(call, typed, id, issues, refusal.status)
    return call.page(
        "registry-deferred.html", title="Put off", done=[one for one in done if not one.refused],
        refused=[one for one in done if one.refused], names=await patients_called(call.records, [one.patient for one in done]), until=typed["until"], back=_back(call),
    )  # fmt: skip


def _wanted(id: str, typed: dict[str, str]) -> Deferring:
    try:
        until = dates.typed(typed["until"])
    except Invalid as bad:
        raise Invalid(bad.issues[0].message, at="until") from None
    return Deferring(id, typed["reason"], until)


async def _form(
    call: Call, typed: dict[str, str], id: str, issues: list[tuple[str, str]], status: int = 200
) -> Response:
    found = await deferral.candidates(call.records, filters_of(call), as_of=call.today)
    refused = Counter(why for _, why in found if why)
    may = [row for row, why in found if not why]
    return call.page(
        "registry-defer.html", status, idle=False, title="Put off", typed=typed, id=id, issues=issues,
        errors={at: message for at, message in reversed(issues) if at}, n=len(may), people=len({r.due.patient for r in may}),
        refused=refused.most_common(), rows=[_listed(call, row, why) for row, why in found[:200]], more=max(0, len(found) - 200),
        action="/registry/defer?" + urlencode(call.request.query_params.multi_items()), back=_back(call),
    )  # fmt: skip


def _listed(call: Call, row: Any, why: str) -> dict[str, str]:
    name = people.listed_name(fact_of(row.patient).body)
    return {"href": f"/patients/{row.due.patient}", "name": name, "title": row.due.title, "why": why}


def _back(call: Call) -> str:
    kept = [(name, value) for name, value in call.request.query_params.multi_items() if name != "pick"]
    return "/registry?" + urlencode(kept)


# ---- taking out ------------------------------------------------------------------------------------------------


async def export(call: Call) -> Response:
    """Everything that fits as CSV; who took out whom is in the audit trail."""
    filters = filters_of(call)
    rows = await exported(call.records, filters, as_of=call.today, limit=MOST_CSV)
    header = ("Name", "Born", "Sex", "Record number", "Phone", "What", "Status", "Range", "Due", "Last done", "Why", "Pack")  # fmt: skip
    return written(f"registry-{call.today.isoformat()}.csv", header, [_cells(call, one) for one in rows])


def _cells(call: Call, one: Any) -> tuple[str, ...]:
    banner, item = people.banner(fact_of(one.patient).body, call.today), due.item(one.due, zone=call.zone)
    days = (one.due.due_on, one.due.last_on)
    return (
        banner.name, banner.born, banner.sex, banner.mrn, banner.phone, item.title, item.word, one.due.within,
        *(day.isoformat() if day else "" for day in days), item.because or item.question, f"{one.due.pack} {one.due.version}",
    )  # fmt: skip


def written(name: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Response:
    """A CSV file (RFC 4180, UTF-8 with a mark) to keep; nothing in it is taken for a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return Response(
        "\ufeff" + out.getvalue(), media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )  # fmt: skip


def _plain(value: str) -> str:
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


async def printed(call: Call) -> Response:
    """Everything that fits on paper: a page without anything around it."""
    filters = filters_of(call)
    rows = await exported(
        call.records, filters, as_of=call.today, limit=MOST_PRINTED, action="print-registry"
    )
    shown_rows = [_paper(call, one) for one in rows]
    return call.page(
        "registry-print.html", title="Registry", rows=shown_rows, who=call.actor.name, at=call.zone.stamp(call.now),
        back=_back(call), narrowed=_words(filters, rows),
    )  # fmt: skip


def _paper(call: Call, one: Any) -> dict[str, Any]:
    banner = people.banner(fact_of(one.patient).body, call.today)
    last = dates.of_date(one.due.last_on) if one.due.last_on else ""
    return {"banner": banner, "item": due.item(one.due, zone=call.zone), "last": last}


def _words(filters: Filters, rows: list[Any]) -> str:
    what = next((one.due.title for one in rows if one.due.rule == filters.rule), "everything") if filters.rule else "everything"  # fmt: skip
    statuses = "out of range or overdue" if filters.attention else ", ".join(due.STATUSES[one][1].lower() for one in filters.statuses)  # fmt: skip
    return f"{what}: {statuses}"
