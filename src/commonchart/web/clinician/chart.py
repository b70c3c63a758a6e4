"""What every page of one patient's chart shares: banner, navigation, due rail, as-of mode, names and source marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from starlette.responses import HTMLResponse

from commonchart.access import emergency, labelled, persons, rules, withheld
from commonchart.access.due import due_of
from commonchart.access.medications import standing
from commonchart.access.medications.reading import MEDICINES
from commonchart.care.calendar import age_on
from commonchart.care.labels import labels
from commonchart.care.labels import names as label_names
from commonchart.fhir.outcome import Forbidden, Gone, Invalid, NotFound
from commonchart.record.rows import Stored
from commonchart.web.call import Call
from commonchart.web.clinician.lookups import Lookups, fact_of
from commonchart.web.forms.catalogue import corrects
from commonchart.web.present import alerts, allergies, dates, due, people, union
from commonchart.web.present.sources import Mark, author_organization, marks
from commonchart.web.present.tables import Fact


class Section(Struct, frozen=True):
    """One entry of the navigation: its path under the patient, its words, the types it counts."""

    path: str
    title: str
    rtypes: tuple[str, ...]
    key: str = ""
    counted: bool = True


SECTIONS = (
    Section("", "Summary", ("Condition",), "g 1", counted=False),
    Section("timeline", "Timeline", ("Condition",), "g 2", counted=False),
    Section("visits", "Visits", ("Encounter",), "g 3"),
    Section("conditions", "Conditions", ("Condition",), "g 4"),
    Section("medications", "Medications", ("MedicationRequest", "MedicationStatement"), "g 5"),
    Section("allergies", "Allergies", ("AllergyIntolerance",), "g 6"),
    Section("immunizations", "Immunizations", ("Immunization",), "g 7"),
    Section("results", "Results and vitals", ("Observation",), "g 8"),
    Section("growth", "Growth", ("Observation",), counted=False),
    Section("calculators", "Calculators", ("Observation",), counted=False),
    Section("procedures", "Procedures and surgeries", ("Procedure",), "g 9"),
    Section("family", "Family history", ("FamilyMemberHistory",)),
    Section("documents", "Documents and notes", ("DocumentReference", "Composition", "DiagnosticReport")),
    Section("insurance", "Insurance", ("Coverage",)),
    Section("contacts", "Contacts and demographics", ("RelatedPerson", "CareTeam"), counted=False),
    Section("consents", "Consents and sharing", ("Consent",)),
    Section("apps", "Apps", ("Patient",), counted=False),
)

_WRITES = {"visits": "Encounter", "insurance": "Coverage", "contacts": "RelatedPerson"}


class Entry(Struct, frozen=True):
    """One drawn navigation entry."""

    href: str
    title: str
    count: str
    key: str
    current: bool


@dataclass
class Chart:
    """The chart of one person at one moment, as one page of it. `past` is the day of as-of mode, None for today."""

    call: Call
    id: str
    patient: Fact
    past: date | None
    section: str
    prefix: str
    banner: people.Banner
    allergies: allergies.Standing
    since: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    due: due.Rail | None = None
    alerts: alerts.Line | None = None
    evidence: dict[str, Fact] = field(default_factory=dict)
    lookups: Lookups = field(default_factory=Lookups)
    letters: dict[str, Mark] = field(default_factory=dict)
    disagreements: tuple[str, ...] = ()
    glass: str = ""
    withheld: bool = False
    labels: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def network(self) -> bool:
        """Are other organisations shown at all?"""
        return self.call.site.mode == "network"

    @property
    def as_of(self) -> datetime | None:
        """The last instant of the past day, None for now."""
        return self.call.zone.ends(self.past) if self.past else None

    @property
    def on(self) -> date:
        """The day that ages are counted on."""
        return self.past or self.call.today

    @property
    def may_write(self) -> bool:
        """Are there actions in this section for this person? Never in the past."""
        return self.past is None and self.call.may("create", _WRITES.get(self.section, "Condition"))

    def form_for(self, fact: Fact) -> str:
        """The form that corrects a resource, empty when there is none or it is not allowed."""
        form = corrects(fact.body) if self.past is None and self.call.may("update", fact.rtype) else None
        return form.key if form else ""

    def url(self, path: str, **query: str | int | None) -> str:
        """An address under this patient, keeping the as-of day."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        if self.past:
            given["as_of"] = self.past.isoformat()
        return f"{self.prefix}{path}" + (f"?{urlencode(given)}" if given else "")

    def now_url(self) -> str:
        """This page as it is today."""
        kept = [
            (name, value) for name, value in self.call.request.query_params.multi_items() if name != "as_of"
        ]
        return self.call.request.url.path + (f"?{urlencode(kept)}" if kept else "")

    def kept(self) -> list[tuple[str, str]]:
        """What the address says besides the day, for the form that asks for another day."""
        return [
            (name, value)
            for name, value in self.call.request.query_params.multi_items()
            if name not in ("as_of", "page", "before")
        ]

    def fact_url(self, fact: Fact) -> str:
        """The provenance of a fact."""
        return self.url(f"facts/{fact.rtype}/{fact.id}")

    def source_of(self, fact: Fact) -> str:
        """The Organization id that stands behind a fact: its author's, else the recording one."""
        return author_organization(fact.body, self.lookups.encounters) or fact.org

    def mark(self, fact: Fact) -> Mark:
        """The source mark of a fact; in practice mode every mark is alike and names nobody."""
        if not self.network:
            return Mark("i", "", own=True)
        source = self.source_of(fact)
        return self.letters.get(source) or Mark("??", "Source not recorded", own=False)

    def labelled(self, fact: Fact) -> list[str]:
        """The titles of the sensitive labels that a fact carries, its own and those of what it is made of."""
        return [labels()[name].title for name in label_names(self.labels.get((fact.rtype, fact.id), 0))]

    def evidence_mark(self, link: str) -> Mark:
        """The source mark of a fact that a due item names as `Type/id`."""
        fact = self.evidence.get(link)
        return self.mark(fact) if fact else Mark("i", "", own=True)

    def nav(self) -> list[Entry]:
        """The sections that this person may open."""
        return [
            self._entry(one)
            for one in SECTIONS
            if (one.path != "growth" or self.section == "growth" or self._young())
            and _may_open(self.call, one)
        ]

    def _young(self) -> bool:
        """Is this a child or youth, whose growth has charts? Yes where the birth date is not known."""
        born = dates.first_day(self.patient.body.get("birthDate"))
        return born is None or age_on(born, max(self.on, born)) < 20

    def _entry(self, one: Section) -> Entry:
        n = sum(self.counts.get(rtype, 0) for rtype in one.rtypes) if one.counted else 0
        count = str(n) if one.counted else ""
        root = f"/patients/{self.id}"
        href = (f"{root}/{one.path}" if one.path else root) + (
            f"?as_of={self.past.isoformat()}" if self.past else ""
        )
        return Entry(href, one.title, count, one.key, one.path == self.section)

    async def facts(
        self, rtypes: Sequence[str], *, limit: int = 50, offset: int = 0, named: bool = True, **how: Any
    ) -> tuple[list[Fact], int]:
        """A page of facts of these types, the names they refer to looked up unless not `named`; and how many there are."""
        allowed = [rtype for rtype in rtypes if self.call.may("read", rtype)]
        if not allowed:
            return [], 0
        found = await self.call.records.facts(
            self.id, allowed, as_of=self.as_of, limit=limit, offset=offset, **how
        )
        facts = [fact_of(stored) for stored in found.items]
        if named:
            await self.name(facts)
        return facts, found.total

    async def name(self, facts: Iterable[Fact]) -> None:
        """Look up the names and labels behind these facts, and give their sources marks."""
        facts = list(facts)
        await self.lookups.learn(
            self.call.records, facts, {self.call.actor.org, *(fact.org for fact in facts)}
        )
        self.labels |= await labelled.masks(self.call.records, [(fact.rtype, fact.id) for fact in facts])
        sources = [*self.letters, *(self.source_of(fact) for fact in facts)]
        self.letters = marks(sources, self.lookups.names, self.call.actor.org)

    def page(self, template: str, title: str, status: int = 200, **context: Any) -> HTMLResponse:
        """A page of the chart."""
        return self.call.page(template, status, chart=self, title=title, **context)


