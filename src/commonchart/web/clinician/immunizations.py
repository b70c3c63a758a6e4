"""The immunization section: what counts, what is next, what could be given today; giving, declining, the card, comparing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from starlette.responses import Response

from commonchart.access import drafts, forecasts, lots, schedules
from commonchart.access.forecasts import Forecasted
from commonchart.access.lots import Lot
from commonchart.access.medications import events
from commonchart.access.records import Create
from commonchart.care.immunizations import catch_up, words
from commonchart.care.immunizations.answer import Dose
from commonchart.care.immunizations.before import Stop, stops
from commonchart.care.immunizations.compare import compare
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, Issue, Refused
from commonchart.fhir.validate import validate
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.writing import Sheet, context_of, known_visit, refused, shown, texts
from commonchart.web.forms import vaccines
from commonchart.web.forms.fields import Context, Form, Option, Values, blank, parse
from commonchart.web.forms.problems import ALLERGY
from commonchart.web.present import events as shown_events
from commonchart.web.present import immunizations as present

PATH = "immunizations"


async def section(call: Call) -> Response:
    """Doses and forecast as of today; for a past day the doses known then, without judging them by today's rules."""
    chart = await opened(call, PATH)
    if chart.past is not None or not call.may("read", "Immunization"):
        facts, _ = await chart.facts(["Immunization", "List"], limit=200)
        return _past(chart, shown_events.immunizations(facts, chart.lookups.names))
    found = await forecasts.forecast(call.records, chart.id, call.today)
    await chart.name(fact_of(one) for key, one in found.read.items() if key.startswith("Immunization/"))
    plan = _plan(found)
    shelf = await _shelf(call)
    today, early = present.offers(plan, shelf, call.today)
    open_, closed = present.forecast(found)
    return chart.page(
        "chart/immunizations.html", "Immunizations", open=open_, closed=closed, groups=present.groups(found),
        plan=plan, later=present.later(plan), offers=today, early=early, refused=present.not_given(found), unchecked=present.unchecked(found),
        left_out=found.facts.not_considered, untold=present.untold(found), schedule=found.schedule, facts={key: fact_of(one) for key, one in found.read.items()},
        may_give=chart.may_write and call.may("create", "Immunization"), allergies_known=_allergies_known(chart),
        others=await _others(call, found), next_visit=words.day(plan.next_visit) if plan.next_visit else "",
    )  # fmt: skip


def _past(chart: Chart, tables: list[Any]) -> Response:
    return chart.page(
        "chart/list.html", "Immunizations", shown=tables, acts=[], add="", chips=[], newer="", older="", paging="", ordered=None,
        empty="None recorded.", notes=["Doses are not judged, and nothing is forecast, for a past date."],
    )  # fmt: skip


def _plan(found: Forecasted) -> catch_up.Plan:
    asked = found.facts
    return catch_up.plan(asked.person, asked.doses, asked.observations, found.schedule, found.answer.as_of)


def _allergies_known(chart: Chart) -> bool:
    return bool(chart.allergies.tags) or chart.allergies.known_none


async def _shelf(call: Call) -> list[Lot]:
    """The lots of this organisation; none for those who may not give."""
    return await lots.listed(call.records) if call.may("create", "Immunization") else []


async def _others(call: Call, found: Forecasted) -> list[str]:
    """The names of other schedules to compare with."""
    known = await schedules.known(call.records)
    return [one.name for one in known.installed if one.name != found.schedule.name]


# ---- giving ----------------------------------------------------------------------------------------------------


async def give(call: Call) -> Response:
    """The form for a vaccine given now, filled from the due item that led here."""
    chart, _, shelf, form = await _giving(call)
    values = blank(form, context_of(call, chart.id))
    wanted = call.request.query_params.get("cvx", "")
    if wanted in {option.value for option in form.fields[0].options}:
        values["vaccine"] = wanted
        values["lot"] = next(
            (lot.id for lot in shelf if lot.cvx == wanted and not lot.refused(call.today)), ""
        )
    if chart.allergies.tags or chart.allergies.known_none:
        values["allergies"] = "recorded" if chart.allergies.tags else "none"
    return await shown(chart, _sheet(call, form, values))


