"""Links to one's own record: made for one reader, shown once with a QR code; and the page that the reader opens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import segno
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from commonchart.access import signin
from commonchart.access.portal import links
from commonchart.access.portal.links import Link, Reading, Wanted, Wrong
from commonchart.documents import health_link
from commonchart.fhir.outcome import Conflict, Invalid, NotFound, Refused
from commonchart.web import rendering
from commonchart.web.call import Preferences, go
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.portal import days, lines
from commonchart.web.portal.door import Door
from commonchart.web.portal.words import Words
from commonchart.web.present import people, values
from commonchart.web.session import form as sent_form
from commonchart.web.session import signing_key, site
from commonchart.web.whence import origin

UNTIL = {"1": "1 day", "7": "7 days", "30": "30 days", "90": "90 days", "365": "1 year"}
TIMES = {"1": "Once", "5": "5 times", "": "As often as they like"}
SCOPES = [
    ("full", "All of it"),
    ("limited", "Without sensitive parts (such as HIV, mental health, sexual health)"),
]
WHAT = [("all", "My whole record"), ("some", "Only the parts that I tick")]
TITLES = {kind.id: kind.title for kind in lines.KINDS}
NOTHING = ""
LETTERS = 43
# nobody keeps where the reader came from, and no search engine keeps the page
HIDDEN = {"referrer-policy": "no-referrer", "x-robots-tag": "noindex, nofollow, noarchive"}


class Shown(Struct, frozen=True):
    """A link just made: its address, what an app scans, the picture of it (a data URI), and what it is."""

    address: str
    scanned: str
    picture: str
    until: str
    locked: bool


# ---- the patient's side ----------------------------------------------------------------------------------------


async def new(me: Door) -> Response:
    """The form."""
    return _form(me, {"id": uuid4().hex, "until": "7", "most": "5"}, [])


async def make(me: Door) -> Response:
    """Make it, and show it this once."""
    fields = await sent_form(me.call.request)
    sent = {name: value for name, value in fields.items() if isinstance(value, str)}
    try:
        wanted = _wanted(me, sent)
        token, salt = await links.make(me.records, me.patient, wanted)
    except Conflict:
        return go(f"{me.base}/sharing")
    except Invalid as refusal:
        return _form(me, sent, [(one.at, one.message) for one in refusal.issues], refusal.status)
    return me.page(
        "link-made.html", f"A link for {wanted.reader.strip()}", link=_shown(me, token, salt, wanted)
    )


def _wanted(me: Door, sent: Mapping[str, str]) -> Wanted:
    """What was chosen; what was not is such that making the link refuses it at its field."""
    until, most = sent.get("until", ""), sent.get("most", "0")
    return Wanted(
        sent.get("id", ""), sent.get("reader", ""), me.call.now + timedelta(days=int(until) if until in UNTIL else 0),
        _sections(sent), sent.get("scope", ""), sent.get("passcode", ""), (int(most) if most in TIMES else 0) if most else None,
    )  # fmt: skip


def _sections(sent: Mapping[str, str]) -> tuple[str, ...]:
    """The parts, none for the whole record; NOTHING when that was not chosen."""
    if sent.get("what") == "all":
        return ()
    ticked = tuple(key for key in links.SECTIONS if sent.get(f"part-{key}"))
    return ticked if sent.get("what") == "some" and ticked else (NOTHING,)


def _form(me: Door, sent: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200) -> Response:
    return me.page(
        "link-new.html", "Share by a link", status, sent=sent, issues=issues, errors=dict(issues), what=WHAT, scopes=SCOPES,
        untils=list(UNTIL.items()), times=list(TIMES.items()), sections=list(TITLES.items()), shortest=links.SHORTEST_PASSCODE,
        most_wrong=links.MAX_FAILURES,
    )  # fmt: skip


def _shown(me: Door, token: str, salt: bytes, wanted: Wanted) -> Shown:
    """The QR code carries the page's address and, behind it, what a health app looks for; browsers send only the first."""
    base = str(me.call.request.app.state.settings.address)
    address = f"{base}/share/{token}"
    try:
        found = health_link.link(
            f"{base}/shl/{token}", health_link.key_of(token, salt), wanted.expires, f"Health record for {wanted.reader.strip()}",
            passcode=bool(wanted.passcode),
        )  # fmt: skip
    except ValueError:
        found = ""
    scanned = f"{address}#{found}" if found else address
    picture = segno.make(scanned, error="m", micro=False).png_data_uri(scale=4, border=4)
    return Shown(address, scanned, picture, _day(me, wanted), bool(wanted.passcode))