def _may_open(call: Call, section: Section) -> bool:
    open_to_all = ("Patient",) if section.path == "contacts" else ()
    return any(call.may("read", rtype) for rtype in (*section.rtypes, *open_to_all))


def _prefix(path: str, id: str) -> str:
    """What leads from a page of a chart, `/patients/{id}` or steps below it, to the addresses under this patient."""
    steps = path.count("/") - 2
    return f"{id}/" if steps == 0 else "../" * (steps - 1)


async def opened(call: Call, section: str, *, rail: bool = True) -> Chart:
    """The chart of the patient that the address names, with banner, counts and due list.

    Raises NotFound, Gone, Invalid (a bad as-of day), and Forbidden for a section of which this role reads nothing: an
    empty one would say that nothing is recorded.
    """
    one = next((one for one in SECTIONS if one.path == section), None)
    if one is not None and not _may_open(call, one):
        await call.records.refused("read", one.rtypes[0])
        raise Forbidden(f"{one.title}: not shown for your role")
    id = call.request.path_params["patient"]
    past = as_of_day(call)
    patient = await _patient(call, id, past)
    standing, since = await _allergies(call, id, past)
    chart = Chart(
        call=call,
        id=id,
        patient=patient,
        past=past,
        section=section,
        prefix=_prefix(call.request.url.path, id),
        banner=people.banner(patient.body | {"id": id}, past or call.today),
        allergies=standing,
        since=since,
        counts=await call.records.counts(id, as_of=call.zone.ends(past) if past else None),
    )
    chart.glass = await _glass(call, id)
    chart.withheld = await _withheld(call, id, section)
    if past is None:
        chart.alerts = await _alerts(chart)
        chart.disagreements = union.said(await persons.disagreements(call.records, id))
    if rail and past is None and call.may("read", "Condition"):
        found = await due_rail(call, id)
        chart.due = None if chart.banner.died and not (found.open or found.asks or found.closed) else found
        await learn_evidence(chart, chart.due.explained if chart.due else ())
    return chart


