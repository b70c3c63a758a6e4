"""The dashboard: where the gaps are, by rule, clinician and organisation, and how it went over the months."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import Response

from commonchart.access import dashboard, views
from commonchart.access.dashboard import EVERYWHERE, Asked, Line, Panel
from commonchart.web.call import Call
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.panels import address, side
from commonchart.web.clinician.registry import clinicians
from commonchart.web.present import dates, panels

COLUMNS = (
    ("overdue", "Overdue"), ("due", "Due"), ("cannot-tell", "Cannot tell"), ("due-soon", "Due soon"), ("up-to-date", "Up to date"),
    ("out", "Out of range"),
)  # fmt: skip
FIRST = 25
SORTS = {"gap": "Gap", "title": "What", **dict(COLUMNS)}


async def page(call: Call) -> Response:
    """The panel, narrowed by what the address says; every number leads to its patients and back."""
    asked = _asked(call)
    found = await dashboard.panel_of(call.records, asked)
    names = dict(await clinicians(call))
    orgs = await _orgs(call, found)
    saved, _ = await views.listed(call.records)
    given = call.request.query_params
    sort, whole = given.get("sort", "gap"), given.get("all") == "yes"
    asked_of = [one for one in _sorted(found.rules, sort) if one.asked or not one.told]
    return call.page(
        "dashboard.html", title="Dashboard", asked=asked, columns=COLUMNS, sort=sort,
        rules=[_line(call, asked, one, rule=one.key) for one in asked_of[: None if whole else FIRST]],
        more=0 if whole else max(0, len(asked_of) - FIRST), all_rules=address(call, all="yes"),
        by_clinician=[_line(call, asked, one, clinician=one.key, title=names.get(one.key, one.key)) for one in dashboard.by_gap(found.clinicians)],
        by_org=[_line(call, asked, one, org=one.key, title=orgs.get(one.key) or one.key or "Organisation not recorded") for one in dashboard.by_gap(found.orgs)],
        headings=_headings(call, sort), clinicians=list(names.items()), orgs=sorted(orgs.items(), key=lambda one: one[1]),
        own=call.actor.org, everywhere=EVERYWHERE, rule_title=next((one.title for one in found.rules if one.key == asked.rule), ""),
        history=found.history, months=panels.history([(p.day, p.done, p.asked) for p in found.history]),
        since=dates.of_date(found.since) if found.since else "", counted=dates.stamp(found.counted_at) if found.counted_at else "",
        whole=found.whole, foreign=asked.org not in ("", call.actor.org), side=await side(call, "/dashboard", saved),
    )  # fmt: skip


def _asked(call: Call) -> Asked:
    given = call.request.query_params
    return Asked(given.get("org", "")[:64], given.get("clinician", "")[:64], given.get("rule", "")[:64])


async def _orgs(call: Call, found: Panel) -> dict[str, str]:
    """Names of the organisations that keep somebody."""
    ids = [one.key for one in found.orgs]
    named = await call.records.named([("Organization", id) for id in ids])
    return {
        id: str(fact_of(named[key]).body.get("name") or id) if (key := ("Organization", id)) in named else id
        for id in ids
    }


def _sorted(lines: tuple[Line, ...], sort: str) -> list[Line]:
    if sort == "title":
        return sorted(lines, key=lambda one: one.title)
    if sort in SORTS and sort != "gap":
        return sorted(lines, key=lambda one: (-one.n(sort), one.title))
    return dashboard.by_gap(lines)


def _headings(call: Call, sort: str) -> list[dict[str, Any]]:
    return [
        {"href": address(call, sort=key), "words": words, "sorted": "ascending" if key == "title" else "descending", "current": key == sort}
        for key, words in SORTS.items()
        if key != "gap"
    ]  # fmt: skip


def _line(call: Call, asked: Asked, line: Line, *, title: str = "", **more: str) -> dict[str, Any]:
    narrowed = {"rule": asked.rule, "clinician": asked.clinician, "org": _org(call, asked)} | more
    here = call.request.url.path + (f"?{call.request.url.query}" if call.request.url.query else "")
    base = "/registry?" + urlencode({name: value for name, value in narrowed.items() if value})
    back = f"&back={quote(here, safe='')}"
    cells = []
    for name, words in COLUMNS:
        status = "&status=all&range=out" if name == "out" else f"&status={name}"
        cells.append((f"{base}{status}{back}", words, line.counts.get(name)))
    narrow = {name: value for name, value in (("rule", asked.rule), ("clinician", asked.clinician), ("org", asked.org), *more.items()) if value}  # fmt: skip
    return {
        "title": title or line.title, "cells": cells, "gap": line.gap, "asked": line.asked, "told": line.told,
        "shares": dashboard.shares(line), "focus": "/dashboard?" + urlencode(dict(narrow)),
    }  # fmt: skip


def _org(call: Call, asked: Asked) -> str:
    return "" if asked.org == EVERYWHERE else asked.org or call.actor.org
