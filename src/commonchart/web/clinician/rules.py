"""The rule library, and one rule: in plain words, who stands behind it, its versions, how it does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from commonchart.access import rules
from commonchart.access.rules import Sheet
from commonchart.care.editions import Difference, Edition, body_of, differences
from commonchart.care.rule_words import OUTREACH, words
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, Refused
from commonchart.record.due import Run
from commonchart.web.call import Call, go
from commonchart.web.clinician.writing import texts
from commonchart.web.forms.rules import labels
from commonchart.web.present import dates
from commonchart.web.present import rules as present
from commonchart.web.present.rules import Filter

PAGE = 40
LOOKING = timedelta(minutes=15)
SAID = {
    "approve": "Approved: this version may now send and remind.", "withdraw": "The approval is withdrawn: it sends nothing any more.",
    "rollback": "Gone back. Everybody is being worked out again.", "use": "In use from now on. Everybody is being worked out again.",
    "draft": "Saved as a draft: nobody uses it yet. Try it on everybody, then put it into use.",
}  # fmt: skip


async def library(call: Call) -> Response:
    """Every rule, narrowed by what the address says, with how many people it finds in which status."""
    entries, run = await rules.library(call.records), await rules.progress(call.records)
    wanted, number = _filter(call), page_number(call)
    found = [one for one in entries if present.fits(one, wanted)]
    first = (number - 1) * PAGE
    return refreshing(
        call, call.page(
            "rules.html", title="Rules", wanted=wanted, lines=[present.line(one, call.zone) for one in found[first : first + PAGE]],
            total=len(found), first=first + 1, of=len(entries), authorities=present.authorities(entries), kinds=present.KINDS,
            states=present.STATES | {"draft": "with a draft"}, reviews=present.REVIEWS, run=run_words(run), shown=present.SHOWN,
            waiting=sum(one.standing == "needed" for one in entries), may_change=may_change(call),
            newer=_address(call, number - 1) if number > 1 else "",
            older=_address(call, number + 1) if first + PAGE < len(found) else "",
        ),
        run.began if run else None,
    )  # fmt: skip


def _filter(call: Call) -> Filter:
    given = call.request.query_params
    return Filter(
        given.get("q", "")[:80], _one_of(given.get("kind", ""), present.KINDS), given.get("authority", "")[:40],
        _one_of(given.get("review", ""), present.REVIEWS), _one_of(given.get("state", ""), (*present.STATES, "draft")),
    )  # fmt: skip


def _one_of(text: str, known: Any) -> str:
    return text if text in known else ""


def page_number(call: Call) -> int:
    """The page that the address asks for, 1 when it says nothing that can be read."""
    text = call.request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _address(call: Call, number: int) -> str:
    kept = {name: value for name, value in call.request.query_params.items() if name != "page" and value}
    return "/rules?" + urlencode(kept | {"page": str(number)})


def may_change(call: Call) -> bool:
    """Whether to show what changes rules; the records decide again."""
    return call.actor.role in ("clinician", "administrator")


def run_words(run: Run | None) -> dict[str, int] | None:
    """How far everybody has been worked out again, for a bar."""
    return {"done": run.done, "total": max(run.total, run.done, 1)} if run else None


def refreshing(call: Call, response: Response, begun: datetime | None, seconds: int = 3) -> Response:
    """The page looks again by itself while something is being worked out since `begun`, but never keeps a session alive for long."""
    if begun is not None and call.now - begun < LOOKING:
        response.headers["refresh"] = str(seconds)
    return response


# ---- one rule --------------------------------------------------------------------------------------------------


async def one(call: Call) -> Response:
    """A rule with everything a clinician needs to judge it."""
    return await _page(call, {}, [])


async def act(call: Call) -> Response:
    """Approve, withdraw an approval, or go one step back."""
    sent = await texts(call)
    rule, todo, version = call.request.path_params["rule"], sent.get("do", ""), sent.get("version", "")
    try:
        if todo == "approve":
            await rules.approve(call.records, rule, version, sent.get("comment", ""))
        elif todo == "withdraw":
            await rules.withdraw(call.records, rule, version, sent.get("why", ""))
        elif todo == "rollback":
            await rules.rollback(call.records, rule, sent.get("why", ""), whole_number(sent.get("seq", "")))
        else:
            raise Invalid("The form is not complete: open it again")
    except (Forbidden, NotFound):
        raise
    except Refused as refusal:
        field = {"approve": "comment", "withdraw": "why-withdraw", "rollback": "why-rollback"}.get(todo, "")
        issues = [
            (field if issue.at in ("comment", "why") else "", issue.message) for issue in refusal.issues
        ]
        return await _page(call, sent, issues, refusal.status)
    return go(f"/rules/{rule}?said={todo}")


def whole_number(text: str) -> int:
    """A number that a form carries along. Raises Invalid."""
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise Invalid("The form is not complete: open it again")
    return int(text)


async def _page(
    call: Call, sent: dict[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    sheet, run = (
        await rules.sheet(call.records, call.request.path_params["rule"]),
        await rules.progress(call.records),
    )
    rule, before, changes = sheet.entry.rule, sheet.before, _from_box(sheet)
    response = call.page(
        "rule.html", status, title=rule.title, sheet=sheet, rule=rule, entry=sheet.entry, words=words(rule, sheet.pack),
        kind=present.KINDS[rule.kind], state=present.STATES[sheet.entry.state],
        standing=present.standing_words(sheet.entry.standing, sheet.entry.approval, call.zone), outreach=OUTREACH[rule.outreach],
        steps=present.steps(sheet, call.zone), decisions=present.decisions(sheet.uses, call.zone), counts=present.how_used(sheet.entry.counts),
        signed=[present.signed(one, call.zone) for one in sheet.approvals], before=present.choice_words(before) if before else "",
        changes=changes, labels=labels(sheet.edition, sheet.pack), unsaid=present.unsaid(changes),
        source_day=dates.day(rule.date), typed=sent, issues=issues, errors={at: text for at, text in reversed(issues) if at},
        run=run_words(run), said=SAID.get(call.request.query_params.get("said", ""), ""),
        may_change=may_change(call), may_approve=call.actor.role == "clinician",
    )  # fmt: skip
    return refreshing(call, response, run.began if run and status == 200 else None, 10)


def _from_box(sheet: Sheet) -> list[Difference]:
    """What the site's version that is used changes from the one in the box."""
    if sheet.boxed is None or sheet.entry.state != "site":
        return []
    return differences(body_of(Edition(sheet.boxed)), body_of(sheet.edition))
