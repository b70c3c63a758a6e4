"""Home, the record, one section, one document, results and one result."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace
from starlette.responses import Response

from commonchart.access import grants
from commonchart.access.emergency import of_patient as emergencies_of
from commonchart.access.portal import proxies
from commonchart.access.portal.looked_at import looked_at
from commonchart.fhir.outcome import NotFound
from commonchart.web.clinician.lookups import Lookups, fact_of
from commonchart.web.portal import days, lines, meaning
from commonchart.web.portal.door import Door, greeting, long_day
from commonchart.web.portal.due import due_list
from commonchart.web.present import codes, dates, people, readings, values
from commonchart.web.present.readings import Reading
from commonchart.web.present.tables import Fact

NEW = timedelta(days=90)
LABORATORY = ("laboratory",)
AT_ONCE = 60
"""Lines of a section on one page."""
SPARE = 2
"""How many results more than are shown are read of each test, since some may not be believed."""
LOOKED = {
    "yes": "Your care team has looked at it.",
    "not yet": "Your care team has not looked at it yet.",
    "cannot tell": "We cannot tell whether your care team has looked at it.",
}


async def home(me: Door) -> Response:
    """What is next, what is new, what is due, who may look; or, without a record of one's own, for whom one acts."""
    others = [] if me.acting else await _others(me)
    if not me.patient:
        return me.page("people.html", "Whose record do you want to see?", others=others)
    heading = greeting(me) if me.acting is None else "{name}’s home page"
    return me.page(
        "home.html", "Home" if me.acting is None else f"{me.name}: home", translated=True, heading=heading, today=long_day(me),
        born=days.day((me.person.body if me.person else {}).get("birthDate"), me.call.prefs.language), others=others,
        visit=await _next_visit(me), news=await _news(me), due=await due_list(me), sharing=await _sharing(me),
    )  # fmt: skip


async def _others(me: Door) -> list[tuple[str, str, str]]:
    """(address, given name, relation) of everybody whom this user acts for."""
    out = []
    for one in await proxies.mine(me.call.records):
        acting = await proxies.acting(me.call.records, one.id)
        seen = type(me.call.records)(me.records.database, acting.actor, me.records.clock)
        body = fact_of(await seen.read("Patient", one.patient)).body
        out.append((f"/me/for/{one.id}", values.name(people.best_name(body)), one.relation))
    return out


async def _next_visit(me: Door) -> dict[str, str] | None:
    """The next planned appointment."""
    page = await me.records.facts(me.patient, ["Appointment"], lo=me.call.now, limit=20, newest_first=False)
    planned = [
        one for one in map(fact_of, page.items) if one.body.get("status") in ("booked", "pending", "arrived")
    ]
    if not planned:
        return None
    lookups = Lookups()
    await lookups.learn(me.records, planned)
    body = planned[0].body
    at = me.zone.local(datetime.fromisoformat(str(body["start"])))
    who = [
        values.reference(one.get("actor"), lookups.names)
        for one in body.get("participant") or ()
        if not str((one.get("actor") or {}).get("reference", "")).startswith("Patient/")
    ]
    language = me.call.prefs.language
    return {
        "weekday": days.weekday(at.date(), language)[:3], "day": str(at.day), "month": days.MONTHS[language][at.month - 1][:3],
        "year": str(at.year), "time": days.clock(at, me.zone), "until": days.until(at.date(), me.today, language),
        "what": str(body.get("description") or codes.concepts(body.get("serviceType")) or codes.concepts(body.get("reasonCode")) or "Visit"),
        "who": ", ".join(who),
    }  # fmt: skip


async def _news(me: Door) -> list[tuple[Reading, str, tuple[str, str]]]:
    """Laboratory results of the last months, the newest of each test."""
    found = await _newest(me, 1, lo=me.call.now - NEW)
    return [(series[0], meaning.name_of(series[0]), meaning.tag(series[0])) for series in found][:5]


async def _newest(me: Door, per_code: int, lo: datetime | None = None) -> list[list[Reading]]:
    stored = await me.records.latest(me.patient, categories=LABORATORY, per_code=per_code + SPARE)
    doubted = await lines.checking(me.records, me.patient)
    series: dict[str, list[Reading]] = {}
    for one in readings.readings(fact_of(stored_one) for stored_one in stored):
        if (
            not one.struck
            and (one.fact.key, one.fact.vid) not in doubted
            and one.fact.body.get("status") != "cancelled"
            and (lo is None or one.day >= me.zone.day(lo).isoformat())
        ):
            series.setdefault(one.key, []).append(one)
    for held in series.values():
        held.sort(key=lambda one: (one.day, dates.order(one.at)), reverse=True)
    return sorted(series.values(), key=lambda held: held[0].day, reverse=True)


async def _sharing(me: Door) -> dict[str, Any] | None:
    if not me.full:
        return None
    shared = [one for one in await grants.grants(me.records, me.patient) if one.ended is None]
    urgent = await emergencies_of(me.records, me.patient)
    last = urgent[0].starts if urgent and me.call.now - urgent[0].starts < timedelta(days=365) else None
    return {
        "count": len(shared),
        "emergency": days.of_date(me.zone.day(last), me.call.prefs.language) if last else "",
    }


