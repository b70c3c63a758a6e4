"""Trying a version of a rule: what it changes in words, what it would change for everybody, and putting it into use."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commonchart.access import rule_previews, rules
from commonchart.access.rules import Sheet
from commonchart.care.editions import Difference, Edition, body_of, differences
from commonchart.fhir.outcome import Conflict, Forbidden, NotFound, Refused
from commonchart.record.rule_previews import Preview
from commonchart.record.rules import BOX, OFF, SITE, Choice
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.rules import may_change, page_number, refreshing, whole_number
from commonchart.web.clinician.writing import texts
from commonchart.web.forms.rules import labels
from commonchart.web.present import dates, people
from commonchart.web.present import rules as present

PAGE = 50


async def page(call: Call) -> Response:
    """What would be used instead, the preview of it, and the decision."""
    return await _page(call, {}, [])


async def act(call: Call) -> Response:
    """Begin a preview, or put the version into use."""
    sent, rule, choice = await texts(call), call.request.path_params["rule"], _choice(call)
    try:
        if sent.get("do") == "preview":
            await rule_previews.begin(call.records, rule, choice)
            return go(_here(rule, choice))
        seen, anyway = whole_number(sent.get("seq", "")), sent.get("anyway") == "yes"
        await rules.activate(call.records, rule, choice, sent.get("why", ""), seen, anyway=anyway)
    except (Forbidden, NotFound):
        raise
    except Refused as refusal:
        issues = [(one.at if one.at in ("why", "anyway") else "", one.message) for one in refusal.issues]
        return await _page(call, sent, issues, refusal.status)
    return go(f"/rules/{rule}?said=use")


def _choice(call: Call) -> Choice:
    found = present.choice_of(call.request.query_params.get("to", ""))
    if found is None:
        raise NotFound("There is no such version of this rule")
    return found


def _here(rule: str, choice: Choice, more: str = "") -> str:
    return f"/rules/{rule}/try?to={present.address_of(choice)}{more}"


async def _page(
    call: Call, sent: dict[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    choice, sheet = _choice(call), await rules.sheet(call.records, call.request.path_params["rule"])
    rule, one = sheet.edition.rule.id, sheet.preview
    mine = one is not None and (one.state, one.n) == (choice.state, choice.n)
    running = mine and one is not None and one.run == "running"
    changes = _changes(sheet, choice)
    context = await _found(call, one, choice) if mine and one is not None and one.run == "done" else {}
    response = call.page(
        "rule-try.html", status, title=f"Try: {sheet.edition.rule.title}", sheet=sheet, rule=sheet.edition.rule, choice=choice,
        what=present.choice_words(choice), now=_now(sheet), changes=changes,
        labels=labels(sheet.edition, sheet.pack), unsaid=present.unsaid(changes), issues=issues, sent=sent,
        errors={at: text for at, text in reversed(issues) if at}, preview=one if mine else None, running=running,
        stale=sheet.stale if mine else "no preview of this version has been made", here=_here(rule, choice),
        may_change=may_change(call), found=context, idle=not running,
    )  # fmt: skip
    return refreshing(call, response, one.begun if one and running and status == 200 else None)


def _now(sheet: Sheet) -> str:
    used = sheet.uses[0] if sheet.uses else None
    if used is not None:
        return present.choice_words(Choice(used.state, used.n))
    return present.choice_words(Choice(BOX if sheet.boxed is not None else OFF))


def _changes(sheet: Sheet, choice: Choice) -> list[Difference]:
    """What would be another in words of the rule's fields; nothing where there is no rule before or after."""
    if choice.state == OFF or sheet.entry.state == OFF:
        return []
    if choice.state == SITE:
        after = sheet.version(choice.n).edition
    elif sheet.boxed is not None:
        after = Edition(sheet.boxed)
    else:
        raise Conflict("This rule is the site's own: there is none in the box")
    return differences(body_of(sheet.edition), body_of(after))


async def _found(call: Call, one: Preview, choice: Choice) -> dict[str, Any]:
    """What a finished preview found, and the people of one kind of change."""
    summary = rule_previews.summary(one, await rule_previews.dates(call.records, one))
    show = call.request.query_params.get("show", "")
    shown = show if show in rule_previews.GROUPS else ""
    number = page_number(call)
    rows, total = await rule_previews.people(call.records, one, shown, limit=PAGE, offset=(number - 1) * PAGE)
    more = f"&show={shown}" if shown else ""
    return {
        "findings": [(n, words, _here(one.rule, choice, f"&show={group}"), group == shown) for group, n, words in present.findings(summary)],
        "statuses": present.statuses(summary), "rows": [_row(call, row) for row in rows], "total": total, "first": (number - 1) * PAGE + 1,
        "show": shown, "all": _here(one.rule, choice), "as_of": dates.of_date(one.as_of), "people": one.total,
        "newer": _here(one.rule, choice, f"{more}&page={number - 1}") if number > 1 else "",
        "older": _here(one.rule, choice, f"{more}&page={number + 1}") if number * PAGE < total else "",
    }  # fmt: skip


def _row(call: Call, row: rule_previews.Row) -> dict[str, str]:
    return present.changed_row(row, people.banner(fact_of(row.patient).body, call.today))
