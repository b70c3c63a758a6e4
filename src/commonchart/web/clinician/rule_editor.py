"""The editor of a rule: a form for what clinicians change, the whole text for the rest; saving makes a draft nobody uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from commonchart.access import rules
from commonchart.access.rules import Sheet
from commonchart.care.editions import MOST_CHARACTERS, Edition, parsed, text_of
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.rules import whole_number
from commonchart.web.clinician.writing import texts
from commonchart.web.forms.rules import applied, at_fields, form, typed
from commonchart.web.present.rules import choice_of


async def edit(call: Call) -> Response:
    """The form filled with the version that the address names, else the site's newest, else the one in the box."""
    await rules.deciding(call.records)
    sheet = await rules.sheet(call.records, call.request.path_params["rule"])
    return _page(call, sheet, _base(call, sheet), {}, [])


async def save(call: Call) -> Response:
    """Check everything, then keep a draft; or show the form again with what is wrong, field by field."""
    await rules.deciding(call.records)
    sheet, sent = await rules.sheet(call.records, call.request.path_params["rule"]), await texts(call)
    base = _base(call, sheet)
    whole = sent.get("mode") == "text"
    try:
        edition = _sent_text(sent, sheet) if whole else applied(base[1], form(base[1], sheet.pack), sent)
        why = sent.get("why-text" if whole else "why", "")
        await rules.draft(call.records, edition, why, base[0], whole_number(sent.get("seen", "")))
    except (Forbidden, NotFound):
        raise
    except Refused as refusal:
        return _page(call, sheet, base, sent, _issues(refusal, sheet, base[1], whole), refusal.status)
    return go(f"/rules/{edition.rule.id}?said=draft")


def _sent_text(sent: Mapping[str, str], sheet: Sheet) -> Edition:
    edition = parsed(sent.get("text", "").replace("\r\n", "\n"))
    if edition.rule.id != sheet.edition.rule.id:
        raise Invalid(f"This is the rule {sheet.edition.rule.id}: its id cannot be changed", at="id")
    return edition


def _issues(refusal: Refused, sheet: Sheet, edition: Edition, whole: bool) -> list[tuple[str, str]]:
    if whole:
        return [("why-text" if one.at == "why" else "text", one.message) for one in refusal.issues]
    fields = [one for group in form(edition, sheet.pack) for one in group.fields]
    named = {one.name for one in fields} | {"why"}
    placed = at_fields(Invalid(issues=refusal.issues), fields)
    return [
        (one.at if one.at in named else two.at, one.message)
        for one, two in zip(refusal.issues, placed, strict=True)
    ]


def _base(call: Call, sheet: Sheet) -> tuple[str, Edition]:
    """What is edited: what it is called, and what it says. Raises NotFound."""
    choice = choice_of(call.request.query_params.get("from", ""))
    if choice is not None and choice.state == "site":
        found = sheet.version(choice.n)
        return found.name, found.edition
    if choice is None and sheet.versions:
        return sheet.versions[0].name, sheet.versions[0].edition
    if sheet.boxed is None:
        raise NotFound("There is no such version of this rule")
    return f"{sheet.pack.id} {sheet.pack.version}/{sheet.boxed.version}", Edition(sheet.boxed)


def _page(
    call: Call, sheet: Sheet, base: tuple[str, Edition], sent: Mapping[str, str], issues: list[tuple[str, str]],
    status: int = 200,
) -> Response:  # fmt: skip
    whole = sent.get("mode") == "text"
    groups = form(base[1], sheet.pack)
    return call.page(
        "rule-edit.html", status, title=f"Change: {sheet.edition.rule.title}", idle=False, sheet=sheet, base=base[0],
        groups=groups if whole else typed(groups, sent), text=sent.get("text", "") if whole else text_of(base[1]),
        why=sent.get("why", ""), why_text=sent.get("why-text", ""), open=whole, most=MOST_CHARACTERS,
        seen=sent.get("seen") or (sheet.versions[0].n if sheet.versions else 0), issues=issues,
        errors={at: message for at, message in reversed(issues) if at}, action=_action(call),
    )  # fmt: skip


def _action(call: Call) -> str:
    rule, base = call.request.path_params["rule"], call.request.query_params.get("from", "")
    return f"/rules/{rule}/edit" + (f"?from={base}" if choice_of(base) else "")


# ---- a new rule ------------------------------------------------------------------------------------------------


async def new(call: Call) -> Response:
    """A new rule begins as a copy of one that is there, or as a text."""
    await rules.deciding(call.records)
    return await _new(call, {"like": call.request.query_params.get("like", "")}, [])


async def create(call: Call) -> Response:
    """Keep the new rule as a draft, and go on in its form."""
    sent = await texts(call)
    try:
        edition = await _begun(call, sent)
        await rules.draft(call.records, edition, sent.get("why", ""), "", 0, new=True)
    except (Forbidden, NotFound):
        raise
    except Refused as refusal:
        places = {"id", "title", "like", "why", "text"}
        other = "text" if sent.get("text", "").strip() else "id"
        issues = [(one.at if one.at in places else other, one.message) for one in refusal.issues]
        return await _new(call, sent, issues, refusal.status)
    return go(f"/rules/{edition.rule.id}/edit")


async def _begun(call: Call, sent: Mapping[str, str]) -> Edition:
    text = sent.get("text", "").replace("\r\n", "\n")
    if text.strip():
        return parsed(text)
    like, id, title = (sent.get(name, "").strip() for name in ("like", "id", "title"))
    if not like:
        raise Invalid("Choose the rule that the new one is like, or give its whole text", at="like")
    if not title:
        raise Invalid("Give the new rule a title", at="title")
    found = (await rules.sheet(call.records, like)).edition
    made = msgspec.structs.replace(found.rule, id=id, title=title, rows=())
    return parsed(text_of(Edition(made, found.sets, found.analytes)))


async def _new(
    call: Call, sent: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    known: list[Any] = await rules.library(call.records)
    return call.page(
        "rule-new.html", status, title="New rule", idle=False, sent={name: sent.get(name, "") for name in ("id", "title", "like", "why", "text")},
        known=[(one.rule.id, one.rule.title) for one in known], issues=issues, most=MOST_CHARACTERS,
        errors={at: message for at, message in reversed(issues) if at},
    )  # fmt: skip