async def record(me: Door) -> Response:
    """The whole record, the first lines of each section."""
    found = await lines.sections(me.records, me.patient, me.zone)
    person = lines.person_lines(me.person.body) if me.person else []
    title = me.whose("Your health record", "{name}’s health record")
    return me.page("record.html", title, sections=found, person=person)


async def section(me: Door) -> Response:
    """One section, some lines at a time; the newest first."""
    wanted = me.call.request.path_params["section"]
    if wanted not in {kind.id for kind in lines.KINDS}:
        raise NotFound("There is no such page")
    (whole,) = await lines.sections(me.records, me.patient, me.zone, wanted, None)
    start = _start(me, len(whole.lines))
    shown = replace(whole, lines=whole.lines[start : start + AT_ONCE])
    return me.page(
        "section.html", whole.title, section=shown, start=start, total=len(whole.lines),
        newer=max(0, start - AT_ONCE) if start else None, older=start + AT_ONCE if start + AT_ONCE < len(whole.lines) else None,
    )  # fmt: skip


def _start(me: Door, total: int) -> int:
    """After how many lines a section is shown; what is no number, or too large, is none."""
    text = me.call.request.query_params.get("after", "")
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return wanted if wanted < total else 0


async def document(me: Door) -> Response:
    """A note or document as text."""
    rtype, id = me.call.request.path_params["rtype"], me.call.request.path_params["id"]
    if rtype not in ("DocumentReference", "DiagnosticReport"):
        raise NotFound("There is no such page")
    fact = await _mine(me, rtype, id)
    title = codes.concept(fact.body.get("type") or fact.body.get("code"), "Document")
    when = days.day(fact.body.get("date") or fact.body.get("effectiveDateTime"))
    return me.page("document.html", title, fact=fact, when=when, parts=lines.text_parts(fact))


async def _mine(me: Door, rtype: str, id: str) -> Fact:
    fact = fact_of(await me.records.read(rtype, id))
    if fact.patient != me.patient:
        raise NotFound(f"There is no {rtype} with this id")
    return fact


async def results(me: Door) -> Response:
    """The newest of every test, and of every measurement."""
    found = await _newest(me, 2)
    vitals = (await lines.sections(me.records, me.patient, me.zone, "results", None))[0]
    shown = [
        (held[0], meaning.name_of(held[0]), meaning.tag(held[0]), meaning.change(held)) for held in found
    ]
    keys = {f"Observation/{held[0].fact.id}" for held in found}
    older = [line for line in vitals.lines if line.key not in keys][:60]
    return me.page(
        "results.html", me.whose("Your results", "{name}’s results"), shown=shown, older=older, day=days.day
    )


async def result(me: Door) -> Response:
    """One result: meaning, picture, how it has changed, facts, whether the care team has looked."""
    fact = await _mine(me, "Observation", me.call.request.path_params["id"])
    found = readings.read(fact)
    if not found or fact.body.get("status") in ("cancelled", "entered-in-error"):
        raise NotFound("There is no such result")
    one = found[0]
    doubted = await lines.checking(me.records, me.patient)
    history = [r for r in await _history(me, one) if (r.fact.key, r.fact.vid) not in doubted]
    rejected = doubted.get((fact.key, fact.vid))
    believed = rejected is None
    lookups = Lookups()
    await lookups.learn(me.records, [fact], {fact.org})
    laboratory = ", ".join(values.reference(who, lookups.names) for who in fact.body.get("performer") or ())
    return me.page(
        "result.html", f"{meaning.name_of(one)}: {meaning.value(one)}", fact=fact, one=one, found=found, name=meaning.name_of(one),
        value=meaning.value(one), tag=meaning.worst(found) if believed else lines.DOUBTED[bool(rejected)], rejected=rejected, plain=meaning.words_of(one), ruler=meaning.ruler(one) if believed else None,
        course=meaning.course(history), history=history[:12], change=meaning.change([h for h in history if h.day <= one.day]) if believed else "",
        when=days.day(one.day), sent=days.of_date(me.zone.day(fact.recorded)) if fact.recorded else "", laboratory=laboratory,
        looked=LOOKED[await looked_at(me.records, me.patient, fact.id)], tags=meaning.tag, day=days.day, said=meaning.value,
        urgent=believed and meaning.worst(found)[0] == "over", notes=[str(note.get("text", "")) for note in fact.body.get("note") or ()],
    )  # fmt: skip


async def _history(me: Door, one: Reading) -> list[Reading]:
    """Every reading of the same test that stands, newest first."""
    if one.key.startswith("text|"):
        return [one]
    page = await me.records.facts(me.patient, ["Observation"], codes=[one.key.split(">")[0]], limit=60)
    found = [
        r
        for r in readings.readings(map(fact_of, page.items))
        if r.key == one.key and not r.struck and r.fact.body.get("status") != "cancelled"
    ]
    return sorted(found, key=lambda r: (r.day, r.at), reverse=True)
