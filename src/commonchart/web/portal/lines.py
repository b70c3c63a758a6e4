"""The record as sections of plain lines, each saying where it comes from: for one's own page, for the preview, for taking away.

The same function draws what somebody else would see: only the Records differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import policy, quarantine
from commonchart.access.records import Records
from commonchart.web.clinician.lookups import Lookups, fact_of
from commonchart.web.portal import days, meaning
from commonchart.web.present import allergies, codes, events, medications, readings, texts, values
from commonchart.web.present.absence import is_absence, known_none
from commonchart.web.present.tables import Fact, entered_in_error
from commonchart.web.present.zone import Zone

MOST = 300
DOUBTED = {
    False: ("ask", "May be wrong: we are checking it"),
    True: ("off", "Found to be wrong: does not count"),
}
BRIEF = 6
VISITS = {
    "Office": "Office visit",
    "Emergency": "Emergency visit",
    "Remote": "Visit by phone or video",
    "At home": "Visit at home",
}
"""A visit of which only the class is written down, by the word for the class."""


class Line(Struct, frozen=True):
    """One thing of the record. `key` is "Type/id"; `tag` (kind, words) is a status; `href` follows the base address."""

    title: str
    text: str
    source: str
    key: str = ""
    href: str = ""
    tag: tuple[str, str] = ("", "")


class Section(Struct, frozen=True):
    """One part of the record; `empty` says what no line means, `asked` that nobody knows. `unseen`: more than are shown."""

    id: str
    title: str
    lines: tuple[Line, ...]
    empty: str
    known: bool = False
    unseen: int = 0


class _Kind(Struct, frozen=True):
    id: str
    title: str
    rtypes: tuple[str, ...]
    line: Callable[[Fact, Lookups], Line | None]
    empty: str
    none: str = ""


def _plain(title: str, text: str, fact: Fact, href: str = "", tag: tuple[str, str] = ("", "")) -> Line:
    return Line(title, text, "", fact.key, href, tag)


def _allergy(fact: Fact, _: Lookups) -> Line | None:
    body = fact.body
    off = codes.said(body.get("verificationStatus")) in ("entered-in-error", "refuted")
    if is_absence(body) or off or codes.said(body.get("clinicalStatus")) in ("inactive", "resolved"):
        return None
    reaction = ", ".join(
        text for one in body.get("reaction") or () if (text := codes.concepts(one.get("manifestation")))
    )
    severe = "Severe. Tell every doctor, dentist and pharmacist." if allergies.grave(body) else ""
    said = " ".join(
        part
        for part in (f"Reaction: {reaction}." if reaction else "Reaction not written down.", severe)
        if part
    )
    return _plain(codes.concept(body.get("code")), said, fact)


def _medicine(fact: Fact, lookups: Lookups) -> Line | None:
    body = fact.body
    if is_absence(body) or entered_in_error(body) or not medications.is_current(body):
        return None
    dose = medications.dosage(body)
    paused = "Paused for now. " if body.get("status") == "on-hold" else ""
    return _plain(
        medications.medicine(body, lookups.names),
        f"{paused}{dose or 'How to take it is not written here: ask us.'}",
        fact,
    )


def _condition(fact: Fact, _: Lookups) -> Line | None:
    body = fact.body
    if is_absence(body) or codes.said(body.get("verificationStatus")) in ("entered-in-error", "refuted"):
        return None
    since = days.day(body.get("onsetDateTime"))
    ended = days.day(body.get("abatementDateTime"))
    over = codes.said(body.get("clinicalStatus")) in ("inactive", "resolved", "remission")
    doubt = codes.said(body.get("verificationStatus")) in ("unconfirmed", "provisional", "differential")
    parts = [
        f"Since {since}." if since else "",
        "Not certain yet." if doubt else "",
        f"Over since {ended}." if ended else "Over." if over else "",
    ]
    return _plain(codes.concept(body.get("code")), " ".join(part for part in parts if part), fact)


def _vaccine(fact: Fact, _: Lookups) -> Line | None:
    body = fact.body
    if entered_in_error(body) or body.get("status") != "completed" or is_absence(body):
        return None
    when = days.day(body.get("occurrenceDateTime")) or str(
        body.get("occurrenceString") or "Day not written down"
    )
    return _plain(codes.concept(body.get("vaccineCode")), f"Given on {when}", fact)


def _result(fact: Fact, _: Lookups) -> Line | None:
    if fact.body.get("status") in ("cancelled", "entered-in-error"):
        return None
    found = readings.read(fact)
    if not found:
        return None
    return _plain(
        meaning.name_of(found[0]), meaning.said(found), fact, f"/results/{fact.id}", meaning.worst(found)
    )


def _visit(fact: Fact, lookups: Lookups) -> Line | None:
    body = fact.body
    if entered_in_error(body) or body.get("status") in ("cancelled", "planned"):
        return None
    who = [
        values.reference(one["individual"], lookups.names)
        for one in body.get("participant") or ()
        if one.get("individual")
    ]
    when = days.day((body.get("period") or {}).get("start")) or "Day not written down"
    stay = events.nights(body)
    kind, title = events.visit_class(body), events.visit_title(body)
    about = ", ".join(part for part in (kind if title != kind else "", stay) if part)
    parts = [f"{when}.", f"{about}." if about else "", f"With {', '.join(who[:2])}." if who else ""]
    named = VISITS.get(title, title)
    return _plain(named, " ".join(part for part in parts if part), fact)


def _procedure(fact: Fact, _: Lookups) -> Line | None:
    body = fact.body
    if entered_in_error(body) or body.get("status") == "not-done" or is_absence(body):
        return None
    when = days.day(body.get("performedDateTime") or (body.get("performedPeriod") or {}).get("start"))
    return _plain(codes.concept(body.get("code")), f"{when or 'Day not written down'}.", fact)


def _relative(fact: Fact, _: Lookups) -> Line | None:
    body = fact.body
    if entered_in_error(body):
        return None
    had = ", ".join(codes.concept(one.get("code")) for one in body.get("condition") or ())
    return _plain(codes.concept(body.get("relationship")).capitalize(), had or "Nothing written down", fact)


def _document(fact: Fact, lookups: Lookups) -> Line | None:
    body = fact.body
    if entered_in_error(body) or body.get("docStatus") == "preliminary":
        return None
    when = days.day(body.get("date") or body.get("effectiveDateTime") or body.get("issued"))
    title = codes.concept(body.get("type") or body.get("code"), "Document")
    who = [values.reference(one, lookups.names) for one in body.get("author") or body.get("performer") or ()]
    return _plain(
        title,
        " ".join(part for part in (f"{when}." if when else "", f"By {who[0]}." if who else "") if part),
        fact,
        f"/documents/{fact.rtype}/{fact.id}",
    )


def _insurance(fact: Fact, lookups: Lookups) -> Line | None:
    body = fact.body
    if body.get("status") != "active":
        return None
    who = ", ".join(values.reference(one, lookups.names) for one in body.get("payor") or ())
    return _plain(
        who or "Insurance", f"Member number {body['subscriberId']}" if body.get("subscriberId") else "", fact
    )


_NOT = "This does not mean that there are none."
KINDS = (
    _Kind("allergies", "Allergies", ("AllergyIntolerance", "List"), _allergy, f"Nobody has written down yet whether you have allergies. {_NOT} Tell us.", "None known."),
    _Kind("medicines", "Medicines", ("MedicationRequest", "MedicationStatement", "List"), _medicine, f"No medicines are written down. {_NOT}", "None."),
    _Kind("conditions", "Conditions", ("Condition", "List"), _condition, f"No conditions are written down. {_NOT}", "None known."),
    _Kind("vaccines", "Vaccines", ("Immunization",), _vaccine, "We have no record of a vaccine. You may have had some at another clinic."),
    _Kind("results", "Results", ("Observation",), _result, "No results are here yet."),
    _Kind("visits", "Visits", ("Encounter",), _visit, "No visits are written down here."),
    _Kind("procedures", "Operations and procedures", ("Procedure",), _procedure, f"None are written down. {_NOT}"),
    _Kind("family", "Family history", ("FamilyMemberHistory",), _relative, "Nobody has written down what runs in your family."),
    _Kind("documents", "Notes and documents", ("DocumentReference", "DiagnosticReport"), _document, "No notes or documents are here."),
    _Kind("insurance", "Insurance", ("Coverage",), _insurance, "No insurance is written down."),
)  # fmt: skip


async def sections(
    records: Records, patient: str, zone: Zone, only: str = "", brief: int | None = BRIEF
) -> list[Section]:
    """The record of a patient as these Records see it, its days those of `zone`; each section cut to `brief` lines, None for all."""
    lookups = Lookups()
    found: list[tuple[_Kind, list[Fact], int]] = []
    for kind in KINDS:
        if only in ("", kind.id):
            how = {"categories": ("laboratory", "vital-signs")} if kind.id == "results" else {}
            page = await records.facts(patient, kind.rtypes, limit=MOST, **how)
            found.append((kind, [fact_of(one) for one in page.items], page.total))
    every = [fact for _, facts, _ in found for fact in facts]
    doubted = await checking(records, patient) if only in ("", "results") else {}
    await lookups.learn(records, every, {fact.org for fact in every})
    return [_section(kind, facts, total, lookups, zone, brief, doubted) for kind, facts, total in found]


def _believed(line: Line, fact: Fact, doubted: Mapping[tuple[str, int], bool]) -> Line:
    rejected = doubted.get((fact.key, fact.vid))
    return line if rejected is None else replace(line, tag=DOUBTED[rejected])


async def checking(records: Records, patient: str) -> dict[tuple[str, int], bool]:
    """("Type/id", version) of every result that is not believed: False while somebody has to look, True where it was rejected."""
    if not policy.allowed(records.actor, "read", "Observation"):
        return {}
    marks = await quarantine.marks(records, patient)
    return {(key, mark.vid): mark.rejected for key, mark in marks.items()}


def _section(
    kind: _Kind, facts: Sequence[Fact], total: int, lookups: Lookups, zone: Zone, brief: int | None,
    doubted: Mapping[tuple[str, int], bool],
) -> Section:  # fmt: skip
    lines = [
        _sourced(_believed(line, fact, doubted), fact, lookups, zone)
        for fact in facts
        if (line := kind.line(fact, lookups)) is not None
    ]
    none = known_none(facts, kind.rtypes[0]) if kind.none else ""
    shown = lines if brief is None else lines[:brief]
    unseen = len(lines) - len(shown) + max(0, total - len(facts))
    empty = f"{kind.none} Written down {none.removeprefix('recorded ')}." if none else kind.empty
    return Section(kind.id, kind.title, tuple(shown), empty, bool(none), unseen)


def _sourced(line: Line, fact: Fact, lookups: Lookups, zone: Zone) -> Line:
    org = lookups.names.get(f"Organization/{fact.org}", "") if fact.org else ""
    when = days.of_date(zone.day(fact.recorded)) if fact.recorded else ""
    words = f"From {org or 'a place without a name here'}{f', written down {when}' if when else ''}"
    return replace(line, source=words)


def text_parts(fact: Fact) -> list[tuple[str, str]]:
    """(heading, text) of a document; what cannot be shown says why."""
    return [(part.title, part.text or part.missing) for part in texts.parts(fact.body)]


def person_lines(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Who the patient is and how to reach them."""
    lines = [
        ("Born", days.day(body.get("birthDate"))),
        *(("Phone" if one.get("system") in ("phone", "sms") else "E-mail", str(one.get("value", ""))) for one in body.get("telecom") or () if one.get("system") in ("phone", "sms", "email")),
        *(("Address", values.address(one)) for one in body.get("address") or ()),
        *(("In an emergency, call", values.name(one["name"])) for one in body.get("contact") or () if one.get("name")),
    ]  # fmt: skip
    return [(label, text) for label, text in lines if text]