async def given(call: Call) -> Response:
    """Record the dose, and take it from its lot; what speaks against it stops it, until a reason is given after it was seen."""
    chart, found, shelf, form = await _giving(call)
    sent = await texts(call)
    sheet = _sheet(call, form, {field.name: sent.get(field.name, "") for field in form.fields})
    sheet.visit = sent.get("visit", "")
    try:
        values = parse(form, sent, context_of(call, chart.id))
        _asked(chart, values)
        lot = next((one for one in shelf if one.id == values["lot"]), None)
        against = _against(values, lot, found)
        stop = _stop_of(chart, values, against)
        await _stop(call, sheet, stop, against, sent)
        values["against"] = "; ".join(one.words for one in against)
        context = context_of(call, chart.id, await known_visit(chart, sheet.visit))
        made = [form.build(values, context, None)[0], *_none_known(chart, values, context)]
        stored = await _record(call, [Create(validate(one)) for one in made], lot, stop, values["override"])
    except Refused as refusal:
        return await refused(chart, sheet, refusal)
    await drafts.drop(call.records, sheet.draft_key)
    return go(f"/patients/{chart.id}/{PATH}?saved=Immunization/{stored}")


async def _record(call: Call, made: list[Create], lot: Lot | None, stop: events.Stop, why: str) -> str:
    """The dose, its lot, and what was decided on what spoke against it: one transaction."""
    async with call.records.transaction() as tx:
        written = await tx.write(made)
        if lot is not None:
            await lots.given(tx, lot.id, written[0].stored.id)
        if stop.alerts:
            await events.decide(tx.conn, call.actor, stop.patient, stop.digest, "overridden", call.now, why)
        await events.changed(tx.conn, call.actor, stop.patient, "immunization", call.now)
    return written[0].stored.id


def _asked(chart: Chart, values: Values) -> None:
    """Raises Invalid where the answer on allergies is not what the record says."""
    if values["allergies"] == "none" and chart.allergies.tags:
        raise Invalid(
            "Allergies are recorded: choose 'as recorded', or correct the record first", at="allergies"
        )


def _none_known(chart: Chart, values: Values, context: Context) -> list[dict[str, Any]]:
    """ "No known allergies" was answered and nothing is recorded: the answer is kept as a fact of its own."""
    if values["allergies"] != "none" or _allergies_known(chart):
        return []
    answer = {field.name: field.default for field in ALLERGY.fields} | {"kind": "none"}
    return ALLERGY.build(answer, context, None)


def _against(values: Values, lot: Lot | None, found: Forecasted) -> list[Stop]:
    """Everything that speaks against the dose, a recall first; that a lot is expired the engine says itself."""
    _, expires, maker = vaccines.lot_of(values, {lot.id: lot} if lot else {})
    on = date.fromisoformat(values["when"])
    recalled = [Stop("would not count", lot.refused(on))] if lot is not None and lot.withdrawn else []
    last = date.fromisoformat(expires) if len(expires) == 10 else None
    dose = Dose("planned", values["vaccine"], on, maker, "", last)
    return [*recalled, *stops(dose, found.facts, found.schedule)]


def _stop_of(chart: Chart, values: Values, found: list[Stop]) -> events.Stop:
    """What speaks against this vaccine on this day, as it is shown, kept and reported."""
    about = f"CVX {values['vaccine']} on {values['when']}"
    shown_ = tuple(events.Shown(f"vaccine {one.kind}", one.words) for one in found)
    digest = events.digest_of("vaccine", chart.id, about, *(one.words for one in found))
    return events.Stop("immunization", chart.id, about, digest, shown_)


