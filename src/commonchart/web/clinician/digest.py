"""The digest as a page: today's patients with what each is due for, and the panel by rule."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commonchart.access import digest
from commonchart.access.outreach.policy import policy_of
from commonchart.web.call import Call
from commonchart.web.present import dates, due
from commonchart.web.present.panels import of_everybody

COLUMNS = ("overdue", "due", "due-soon", "cannot-tell", "up-to-date")


async def page(call: Call) -> Response:
    """Today, then the panel."""
    visitors = await digest.today(call.records)
    panel = await digest.panel(call.records)
    async with call.records.database.single() as conn:
        site = await policy_of(conn, call.actor.tenant)
    return call.page(
        "digest.html", title="Today", day=dates.of_date(site.day(call.now)), zone=site.zone,
        visitors=[_visitor(call, one, site) for one in visitors], due=sum(bool(one.due) for one in visitors), panel=panel,
        columns=[(name, due.STATUSES[name]) for name in COLUMNS], mine=bool(call.actor.practitioner),
        lines=[_line(one, call.actor.practitioner or "") for one in panel.lines],
    )  # fmt: skip


def _visitor(call: Call, one: digest.Visitor, site: Any) -> dict[str, Any]:
    return {
        "patient": one.patient, "name": one.name, "at": f"{site.local(one.at):%H:%M}",
        "items": [due.item(row, zone=call.zone) for row in one.due], "unreviewed": one.unreviewed,
    }  # fmt: skip


def _line(one: digest.Line, practitioner: str) -> dict[str, Any]:
    address = f"/registry?rule={one.rule}" + (f"&clinician={practitioner}" if practitioner else "")
    return {
        "title": of_everybody(one.title), "done": one.done,
        "cells": [(f"{address}&status={name}", name, one.statuses.get(name, 0)) for name in COLUMNS],
    }  # fmt: skip
