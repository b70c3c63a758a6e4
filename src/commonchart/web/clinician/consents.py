"""The consents of a patient at their chart: in words, with state, source and history; taken down, withdrawn, put back."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commonchart.access import consents, trail, users
from commonchart.access.actors import FOR_A_PATIENT
from commonchart.access.oauth import apps
from commonchart.access.records import Create, Put
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, Refused, Stale
from commonchart.fhir.validate import validate
from commonchart.search.query import parse
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.provenance import version
from commonchart.web.clinician.writing import context_of, grouped, texts
from commonchart.web.forms import consents as form
from commonchart.web.forms.fields import Field, Values, parse_fields
from commonchart.web.present import codes, dates
from commonchart.web.present import consents as present
from commonchart.web.present.tables import Fact

SAID = {"kept": "Recorded.", "withdrawn": "Withdrawn.", "back": "Put back."}
MOST = 200
SHORTEST_REASON = 3


async def page(call: Call) -> Response:
    """Every consent, those in force first."""
    await call.records.require("read", "Consent")
    chart = await opened(call, "consents")
    facts, total = await chart.facts(["Consent"], limit=MOST)
    lines = await _lines(chart, facts)
    return chart.page(
        "chart/consents.html", "Consents and sharing", lines=sorted(lines, key=lambda one: one.state != "In force"),
        unseen=total - len(facts), may_record=chart.past is None and call.may("create", "Consent"),
        may_account=call.actor.role in trail.REVIEWERS, said=SAID.get(call.request.query_params.get("said", ""), ""),
    )  # fmt: skip


async def _lines(chart: Chart, facts: list[Fact]) -> list[present.Line]:
    counts = await consents.counting(
        chart.call.records, sorted({one.patient for one in facts if one.patient})
    )
    names = chart.lookups.names | await _more_names(chart, facts)
    return [present.line(one, names, counts, chart.on) for one in facts]


async def _more_names(chart: Chart, facts: list[Fact]) -> dict[str, str]:
    """What documents and apps that these consents name are called."""
    targets = {str((one.body.get("sourceReference") or {}).get("reference", "")) for one in facts}
    keys = [
        ("DocumentReference", one.partition("/")[2])
        for one in targets
        if one.startswith("DocumentReference/")
    ]
    found = await chart.call.records.named(keys)
    known = {
        f"{rtype}/{id}": codes.concept(fact_of(stored).body.get("type"), "Document")
        for (rtype, id), stored in found.items()
    }
    every = await apps.listed(chart.call.records.database, chart.call.actor.tenant)
    return known | {f"App/{app.id}": app.name for app in every}


# ---- taking one down -------------------------------------------------------------------------------------------


async def new(call: Call) -> Response:
    """The empty form."""
    chart = await _recording(call)
    known = await _known(chart)
    context = context_of(call, chart.id)
    blank = {
        one.name: context.now.date().isoformat() if one.default == "@today" else one.default
        for one in form.fields(known)
    }
    return _form(chart, form.fields(known), blank, None)


async def create(call: Call) -> Response:
    """Keep what was given as a Consent."""
    chart, sent = await _recording(call), await texts(call)
    known = await _known(chart)
    fields = form.fields(known)
    try:
        values = parse_fields(fields, sent, context_of(call, chart.id))
        form.checked(values, known)
        made = validate(form.built(values, context_of(call, chart.id)))
        await call.records.commit([Create(made)])
    except Invalid as refusal:
        return _form(chart, fields, {one.name: sent.get(one.name, "") for one in fields}, refusal)
    return go(f"/patients/{chart.id}/consents?said=kept")


async def _recording(call: Call) -> Chart:
    if not call.may("create", "Consent"):
        raise Forbidden("Your role does not allow you to record consents")
    return await opened(call, "consents", rail=False)


def _form(chart: Chart, fields: tuple[Field, ...], values: Values, refusal: Refused | None) -> Response:
    known = {one.name for one in fields}
    issues = (
        []
        if refusal is None
        else [(one.at if one.at in known else "", one.message) for one in refusal.issues]
    )
    return chart.page(
        "chart/consent-new.html", "Record a consent", 200 if refusal is None else refusal.status, groups=grouped(fields), values=values,
        issues=issues, errors={at: said for at, said in reversed(issues) if at},
    )  # fmt: skip


async def _known(chart: Chart) -> form.Known:
    """What may be chosen in the form of this chart."""
    call = chart.call
    documents, _ = await chart.facts(["DocumentReference"], limit=50)
    every = await apps.listed(call.records.database, call.actor.tenant, "approved")
    return form.Known(
        await organizations(call), list({one.practitioner: (one.practitioner, one.name) for one in await staff(call) if one.practitioner}.values()),
        [(one.id, one.name) for one in every], [(one.key, _titled(one)) for one in documents], call.actor.org,
    )  # fmt: skip


def _titled(fact: Fact) -> str:
    return (
        f"{codes.concept(fact.body.get('type'), 'Document')}, {dates.day(fact.body.get('date')) or 'no day'}"
    )


async def organizations(call: Call) -> list[tuple[str, str]]:
    """(id, name) of the organisations that are known here, by name."""
    found = await call.records.search(parse("Organization", [("_count", str(MOST)), ("_sort", "name")]))
    named = [(one.id, str(json.decode(one.body).get("name") or one.id)) for one in found.matches]
    return sorted(named, key=lambda pair: pair[1].casefold())


async def staff(call: Call) -> list[users.User]:
    """Colleagues, and the practitioners of other organisations, by name: who is neither stands in no directory.

    Who works for several stands here once for each.
    """
    found = await users.working(call.records.database, call.actor.tenant)
    alone, org = call.actor.network is False, call.actor.org
    return [
        one for one in found
        if (alone or one.org == org or one.practitioner) and one.role not in (*FOR_A_PATIENT, "system")
    ]  # fmt: skip


# ---- one of them -----------------------------------------------------------------------------------------------


async def one(call: Call) -> Response:
    """One consent, with what may be done with it."""
    chart, fact = await _opened(call)
    return await _one(chart, fact, {}, [])


async def act(call: Call) -> Response:
    """Withdraw it, or put it back. What was seen until then was rightly seen; from now on the new state decides."""
    chart, fact = await _opened(call)
    sent = await texts(call)
    try:
        if not _changes(chart, fact):
            raise Forbidden("This consent is changed where it was recorded")
        body = _withdrawn(fact, sent) if sent.get("do") == "withdraw" else _back(fact)
        await call.records.commit([Put(validate(body), fact.id, if_match=_version(sent))])
    except (Invalid, Stale) as refusal:
        issues = [(one.at if one.at == "reason" else "", one.message) for one in refusal.issues]
        return await _one(chart, fact, sent, issues, refusal.status)
    return go(f"/patients/{chart.id}/consents?said={'withdrawn' if sent.get('do') == 'withdraw' else 'back'}")


async def _opened(call: Call) -> tuple[Chart, Fact]:
    await call.records.require("read", "Consent")
    chart = await opened(call, "consents", rail=False)
    return chart, await version(chart, "Consent", call.request.path_params["consent"])


def _version(sent: dict[str, str]) -> int:
    text = sent.get("vid", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid("The form is not complete: open it again")
    return int(text)


def _withdrawn(fact: Fact, sent: dict[str, str]) -> dict[str, Any]:
    reason = sent.get("reason", "").strip()
    if len(reason) < SHORTEST_REASON:
        raise Invalid("Say how and why it was withdrawn", at="reason")
    if fact.body.get("status") != "active":
        raise Invalid("This consent is not in force")
    return fact.body | {
        "status": "inactive",
        "extension": [*_kept(fact), {"url": form.ENDED, "valueString": reason[:500]}],
    }


def _back(fact: Fact) -> dict[str, Any]:
    if fact.body.get("status") != "inactive":
        raise Invalid("Only a consent that was withdrawn is put back")
    kept = _kept(fact)
    body = fact.body | {"status": "active"} | ({"extension": kept} if kept else {})
    return body if kept else {name: value for name, value in body.items() if name != "extension"}


def _kept(fact: Fact) -> list[dict[str, Any]]:
    return [one for one in fact.body.get("extension") or () if one.get("url") != form.ENDED]


def _changes(chart: Chart, fact: Fact) -> bool:
    """Whether this actor may change it: of another organisation nothing is changed here."""
    ours = not chart.network or fact.org == chart.call.actor.org
    return ours and chart.past is None and chart.call.may("update", "Consent")


async def _one(
    chart: Chart, fact: Fact, sent: dict[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    if fact.rtype != "Consent":
        raise NotFound("There is no such consent")
    (line,) = await _lines(chart, [fact])
    return chart.page(
        "chart/consent.html", "One consent", status, line=line, sent=sent, issues=issues, errors=dict(issues),
        may_change=_changes(chart, fact), stands=str(fact.body.get("status")),
    )  # fmt: skip
