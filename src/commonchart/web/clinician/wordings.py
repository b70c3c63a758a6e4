"""The words that people get: read by everybody who contacts patients, changed by administrators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from commonchart.access.outreach import words
from commonchart.care.outreach.wording import GENERAL, NAMED, Wording, reading_grade
from commonchart.fhir.outcome import Forbidden, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.campaigns import CHANNEL_WORDS
from commonchart.web.clinician.writing import texts
from commonchart.web.forms.fields import Field, Option, options

CHANNELS = tuple(Option(value, label) for value, label in CHANNEL_WORDS.items())
FIELDS = (
    Field("name", "Name", required=True, default="reminder", hint="Such as reminder. A campaign uses all languages and levels of one name."),
    Field("channel", "Channel", "choice", required=True, options=CHANNELS),
    Field("language", "Language", required=True, default="en", hint="A code such as en or es."),
    Field("level", "Reading level", "choice", required=True, default="plain", options=options("plain=Plain: school grade 6 at most", "standard=Standard")),
    Field("subject", "Subject", hint="For e-mail and portal messages."),
    Field("general", "General text", "long", required=True, hint="May be read by others: only " + ", ".join(f"{{{n}}}" for n in sorted(GENERAL))),
    Field("detail", "Text that names what is due", "long", hint="Letters and portal messages only: also " + ", ".join(f"{{{n}}}" for n in sorted(NAMED - GENERAL))),
)  # fmt: skip


async def page(call: Call) -> Response:
    """All wordings, and the form: empty, or filled with the one that is named."""
    found = await words.listed(call.records)
    wanted = call.request.query_params.get("edit", "")
    edited = next((one for one in found if _key(one) == wanted), None)
    values = {field.name: getattr(edited, field.name) if edited else field.default for field in FIELDS}
    return _page(call, found, values, [])


async def save(call: Call) -> Response:
    """Keep a wording as its next version."""
    sent = await texts(call)
    typed = [sent.get(field.name, "").replace("\r\n", "\n").strip() for field in FIELDS]
    name, channel, language, level, subject, general, detail = typed
    new = Wording(name, channel, language, level, subject, general, detail)
    try:
        await words.save(call.records, new)
    except Forbidden:
        raise
    except Refused as refusal:
        values = {field.name: sent.get(field.name, "") for field in FIELDS}
        issues = [(one.at, one.message) for one in refusal.issues]
        return _page(call, await words.listed(call.records), values, issues, refusal.status)
    return go("/templates?said=saved")


def _key(one: Wording) -> str:
    return f"{one.name}/{one.channel}/{one.language}/{one.level}"


def _page(
    call: Call,
    found: list[Wording],
    values: Mapping[str, Any],
    issues: list[tuple[str, str]],
    status: int = 200,
) -> Response:
    return call.page(
        "templates.html", status, title="Templates", idle=False, wordings=[_shown(one) for one in found],
        groups=[("", list(FIELDS))], values=values, issues=issues, errors=dict(reversed(issues)),
        may_change=call.actor.role == "administrator", said=call.request.query_params.get("said", ""),
    )  # fmt: skip


def _shown(one: Wording) -> dict[str, Any]:
    grade = reading_grade(one.general) if one.language == "en" else None
    return {
        "one": one, "key": _key(one), "channel": CHANNEL_WORDS[one.channel],
        "grade": "" if grade is None else f"reads like grade {max(1, round(grade))}",
    }  # fmt: skip
