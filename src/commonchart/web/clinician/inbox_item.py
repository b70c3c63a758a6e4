"""One result of the inbox: the whole report with what was there before, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
from msgspec.structs import replace
from starlette.responses import Response

from commonchart.access.inbox import acting, critical, reading, signing, telling
from commonchart.access.inbox.reading import Opened
from commonchart.access.inbox.signing import Answer, Ask
from commonchart.care.inbox.judge import Line
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.inbox import addressed, next_step
from commonchart.web.clinician.writing import texts
from commonchart.web.present import dates, inbox, readings, trend

VALUES = 60
MESSAGES = {
    "waiting": "waits to be sent", "sending": "is being sent", "sent": "was sent", "doubt": "may have been sent: find out",
    "failed": "could not be sent", "left-out": "was not sent", "stopped": "was stopped",
}  # fmt: skip

Sent = Mapping[str, str]


async def page(call: Call) -> Response:
    """The item, its lines, the trend of its most urgent number, what was done, and the forms."""
    chart, found = await _found(call)
    return await _shown(call, chart, found, {}, [])


async def act(call: Call) -> Response:
    """Do one thing with it."""
    chart, found = await _found(call)
    sent = await texts(call)
    todo = ACTS.get(sent.get("do", ""))
    if todo is None:
        raise Invalid("The form is not complete: open it again")
    try:
        return go(await todo(call, found, sent))
    except (Forbidden, NotFound):
        raise
    except Refused as refusal:
        issues = [(issue.at or "", issue.message) for issue in refusal.issues] or [("", str(refusal))]
        chart, found = await _found(call)
        return await _shown(call, chart, found, sent, issues, refusal.status)


async def _found(call: Call) -> tuple[Chart, Opened]:
    params = call.request.path_params
    if params["rtype"] not in ("Observation", "DiagnosticReport"):
        raise NotFound("There is no such result in the inbox")
    found = await reading.one(call.records, params["patient"], f"{params['rtype']}/{params['id']}")
    return await opened(call, "inbox"), found


# ---- what can be done ------------------------------------------------------------------------------------------


def _ask(found: Opened, sent: Sent) -> Ask:
    return Ask(found.item.patient, found.item.item, sent.get("version", ""))


def _answer(sent: Sent) -> Answer:
    return Answer(sent.get("read_back", ""), sent.get("called", ""), sent.get("done", ""))


def _here(found: Opened) -> str:
    return f"/patients/{found.item.patient}/inbox/{found.item.item}"


async def _sign(call: Call, found: Opened, sent: Sent) -> str:
    name = await signing.sign(
        call.records, _ask(found, sent), note=sent.get("note", ""), answer=_answer(sent)
    )
    return f"/inbox?signed={name}"


async def _tell(call: Call, found: Opened, sent: Sent) -> str:
    await telling.sign_and_tell(
        call.records,
        _ask(found, sent),
        sent.get("channel", ""),
        note=sent.get("note", ""),
        answer=_answer(sent),
    )
    return f"{_here(found)}?told=1"


async def _acknowledge(call: Call, found: Opened, sent: Sent) -> str:
    said = _answer(sent)
    await critical.acknowledge(
        call.records,
        found.item.patient,
        found.item.item,
        read_back=said.read_back,
        called=said.called,
        done=said.done,
    )
    return f"{_here(found)}?acknowledged=1"


async def _forward(call: Call, found: Opened, sent: Sent) -> str:
    await acting.forward(
        call.records, found.item.patient, found.item.item, sent.get("to", ""), sent.get("forward_note", "")
    )
    return f"{_here(found)}?forwarded=1"


async def _take(call: Call, found: Opened, sent: Sent) -> str:
    await acting.take(call.records, found.item.patient, found.item.item)
    return f"{_here(found)}?taken=1"


async def _comment(call: Call, found: Opened, sent: Sent) -> str:
    await acting.comment(call.records, found.item.patient, found.item.item, sent.get("comment", ""))
    return f"{_here(found)}?commented=1"


async def _order(call: Call, found: Opened, sent: Sent) -> str:
    due = dates.typed(sent.get("due", ""), at="due")
    line = next((one for one in found.judged.lines if _test(one) == sent.get("test")), None)
    what = sent.get("what", "").strip() or (f"Repeat: {line.name}" if line else "")
    id = await acting.order(
        call.records,
        found.item.patient,
        found.item.item,
        what,
        _code(line) if line else None,
        due,
        sent.get("order_note", ""),
    )
    return f"{_here(found)}?ordered={id}"


def _test(line: Line) -> str:
    return f"{line.ref}:{line.part}"


def _code(line: Line) -> dict[str, Any] | None:
    system, _, code = line.key.partition("|")
    return (
        None
        if line.part or system == "text" or not code
        else {"coding": [{"system": system, "code": code}] if system else [{"code": code}]}
    )


ACTS: dict[str, Callable[[Call, Opened, Sent], Awaitable[str]]] = {
    "sign": _sign, "tell": _tell, "acknowledge": _acknowledge, "forward": _forward, "take": _take, "comment": _comment,
    "order": _order,
}  # fmt: skip


# ---- how it is shown -------------------------------------------------------------------------------------------


async def _shown(
    call: Call, chart: Chart, found: Opened, sent: Sent, issues: list[tuple[str, str]], status: int = 200
) -> Response:
    item, desk = found.item, found.desk
    signs = call.actor.role == "clinician"
    names = {one.id: one.name for one in desk.staff} | {one.actor: desk.name(one.actor) for one in found.acts}
    alert = next((one for one in found.alerts if one.state == "open"), None)
    state = await telling.states(call.records, item.patient, found.acts)
    drawn, past = await _trend(chart, found)
    given = call.request.query_params
    ways = await telling.ways(call.records, item.patient) if signs and item.state == "open" else []
    return chart.page(
        "inbox/item.html", found.judged.title, status, item=item, judged=found.judged, signs=signs,
        lines=[(one, inbox.flag(one), _changes(chart, one)) for one in found.judged.lines],
        tags=inbox.tags(found.judged, item.corrected, ""), changed=_listed(item.changed), kind=inbox.KINDS[found.judged.kind],
        alert=(inbox.waited(alert.raised, call.now), next_step(call, alert, desk.said)) if alert else None,
        ended=[one for one in found.alerts if one.state != "open"], names=names,
        acts=[(one, inbox.act(one.act, one.absent, names), names.get(one.actor, one.actor), state.get(one.resource.partition("/")[2])) for one in found.acts],
        messages=MESSAGES, ways=ways, choices=[(one.channel, one.words) for one in ways if not one.why],
        colleagues=list({one.id: (one.id, one.name) for one in desk.staff if one.role == "clinician" and one.id != desk.me}.values()),
        tests=[(_test(one), f"Repeat: {one.name}") for one in found.judged.lines if not one.gone and one.part != "conclusion"],
        whose=addressed(desk.name(item.owner), item.owner_by), sender=desk.name(item.forwarded_by), receiver=desk.name(item.forwarded_to),
        mine=item.owner == desk.me and not item.forwarded_to, waited=inbox.waited(item.received, call.now), received=call.zone.stamp(item.received),
        drawn=drawn, past=past, values=sent, issues=issues, errors={at: words for at, words in reversed(issues) if at},
        here=_here(found), due_default=(call.today + timedelta(days=7)).isoformat(), said=_said(given), today=call.today,
    )  # fmt: skip


def _said(given: Mapping[str, str]) -> str:
    words = {
        "told": "Signed, and the message to the patient is on its way: see below.", "acknowledged": "Acknowledged. It still waits to be signed.",
        "forwarded": "Forwarded. It stays with you until they take it.", "taken": "It is yours now.", "commented": "The comment is kept.",
        "ordered": "The order is kept.",
    }  # fmt: skip
    return next((text for name, text in words.items() if given.get(name)), "")


def _listed(text: str) -> list[str]:
    return msgspec.json.decode(text, type=list[str]) if text else []


def _changes(chart: Chart, line: Line) -> str:
    """The address of the trend of a test, "" for what has none."""
    return chart.url("results/trend", test=line.key) if line.part != "conclusion" and "|" in line.key else ""


async def _trend(chart: Chart, found: Opened) -> tuple[trend.Chart | None, list[readings.Reading]]:
    """The most urgent test that has a code, drawn, with its newest values."""
    line = next(
        (one for one in found.judged.lines if one.part != "conclusion" and not one.key.startswith("text|")),
        None,
    )
    if line is None or "|" not in line.key:
        return None, []
    facts, _ = await chart.facts(["Observation"], codes=(line.key.split(">")[0],), limit=VALUES)
    marks = {one.ref: inbox.flag(one) for one in found.judged.lines if one.key == line.key}
    shown = [
        replace(one, flag=marks.get(one.fact.key, one.flag))
        for one in readings.readings(facts)
        if one.key == line.key
    ]
    return trend.chart(shown), shown[:12]
