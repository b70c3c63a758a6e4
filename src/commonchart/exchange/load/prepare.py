"""From an entry to something that can be stored: id, links, validation, search extraction. Pure CPU, run in processes."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from commonchart.exchange.load.files import Entry, Unit
from commonchart.exchange.load.names import followed, id_of, links
from commonchart.fhir.links import references, rewrite
from commonchart.fhir.outcome import Invalid, Issue
from commonchart.fhir.validate import Valid, validate
from commonchart.record.rows import Index
from commonchart.search.index import extract


class Ready(Struct, frozen=True):
    """One entry, prepared: `valid` and `index` to be stored under `id`, or why it is rejected."""

    file: str
    place: str
    rtype: str
    sent_id: str
    id: str = ""
    valid: Valid | None = None
    index: Index | None = None
    reason: str = ""


class ReadyUnit(Struct, frozen=True):
    """A unit, prepared."""

    file: str
    entries: tuple[Ready, ...]
    atomic: bool


def prepared(unit: Unit, source: str, keep_ids: bool = False) -> ReadyUnit:
    """Every entry of the unit, ready or rejected. `keep_ids`: an export of ours, whose ids and links stay as they are."""
    if keep_ids:
        return ReadyUnit(unit.file, tuple(_as_it_is(entry) for entry in unit.entries), unit.atomic)
    mapping = links(source, unit)
    return ReadyUnit(unit.file, tuple(_ready(entry, source, mapping) for entry in unit.entries), unit.atomic)


def _as_it_is(entry: Entry) -> Ready:
    resource = entry.resource or {}
    rtype, id = str(resource.get("resourceType", ""))[:64], str(resource.get("id", ""))[:64]
    if entry.resource is None or not id:
        return Ready(entry.file, entry.place, rtype, id, reason=entry.problem or "The resource has no id")
    try:
        valid = validate(resource)
        return Ready(entry.file, entry.place, rtype, id, id, valid, extract(valid.rtype, valid.resource))
    except Invalid as bad:
        return Ready(entry.file, entry.place, rtype, id, id, reason=_words(bad.issues))


def _ready(entry: Entry, source: str, mapping: dict[str, str]) -> Ready:
    resource = entry.resource
    rtype = str((resource or {}).get("resourceType", ""))[:64]
    sent = (resource or {}).get("id")
    sent = sent if isinstance(sent, str) else ""
    if resource is None:
        return Ready(entry.file, entry.place, rtype, sent, reason=entry.problem)
    id = id_of(source, rtype, sent, entry.full_url)
    if not id:
        reason = "The resource has neither an id nor a fullUrl, so loading it again could not find it"
        return Ready(entry.file, entry.place, rtype, sent, reason=reason)
    try:
        valid = _valid(resource, id, source, mapping)
        index = extract(valid.rtype, valid.resource)
    except Invalid as bad:
        return Ready(entry.file, entry.place, rtype, sent, id, reason=_words(bad.issues))
    return Ready(entry.file, entry.place, rtype, sent, id, valid, index)


def _valid(resource: dict[str, Any], id: str, source: str, mapping: dict[str, str]) -> Valid:
    validate(resource)
    known = dict(mapping)
    for _, text in references(resource):
        if text not in known:
            target = followed(source, text)
            if target is not None:
                known[text] = target
    rewritten = rewrite(resource, known)
    if rewritten.dangling:
        words = "refers to nothing in this file"
        raise Invalid(issues=[Issue("not-found", words, at) for at, _ in rewritten.dangling])
    return validate({**rewritten.resource, "id": id})


def _words(issues: tuple[Issue, ...]) -> str:
    shown = "; ".join(f"{issue.at} {issue.message}" for issue in issues[:5])
    return shown + (f"; and {len(issues) - 5} more" if len(issues) > 5 else "")