async def _stop(
    call: Call, sheet: Sheet, stop: events.Stop, found: list[Stop], sent: Mapping[str, str]
) -> None:
    """Raises Conflict with everything that speaks against it, until a reason is written after exactly this was shown.

    A reason that was written before counts for nothing, and is asked for again.
    """
    sheet.seen = stop.digest if found else ""
    if not found:
        return
    async with call.records.database.single() as conn:
        seen = await events.was_shown(conn, call.actor, stop.patient, stop.digest, call.now)
    seen = seen and sent.get("alerts_seen") == stop.digest
    if seen and sent.get("override", "").strip():
        return
    await events.show(call.records, [stop])
    if not seen:
        sheet.values["override"] = ""
    issues = [Issue("business-rule", one.words, "override") for one in found]
    ask = Issue(
        "business-rule", "Do not give it; or, if it is right or was given already, say why", "override"
    )
    raise Conflict(issues=[*issues, ask])


async def _giving(call: Call) -> tuple[Chart, Forecasted, list[Lot], Form]:
    if not call.may("create", "Immunization"):
        raise Forbidden("Your role does not allow you to record vaccines")
    chart = await opened(call, PATH)
    found = await forecasts.forecast(call.records, chart.id, call.today)
    shelf = await lots.listed(call.records)
    return chart, found, shelf, vaccines.give(_choices(found), shelf, call.today)


def _choices(found: Forecasted) -> list[Option]:
    """The vaccines of the schedule, those that could be given today first."""
    plan = _plan(found)
    first = [give.cvx for give in (*plan.today, *plan.optional) if give.cvx]
    rest = sorted(found.schedule.vaccines, key=lambda cvx: words.vaccine(cvx, found.schedule).lower())
    return [
        Option(cvx, f"{words.vaccine(cvx, found.schedule)} (CVX {cvx})")
        for cvx in dict.fromkeys([*first, *rest])
    ]


def _sheet(call: Call, form: Form, values: Values) -> Sheet:
    path = call.request.url.path
    back = f"/patients/{call.request.path_params['patient']}/{PATH}"
    visit = call.request.query_params.get("visit", "")
    return Sheet(form, values, form.title, path, back, path, visit=visit, buttons=(("save", "Record"),))


# ---- not wanted ------------------------------------------------------------------------------------------------


async def refuse(call: Call) -> Response:
    """The form for a vaccine that is not wanted now."""
    chart, form = await _refusing(call)
    values = blank(form, context_of(call, chart.id)) | {"vaccine": call.request.query_params.get("cvx", "")}
    return await shown(chart, _sheet(call, form, values))


async def refusing(call: Call) -> Response:
    """Record that a vaccine was not given, why, and until when."""
    chart, form = await _refusing(call)
    sent = await texts(call)
    sheet = _sheet(call, form, {field.name: sent.get(field.name, "") for field in form.fields})
    try:
        context = context_of(call, chart.id)
        made = validate(form.build(parse(form, sent, context), context, None)[0])
        (written,) = await call.records.commit([Create(made)])
    except Refused as refusal:
        return await refused(chart, sheet, refusal)
    await drafts.drop(call.records, sheet.draft_key)
    return go(f"/patients/{chart.id}/{PATH}?saved=Immunization/{written.stored.id}")


async def _refusing(call: Call) -> tuple[Chart, Form]:
    if not call.may("create", "Immunization"):
        raise Forbidden("Your role does not allow you to record vaccines")
    chart = await opened(call, PATH)
    found = await forecasts.forecast(call.records, chart.id, call.today)
    return chart, vaccines.refuse(_choices(found))


# ---- two schedules ---------------------------------------------------------------------------------------------


async def comparison(call: Call) -> Response:
    """What another schedule would say of this person."""
    chart = await opened(call, PATH)
    other = await schedules.named(call.records, call.request.query_params.get("with", ""))
    found = await forecasts.forecast(call.records, chart.id, call.today)
    asked = found.facts
    told = compare(asked.person, asked.doses, asked.observations, found.schedule, other, call.today)
    return chart.page(
        "chart/immunizations-compare.html", "Two schedules", rows=present.differences(told),
        names=(found.schedule.said, other.said), packs=(found.schedule.name, other.name),
    )  # fmt: skip
