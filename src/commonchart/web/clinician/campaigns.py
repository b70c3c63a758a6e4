"""Campaigns: begun from a registry filter after a look at everything, followed through the funnel, answered for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from starlette.responses import Response

from commonchart.access.outreach import campaigns as door
from commonchart.access.outreach import funnel, outbox, words
from commonchart.access.outreach.campaigns import Preview, Wanted
from commonchart.access.outreach.policy import policy_of
from commonchart.care.outreach.decide import WORDS
from commonchart.care.outreach.reach import CHANNELS
from commonchart.documents import letters as printing
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, Refused
from commonchart.record.outreach import Campaign
from commonchart.web.call import Call, go
from commonchart.web.clinician.registry import filters_of
from commonchart.web.clinician.writing import texts
from commonchart.web.present import dates

PAGE = 50
CHANNEL_WORDS: dict[str, str] = {
    channel: WORDS[channel][0].upper() + WORDS[channel][1:] for channel in CHANNELS
}
STAGE_WORDS = {
    "selected": "Selected", "contacted": "Contacted", "answered": "Answered", "booked": "Booked", "done": "Done",
    "waiting": "Waiting", "sending": "Being sent", "doubt": "May have been sent", "failed": "Failed",
    "left-out": "Left out", "stopped": "Stopped",
}  # fmt: skip
STATES = {
    "waiting": ("soon", "Waiting"), "sending": ("due", "Being sent"), "sent": ("done", "Sent"),
    "doubt": ("unknown", "May have been sent"), "failed": ("overdue", "Failed"), "left-out": ("not", "Left out"),
    "stopped": ("not", "Stopped"),
}  # fmt: skip


async def listing(call: Call) -> Response:
    """The campaigns, newest first; what waits and what is in doubt is in sight."""
    found = await door.recent(call.records)
    return call.page(
        "campaigns.html", title="Campaigns", campaigns=[_listed(call, one, counts) for one, counts in found],
        administrator=call.actor.role == "administrator",
    )  # fmt: skip


def _listed(call: Call, one: Campaign, counts: dict[str, int]) -> dict[str, Any]:
    waiting = counts.get("waiting", 0) + counts.get("sending", 0)
    mark, state = (
        ("not", "Stopped")
        if one.state == "stopped"
        else ("soon", "Under way")
        if waiting
        else ("done", "Finished")
    )
    return {
        "id": one.id, "title": one.title, "at": call.zone.stamp(one.at), "channel": CHANNEL_WORDS.get(one.channel, one.channel),
        "mark": mark, "state": state, "error": one.error, "selected": sum(counts.values()), "sent": counts.get("sent", 0),
        "waiting": waiting, "doubt": counts.get("doubt", 0), "failed": counts.get("failed", 0), "left": counts.get("left-out", 0),
    }  # fmt: skip


# ---- beginning one ---------------------------------------------------------------------------------------------


async def new(call: Call) -> Response:
    """Whom it would reach, who is left out and why, and the words; nothing is sent."""
    given = call.request.query_params
    channel = given.get("channel", "letter")
    return await _preview(
        call, channel if channel in CHANNELS else "letter", given.get("wording", ""), "", uuid4().hex
    )


async def begin(call: Call) -> Response:
    """Confirmed: all of it goes into the outbox, or the page says what is missing."""
    sent = await texts(call)
    channel, wording, title = (sent.get(name, "") for name in ("channel", "wording", "title"))
    id, expected = sent.get("id", ""), sent.get("expected", "")
    if not (len(id) == 32 and id.isalnum() and id.isascii() and expected.isascii() and expected.isdigit()):
        raise Invalid("The form is not complete: open it again")
    wanted = Wanted(filters_of(call), channel, wording, title)
    try:
        campaign = await door.begin(call.records, id, wanted, int(expected[:9]))
    except (Forbidden, NotFound):
        raise
    except Refused as refusal:
        issues = [
            (issue.at if issue.at in ("title", "channel", "wording") else "", issue.message)
            for issue in refusal.issues
        ]
        return await _preview(call, channel, wording, title, id, issues, refusal.status)
    return go(f"/campaigns/{campaign.id}")


async def _preview(
    call: Call, channel: str, wording: str, title: str, id: str, issues: list[tuple[str, str]] | None = None,
    status: int = 200,
) -> Response:  # fmt: skip
    names = sorted({one.name for one in await words.listed(call.records) if one.channel == channel})
    wording = (
        wording if wording in names else (words.BUILT_IN if words.BUILT_IN in names else "".join(names[:1]))
    )
    found = await door.preview(call.records, Wanted(filters_of(call), channel, wording))
    said = issues or []
    shown = {message for _, message in said}
    said = said + [
        (one.at if one.at in ("channel", "wording") else "", one.message)
        for one in found.issues
        if one.message not in shown
    ]
    kept = [
        (name, value)
        for name, value in call.request.query_params.multi_items()
        if name not in ("channel", "wording", "page")
    ]
    return call.page(
        "campaign-new.html", status, title="Contact these", idle=True, found=found, issues=said,
        errors={at: message for at, message in reversed(said) if at}, channel=channel, wording=wording, name=title, id=id,
        channels=list(CHANNEL_WORDS.items()), wordings=[(one, one) for one in names], kept=kept,
        action="/campaigns/new?" + urlencode(kept), back="/registry?" + urlencode([one for one in kept if one[0] != "pick"]), people=_sampled(found),
    )  # fmt: skip


def _sampled(found: Preview) -> list[dict[str, str]]:
    """The first people of each kind, those left out first."""
    out = [
        {
            "patient": one.patient,
            "name": one.name,
            "why": one.why or "; ".join(one.problem) or "will be contacted",
        }
        for one in sorted(found.people, key=lambda one: (not one.why, not one.problem, one.name))
    ]
    return out[:200]


# ---- following one ---------------------------------------------------------------------------------------------


async def one(call: Call) -> Response:
    """The funnel, and the people of one stage of it."""
    return await _one(call, [])


async def act(call: Call) -> Response:
    """Stop, try again, write the letters, decide on a doubt, record an answer."""
    sent = await texts(call)
    campaign = await door.one(call.records, call.request.path_params["campaign"])
    todo, patient = sent.get("do", ""), sent.get("patient", "")
    try:
        said = await _done(call, campaign, todo, patient, sent)
    except Invalid as refusal:
        field = f"answer-{patient}" if refusal.issues[0].at == "answer" else ""
        return await _one(call, [(field, issue.message) for issue in refusal.issues], refusal.status)
    stage = call.request.query_params.get("stage", "")
    return go(
        f"/campaigns/{campaign.id}?"
        + urlencode({"said": said} | ({"stage": stage} if stage in STAGE_WORDS else {}))
    )


async def _done(call: Call, campaign: Campaign, todo: str, patient: str, sent: dict[str, str]) -> str:
    records = call.records
    if todo == "stop":
        await door.stop(records, campaign.id)
    elif todo == "hurry":
        await door.hurry(records, campaign.id)
    elif todo == "letters" and campaign.channel == "letter":
        async with records.database.single() as conn:
            site = await policy_of(conn, records.actor.tenant)
        await outbox.letters(records, campaign, site)
    elif todo in ("sent", "again", "drop"):
        await outbox.resolve(records, campaign, patient, todo)
    elif todo == "answer":
        await outbox.answer(records, campaign, patient, sent.get("answer", ""), sent.get("note", ""))
    else:
        raise Invalid("The form is not complete: open it again")
    return todo


SAID = {
    "stop": "Stopped: nothing more is sent.", "hurry": "What waits is being tried again.", "letters": "The letters are written: print them below.",
    "sent": "Kept as sent.", "again": "It will be sent again.", "drop": "Kept as not sent.", "answer": "The answer is kept in the chart.",
}  # fmt: skip


async def _one(call: Call, issues: list[tuple[str, str]], status: int = 200) -> Response:
    campaign = await door.one(call.records, call.request.path_params["campaign"])
    steps = await funnel.funnel(call.records, campaign)
    counts = funnel.counts(steps)
    given = call.request.query_params
    stage = given.get("stage", "")
    stage = stage if stage in STAGE_WORDS else ("doubt" if counts["doubt"] else "selected")
    chosen = sorted((one for one in steps if one.at(stage)), key=lambda one: (one.name, one.message.patient))
    number = (
        int(given["page"]) if given.get("page", "").isascii() and given.get("page", "")[:5].isdigit() else 1
    )
    first = (max(1, number) - 1) * PAGE
    return call.page(
        "campaign.html", status, title=campaign.title, campaign=campaign, channel=CHANNEL_WORDS[campaign.channel],
        begun=call.zone.stamp(campaign.at), counts=counts, stage=stage, stage_words=STAGE_WORDS,
        steps=_bars(campaign, counts, stage), states=[(s, STAGE_WORDS[s], counts[s]) for s in funnel.STATES if counts[s]],
        rows=[_row(call, one) for one in chosen[first : first + PAGE]], answers=list(outbox.ANSWERS.items()),
        issues=issues, errors={at: message for at, message in issues if at}, said=SAID.get(given.get("said", ""), ""),
        newer=_page(campaign, stage, number - 1) if number > 1 else "",
        older=_page(campaign, stage, number + 1) if first + PAGE < len(chosen) else "",
        here=f"/campaigns/{campaign.id}?stage={stage}",
    )  # fmt: skip


def _page(campaign: Campaign, stage: str, number: int) -> str:
    return f"/campaigns/{campaign.id}?stage={stage}&page={number}"


def _bars(campaign: Campaign, counts: dict[str, int], stage: str) -> list[dict[str, Any]]:
    most = max(1, counts["selected"])
    return [
        {"href": f"/campaigns/{campaign.id}?stage={one}", "words": STAGE_WORDS[one], "n": counts[one],
         "share": round(100 * counts[one] / most), "current": one == stage}
        for one in funnel.STAGES
    ]  # fmt: skip


def _row(call: Call, one: funnel.Step) -> dict[str, Any]:
    message = one.message
    mark, state = STATES[message.state]
    when = call.zone.stamp(message.sent_at) if message.sent_at else ""
    again = (
        f"next try {call.zone.stamp(message.next_try)}"
        if message.state == "waiting" and message.next_try
        else ""
    )
    reached = [
        words
        for words, yes in (("booked", one.booked), ("done", one.done))
        if yes and message.state == "sent"
    ]
    return {
        "patient": message.patient, "name": one.name, "mark": mark, "state": state, "when": when, "why": message.why,
        "again": again, "answer": outbox.ANSWERS.get(message.answer, ""), "reached": ", ".join(reached),
        "doubt": message.state == "doubt", "open": message.state == "sent" and not message.answer,
    }  # fmt: skip


async def letters(call: Call) -> Response:
    """The letters that were written, as one PDF; the same again whenever it is asked for."""
    campaign = await door.one(call.records, call.request.path_params["campaign"])
    if campaign.channel != "letter":
        raise NotFound("This campaign has no letters")
    found = await outbox.written(call.records, campaign)
    if not found:
        raise NotFound("No letter has been written yet")
    async with call.records.database.single() as conn:
        site = await policy_of(conn, call.actor.tenant)
    pages = [printing.Letter(one.to, one.text, one.language) for one in found]
    sender = [line for line in (site.practice, *site.address.split(" / "), site.phone) if line]
    made = printing.render(pages, sender, dates.of_date(site.day(campaign.at)), call.now)
    name = f"letters-{campaign.id[:8]}.pdf"
    return Response(
        made, media_type="application/pdf", headers={"content-disposition": f'attachment; filename="{name}"'}
    )
