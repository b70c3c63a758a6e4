"""The visit form, and notes: a draft may change, a signed note is only ever added to.

A note is a DocumentReference of plain text. `docStatus` is preliminary while it is a draft, final once signed and
amended after an addendum; each addendum is one more `content`, the signed ones stay byte for byte.
"""

from __future__ import annotations

import base64
from typing import Any

from commonchart.fhir.outcome import Conflict, Invalid, Issue
from commonchart.web.forms.fhir import (
    LOINC,
    TERM,
    author,
    concept,
    display,
    first,
    merged,
    subject,
)
from commonchart.web.forms.fields import Context, Field, Form, Values, earlier, ends_before, options, problem

_ACT = TERM + "v3-ActCode"
CLASSES = options(
    "AMB=Office visit",
    "VR=Video or telephone",
    "HH=At home",
    "EMER=Emergency",
    "OBSENC=Observation stay",
    "IMP=Hospital stay",
)
STATUSES = options(
    "planned=Planned", "arrived=Arrived", "in-progress=Under way", "finished=Finished", "cancelled=Cancelled"
)


def _visit(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    old = base or {}
    start: dict[str, Any] = {"resourceType": "Encounter", "subject": subject(context)}
    if context.organization:
        start["serviceProvider"] = {"reference": f"Organization/{context.organization}"}
    change: dict[str, Any] = {
        "status": values["status"],
        "class": old.get("class")
        if old.get("class", {}).get("code") == values["class"]
        else {"system": _ACT, "code": values["class"]},
        "period": {k: v for k, v in (("start", values["start"]), ("end", values["end"])) if v},
    }
    if values["reason"] != display(first(old.get("reasonCode"))):
        change["reasonCode"] = [concept(values["reason"])] if values["reason"] else []
    if base is None and author(context):
        change["participant"] = [{"individual": author(context)}]
    return [merged(base, start, change)]


def _read_visit(resource: dict[str, Any]) -> Values:
    period = resource.get("period", {})
    return {
        "class": resource.get("class", {}).get("code", "AMB"),
        "status": resource.get("status", "finished"),
        "start": str(period.get("start", "")),
        "end": str(period.get("end", "")),
        "reason": display(first(resource.get("reasonCode"))),
    }


def _check_visit(values: Values, context: Context) -> list[Issue]:
    issues = ends_before(values)
    if values["status"] == "planned" and values["end"] and earlier(values["end"], context.now.isoformat()):
        issues.append(problem("status", "A visit that has ended is not planned: choose another status"))
    return issues


VISIT = Form(
    key="visit",
    title="Visit",
    rtype="Encounter",
    section="visits",
    noun="visit",
    fields=(
        Field("class", "Kind of visit", "choice", required=True, default="AMB", options=CLASSES),
        Field("status", "Status", "choice", required=True, default="in-progress", options=STATUSES),
        Field("start", "From", "moment", required=True, default="@now", future=True),
        Field("end", "Until", "moment", future=True),
        Field("reason", "Reason for the visit", max_length=400),
    ),
    build=_visit,
    read=_read_visit,
    check=_check_visit,
)

NOTE_KINDS = options(
    "11506-3=Progress note", "34117-2=History and physical", "11488-4=Consultation note", "18842-5=Discharge summary",
    "28570-0=Procedure note", "34109-9=Other note",
)  # fmt: skip


def _text_content(text: str, title: str, context: Context) -> dict[str, Any]:
    attachment: dict[str, Any] = {
        "contentType": "text/plain; charset=utf-8",
        "data": base64.b64encode(text.encode()).decode(),
        "title": title,
        "creation": context.now.isoformat(timespec="seconds"),
    }
    return {"attachment": attachment}


def _note(values: Values, context: Context, base: dict[str, Any] | None) -> list[dict[str, Any]]:
    if base is not None and base.get("docStatus") != "preliminary":
        raise Conflict("A signed note cannot be changed: add an addendum instead", at="text")
    label = next((option.label for option in NOTE_KINDS if option.value == values["kind"]), "")
    start: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "status": "current",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                        "code": "clinical-note",
                    }
                ]
            }
        ],
        "subject": subject(context),
    }
    if context.encounter:
        start["context"] = {"encounter": [{"reference": f"Encounter/{context.encounter}"}]}
    change: dict[str, Any] = {
        "docStatus": "preliminary",
        "type": concept(label, (LOINC, values["kind"])),
        "date": context.now.isoformat(timespec="milliseconds"),
        "author": [author(context)] if author(context) else [],
        "content": [_text_content(values["text"], values["title"] or label, context)],
        "description": values["title"],
    }
    return [merged(base, start, change)]


def note_texts(resource: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The parts of a note as (title, created, text): the note itself, then its addenda. Unreadable parts say so."""
    return [_part(content.get("attachment", {})) for content in resource.get("content", [])]


def _part(attachment: dict[str, Any]) -> tuple[str, str, str]:
    title, created = attachment.get("title", ""), attachment.get("creation", "")
    if not attachment.get("contentType", "").startswith("text/plain"):
        return title, created, "This part is not plain text: open the document itself."
    try:
        return title, created, base64.b64decode(attachment.get("data", ""), validate=True).decode()
    except ValueError:
        return title, created, "This part cannot be read."


def _read_note(resource: dict[str, Any]) -> Values:
    coding = first(resource.get("type", {}).get("coding"))
    known = {option.value for option in NOTE_KINDS}
    parts = note_texts(resource)
    return {
        "kind": coding.get("code", "") if coding.get("code") in known else "34109-9",
        "title": resource.get("description", ""),
        "text": parts[0][2] if parts else "",
    }


NOTE = Form(
    key="note",
    title="Note",
    rtype="DocumentReference",
    section="documents",
    noun="note",
    intro="A draft is kept while you write. Once signed it can only be added to.",
    fields=(
        Field("kind", "Kind of note", "choice", required=True, default="11506-3", options=NOTE_KINDS),
        Field("title", "Title", max_length=200),
        Field("text", "Note", "long", required=True, max_length=100_000),
    ),
    build=_note,
    read=_read_note,
)


def signed(resource: dict[str, Any], context: Context) -> dict[str, Any]:
    """The draft as signed by the author of the context, with authenticator and time. Conflict if it is signed already."""
    if resource.get("docStatus") != "preliminary":
        raise Conflict("This note is signed already", at="docStatus")
    out = {**resource, "docStatus": "final", "date": context.now.isoformat(timespec="milliseconds")}
    if author(context):
        out["authenticator"] = author(context)
    return out


def amended(resource: dict[str, Any], text: str, context: Context) -> dict[str, Any]:
    """A signed note with an addendum. Invalid without text, Conflict while it is a draft."""
    if resource.get("docStatus") not in ("final", "amended"):
        raise Conflict("Only a signed note takes an addendum", at="text")
    text = text.strip()
    if not text:
        raise Invalid("Enter the text of the addendum", at="text", code="required")
    if len(text) > 100_000:
        raise Invalid("The addendum must be 100,000 characters or fewer", at="text", code="too-long")
    title = f"Addendum by {context.author}" if context.author else "Addendum"
    return {
        **resource,
        "docStatus": "amended",
        "content": [*resource["content"], _text_content(text, title, context)],
    }
