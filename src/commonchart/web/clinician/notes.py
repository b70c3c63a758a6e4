"""Visits and their notes: a draft changes freely, signing is an act, and then there are only addenda."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access import drafts
from commonchart.access.records import Create, Put
from commonchart.fhir.outcome import Forbidden, Refused
from commonchart.fhir.validate import validate
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.provenance import version
from commonchart.web.clinician.writing import Sheet, context_of, known_visit, refused, shown, store_new, texts
from commonchart.web.forms.fields import Form, blank, parse
from commonchart.web.forms.visits import NOTE, VISIT, amended, note_texts, signed
from commonchart.web.present.tables import Fact

NOTE_BUTTONS = (("sign", "Sign"), ("draft", "Keep as draft"))


async def new_visit(call: Call) -> Response:
    """The form for a visit."""
    chart = await _chart(call, VISIT)
    return await shown(chart, _visit_sheet(chart))


async def create_visit(call: Call) -> Response:
    """Store the visit, then write its note."""
    chart = await _chart(call, VISIT)
    sent = await texts(call)
    sheet = _visit_sheet(chart)
    sheet.values |= {name: sent.get(name, "") for name in sheet.values}
    try:
        (stored,) = await store_new(call, VISIT, chart.id, sent, "")
    except Refused as refusal:
        return await refused(chart, sheet, refusal)
    await drafts.drop(call.records, sheet.draft_key)
    if not call.may("create", "DocumentReference"):
        return go(f"/patients/{chart.id}/visits?saved=Encounter/{stored.id}")
    return go(f"/patients/{chart.id}/notes/new?visit={stored.id}")


async def new_note(call: Call) -> Response:
    """An empty note, for the visit that the address names."""
    chart = await _chart(call, NOTE)
    sheet = _note_sheet(chart, await known_visit(chart, call.request.query_params.get("visit", "")))
    return await shown(chart, sheet)


async def create_note(call: Call) -> Response:
    """Keep a note as a draft, or sign it."""
    chart = await _chart(call, NOTE)
    sent = await texts(call)
    visit = await known_visit(chart, sent.get("visit", ""))
    sheet = _note_sheet(chart, visit)
    sheet.values |= {name: sent.get(name, "") for name in sheet.values}
    context = context_of(call, chart.id, visit)
    try:
        made = NOTE.build(parse(NOTE, sent, context), context, None)[0]
        made = signed(made, context) if sent.get("do") == "sign" else made
        (written,) = await call.records.commit([Create(validate(made))])
    except Refused as refusal:
        return await refused(chart, sheet, refusal)
    await drafts.drop(call.records, sheet.draft_key)
    return go(f"/patients/{chart.id}/documents/DocumentReference/{written.stored.id}?saved=1")


async def edit_note(call: Call) -> Response:
    """A draft, to be written on."""
    chart, fact = await _note(call)
    sheet = _note_sheet(chart, "", fact)
    return await shown(chart, sheet)


async def save_note(call: Call) -> Response:
    """The next version of a draft, or its signature. A signed note is refused: it only takes addenda."""
    chart, fact = await _note(call)
    sent = await texts(call)
    sheet = _note_sheet(chart, "", fact)
    sheet.values |= {name: sent.get(name, "") for name in sheet.values}
    context = context_of(call, chart.id)
    try:
        made = NOTE.build(parse(NOTE, sent, context), context, fact.body)[0]
        made = signed(made, context) if sent.get("do") == "sign" else made
        await call.records.commit([Put(validate(made), fact.id, if_match=int(sent.get("vid") or 0))])
    except Refused as refusal:
        return await refused(chart, sheet, refusal)
    await drafts.drop(call.records, sheet.draft_key)
    return go(f"/patients/{chart.id}/documents/{fact.key}?saved=1")


async def amend(call: Call) -> Response:
    """The form for an addendum, under the text it is added to."""
    chart, fact = await _note(call)
    return _addendum(chart, fact, "", [])


async def add_addendum(call: Call) -> Response:
    """Add to a signed note."""
    chart, fact = await _note(call)
    sent = await texts(call)
    try:
        made = amended(fact.body, sent.get("text", ""), context_of(call, chart.id))
        await call.records.commit([Put(validate(made), fact.id, if_match=fact.vid)])
    except Refused as refusal:
        issues = [(issue.at if issue.at == "text" else "", issue.message) for issue in refusal.issues]
        return _addendum(chart, fact, sent.get("text", ""), issues, refusal.status)
    return go(f"/patients/{chart.id}/documents/{fact.key}?saved=1")


async def _chart(call: Call, form: Form) -> Chart:
    if not call.may("create", form.rtype):
        raise Forbidden(f"Your role does not allow you to write a {form.noun}")
    return await opened(call, form.section)


async def _note(call: Call) -> tuple[Chart, Fact]:
    chart = await _chart(call, NOTE)
    return chart, await version(chart, "DocumentReference", call.request.path_params["id"])


def _visit_sheet(chart: Chart) -> Sheet:
    path = chart.call.request.url.path
    values = blank(VISIT, context_of(chart.call, chart.id))
    return Sheet(
        VISIT,
        values,
        "New visit",
        path,
        f"/patients/{chart.id}/visits",
        path,
        buttons=(("save", "Save and write a note"),),
    )


def _note_sheet(chart: Chart, visit: str, fact: Fact | None = None) -> Sheet:
    path = chart.call.request.url.path
    values = NOTE.read(fact.body) if fact else blank(NOTE, context_of(chart.call, chart.id))
    back = f"/patients/{chart.id}/documents"
    title = "Edit note" if fact else "Write note"
    return Sheet(
        NOTE,
        values,
        title,
        path,
        back,
        path,
        vid=fact.vid if fact else None,
        visit=visit,
        buttons=NOTE_BUTTONS,
    )


def _addendum(
    chart: Chart, fact: Fact, text: str, issues: list[tuple[str, str]], status: int = 200
) -> Response:
    parts = note_texts(fact.body)
    return chart.page(
        "chart/addendum.html", "Addendum", status, fact=fact, parts=parts, text=text, issues=issues
    )
