"""One request of somebody who is signed in: who asks, what they may see, when, and how their pages look."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from commonchart.access import policy
from commonchart.access.actors import Actor
from commonchart.web import rendering
from commonchart.web.menu import menu
from commonchart.web.present.inbox import waited
from commonchart.web.present.zone import Zone

if TYPE_CHECKING:
    from commonchart.access.inbox.reading import Waiting
    from commonchart.access.records import Records
    from commonchart.access.signin import Session


IDLE_SECONDS = 15 * 60 + 5


class Preferences(Struct, frozen=True):
    """How one person wants their pages; kept as JSON with the user."""

    theme: Literal["system", "light", "dark"] = "system"
    density: Literal["compact", "comfortable"] = "compact"
    letters: bool = True
    language: Literal["en", "es"] = "en"


class Site(Struct, frozen=True):
    """How this installation presents itself."""

    mode: str = "practice"
    name: str = ""
    synthetic: bool = False
    zone: Zone = Zone()


class Place(Struct, frozen=True):
    """An organisation that somebody works for: `here` is the one acted for now, `asked` one that waits for an answer.

    `waiting`: how many critical results wait there for them.
    """

    id: str
    name: str
    role: str
    here: bool
    asked: bool
    waiting: int = 0


@dataclass(frozen=True)
class Call:
    """What every signed-in view gets. `now` is the server's clock, read once per request; `zone` is how the site reads it.

    `places` is empty for whoever works for one organisation.
    """

    request: Request
    actor: Actor
    records: Records
    now: datetime
    csrf: str
    prefs: Preferences = field(default_factory=Preferences)
    site: Site = field(default_factory=Site)
    critical: Waiting | None = None
    session: Session | None = None
    places: tuple[Place, ...] = ()

    @property
    def fresh(self) -> bool:
        """Whether a factor was shown within the last five minutes: then dangerous acts are open."""
        return self.session is not None and self.session.fresh(self.now)

    @property
    def left(self) -> int:
        """In how many seconds the session ends if nothing is done."""
        until = self.session.until if self.session else None
        return max(0, int((until - self.now).total_seconds())) if until else 0

    @property
    def today(self) -> date:
        """The day of this request at the site."""
        return self.zone.day(self.now)

    @property
    def zone(self) -> Zone:
        """The clocks of the site: what is shown of a moment, and what a typed one means."""
        return self.site.zone

    @property
    def partial(self) -> bool:
        """Does htmx ask for a fragment rather than a person for a page?"""
        return self.request.headers.get("hx-request") == "true"

    def may(self, action: str, rtype: str) -> bool:
        """May this person do this with resources of this type at all? For showing links; the records decide again."""
        return policy.allowed(self.actor, action, rtype)

    def _critical(self) -> tuple[str, str, str] | None:
        """The words of the banner while critical results wait for this person, its link and what that says."""
        one = self.critical
        if one is None:
            return None
        how_many = "A critical result waits" if one.count == 1 else f"{one.count} critical results wait"
        since = waited(one.since, self.now)
        if one.unseen:
            return (
                f"{how_many} that no clinician may open, for {since}",
                one.href,
                "See why, and what can be done",
            )
        act = "Open and acknowledge" if self.actor.role in ("clinician", "administrator") else "Open"
        return f"{how_many} for you, not acknowledged for {since}", one.href, act

    def page(self, template: str, status: int = 200, *, idle: bool = True, **context: Any) -> HTMLResponse:
        """A page with everything that the layout needs: `title` and what the template names in `context`.

        `idle` pages leave the screen by themselves when the session ends; give False for one with unsaved typing.
        """
        shared = {
            "actor": self.actor,
            "csrf": self.csrf,
            "prefs": self.prefs,
            "site": self.site,
            "menu": menu(self),
            "may": {
                "registry": self.may("search", "Condition"),
                "register": self.may("create", "Patient"),
                "outreach": self.may("create", "Communication"),
            },
            "critical": self._critical(),
            "acting_for": self.places,
            "acting_path": self.request.url.path,
            "left": self.left,
            "leaves": idle,
            "today": self.today,
            "zone": self.zone,
            "q": "",
        }
        response = rendering.html(template, shared | context, status)
        if idle and not self.partial:
            path = self.request.url.path + (f"?{self.request.url.query}" if self.request.url.query else "")
            response.headers["refresh"] = f"{IDLE_SECONDS}; url=/timed-out?next={quote(path, safe='')}"
        return response


def go(address: str) -> RedirectResponse:
    """After a POST: look at the result by GET."""
    return RedirectResponse(address, 303)
