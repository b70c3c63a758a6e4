"""The due list of a patient, and everything about one item of it: why, what was decided, its course, what can be done."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commonchart.access import rules
from commonchart.access.due import standing
from commonchart.care import course
from commonchart.care.person import person
from commonchart.care.schema import Rule
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.web.call import Call
from commonchart.web.clinician.chart import Chart, learn_evidence, opened
from commonchart.web.present import courses, due, plans
from commonchart.web.present.due import OPEN, STATUSES, Group, Item
from commonchart.web.present.plans import Decision

EXPLAINED = 18
DECISIONS = 1000
READINGS = 200
PATIENCE = 20
"""How often a page looks again whether something new is worked out, once a second, before it says that this takes long."""


async def page(call: Call) -> Response:
    """Items by status, the first with their explanations; stored rows only, no rule runs here."""
    chart = await _opened(call)
    if chart.past:
        return chart.page("chart/due.html", "Due list", **_nothing())
    found = await standing(call.records, chart.id)
    rail = due.rail(found.rows, call.today, await rules.in_use(call.records), call.zone)
    items = (*rail.open, *rail.closed)
    params = call.request.query_params
    show, rule = params.get("show", ""), params.get("rule", "")
    groups = _groups(rail, show, rule)
    await learn_evidence(chart, [one for found in groups for one in found.first])
    return chart.page(
        "chart/due.html", "Due list", words=rail.words, chips=_chips(chart, items, show), groups=groups, rule=rule,
        empty=rail.empty if not items else "None.", off=await rules.switched_off(call.records),
        decided=plans.by_rule(await decisions(chart)), missing=missing(chart),
        waiting=_waiting(call, found.waiting), worked_out=rail.worked_out,
    )  # fmt: skip


def _groups(rail: due.Rail, show: str, rule: str) -> list[Group]:
    """Every status that has anything, those that ask for nothing shut; `EXPLAINED` items carry their explanation, and the one asked for."""
    left, out = EXPLAINED, []
    for status in STATUSES:
        found = [one for one in (*rail.open, *rail.closed) if one.status == status]
        asks = rail.asks if status == "cannot-tell" else ()
        if show not in ("", status) or not (found or asks):
            continue
        found.sort(key=lambda one: one.rule != rule)
        asked_for = bool(found) and found[0].rule == rule
        shut = not show and status not in OPEN and not asked_for
        first = 0 if shut else max(left, int(asked_for))
        out.append(due.group(status, found, first, asks, shut=shut))
        left -= len(out[-1].first)
    return out


async def item(call: Call) -> Response:
    """One rule for this patient, with everything that speaks for it and everything that can be done about it."""
    chart = await _opened(call)
    id = call.request.path_params["rule"]
    pack = await rules.in_use(call.records)
    rule = pack.by_id.get(id)
    found = await standing(call.records, chart.id)
    row = next((one for one in found.rows if one.rule == id), None)
    if row is None and rule is None:
        raise NotFound("There is no such rule")
    one = due.item(row, pack, call.zone) if row and not chart.past else None
    await learn_evidence(chart, [one] if one else [])
    decided = [d for d in await decisions(chart) if id in d.rules]
    return chart.page(
        "chart/due-item.html", one.title if one else rule.title if rule else id, item=one, rule=rule, row=row,
        holding=[d for d in decided if d.holds], ended=[d for d in decided if not d.holds][:12],
        acts=actions(rule, one) if rule and chart.may_write else (), missing=missing(chart),
        courses=await _courses(chart, rule) if rule and not chart.past else [], waiting=_waiting(call, found.waiting),
    )  # fmt: skip


async def decisions(chart: Chart) -> list[Decision]:
    """What was decided and ordered for this patient about rules, newest first."""
    found, _ = await chart.facts(["ServiceRequest", "Goal"], limit=DECISIONS, named=False)
    return plans.decisions(found, await rules.in_use(chart.call.records), chart.call.today)


def actions(rule: Rule, one: Item | None) -> tuple[tuple[str, str], ...]:
    """(path under the patient, words) of everything that can be decided about a rule for a patient."""
    done = dict(one.do) if one else {}
    first = list(done.items())
    paths = [("defer", "Defer"), ("decline", "Not wanted")]
    paths += [("aside", "Not for this patient")] if rule.may_be_set_aside else []
    if not rule.slots:
        paths.append(("interval", "Own interval"))
    paths += [("target", "Own target")] if rule.monitor else []
    rest = [(f"due/{rule.id}/{name}", words) for name, words in paths]
    if not done:
        rest = [(f"due/{rule.id}/record", "Record"), (f"due/{rule.id}/order", "Order"), *rest]
    return tuple(dict([*first, *rest]).items())


def missing(chart: Chart) -> list[str]:
    """What rules need to know of everybody and do not know of this patient, in words."""
    who = person(chart.patient.body, chart.call.today)
    said = (
        [f"The date of birth is {who.born_problem}: no rule can tell anything."] if who.born_problem else []
    )
    if not who.sex:
        said.append(
            f"{who.sex_problem[:1].upper()}{who.sex_problem[1:]}: rules about organs ask, and cannot tell."
        )
    return [] if who.died else said


async def _opened(call: Call) -> Chart:
    if not call.may("read", "Condition"):
        raise Forbidden("Your role does not allow you to see due lists")
    return await opened(call, "due", rail=False)


async def _courses(chart: Chart, rule: Rule) -> list[courses.Drawn]:
    pack = await rules.in_use(chart.call.records)
    codes = course.codes(rule, pack)
    if not codes:
        return []
    readings, _ = await chart.facts(["Observation"], codes=codes, limit=READINGS)
    goals, _ = await chart.facts(["Goal"], limit=50)
    bodies = [one.body for one in (*readings, *goals)]
    found = course.courses(rule, pack, chart.patient.body, bodies, chart.call.today)
    return [courses.drawn(one, {fact.key: fact for fact in readings}, chart.call.zone) for one in found]


def _waiting(call: Call, behind: bool) -> dict[str, object] | None:
    """What the page says while something new is not worked out: where to look again, None where nothing is waited for."""
    if not behind:
        return None
    text = call.request.query_params.get("waited", "0")
    waited = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    given = [(k, v) for k, v in call.request.query_params.multi_items() if k not in ("waited", "saved")]
    query = "".join(f"{k}={v}&" for k, v in given if k.isalnum() and v.replace("-", "").isalnum())
    return {"look": f"?{query}waited={waited + 1}" if waited < PATIENCE else ""}


def _nothing() -> dict[str, Any]:
    return {
        "words": "", "chips": [], "groups": [], "rule": "", "decided": {},
        "empty": "Not kept for past dates: what was due then is not worked out again with the rules of today.",
        "missing": [], "waiting": None, "worked_out": "",
    }  # fmt: skip


def _chips(chart: Chart, items: tuple[Item, ...], show: str) -> list[tuple[str, str, int, bool]]:
    counts = {status: sum(one.status == status for one in items) for status in STATUSES}
    found = [
        (chart.url("due", show=status), words, counts[status], status == show)
        for status, (_, words) in STATUSES.items()
        if counts[status] or status == show
    ]
    return [(chart.url("due"), "Everything", len(items), not show), *found]
