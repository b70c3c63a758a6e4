"""Adding, correcting and retracting facts: forms of `web/forms` as pages, each write by the record's one door."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import drafts
from commonchart.access.medications import events, gate, standing
from commonchart.access.medications.gate import Interrupted
from commonchart.access.medications.reading import MEDICINES
from commonchart.access.records import Create, Put
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, Refused, Stale
from commonchart.fhir.validate import validate
from commonchart.record.rows import Stored
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.provenance import headline, version
from commonchart.web.clinician.stopping import Stopped, checked, stopped
from commonchart.web.forms.catalogue import FORMS, corrects
from commonchart.web.forms.fields import Context, Field, Form, Values, blank, local_moment, parse
from commonchart.web.forms.orders import ORDER, overriding
from commonchart.web.forms.retract import is_retracted, retracted
from commonchart.web.present.tables import Fact
from commonchart.web.present.zone import Zone
from commonchart.web.session import form as sent_form

MOMENTS = ("moment",)


class Sheet(Struct):
    """One form as it is shown: what it says, what is typed, what is wrong."""

    form: Form
    values: Values
    title: str
    action: str
    cancel: str
    draft_key: str
    vid: int | None = None
    visit: str = ""
    errors: dict[str, str] = {}
    issues: list[tuple[str, str]] = []
    restored: str = ""
    buttons: tuple[tuple[str, str], ...] = (("save", "Save"),)
    stop: Stopped | None = None
    seen: str = ""


def context_of(call: Call, patient: str, visit: str = "") -> Context:
    """Who writes about whom, and when."""
    actor = call.actor
    now = call.zone.local(call.now)
    return Context(patient, now, actor.name, actor.practitioner, actor.org or None, visit or None, call.zone)


async def new(call: Call) -> Response:
    """An empty form, or what was typed into it before."""
    form = _form(call)
    chart = await opened(call, form.section)
    sheet = _sheet(call, form, blank(form, context_of(call, chart.id)))
    return await shown(chart, sheet)


async def create(call: Call) -> Response:
    """Store what was typed as new facts, all or none."""
    form = _form(call)
    chart = await opened(call, form.section)
    sent = await texts(call)
    sheet = _sheet(call, form, {field.name: sent.get(field.name, "") for field in form.fields})
    sheet.visit = sent.get("visit", "")
    try:
        if form is ORDER and sent.get("do") in ("check", "withdraw"):
            return await _not_ordered(chart, sheet, sent)
        stored = await store_new(call, form, chart.id, sent, await known_visit(chart, sheet.visit))
    except Refused as refusal:
        return await refused(chart, sheet, refusal, sent)
    await drafts.drop(call.records, sheet.draft_key)
    return go(f"/patients/{chart.id}/{form.section}?saved={stored[0].rtype}/{stored[0].id}")


async def _not_ordered(chart: Chart, sheet: Sheet, sent: Mapping[str, str]) -> Response:
    """Only look what a check finds, or give an order up after its alert was seen."""
    call = chart.call
    if sent["do"] == "withdraw":
        await events.withdraw(call.records, chart.id, sent.get("alerts_seen", ""))
        await drafts.drop(call.records, sheet.draft_key)
        return go(f"/patients/{chart.id}/medications?said=withdrawn")
    context = context_of(call, chart.id, sheet.visit)
    made = validate(sheet.form.build(parse(sheet.form, sent, context), context, None)[0])
    looked = await gate.preview(call.records, made)
    sheet.stop = checked(looked) if looked else None
    return await shown(chart, sheet, 200, kept=False)


async def store_new(
    call: Call, form: Form, patient: str, sent: Mapping[str, str], visit: str
) -> list[Stored]:
    """Parse, build, validate and store. Raises Invalid with issues at field names."""
    context = context_of(call, patient, visit)
    made = form.build(parse(form, sent, context), context, None)
    valid = [validate(overriding(resource, sent)) for resource in made]
    stored = [written.stored for written in await call.records.commit([Create(one) for one in valid])]
    await reviewed(call, patient, form)
    return stored


async def reviewed(call: Call, patient: str, form: Form) -> None:
    """Find the alerts of what was just stored, so that the page that follows shows them."""
    if form.rtype in (*MEDICINES, "AllergyIntolerance"):
        await standing.refreshed(call.records, patient)


async def edit(call: Call) -> Response:
    """The form that corrects a fact, filled with it."""
    chart, fact, form = await _correcting(call)
    sheet = _sheet(call, form, _local(form, form.read(fact.body), call.zone))
    sheet.title, sheet.vid, sheet.buttons = f"Correct: {headline(fact, chart)}", fact.vid, (("save", "Save"),)
    return await shown(chart, sheet)


async def correct(call: Call) -> Response:
    """Store the correction as the next version, unless somebody else was quicker."""
    chart, fact, form = await _correcting(call)
    sent = await texts(call)
    sheet = _sheet(call, form, {field.name: sent.get(field.name, "") for field in form.fields})
    sheet.title, sheet.vid, sheet.buttons = (
        f"Correct: {headline(fact, chart)}",
        _vid(sent),
        (("save", "Save"),),
    )
    try:
        context = context_of(call, chart.id)
        made = overriding(
            form.build(parse(form, sent, context, form.read(fact.body)), context, fact.body)[0], sent
        )
        await call.records.commit([Put(validate(made), fact.id, if_match=_vid(sent))])
        await reviewed(call, chart.id, form)
    except Stale:
        words = "Somebody else has changed this since you opened it. What you typed is below: compare, then save again"
        sheet.vid = fact.vid
        return await refused(chart, sheet, Stale(words))
    except Refused as refusal:
        return await refused(chart, sheet, refusal, sent)
    await drafts.drop(call.records, sheet.draft_key)
    return go(f"/patients/{chart.id}/{form.section}?saved={fact.key}")


async def retract(call: Call) -> Response:
    """Ask why a fact is an error."""
    chart, fact = await _retracting(call)
    return _retraction(chart, fact, "", [])


async def retracting(call: Call) -> Response:
    """Mark a fact as entered in error; it stays, and counts for nothing."""
    chart, fact = await _retracting(call)
    sent = await texts(call)
    try:
        marked = retracted(fact.body, sent.get("reason", ""), context_of(call, chart.id))
        await call.records.commit([Put(validate(marked), fact.id, if_match=fact.vid)])
    except Refused as refusal:
        issues = [(issue.at if issue.at == "reason" else "", issue.message) for issue in refusal.issues]
        return _retraction(chart, fact, sent.get("reason", ""), issues, refusal.status)
    return go(f"/patients/{chart.id}/facts/{fact.key}")


async def keep_draft(call: Call) -> Response:
    """Keep what is being typed; sent by a script every few seconds, never needed."""
    sent = await texts(call)
    key = sent.pop("draft_key", "")
    sent.pop("csrf", None)
    if not key.startswith("/patients/"):
        raise NotFound("There is no such form")
    await drafts.keep(call.records, key, sent)
    return Response(status_code=204)


async def drop_draft(call: Call) -> Response:
    """Forget a draft and begin again."""
    sent = await texts(call)
    key = sent.get("draft_key", "")
    if not key.startswith("/patients/") or "//" in key:
        raise NotFound("There is no such form")
    await drafts.drop(call.records, key)
    return go(key)


# ---- shared ----------------------------------------------------------------------------------------------------


def _form(call: Call) -> Form:
    form = FORMS.get(call.request.path_params["form"])
    if form is None or form.key in ("pressure", "patient", "note", "visit"):
        raise NotFound("There is no such form")
    if not call.may("create", form.rtype):
        raise Forbidden(f"Your role does not allow you to record {form.noun}")
    return form


async def _correcting(call: Call) -> tuple[Chart, Fact, Form]:
    params = call.request.path_params
    chart = await opened(call, "facts")
    fact = await version(chart, params["rtype"], params["id"])
    form = corrects(fact.body)
    if form is None or is_retracted(fact.body):
        raise NotFound("There is no form that corrects this: it is corrected where it came from")
    if not call.may("update", fact.rtype):
        raise Forbidden(f"Your role does not allow you to change {form.noun}")
    return chart, fact, form


async def _retracting(call: Call) -> tuple[Chart, Fact]:
    params = call.request.path_params
    chart = await opened(call, "facts")
    fact = await version(chart, params["rtype"], params["id"])
    if is_retracted(fact.body):
        raise NotFound("This is marked as entered in error already")
    if not call.may("update", fact.rtype):
        raise Forbidden("Your role does not allow you to change this")
    return chart, fact


def _retraction(
    chart: Chart, fact: Fact, reason: str, issues: list[tuple[str, str]], status: int = 200
) -> Response:
    what = headline(fact, chart)
    return chart.page(
        "chart/retract.html",
        f"Entered in error: {what}",
        status,
        fact=fact,
        reason=reason,
        issues=issues,
        what=what,
    )


def _sheet(call: Call, form: Form, values: Values) -> Sheet:
    path = call.request.url.path
    patient = call.request.path_params["patient"]
    back = f"/patients/{patient}/{form.section}"
    visit = call.request.query_params.get("visit", "")
    buttons = (("save", "Order"), ("check", "Only check")) if form is ORDER else (("save", "Save"),)
    return Sheet(form, values, f"Add: {form.title}", path, back, path, visit=visit, buttons=buttons)


async def shown(chart: Chart, sheet: Sheet, status: int = 200, *, kept: bool = True) -> Response:
    """The form, with a kept draft in it when there is one and nothing was refused (and `kept` ones are asked for)."""
    if status == 200 and kept:
        draft = await drafts.find(chart.call.records, sheet.draft_key)
        if draft is not None:
            known = {field.name for field in sheet.form.fields}
            sheet.values |= {name: value for name, value in draft.values.items() if name in known}
            sheet.restored = chart.call.zone.stamp(draft.saved)
    return chart.page("chart/form.html", sheet.title, status, sheet=sheet, groups=grouped(sheet.form.fields))


async def refused(
    chart: Chart, sheet: Sheet, refusal: Refused, sent: Mapping[str, str] | None = None
) -> Response:
    """The form again, as it was typed, with what is wrong linked to the fields, or with the alerts that stop it."""
    if isinstance(refusal, Interrupted):
        sheet.stop = stopped(refusal, sent or {})
        return await shown(chart, sheet, refusal.status)
    known = {field.name for field in sheet.form.fields}
    sheet.errors = {issue.at: issue.message for issue in reversed(refusal.issues) if issue.at in known}
    sheet.issues = [(issue.at if issue.at in known else "", issue.message) for issue in refusal.issues]
    return await shown(chart, sheet, refusal.status if refusal.status in (409, 412, 422) else 422)


def grouped(fields: tuple[Field, ...]) -> list[tuple[str, list[Field]]]:
    """Fields in order, neighbours of one group together."""
    out: list[tuple[str, list[Field]]] = []
    for field in fields:
        if out and field.group and out[-1][0] == field.group:
            out[-1][1].append(field)
        else:
            out.append((field.group, [field]))
    return out


async def texts(call: Call) -> dict[str, str]:
    """The sent fields that are texts."""
    return {name: value for name, value in (await sent_form(call.request)).items() if isinstance(value, str)}


async def known_visit(chart: Chart, visit: str) -> str:
    """The visit that a form says it belongs to, if it is one of this person. Raises NotFound."""
    return (await version(chart, "Encounter", visit)).id if visit else ""


def _local(form: Form, values: Values, zone: Zone) -> Values:
    shown_as = {field.name for field in form.fields if field.kind in MOMENTS}
    return {name: local_moment(value, zone) if name in shown_as else value for name, value in values.items()}


def _vid(sent: Mapping[str, str]) -> int:
    text = sent.get("vid", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid("The form is not complete: open it again")
    return int(text)