async def _glass(call: Call, id: str) -> str:
    """Until when this very chart is open by break-glass, as "10:45 CST, in 38 min"; "" when it is not."""
    if call.site.mode != "network" or call.actor.role not in emergency.ROLES:
        return ""
    ends = [one.ends for one in await emergency.current(call.records) if one.patient == id]
    if not ends:
        return ""
    minutes = -(-int((max(ends) - call.now).total_seconds()) // 60)
    return f"{call.zone.clock(max(ends))}, in {minutes} min"


_WHOLE = ("", "timeline")


async def _withheld(call: Call, id: str, section: str) -> bool:
    """Whether to say on a page of this section that something is not shown (`access.withheld` decides)."""
    types = next((one.rtypes for one in SECTIONS if one.path == section), ())
    if section == "medication-check":
        types = (*MEDICINES, "AllergyIntolerance")
    if call.site.mode != "network" or not (types or section in _WHOLE):
        return False
    return await withheld.hinted(call.records, id, () if section in _WHOLE else types)


def as_of_day(call: Call) -> date | None:
    """The day of `?as_of=`, None for today or without one. Raises Invalid for one that cannot be read or has not come."""
    text = call.request.query_params.get("as_of", "").strip()
    if not text:
        return None
    day = dates.typed(text)
    if day > call.today:
        raise Invalid(f"{dates.of_date(day)} has not come yet: choose a day up to today", at="as_of")
    return None if day == call.today else day


async def _patient(call: Call, id: str, past: date | None) -> Fact:
    if past is None:
        return fact_of(await call.records.read("Patient", id))
    found = await call.records.facts(id, ["Patient"], as_of=call.zone.ends(past), limit=20)
    mine: list[Stored] = [stored for stored in found.items if stored.id == id]
    if not mine:
        raise NotFound(f"This patient was not known here on {dates.of_date(past)}")
    if mine[0].deleted:
        raise Gone("This patient's record had been deleted by then")
    return fact_of(mine[0])


async def _allergies(call: Call, id: str, past: date | None) -> tuple[allergies.Standing, int]:
    """What the banner says, and how many allergies were recorded after the past day (a present danger, DESIGN 9)."""
    if not call.may("read", "AllergyIntolerance"):
        return allergies.Standing((), "Allergies are not shown for your role"), 0
    kinds = [kind for kind in ("AllergyIntolerance", "List") if call.may("read", kind)]
    now = [fact_of(one) for one in (await call.records.facts(id, kinds, limit=200)).items]
    if past is None:
        return allergies.standing(now), 0
    then = [
        fact_of(one)
        for one in (await call.records.facts(id, kinds, as_of=call.zone.ends(past), limit=200)).items
    ]
    known = {tag.id for tag in allergies.standing(then).tags}
    return allergies.standing(then), sum(tag.id not in known for tag in allergies.standing(now).tags)


async def _alerts(chart: Chart) -> alerts.Line | None:
    """The stored medication alerts, for the row under the banner; none for the dead and for who may not know of them."""
    call = chart.call
    if chart.banner.died or not (
        call.may("read", "MedicationRequest") and call.may("read", "AllergyIntolerance")
    ):
        return None
    found = await standing.whole(call.records, chart.id)
    return alerts.line(found, any(chart.counts.get(rtype) for rtype in MEDICINES))


async def learn_evidence(chart: Chart, items: Iterable[due.Item]) -> None:
    """Read the facts that due items rest on, for their source marks; a single practice has no need of them."""
    links = {used.link for item in items for used in (*item.used, *item.unused) if used.link}
    if not chart.network or not links:
        return
    keys = [(rtype, id) for rtype, _, id in (link.partition("/") for link in sorted(links)[:60])]
    found = await chart.call.records.named(keys)
    chart.evidence = {
        f"{rtype}/{id}": fact_of(stored) for (rtype, id), stored in found.items() if stored.body
    }
    await chart.name(chart.evidence.values())


async def due_rail(call: Call, id: str) -> due.Rail:
    """The stored due list of a patient; never worked out here."""
    return due.rail(await due_of(call.records, id), call.today, await rules.in_use(call.records), call.zone)
