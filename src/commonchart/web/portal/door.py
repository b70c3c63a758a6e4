"""What stands before every page of the portal: whose record it is, in whose name, and how the page looks.

Whose record it is stands in the address (`/me`, or `/me/for/{grant}`), not in the session: two windows cannot be mixed up,
and an old page of one person never sends a form about another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from starlette.responses import Response

from commonchart.access import audit, signin
from commonchart.access.actors import FOR_A_PATIENT
from commonchart.access.portal import proxies
from commonchart.access.portal.proxies import Acting
from commonchart.access.records import Records
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.web.call import Call
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.portal import days
from commonchart.web.portal.words import LANGUAGES, Words
from commonchart.web.present import people
from commonchart.web.present.tables import Fact
from commonchart.web.present.zone import Zone
from commonchart.web.session import View

PortalView = Callable[["Door"], Awaitable[Response]]
ROOT = "/me"
NAV = (("", "Home"), ("/record", "Record"), ("/results", "Results"), ("/due", "Due"), ("/sharing", "Sharing"))
UNDER = {"/access": "/sharing", "/disclosures": "/sharing", "/documents": "/record", "/questions": "/due"}
"""Pages that lie under an entry of the navigation, though their address does not."""


@dataclass(frozen=True)
class Door:
    """One request of a patient, or of somebody for one. `records` sees this patient only; `person` is None for nobody's page."""

    call: Call
    records: Records
    patient: str
    base: str
    person: Fact | None = None
    acting: Acting | None = None
    decided: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """What the patient is called: their given name."""
        best = people.best_name(self.person.body) if self.person else {}
        given = next((str(part) for part in best.get("given") or () if part), "")
        return given or str(best.get("text") or best.get("family") or self.call.actor.name)

    @property
    def full(self) -> bool:
        """Is this the patient themselves, or somebody with the whole right?"""
        return self.acting is None or self.acting.scope == "full"

    @property
    def zone(self) -> Zone:
        """The clocks of the practice."""
        return self.call.zone

    @property
    def today(self) -> date:
        """The day at the practice."""
        return self.call.today

    def whose(self, mine: str, theirs: str) -> str:
        """`mine` for the patient, `theirs` (with {name}) for somebody acting."""
        return mine if self.acting is None else theirs.format(name=self.name)

    def page(self, template: str, title: str, status: int = 200, **context: Any) -> Response:
        """A page of the portal. `translated` says that all of it is in the catalogue."""
        return self.call.page(f"portal/{template}", status, **(self.shared(title) | context))

    def shared(self, title: str) -> dict[str, Any]:
        """What the layout of the portal needs."""
        language = self.call.prefs.language if self.call.prefs.language in LANGUAGES else "en"
        path = self.call.request.url.path.removeprefix(self.base) or ""
        return {
            "me": self,
            "base": self.base,
            "title": title,
            "_": Words(language),
            "language": language,
            "translated": False,
            "nav": [
                (self.base + at, words, _current(path, at))
                for at, words in NAV
                if self.full or at != "/sharing"
            ],
            "practice": self.decided.get("name", ""),
            "phone": self.decided.get("practice_phone", ""),
            "issues": [],
            "errors": {},
            "look": "",
        }


def _current(path: str, at: str) -> bool:
    return path == at or (at != "" and f"{path}/".startswith((f"{at}/", *_under(at))))


def _under(at: str) -> tuple[str, ...]:
    return tuple(f"{page}/" for page, above in UNDER.items() if above == at)


def portal(view: PortalView, *, alone: bool = False, full: bool = False) -> View:
    """A view for patients. `alone`: also for somebody without a record of their own; `full`: not for a limited right."""

    async def answer(call: Call) -> Response:
        me = await opened(call)
        if (not me.patient and not alone) or (full and not me.full):
            raise NotFound("There is no such page")
        return await view(me)

    return answer


async def opened(call: Call) -> Door:
    """Whose door this is. Raises Forbidden for staff, NotFound for a right that does not hold (any more)."""
    if call.actor.role not in FOR_A_PATIENT:
        await _refused(call, "Only patients, and those who act for them, come in here")
    grant = call.request.path_params.get("grant", "")
    acting = await proxies.acting(call.records, grant) if grant else None
    records = call.records
    if acting:
        records = Records(records.database, acting.actor, records.clock, key=records.key)
    patient = (acting.actor.patient if acting else call.actor.patient) or ""
    return Door(
        call,
        records,
        patient,
        f"{ROOT}/for/{grant}" if grant else ROOT,
        fact_of(await records.read("Patient", patient)) if patient else None,
        acting,
        await signin.site(call.records.database, call.actor.tenant),
    )


def staff(view: View) -> View:
    """A view of the clinicians' workspace: patients have a door of their own."""

    async def answer(call: Call) -> Response:
        if call.actor.role in FOR_A_PATIENT:
            await _refused(call, "This page is for the practice: your own record is on your home page")
        return await view(call)

    return answer


async def _refused(call: Call, words: str) -> None:
    async with call.records.database.single() as conn:
        await audit.note(conn, call.actor, call.now, "open-page", outcome=audit.SERIOUS)
    raise Forbidden(words)


def greeting(me: Door) -> str:
    """By the hour at the practice."""
    hour = me.zone.local(me.call.now).hour
    return (
        "Good morning, {name}"
        if hour < 12
        else "Good afternoon, {name}"
        if hour < 18
        else "Good evening, {name}"
    )


def long_day(me: Door) -> str:
    """Today, with its weekday."""
    language = me.call.prefs.language
    text = f"{days.weekday(me.today, language)}, {days.of_date(me.today, language)}"
    return text[:1].upper() + text[1:]