def _day(me: Door, wanted: Wanted) -> str:
    return days.of_date(me.zone.day(wanted.expires))


# ---- the reader's side -----------------------------------------------------------------------------------------


async def ask(request: Request) -> Response:
    """What a link is, and the button that opens it: programs that look at links for people open nothing."""
    try:
        link = await _link(request)
    except NotFound:
        return await _over(request)
    return await _page(
        request, "link-open.html", "A health record was shared with you", link=link, issues=[], errors={}
    )


async def read(request: Request) -> Response:
    """The record, read-only, as it is now."""
    passcode = str((await sent_form(request)).get("passcode", "")).replace("\0", "")[:200]
    state = request.app.state
    try:
        link = await _link(request)
        link = await links.let_in(state.database, link, passcode or None, state.clock(), "page")
    except NotFound:
        return await _over(request)
    except Wrong as refusal:
        left = f"{refusal.left} {'try' if refusal.left == 1 else 'tries'} left"
        issues = [("passcode", f"{refusal.issues[0].message} ({left})")]
        return await _page(
            request, "link-open.html", "A health record was shared with you", 422, link=await _link(request), issues=issues, errors=dict(issues)
        )  # fmt: skip
    return await _record(request, link)


async def _record(request: Request, link: Link) -> Response:
    state = request.app.state
    records = Reading(state.database, link, state.clock, key=signing_key(request))
    try:
        person = fact_of(await records.read("Patient", link.patient))
    except Refused:
        return await _over(request)
    chosen, zone = set(link.sections or links.SECTIONS), (await site(request, link.tenant)).zone
    found = [one for one in await lines.sections(records, link.patient, zone, brief=None) if one.id in chosen]
    name = values.name(people.best_name(person.body))
    return await _page(
        request, "link-record.html", f"Health record of {name}", link=link, sections=found, person=lines.person_lines(person.body),
        asof=zone.stamp(state.clock()), left=None if link.most is None else link.most - link.opened, until=days.of_date(zone.day(link.expires)),
        partly=bool(link.sections) or link.scope == "limited",
    )  # fmt: skip


async def _link(request: Request) -> Link:
    """Raises NotFound, Throttled."""
    token = request.path_params["token"]
    if len(token) != LETTERS:
        raise NotFound(links.OVER)
    state = request.app.state
    return await links.look(state.database, token, origin(request).address, state.clock())


async def _over(request: Request) -> Response:
    return await _page(request, "link-over.html", "This link opens nothing", 404, words=links.OVER)


async def _page(request: Request, template: str, title: str, status: int = 200, **more: Any) -> Response:
    """A page of the portal for somebody who is not signed in."""
    tenant = more["link"].tenant if "link" in more else 1
    said = await signin.site(request.app.state.database, tenant)
    context: dict[str, Any] = {
        "title": title, "issues": [], "actor": None, "prefs": Preferences(), "site": await site(request, tenant), "may": {}, "q": "", "me": None,
        "base": "", "_": Words(), "language": "en", "translated": False, "nav": [], "practice": said.get("name", ""),
        "phone": said.get("practice_phone", ""), "look": "",
    }  # fmt: skip
    response = rendering.html(f"portal/{template}", context | more, status)
    response.headers.update(HIDDEN)
    return response
