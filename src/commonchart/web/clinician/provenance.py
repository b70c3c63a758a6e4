"""Where one fact came from: who, which organisation, when recorded, when true, its versions, and the raw FHIR."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from commonchart.access import labelling
from commonchart.access.inbox import reading
from commonchart.fhir.json import encode
from commonchart.fhir.outcome import Gone, Malformed, NotFound
from commonchart.record.rows import Stored
from commonchart.web.call import Call
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.present import codes, consents, dates, events, medications, readings, values
from commonchart.web.present.differences import Difference, differences
from commonchart.web.present.label_acts import line
from commonchart.web.present.tables import Fact, entered_in_error
from commonchart.web.present.zone import Zone

MOST = 50


class Version(Struct, frozen=True):
    """One line of the version list."""

    vid: int
    recorded: str
    by: str
    org: str
    href: str
    current: bool
    deleted: bool


async def versions(chart: Chart, rtype: str, id: str) -> list[Stored]:
    """The versions of a resource of this person, newest first, up to the past day. Raises NotFound."""
    page = await chart.call.records.history(rtype, id, count=MOST)
    moment = chart.as_of
    found = [one for one in page.matches if moment is None or one.recorded <= moment]
    mine = await _linked(chart)
    if not found or not any(one.patient in mine or (rtype == "Patient" and one.id in mine) for one in found):
        raise NotFound("There is no such fact in this chart")
    return found


async def _linked(chart: Chart) -> set[str]:
    found = await chart.call.records.facts(chart.id, ["Patient"], limit=20)
    return {chart.id, *(stored.id for stored in found.items)}


async def version(chart: Chart, rtype: str, id: str) -> Fact:
    """A resource of this person as it stands on the day of the chart, its names looked up. Raises NotFound, Gone."""
    newest = (await versions(chart, rtype, id))[0]
    if newest.deleted:
        raise Gone("This has been deleted from the chart")
    fact = fact_of(newest)
    await chart.name([fact])
    return fact


async def fact(call: Call) -> Response:
    """The provenance of one fact: a page, or what the pop-over shows when htmx asks."""
    params = call.request.path_params
    chart = await opened(call, "facts", rail=False)
    found = await versions(chart, params["rtype"], params["id"])
    shown, before = _picked(call, found)
    await chart.lookups.learn_people(call.records)
    facts = [fact_of(one) for one in found]
    await chart.name([one for one in facts if len(one.body) > 2])
    here = fact_of(shown)
    context: dict[str, Any] = {
        "fact": here,
        "title": headline(here, chart),
        "flag": _flag(here),
        "lines": lines(here, chart),
        "wrong": entered_in_error(here.body),
        "deleted": shown.deleted,
        "newest": shown is found[0],
        "form": chart.form_for(here),
        "labelling": labelling.may_put(call.actor) and here.rtype not in labelling.NOT_ENTRIES,
    }
    if call.partial:
        return chart.page("chart/fact-pop.html", **context, more=len(found))
    acts = await labelling.acts_of(call.records, here.rtype, here.id)
    by = {one.vid: one.actor for one in acts}
    context |= {
        "versions": [_line(chart, one, shown, by.get(one.vid, one.actor)) for one in found],
        "hands": [line(one, chart.lookups.people, chart.call.zone) for one in reversed(acts)],
        "changes": _changes(before, shown),
        "raw": pretty(here.body) if not shown.deleted else "",
        "whole": len(found) < MOST,
        "signings": await _signings(call, here),
    }
    return chart.page("chart/fact.html", **context)


async def _signings(call: Call, fact: Fact) -> list[tuple[str, str, str]]:
    """(when, what, note) of every time a result was signed in the inbox, and of which of its versions."""
    if (
        fact.rtype not in ("Observation", "DiagnosticReport")
        or not call.may("read", fact.rtype)
        or call.actor.role == "patient"
    ):
        return []
    out = []
    for one, name in await reading.signings(call.records, fact.patient or "", fact.key):
        vid = next(
            part.rpartition("/")[2] for part in one.version.split() if part.rpartition("/")[0] == fact.key
        )
        words = (
            f"{'Signed' if one.act == 'signed' else 'Acknowledged while partial'} by {name}, version {vid}"
        )
        out.append((call.zone.stamp(one.at), words + (", taken back since" if one.undone else ""), one.note))
    return out


def _picked(call: Call, found: list[Stored]) -> tuple[Stored, Stored | None]:
    """The version that `?version=` names, else the newest; and the one before it."""
    text = call.request.query_params.get("version", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Malformed("A version is a number", at="version")
    n = next((n for n, one in enumerate(found) if not text or one.vid == int(text)), None)
    if n is None:
        raise NotFound("There is no such version of this fact")
    return found[n], found[n + 1] if n + 1 < len(found) else None


def _line(chart: Chart, one: Stored, shown: Stored, by: str) -> Version:
    return Version(
        one.vid,
        chart.call.zone.stamp(one.recorded),
        chart.lookups.people.get(by, by),
        chart.lookups.names.get(f"Organization/{one.org}", one.org) if chart.network else "",
        chart.url(f"facts/{one.rtype}/{one.id}", version=one.vid),
        one is shown,
        one.deleted,
    )


def _changes(before: Stored | None, shown: Stored) -> list[Difference]:
    if before is None or before.body is None or shown.body is None:
        return []
    return differences(fact_of(before).body, fact_of(shown).body)


def headline(fact: Fact, chart: Chart) -> str:
    """What a fact is, in one line: `HbA1c 7.1 %`."""
    body = fact.body
    if fact.rtype == "Observation":
        found = readings.read(fact)
        value = f" {found[0].text} {found[0].unit}".rstrip() if len(found) == 1 else ""
        return codes.concept(body.get("code")) + value
    if fact.rtype == "Consent":
        said = consents.said(body, chart.lookups.names)
        return said[0].sentence if said else "Consent"
    if fact.rtype in medications.KINDS:
        return medications.medicine(body, chart.lookups.names)
    if fact.rtype in events.TIMELINE:
        return events.TIMELINE[fact.rtype][1](fact, chart.lookups.names)
    for name in ("code", "relationship", "type", "category"):
        about = body.get(name)
        words = (
            codes.concepts(about) if isinstance(about, list) and about and isinstance(about[0], dict) else ""
        )
        words = words or (codes.concept(about, "") if isinstance(about, dict) else "")
        if words:
            return words
    return "Demographics" if fact.rtype == "Patient" else fact.rtype


def _flag(fact: Fact) -> readings.Flag:
    found = readings.read(fact) if fact.rtype == "Observation" else []
    return found[0].flag if len(found) == 1 else readings.Flag()


def lines(fact: Fact, chart: Chart) -> list[tuple[str, str]]:
    """The provenance of a fact, label by label; what is not recorded says so."""
    body, names = fact.body, chart.lookups.names
    source = chart.source_of(fact)
    said = [
        ("True on", _true_on(fact, chart.call.zone)),
        ("Known here", chart.call.zone.stamp(fact.recorded) if fact.recorded else codes.NOT_RECORDED),
        ("Author", _author(body, names) or codes.NOT_RECORDED),
    ]
    if chart.network:
        said.append(
            (
                "Author organisation",
                names.get(f"Organization/{source}", codes.NOT_RECORDED)
                if source != fact.org
                else "as recorded by",
            )
        )
        said.append(
            (
                "Recorded by",
                f"{names.get(f'Organization/{fact.org}', fact.org or codes.NOT_RECORDED)}, {chart.lookups.people.get(fact.actor, fact.actor)}",
            )
        )
    else:
        said.append(("Recorded by", chart.lookups.people.get(fact.actor, fact.actor) or codes.NOT_RECORDED))
    meta = body.get("meta") or {}
    said += [
        *([("Came as", str(meta["source"]))] if meta.get("source") else []),
        ("Coded", _coded(body)),
        (
            "State",
            codes.plain(
                str(body.get("status") or codes.said(body.get("clinicalStatus")) or codes.NOT_RECORDED)
            ),
        ),
        ("Version", f"{fact.vid}"),
    ]
    return [(label, words) for label, words in said if words != "as recorded by"]


def _true_on(fact: Fact, zone: Zone) -> str:
    for stem in ("effective", "onset", "performed", "occurrence"):
        kind, value = values.choice(fact.body, stem)
        if kind:
            return zone.moment(value) if kind in ("DateTime", "Instant") else values.words(kind, value)
    if fact.rtype == "Encounter":
        return dates.period(fact.body.get("period")) or codes.NOT_RECORDED
    return events.event_day(fact)


def _author(body: dict[str, Any], names: values.Names) -> str:
    found: list[str] = []
    for name in (
        "performer",
        "author",
        "requester",
        "recorder",
        "asserter",
        "informationSource",
        "participant",
    ):
        value = body.get(name)
        for one in value if isinstance(value, list) else [value] if isinstance(value, dict) else []:
            if not isinstance(one, dict):
                continue
            target = (
                one.get("actor")
                or one.get("individual")
                or (one if "reference" in one or "display" in one else None)
            )
            if isinstance(target, dict):
                found.append(values.reference(target, names))
    return ", ".join(dict.fromkeys(one for one in found if one != codes.NOT_RECORDED))


def _coded(body: dict[str, Any]) -> str:
    for name in ("code", "vaccineCode", "medicationCodeableConcept", "type"):
        value = body.get(name)
        first = value[0] if isinstance(value, list) and value else value
        found = codes.codings(first) if isinstance(first, dict) else []
        if found:
            return ", ".join(f"{one.label} {one.code}" for one in found[:4])
    return "no code"


def pretty(body: dict[str, Any]) -> str:
    """The resource as indented JSON, numbers exactly as stored."""
    return msgspec.json.format(encode(body), indent=2).decode()
