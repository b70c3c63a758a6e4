"""Deciding about one due item of one patient: record, order, put off, refuse, set aside, own interval, own target; and ending it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from starlette.responses import Response

from commonchart.access import drafts, rules
from commonchart.access.due import due_of
from commonchart.access.records import Create, Put
from commonchart.access.writes import Wanted
from commonchart.care.acts import Act, acts
from commonchart.care.schema import Pack, Rule
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, Refused, Stale
from commonchart.fhir.validate import validate
from commonchart.record.due import DueRow
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.due import decisions
from commonchart.web.clinician.provenance import version
from commonchart.web.clinician.writing import (
    Sheet,
    context_of,
    known_visit,
    refused,
    shown,
    texts,
)
from commonchart.web.forms import doings, plans
from commonchart.web.forms.fields import Context, Field, Form, Option, Values, blank, parse
from commonchart.web.present import due
from commonchart.web.present.plans import Decision
from commonchart.web.present.tables import Fact

_HELD = ("defer", "decline", "aside")
"""Of these only one holds at a time for a rule; a new one takes the place of the old."""
_NOT_DONE = "Your role does not allow you to decide this"


# ---- deciding --------------------------------------------------------------------------------------------------


async def ask(call: Call) -> Response:
    """The form of one act for one rule."""
    chart, row, form = await _asked(call)
    values = blank(form, context_of(call, chart.id))
    if "until" in values and not values["until"]:
        values["until"] = plans.until_default(form.key, call.today)
    return await shown(chart, _sheet(call, form, values, row))


async def decide(call: Call) -> Response:
    """Store what was decided; a decision of the same kind before it ends in the same transaction."""
    chart, row, form = await _asked(call)
    sent = await texts(call)
    sheet = _sheet(call, form, {field.name: sent.get(field.name, "") for field in form.fields}, row)
    sheet.visit = sent.get("visit", "")
    try:
        context = context_of(call, chart.id, await known_visit(chart, sheet.visit))
        values = parse(form, sent, context)
        made = form.build(values, context, None)
        before = [one for one in await decisions(chart) if one.holds and _rule_id(call) in one.rules]
        wanted = await _with_replaced(chart, form, made, before, context)
        written = await call.records.commit(wanted)
    except Refused as refusal:
        return await refused(chart, sheet, refusal)
    await drafts.drop(call.records, sheet.draft_key)
    stored = written[0].stored
    return go(f"/patients/{chart.id}/due/{_rule_id(call)}?saved={stored.rtype}/{stored.id}")


async def _with_replaced(
    chart: Chart, form: Form, made: list[dict[str, Any]], before: Sequence[Decision], context: Context
) -> list[Wanted]:
    """What was made, first, and the decisions that it takes the place of, or the order that it fulfils."""
    fulfils = form.key == "record"
    kinds = _HELD if form.key in _HELD else ("order",) if fulfils else (form.key,)
    found = [one for one in before if one.kind in kinds] if form.key != "order" else []
    facts = [await version(chart, *one.ref.split("/")) for one in found]
    if fulfils:
        facts = [fact for fact in facts if _same_code(fact.body, made[0])]
        if facts:
            made = [one | {"basedOn": [{"reference": facts[0].key}]} for one in made]
    ended = [
        _ended(fact.body, "completed" if fulfils else "", "Replaced by a newer decision", context)
        for fact in facts
    ]
    puts = [Put(validate(body), fact.id, if_match=fact.vid) for body, fact in zip(ended, facts, strict=True)]
    return [*(Create(validate(one)) for one in made), *puts]


def _same_code(order: Mapping[str, Any], done: Mapping[str, Any]) -> bool:
    def codes(one: Mapping[str, Any]) -> set[tuple[str, str]]:
        found = (one.get("code") or {}).get("coding") or []
        return {(coding.get("system", ""), coding.get("code", "")) for coding in found}

    return bool(codes(order) & codes(done))


async def _asked(call: Call) -> tuple[Chart, DueRow | None, Form]:
    chart = await opened(call, "due", rail=False)
    pack = await rules.in_use(call.records)
    rule = _rule(call, pack)
    rows = await due_of(call.records, chart.id)
    row = next((one for one in rows if one.rule == rule.id), None)
    form = _form(call.request.path_params["act"], rule, row, pack)
    if chart.past is not None or not call.may("create", form.rtype):
        raise Forbidden(_NOT_DONE)
    return chart, row, form


def _rule_id(call: Call) -> str:
    return str(call.request.path_params["rule"])


def _rule(call: Call, pack: Pack) -> Rule:
    rule = pack.by_id.get(_rule_id(call))
    if rule is None:
        raise NotFound("There is no such rule")
    return rule


def _form(act: str, rule: Rule, row: DueRow | None, pack: Pack) -> Form:
    """The form of an act. Raises NotFound for one that this rule does not know."""
    makers = {"defer": plans.defer, "decline": plans.decline, "interval": plans.interval}
    if act in makers and not (act == "interval" and rule.slots):
        return makers[act](rule)
    if act == "aside" and rule.may_be_set_aside:
        return plans.aside(rule)
    found = acts(rule, pack)
    if act == "target" and rule.monitor:
        return plans.target(rule, found[0].measures)
    done = [one for one in found if one.type != "MedicationRequest"]
    if act == "record" and done:
        return doings.record(rule, pack, done)
    if act == "order" and done:
        return _order(rule, done, row)
    raise NotFound("There is no such form for this rule")


def _order(rule: Rule, done: Sequence[Act], row: DueRow | None) -> Form:
    choices = [(Option(one.key, one.label), one.system, one.code) for one in done]
    one = due.item(row) if row else None
    reason = f"{rule.title}: {one.word.lower()}" if one else rule.title
    behind = [used.link for used in one.used if used.link.split("/")[0] in ("Condition", "Observation", "DiagnosticReport")] if one else []  # fmt: skip
    return plans.order(rule, choices, reason, list(dict.fromkeys(behind)))


def _sheet(call: Call, form: Form, values: Values, row: DueRow | None) -> Sheet:
    path = call.request.url.path
    one = due.item(row) if row else None
    now = f"{one.word}. {one.because}" if one else ""
    form = replace(form, intro=" ".join(filter(None, (now, form.intro))))
    back = f"/patients/{call.request.path_params['patient']}/due/{_rule_id(call)}"
    visit = call.request.query_params.get("visit", "")
    return Sheet(form, values, form.title, path, back, path, visit=visit)


# ---- changing and ending ---------------------------------------------------------------------------------------

END = Field("why", "Reason", "long", required=True, max_length=1000)
ENDINGS: dict[str, tuple[str, str]] = {
    "end": ("End", "revoked"), "done": ("Mark as done", "completed"), "again": ("Put back", "active"),
}  # fmt: skip


async def change(call: Call) -> Response:
    """The form of a decision, filled with it."""
    chart, fact, decision, form = await _changing(call)
    sheet = _changed(call, form, form.read(fact.body), decision)
    sheet.vid = fact.vid
    return await shown(chart, sheet)


async def save(call: Call) -> Response:
    """Store the decision as its next version, unless somebody else was quicker."""
    chart, fact, decision, form = await _changing(call)
    sent = await texts(call)
    sheet = _changed(call, form, {field.name: sent.get(field.name, "") for field in form.fields}, decision)
    sheet.vid = _vid(sent)
    try:
        context = context_of(call, chart.id)
        made = form.build(parse(form, sent, context), context, fact.body)
        await call.records.commit([Put(validate(made[0]), fact.id, if_match=sheet.vid)])
    except Stale:
        sheet.vid = fact.vid
        return await refused(
            chart,
            sheet,
            Stale("Somebody else has changed this since you opened it: compare, then save again"),
        )
    except Refused as refusal:
        return await refused(chart, sheet, refusal)
    await drafts.drop(call.records, sheet.draft_key)
    return go(f"/patients/{chart.id}/due/{decision.rules[0]}?saved={fact.key}")


async def ending(call: Call) -> Response:
    """Ask why a decision ends, or is put back."""
    chart, fact, decision, form = await _ending(call)
    sheet = _changed(call, form, blank(form, context_of(call, chart.id)), decision)
    sheet.vid = fact.vid
    return await shown(chart, sheet)


async def end(call: Call) -> Response:
    """End a decision, or put it back: a new version; nothing is deleted."""
    chart, fact, decision, form = await _ending(call)
    sent = await texts(call)
    sheet = _changed(call, form, {"why": sent.get("why", "")}, decision)
    sheet.vid = _vid(sent)
    try:
        context = context_of(call, chart.id)
        values = parse(form, sent, context)
        status = ENDINGS[call.request.path_params["act"]][1]
        body = _ended(fact.body, status, values["why"], context)
        await call.records.commit([Put(validate(body), fact.id, if_match=sheet.vid)])
    except Refused as refusal:
        return await refused(chart, sheet, refusal)
    await drafts.drop(call.records, sheet.draft_key)
    return go(f"/patients/{chart.id}/due/{decision.rules[0]}?saved={fact.key}")


def _ended(body: dict[str, Any], status: str, why: str, context: Context) -> dict[str, Any]:
    """The resource with another status and the reason as a further note. A Goal is cancelled, not revoked."""
    entry: dict[str, Any] = {"time": context.now.isoformat(timespec="seconds"), "text": why}
    if context.author:
        entry["authorString"] = context.author
    out = body | {"note": [*body.get("note", []), entry]}
    if body["resourceType"] == "Goal":
        goal = {"revoked": "cancelled", "": "cancelled"}.get(status, status)
        return out | {"lifecycleStatus": goal, "statusDate": context.now.date().isoformat()}
    return out | {"status": status or "revoked"}


async def _one(call: Call) -> tuple[Chart, Fact, Decision]:
    params = call.request.path_params
    chart = await opened(call, "due", rail=False)
    fact = await version(chart, params["rtype"], params["id"])
    decision = next((one for one in await decisions(chart) if one.ref == fact.key), None)
    if decision is None:
        raise NotFound("This is no decision about a rule")
    if chart.past is not None or not call.may("update", fact.rtype):
        raise Forbidden(_NOT_DONE)
    return chart, fact, decision


async def _changing(call: Call) -> tuple[Chart, Fact, Decision, Form]:
    chart, fact, decision = await _one(call)
    pack = await rules.in_use(call.records)
    rule = pack.by_id.get(decision.rules[0])
    if rule is None or decision.kind == "plan":
        raise NotFound("There is no form that changes this: it is changed where it came from")
    row = next((one for one in await due_of(call.records, chart.id) if one.rule == rule.id), None)
    return chart, fact, decision, _form(decision.kind, rule, row, pack)


async def _ending(call: Call) -> tuple[Chart, Fact, Decision, Form]:
    act = call.request.path_params["act"]
    chart, fact, decision = await _one(call)
    if (
        act not in ENDINGS
        or (act == "again") == decision.holds
        or (act == "done" and decision.kind != "order")
    ):
        raise NotFound("This cannot be done with it now")
    form = Form(
        key=act, title=f"{ENDINGS[act][0]}: {decision.noun.lower()} {decision.words}", rtype=fact.rtype, section="due",
        noun="decisions", fields=(END,), build=lambda values, context, base: [], read=lambda resource: {},
    )  # fmt: skip
    return chart, fact, decision, form


def _changed(call: Call, form: Form, values: Values, decision: Decision) -> Sheet:
    path = call.request.url.path
    back = f"/patients/{call.request.path_params['patient']}/due/{decision.rules[0]}"
    said = f"{decision.noun} {decision.words}, {decision.on} by {decision.who}: {decision.why}"
    title = form.title if form.key in ENDINGS else f"Change: {form.title}"
    return Sheet(replace(form, intro=said), values, title, path, back, path)


def _vid(sent: Mapping[str, str]) -> int:
    text = sent.get("vid", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid("The form is not complete: open it again")
    return int(text)
