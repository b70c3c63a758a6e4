"""The inbox: what waits, the most urgent first; many normal results signed together; taking that back."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from commonchart.access.inbox import reading, signing, telling
from commonchart.access.inbox.policy import Policy
from commonchart.access.inbox.reading import MINE, PASSED_ON, POOL, Inbox, Line
from commonchart.access.inbox.signing import Ask
from commonchart.care.inbox.escalate import WORDS
from commonchart.fhir.outcome import Invalid, Refused
from commonchart.record.inbox.alerts import Alert
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.writing import texts
from commonchart.web.present import inbox, people
from commonchart.web.session import form

PAGE = 50


async def page(call: Call) -> Response:
    """What waits for whoever looks: theirs, forwarded, covered, and what is addressed to nobody who works here."""
    return await _page(call)


async def _page(call: Call, said: str = "", status: int = 200) -> Response:
    given = call.request.query_params
    kind, whose, number = given.get("kind", ""), given.get("whose", ""), _number(call)
    found = await reading.listed(
        call.records, kind=kind, whose=whose[:64], limit=PAGE, offset=(number - 1) * PAGE
    )
    rows = [row(call, one, found) for one in found.lines]
    signed = given.get("signed", "")
    return call.page(
        "inbox/list.html", status, title="Inbox", groups=_groups(rows, found, kind), total=found.total, first=(number - 1) * PAGE + 1,
        kinds=_kinds(call, found, kind), whose=_whose(call, found, whose), batch=found.batch, rows=rows,
        next=_next(call, found), now=call.zone.stamp(call.now), days=found.desk.said.days, reviewed=found.desk.said.reviewed,
        signs=call.actor.role == "clinician", signed=signed if signed.isalnum() else "", problem=said,
        undelivered=await telling.undelivered(call.records), unseen=await reading.unseen(call.records), batch_href="/inbox/sign" + (f"?{urlencode({'whose': whose})}" if whose else ""),
        newer=_address(call, page=number - 1) if number > 1 else "", older=_address(call, page=number + 1) if number * PAGE < found.total else "",
    )  # fmt: skip


def _number(call: Call) -> int:
    text = call.request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _address(call: Call, **changes: Any) -> str:
    kept = {name: call.request.query_params.get(name, "") for name in ("kind", "whose")}
    kept |= {name: str(value) for name, value in changes.items()}
    text = urlencode({name: value for name, value in kept.items() if value})
    return "/inbox" + (f"?{text}" if text else "")


def row(call: Call, one: Line, found: Inbox) -> inbox.Row:
    """An item as the list shows it."""
    item, judged, desk = one.item, one.judged, found.desk
    line = inbox.first(judged)
    whose = "" if item.owner == desk.me else f"for {desk.name(item.owner)}" if item.owner else "pool"
    return inbox.Row(
        f"{item.patient}|{item.item}|{item.version}", f"/patients/{item.patient}/inbox/{item.item}",
        people.listed_name(fact_of(one.patient).body), judged.title, inbox.sub(judged), inbox.brief(line.value), line.unit,
        inbox.flag(line), inbox.brief(line.before), inbox.TRENDS.get(line.trend, ("", "")), inbox.received(item.received, call.zone),
        inbox.waited(item.received, call.now), whose, judged.kind, _tags(one, found),
    )  # fmt: skip


def _tags(one: Line, found: Inbox) -> tuple[tuple[str, str], ...]:
    desk = found.desk
    sender = desk.name(one.item.forwarded_by) if one.item.forwarded_to == desk.me else ""
    tags = inbox.tags(one.judged, one.item.corrected, sender)
    if one.judged.kind == "critical" and one.item.item not in desk.unanswered:
        tags = (("Critical value acknowledged", ""), *tags)
    if one.item.forwarded_to and not sender:
        tags = (*tags, (f"Forwarded to {desk.name(one.item.forwarded_to)}, not taken yet", ""))
    return tags


def _groups(rows: list[inbox.Row], found: Inbox, kind: str) -> list[tuple[str, str, int, list[inbox.Row]]]:
    """(kind, words, how many in all, those shown)."""
    out = []
    for name, words in inbox.KINDS.items():
        shown = [one for one in rows if one.kind == name]
        if shown:
            out.append((name, words, found.kinds[name], shown))
    return out


def _kinds(call: Call, found: Inbox, kind: str) -> list[tuple[str, str, int, bool]]:
    every = [("", "Everything", sum(found.kinds.values()))]
    every += [(name, words, found.kinds[name]) for name, words in inbox.KINDS.items()]
    return [(_address(call, kind=name), words, n, name == kind) for name, words, n in every]


def _whose(call: Call, found: Inbox, whose: str) -> list[tuple[str, str, int | str, bool]]:
    counts, desk = found.whose, found.desk
    every: list[tuple[str, str, int | str]] = [
        ("", "All of it", sum(counts.values())),
        (MINE, "Mine", counts.get(MINE, 0)),
    ]
    every += [
        (one.absent, f"Covering: {desk.name(one.absent)}", counts.get(one.absent, 0)) for one in desk.covered
    ]
    every += [(POOL, "Addressed to nobody", counts.get(POOL, 0)), (PASSED_ON, "Forwarded by me", "")]
    if counts.get("critical"):
        every.append(("critical", "Critical, of others", counts["critical"]))
    return [(_address(call, whose=name), words, n, name == whose) for name, words, n in every]


def _next(call: Call, found: Inbox) -> dict[str, Any] | None:
    """The first item, whole, beside the list."""
    if not found.lines:
        return None
    one = found.lines[0]
    banner = people.banner(fact_of(one.patient).body, call.today)
    return {
        "banner": banner, "href": f"/patients/{one.item.patient}/inbox/{one.item.item}", "judged": one.judged,
        "lines": [(line, inbox.flag(line)) for line in one.judged.lines[:12]], "more": max(0, len(one.judged.lines) - 12),
        "alert": _clock(call, one, found), "whose": addressed(found.desk.name(one.item.owner), one.item.owner_by), "taken": call.zone.moment(one.judged.taken),
    }  # fmt: skip


def addressed(name: str, why: str) -> str:
    """To whom an item is addressed, and why."""
    return f"{name}, who {why}" if name else f"everybody: {why}"


def _clock(call: Call, one: Line, found: Inbox) -> tuple[str, str] | None:
    if one.alert is None:
        return None
    return inbox.waited(one.alert.raised, call.now), next_step(call, one.alert, found.desk.said)


def next_step(call: Call, alert: Alert, said: Policy) -> str:
    """Who hears of it next, and when."""
    if not alert.owner:
        return "It is addressed to nobody who works here, and has reached everybody."
    if alert.next_at is None or alert.level + 1 >= len(said.plan):
        return f"It has reached {WORDS[said.plan[-1].whom]}."
    left = int((alert.next_at - call.now).total_seconds() // 60)
    when = f"at {call.zone.clock(alert.next_at)}, in {left} min" if left > 0 else "now"
    return f"It reaches {WORDS[said.plan[alert.level + 1].whom]} {when}."


# ---- many at once ----------------------------------------------------------------------------------------------


async def batch(call: Call) -> Response:
    """Everything that would be signed together, before it is."""
    return await _batch(call, [])


async def sign_batch(call: Call) -> Response:
    """Sign what was left ticked, all or none."""
    sent = (await form(call.request)).getlist("sign")
    try:
        asks = [_ask(text) for text in sent if isinstance(text, str)]
        if not asks:
            raise Invalid("Tick at least one result", at="sign")
        name = await signing.sign_together(call.records, asks)
    except Refused as refusal:
        if refusal.status in (403, 404):
            raise
        return await _batch(
            call, [("", issue.message) for issue in refusal.issues] or [("", str(refusal))], refusal.status
        )
    return go(f"/inbox?signed={name}")


def _ask(text: str) -> Ask:
    parts = text.split("|")
    if len(parts) != 3:
        raise Invalid("The form is not complete: open it again", at="sign")
    return Ask(*parts)


async def _batch(call: Call, issues: list[tuple[str, str]], status: int = 200) -> Response:
    whose = call.request.query_params.get("whose", "")[:64]
    found = await reading.listed(call.records, whose=whose, batch=True, limit=signing.MOST)
    return call.page(
        "inbox/batch.html", status, title="Sign normal results", rows=[row(call, one, found) for one in found.lines],
        lines=[[(line, inbox.flag(line)) for line in one.judged.lines] for one in found.lines], total=found.total, issues=issues,
        others=sum(found.kinds.values()) - found.batch, minutes=signing.UNDO.seconds // 60, here=call.request.url.path + (f"?{urlencode({'whose': whose})}" if whose else ""),
        signs=call.actor.role == "clinician",
    )  # fmt: skip


async def undo(call: Call) -> Response:
    """Take back what was just signed."""
    name = (await texts(call)).get("name", "")
    try:
        n = await signing.undo(call.records, name[:64])
    except Refused as refusal:
        if refusal.status in (403, 404):
            raise
        return await _page(call, str(refusal), refusal.status)
    return go(f"/inbox?back={n}")
