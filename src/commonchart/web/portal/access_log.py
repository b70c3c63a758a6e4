"""Who has seen my record: the audit trail by day, in plain words; what many rows say of one visit is one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import emergency, trail
from commonchart.access.portal.links import CLIENT
from commonchart.access.trail import Access
from commonchart.web.clinician.lookups import Lookups
from commonchart.web.portal import days
from commonchart.web.portal.door import Door

PAGE = 400
SHOW = (("out", "People outside my clinic"), ("emergency", "Emergency access"), ("apps", "Apps and programs"), ("self", "Me and people who act for me"), ("auto", "Our computer’s own checks"))  # fmt: skip
ROLES = {
    "clinician": "doctor or other clinician", "nurse": "nurse", "front-desk": "front desk", "billing": "billing", "lab": "laboratory",
    "quality": "quality team", "administrator": "administrator", "privacy-officer": "privacy officer", "patient": "acting for you",
    "proxy": "acting for you", "system": "our computer",
}  # fmt: skip
WHY = {
    "TREAT": "your care", "ETREAT": "your care in an emergency", "HPAYMT": "bills and insurance", "HOPERAT": "running the practice well",
    "PATADMIN": "your appointments and data", "BTG": "an emergency", "PATRQT": "you asked for it", "PUBHLTH": "public health", "HRESCH": "research",
}  # fmt: skip
THINGS = {
    "Patient": "your name and contact data", "Observation": "your results", "DiagnosticReport": "your results", "Condition": "your conditions",
    "MedicationRequest": "your medicines", "MedicationStatement": "your medicines", "AllergyIntolerance": "your allergies",
    "Immunization": "your vaccines", "Encounter": "your visits", "Procedure": "your procedures", "DocumentReference": "your notes",
    "Coverage": "your insurance", "FamilyMemberHistory": "your family history", "Task": "your requests", "Consent": "whom you share with",
    "Appointment": "your appointments",
}  # fmt: skip
ACTS = {
    "create": "Wrote", "update": "Changed", "delete": "Deleted", "print": "Printed", "export": "Copied out", "everything": "Copied out",
    "load": "Brought in", "import": "Brought in", "notify": "Sent a message about", "send": "Sent a message about",
}  # fmt: skip
OPENED = "Opened"
BY_LINK = "by a link that you made"


class Entry(Struct, frozen=True):
    """One line: who, from where, what, why; `at` names the first row for a question about it."""

    at: str
    time: str
    who: str
    role: str
    org: str
    what: str
    why: str
    times: int
    denied: bool
    emergency: bool
    reason: str = ""
    verdict: str = ""


class Day(Struct, frozen=True):
    """The lines of one day, the latest first."""

    title: str
    entries: tuple[Entry, ...]


async def page(me: Door) -> Response:
    """The list, narrowed to what was ticked and typed."""
    query = me.call.request.query_params
    shown = set(query.getlist("show")) & {key for key, _ in SHOW}
    words = query.get("q", "").replace("\0", "").strip()[:80]
    rows = await trail.own(me.records, me.patient, limit=PAGE, before=_before(query.get("before", "")))
    urgent = await emergency.of_patient(me.records, me.patient)
    lookups = Lookups()
    await lookups.learn(me.records, [], {row.org for row in rows if row.org})
    found = _days(me, [row for row in rows if _wanted(me, row, shown)], lookups, urgent)
    if words:
        found = [day for one in found if (day := _narrowed(one, words)).entries]
    return me.page(
        "access.html", me.whose("Who has seen my record", "Who has seen {name}’s record"), days=found, show=SHOW, shown=shown,
        q=words, older=rows[-1].at.isoformat() if len(rows) == PAGE else "", said=query.get("said", ""),
        emergencies=[(days.of_date(me.zone.day(one.starts)), lookups.names.get(f"Organization/{one.org}", "")) for one in urgent],
    )  # fmt: skip


def _before(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _wanted(me: Door, row: Access, shown: set[str]) -> bool:
    """Without a tick: people; with ticks, those. The reader's own looking and our computer's work only when asked for."""
    kinds = _kinds(me, row)
    return bool(kinds & shown) if shown else not kinds & {"self", "auto"} or "emergency" in kinds


def _kinds(me: Door, row: Access) -> set[str]:
    found: set[str] = set()
    if row.client == CLIENT:
        found.add("out")
    elif row.role in ("patient", "proxy"):
        found.add("self")
    if row.role == "system":
        found.add("auto")
    if row.client.startswith(("token", "app")):
        found.add("apps")
    if row.org and row.org != me.call.actor.org and row.role not in ("patient", "proxy", "system"):
        found.add("out")
    if _urgent(row):
        found.add("emergency")
    return found


def _urgent(row: Access) -> bool:
    return row.purpose == "BTG" or row.action in ("break-glass", "break-glass-begin")


def _days(me: Door, rows: Sequence[Access], lookups: Lookups, urgent: Sequence[emergency.Grant]) -> list[Day]:
    by_day: dict[date, dict[tuple[str, ...], list[Access]]] = {}
    for row in rows:
        day = me.zone.day(row.at)
        granted = _granted(row, urgent) is not None and row.role not in ("patient", "proxy")
        key = (row.actor, row.org, row.purpose, str(row.denied), str(_urgent(row) or granted))
        by_day.setdefault(day, {}).setdefault(key, []).append(row)
    return [
        Day(
            days.named(day, me.today),
            tuple(_entry(me, held, lookups, urgent) for held in _latest(groups.values())),
        )
        for day, groups in by_day.items()
    ]


def _latest(groups: Iterable[list[Access]]) -> list[list[Access]]:
    """By the time that the page shows of each, which is when it began."""
    return sorted(groups, key=lambda held: held[-1].at, reverse=True)


def _granted(row: Access, urgent: Iterable[emergency.Grant]) -> emergency.Grant | None:
    """The emergency access under which somebody looked."""
    return next(
        (
            one
            for one in urgent
            if one.actor == row.actor and one.starts <= row.at <= (one.revoked or one.ends)
        ),
        None,
    )


def _entry(me: Door, held: Sequence[Access], lookups: Lookups, urgent: Sequence[emergency.Grant]) -> Entry:
    """`held` are the rows of one person on one day, the latest first."""
    last, first = held[0], held[-1]
    grant = None if last.role in ("patient", "proxy") else _granted(last, urgent)
    own = last.actor == me.call.actor.user
    return Entry(
        first.at.isoformat(),
        days.clock(first.at, me.zone),
        "You" if own else last.who or "A program",
        "" if own else BY_LINK if last.client == CLIENT else ROLES.get(last.role, last.role),
        lookups.names.get(f"Organization/{last.org}", "")
        if last.org and last.role not in ("patient", "proxy")
        else "",
        _what(held, me),
        WHY.get(last.purpose, last.purpose),
        len(held),
        last.denied,
        _urgent(last) or grant is not None,
        grant.reason if grant else "",
        (grant.verdict or "") if grant else "",
    )


def _what(held: Sequence[Access], me: Door) -> str:
    if held[0].denied:
        return "Tried to open something and was refused. They saw nothing."
    found: dict[str, dict[str, None]] = {}
    for row in reversed(held):
        thing = THINGS.get(row.rtype or "", "your record")
        found.setdefault(ACTS.get(row.action.split("-")[0], OPENED), {})[thing] = None
    parts = [f"{act} {_listed(list(things))}." for act, things in found.items()]
    text = " ".join(parts)
    return text if me.acting is None else text.replace("your ", f"{me.name}’s ")


def _listed(things: Sequence[str]) -> str:
    some = [one for one in things if one != "your record"] or list(things)
    some = some[:5]
    return some[0] if len(some) == 1 else f"{', '.join(some[:-1])} and {some[-1]}"


def _narrowed(day: Day, words: str) -> Day:
    wanted = words.casefold()
    kept = [
        one
        for one in day.entries
        if wanted in f"{one.who} {one.role} {one.org} {one.what} {one.why}".casefold()
    ]
    return Day(day.title, tuple(kept))
