"""The dashboard: where the gaps are, by rule, clinician and organisation, and how it went over the months."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import Response

from commonchart.access import dashboard, views
from commonchart.access.dashboard import EVERYWHERE, Asked, Line, Panel
from commonchart.access.rules import in_use
from commonchart.care.schema import Pack
from commonchart.web.call import Call
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.panels import address, side
from commonchart.web.clinician.registry import clinicians
from commonchart.web.present import dates, panels, rules

COLUMNS = (
    ("overdue", "Overdue"), ("due", "Due"), ("cannot-tell", "Cannot tell"), ("due-soon", "Due soon"), ("up-to-date", "Up to date"),
    ("out", "Out of range"),
)  # fmt: skip
FIRST = 25
PAGE = 60
KINDS = {**rules.KINDS, "immunization": "Vaccines"}
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
    pack = await in_use(call.records)
    every = [one for one in _sorted(found.rules, sort) if one.asked or not one.told]
    kind, words = given.get("kind", ""), given.get("q", "").strip()[:80]
    number = (
        int(text)
        if (text := given.get("page", "1")).isascii() and text.isdigit() and 0 < len(text) < 4
        else 1
    )
    start = (max(1, number) - 1) * PAGE if whole else 0
    asked_of = [
        one
        for one in every
        if kind in ("", _kind(pack, one.key)) and words.casefold() in one.title.casefold()
    ]
    return call.page(
        "dashboard.html", title="Dashboard", asked=asked, columns=COLUMNS, sort=sort,
        rules=[_line(call, asked, one, rule=one.key) for one in asked_of[start : start + (PAGE if whole else FIRST)]],
        more=0 if whole else max(0, len(asked_of) - FIRST), all_rules=address(call, all="yes"),
        newer=f"{address(call)}&page={number - 1}" if start else "", older=f"{address(call)}&page={number + 1}" if whole and start + PAGE < len(asked_of) else "",
        chips=_chips(call, pack, every, kind), words=words, kind=kind, of=len(asked_of),
        by_clinician=[_line(call, asked, one, clinician=one.key, title=names.get(one.key, one.key)) for one in dashboard.by_gap(found.clinicians)],
        by_org=[_line(call, asked, one, org=one.key, title=orgs.get(one.key) or one.key or "Organisation not recorded") for one in dashboard.by_gap(found.orgs)],
        headings=_headings(call, sort), clinicians=list(names.items()), orgs=sorted(orgs.items(), key=lambda one: one[1]),
        own=call.actor.org, everywhere=EVERYWHERE, rule_title=next((panels.of_everybody(one.title) for one in found.rules if one.key == asked.rule), ""),
        history=found.history, months=panels.history([(p.day, p.done, p.asked) for p in found.history]),
        since=dates.of_date(found.since) if found.since else "", counted=call.zone.stamp(found.counted_at) if found.counted_at else "",
        whole=found.whole, foreign=asked.org not in ("", call.actor.org), side=await side(call, "/dashboard", saved),
    )  # fmt: skip


def _kind(pack: Pack, key: str) -> str:
    """The kind of a rule; what no pack holds is of the vaccine schedule."""
    return pack.by_id[key].kind if key in pack.by_id else "immunization"


def _chips(call: Call, pack: Pack, lines: list[Line], kind: str) -> list[tuple[str, str, int, bool]]:
    counts = Counter(_kind(pack, one.key) for one in lines)
    every = [(address(call, kind=None, all=None), "Every rule", len(lines), not kind)]
    return every + [
        (address(call, kind=name, all=None), words, counts[name], name == kind)
        for name, words in KINDS.items()
        if counts[name] or name == kind
    ]


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
        "title": title or panels.of_everybody(line.title), "cells": cells, "gap": line.gap, "asked": line.asked, "told": line.told,
        "shares": dashboard.shares(line), "focus": "/dashboard?" + urlencode(dict(narrow)),
    }  # fmt: skip


def _org(call: Call, asked: Asked) -> str:
    return "" if asked.org == EVERYWHERE else asked.org or call.actor.org
