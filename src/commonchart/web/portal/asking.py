"""Asking the practice: a correction, a restriction, a question about a line of the access list or about a result."""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.responses import Response

from commonchart.access import trail
from commonchart.access.portal import requests
from commonchart.access.portal.requests import KINDS, Asked
from commonchart.fhir.outcome import NotFound, Refused
from commonchart.web.call import go
from commonchart.web.clinician.lookups import Lookups, fact_of
from commonchart.web.clinician.writing import texts
from commonchart.web.portal import days, lines
from commonchart.web.portal.door import Door

WRONG = (
    ("wrong", "Something is wrong or missing in it"),
    ("not-me", "This is not about me"),
    ("twice", "It is in my record twice"),
)
TITLES = {
    "correction": "Ask for a correction", "restriction": "Ask us to limit who sees or uses the record",
    "access": "Ask about who saw the record", "result": "Ask a question about a result",
}  # fmt: skip
LABELS = {
    "correction": "What should it say?", "restriction": "What should we limit, and for whom?",
    "access": "What do you want to know?", "result": "Your question",
}  # fmt: skip
STATUS = {
    "requested": ("off", "We are looking at it"),
    "completed": ("ok", "Done"),
    "rejected": ("ask", "We do not agree"),
}
_FOCUS = frozenset(rtype for kind in lines.KINDS for rtype in kind.rtypes)


async def mine(me: Door) -> Response:
    """Every request with its state and answer."""
    found = await requests.of_patient(me.records, me.patient)
    shown = [
        (
            one,
            KINDS[one.kind],
            STATUS.get(one.status, ("off", one.status)),
            days.of_date(me.zone.day(one.made)),
            days.day(one.answer_by),
        )
        for one in found
    ]
    return me.page(
        "requests.html",
        me.whose("My requests", "Requests for {name}"),
        shown=shown,
        said=me.call.request.query_params.get("said", ""),
    )


async def form(me: Door) -> Response:
    """The empty form; `?kind=` says what is asked, `?focus=` or `?at=` what it is about."""
    query = me.call.request.query_params
    return await _form(
        me, query.get("kind", "correction"), query.get("focus", ""), query.get("at", ""), {}, []
    )


async def send(me: Door) -> Response:
    """Send it, or show what is missing."""
    sent = await texts(me.call)
    kind, focus, at = sent.get("kind", ""), sent.get("focus", ""), sent.get("at", "")
    about, key = await _about(me, kind, focus, at)
    wrong = dict(WRONG).get(sent.get("wrong", ""), "")
    issues = [] if kind != "correction" or wrong else [("wrong", "Choose what is wrong")]
    if not sent.get("text", "").strip():
        issues.append(
            ("text", "Tell us what it should say" if kind == "correction" else "Tell us in your own words")
        )
    if issues:
        return await _form(me, kind, focus, at, sent, issues, 422)
    try:
        await requests.ask(me.records, Asked(kind, about, sent["text"], wrong, key))
    except Refused as refusal:
        if refusal.status != 422:
            raise
        return await _form(
            me, kind, focus, at, sent, [(issue.at or "", issue.message) for issue in refusal.issues], 422
        )
    return go(f"{me.base}/requests?said=sent")


async def _form(
    me: Door,
    kind: str,
    focus: str,
    at: str,
    sent: dict[str, str],
    issues: list[tuple[str, str]],
    status: int = 200,
) -> Response:
    about, _ = await _about(me, kind, focus, at)
    until = days.of_date(me.zone.day(me.call.now + requests.ANSWER_WITHIN))
    return me.page(
        "ask.html", TITLES[kind], status, kind=kind, about=about, focus=focus, at=at, until=until, wrong=WRONG, label=LABELS[kind],
        sent=sent, issues=issues, errors=dict(issues),
    )  # fmt: skip


async def _about(me: Door, kind: str, focus: str, at: str) -> tuple[str, str]:
    """What it is about, in words, and as "Type/id". Raises NotFound for what is not this patient's."""
    if kind not in KINDS:
        raise NotFound("There is no such page")
    if focus:
        rtype, _, id = focus.partition("/")
        if rtype not in _FOCUS:
            raise NotFound("There is no such page")
        fact = fact_of(await me.records.read(rtype, id))
        if fact.patient != me.patient:
            raise NotFound("There is no such page")
        for kind_of in lines.KINDS:
            line = kind_of.line(fact, Lookups()) if rtype in kind_of.rtypes and rtype != "List" else None
            if line is not None:
                return f"{kind_of.title}: {line.title}. {line.text}".strip(), fact.key
    return (await _row(me, at), "") if kind == "access" and at else ("", "")


async def _row(me: Door, at: str) -> str:
    """The line of the access list at a moment, in words."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return ""
    if moment.tzinfo is None:
        return ""
    found = await trail.own(me.records, me.patient, limit=1, before=moment + timedelta(microseconds=1))
    return (
        f"{found[0].who}, {days.of_date(me.zone.day(found[0].at))}, {days.clock(found[0].at, me.zone)}"
        if found
        else ""
    )
