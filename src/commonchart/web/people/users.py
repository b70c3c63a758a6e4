"""Accounts, for administrators: who may sign in, inviting, changing, ending, letting in again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import Response

from commonchart.access.people import links, staff
from commonchart.access.people.handing_over import MOST_SHOWN, POOL
from commonchart.access.people.leaving import Ends
from commonchart.access.people.links import Channel, Link, Person
from commonchart.access.people.staff import Account, Asked, Change, Wanted
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Invalid, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.writing import texts
from commonchart.web.people import letters, words
from commonchart.web.present.inbox import KINDS

PAGE = 50
CHANNELS = [
    ("hand", "Hand the link over in person: it is shown once"),
    ("email", "Send it to their e-mail address"),
]
WHO = [("staff", "Staff"), ("patients", "Patients and those who act for them"), ("programs", "Programs"), ("all", "Everybody")]  # fmt: skip
STATES = [("active", "May sign in"), ("invited", "Invited or asked, no answer yet"), ("ended", "Ended")]
FACTORS = [("yes", "With a second factor"), ("no", "Without a second factor")]
SEEN = [("never", "Never signed in"), ("quiet", "Not in the last 90 days")]
INVITED = ("name", "login", "role", "org", "email", "practitioner", "channel")
CHANGED = ("name", "role", "org", "email", "practitioner", "membership")
ASKED = ("login", "role", "org")
SAID = {
    "changed": "The change is in force, in open sessions too.",
    "factors": "The second factors are gone, and with them every session. The password alone lets them in to set up new ones.",
    "ended": "The account has ended, and with it everything its owner held.",
    "left": "They work there no more, and everything they held for it has ended.",
}


async def page(call: Call) -> Response:
    """The accounts, fifty at a time."""
    wanted, number = _wanted(call), _number(call)
    found, total = await staff.listed(call.records, wanted, limit=PAGE, offset=(number - 1) * PAGE)
    often = Counter(one.id for one in found)
    return call.page(
        "people/users.html", title="Accounts", rows=[_row(call, one) | {"twice": often[one.id] > 1} for one in found], total=total, wanted=wanted, who=WHO,
        states=STATES, factors=FACTORS, seen=SEEN, roles=_roles(), **await _places(call),
        narrowed=wanted != Wanted(), said=SAID.get(call.request.query_params.get("said", ""), ""),
        newer=_address(wanted, number - 1) if number > 1 else "",
        older=_address(wanted, number + 1) if number * PAGE < total else "",
    )  # fmt: skip


async def new(call: Call) -> Response:
    """The empty invitation, for somebody who has no account yet."""
    await links.administrator(call.records)
    return await _invitation(call, {"org": call.actor.org, "channel": "hand"}, [])


async def create(call: Call) -> Response:
    """Invite somebody; the link is sent, or shown this once."""
    sent = await texts(call)
    given = {name: sent.get(name, "").strip() for name in INVITED}
    given["login"] = given["login"].lower()
    try:
        person = Person(
            given["login"], given["name"], given["role"], given["org"], given["email"], None, given["practitioner"] or None
        )  # fmt: skip
        link = await staff.invite(call.records, person, channel=_channel(given))
    except (Invalid, Conflict) as refusal:
        return await _invitation(call, given, _issues(refusal, INVITED), refusal.status)
    return await _handed(call, link)


async def asking(call: Call) -> Response:
    """The empty form that asks somebody with an account to work here too."""
    await links.administrator(call.records)
    return await _asking(call, {"org": call.actor.org}, [])


async def ask(call: Call) -> Response:
    """Ask them."""
    sent = await texts(call)
    given = {name: sent.get(name, "").strip() for name in ASKED}
    given["login"] = given["login"].lower()
    try:
        code = await staff.ask(call.records, Asked(**given))
    except (Invalid, Conflict) as refusal:
        return await _asking(call, given, _issues(refusal, ASKED), refusal.status)
    return call.page("people/asked.html", title=f"{given['login']} is asked", code=code, idle=False)


async def _asking(
    call: Call, given: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    values = dict.fromkeys(ASKED, "") | dict(given)
    return call.page(
        "people/ask.html", status, idle=False, title="Ask somebody who has an account", values=values, issues=issues,
        errors=dict(reversed(issues)), roles=_roles(), **await _places(call, values["org"]),
    )  # fmt: skip


async def one(call: Call) -> Response:
    """One account."""
    return await _one(call, {}, [])


async def act(call: Call) -> Response:
    """Change it, make a new link, take lost second factors away, or let its owner in again."""
    sent, id = await texts(call), call.request.path_params["user"]
    todo = sent.get("do", "")
    try:
        if todo == "change":
            await staff.change(
                call.records, id, Change(**{name: sent.get(name, "").strip() for name in CHANGED})
            )
            place = f"&place={quote(sent['membership'][:64])}" if sent.get("membership") else ""
            return go(f"/users/{id}?said=changed{place}")
        if todo == "factors":
            await staff.without_factors(call.records, id)
            return go(f"/users/{id}?said=factors")
        if todo not in ("link", "back"):
            raise Invalid("The form is not complete: open it again")
        making = staff.new_link if todo == "link" else staff.back
        return await _handed(call, await making(call.records, id, channel=_channel(sent)))
    except (Invalid, Conflict) as refusal:
        return await _one(call, sent, _issues(refusal, (*CHANGED, "channel")), refusal.status)


async def ending(call: Call) -> Response:
    """What ends with the account, before it does."""
    return await _ending(call, [])


async def end(call: Call) -> Response:
    """End it, or one place of work."""
    id, sent = call.request.path_params["user"], await texts(call)
    to, place = sent.get("to", ""), sent.get("place", "")[:64]
    try:
        await staff.leave(call.records, id, to, place)
    except (Conflict, Invalid) as refusal:
        return await _ending(
            call, _issues(refusal, ("to",)), refusal.status, to, place, sent.get("named", "")
        )
    return go(f"/users/{id}?said={'left' if place else 'ended'}")


async def _ending(
    call: Call,
    issues: list[tuple[str, str]],
    status: int = 200,
    to: str = "",
    place: str = "",
    named: str = "",
) -> Response:
    named = (named or call.request.query_params.get("named", "")).strip()[:80]
    place = place or call.request.query_params.get("place", "")[:64]
    account, held = await staff.one(call.records, call.request.path_params["user"], place)
    place = account.membership if account.elsewhere else place
    waiting = await staff.waiting(call.records, account, place, named=named, chosen=to)
    names = await organisation_names(call, [account.org])
    title = f"End the work of {account.name} for {names.get(account.org) or account.org}"
    return call.page(
        "people/ending.html", status, title=title if place else f"End the account of {account.name}", account=account,
        ends=words.counted(held), place=place, stays=words.staying(held), waiting=[(KINDS[name], n) for name, n in waiting.kinds.items()],
        must=bool(waiting.kinds.get("critical")),
        heirs=[(POOL, "Everybody of the organisation"), *{one.id: (one.id, f"{one.name} ({one.login})") for one in waiting.shown}.values()],
        issues=issues, errors=dict(issues), to=to, unseen=waiting.unseen, nobody=waiting.nobody,
        named=named, many=len(waiting.heirs) if len(waiting.heirs) > MOST_SHOWN else 0, shown=len(waiting.shown), most=MOST_SHOWN,
    )  # fmt: skip


async def _one(
    call: Call, sent: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    id, shown = call.request.path_params["user"], call.request.query_params.get("place", "")[:64]
    every = await staff.places(call.records, id)
    account = next((p for p in every if p.membership == (sent.get("membership") or shown)), every[0])
    _, held = await staff.one(call.records, id)
    return call.page(
        "people/user.html", status, idle=False, title=account.name, row=_row(call, account), account=account, values=_values(account, sent),
        issues=issues, errors=dict(issues), roles=_roles(), channels=CHANNELS, **await _places(call, *(one.org for one in every)), works=[_row(call, one) for one in every],
        holds=_holds(held), theirs=account.alone, created=call.zone.stamp(account.created), said=SAID.get(call.request.query_params.get("said", ""), ""),
        own=account.id == call.actor.user, reset=account.password,
    )  # fmt: skip


async def _places(call: Call, *more: str) -> dict[str, Any]:
    """The organisations that anybody here works for, by id, and what these and `more` are called."""
    orgs = await staff.organisations(call.records)
    return {"orgs": orgs, "names": await organisation_names(call, [*orgs, *more])}


async def organisation_names(call: Call, orgs: Sequence[str]) -> dict[str, str]:
    """What organisations are called, by id."""
    found = await call.records.named([("Organization", org) for org in orgs if org])
    return {id: str(json.decode(one.body or b"{}").get("name", "")) for (_, id), one in found.items()}


def _values(account: Account, sent: Mapping[str, str]) -> dict[str, str]:
    kept = {
        "name": account.name, "role": account.role, "org": account.org, "email": account.email,
        "practitioner": account.practitioner or "", "membership": account.membership, "channel": "email" if account.email else "hand",
    }  # fmt: skip
    return {name: sent.get(name, text) for name, text in kept.items()}


def _holds(held: Ends) -> list[str]:
    return words.counted(held) + words.staying(held)


async def _invitation(
    call: Call, given: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    values = dict.fromkeys(INVITED, "") | dict(given)
    return call.page(
        "people/invite.html", status, idle=False, title="Invite somebody", values=values, issues=issues, errors=dict(reversed(issues)),
        roles=_roles(), channels=CHANNELS, **await _places(call, values["org"]),
    )  # fmt: skip


async def _handed(call: Call, link: Link) -> Response:
    """The link by e-mail, or shown this once; also when the e-mail was not taken, so that nothing is lost."""
    settings, wrong = call.request.app.state.settings, ""
    if link.channel == "email":
        try:
            await letters.send(call.records.database, settings, link, call.now)
        except Invalid as refusal:
            wrong = refusal.issues[0].message
    shown = "" if link.channel == "email" and not wrong else letters.address_of(settings, link)
    response = call.page(
        "people/link.html", title="The link for " + link.name, link=link, shown=shown, wrong=wrong, until=call.zone.stamp(link.expires),
        practice=call.site.name or "the practice",
    )  # fmt: skip
    response.headers["referrer-policy"] = "no-referrer"
    return response


def _row(call: Call, account: Account) -> dict[str, Any]:
    mark, state = (
        ("not", "Ended") if not account.active
        else ("soon", "Asked, no answer yet") if not account.accepted
        else ("soon", "Invited") if not account.password and account.role != "system"
        else ("done", "May sign in")
    )  # fmt: skip
    return {
        "account": account, "role": words.ROLES.get(account.role, account.role), "mark": mark, "state": state,
        "factor": "yes" if account.factor else "no", "seen": call.zone.stamp(account.seen) if account.seen else "never",
    }  # fmt: skip


def _roles() -> list[tuple[str, str]]:
    return [(role, words.ROLES[role]) for role in staff.ROLES]


def _channel(sent: Mapping[str, str]) -> Channel:
    chosen = sent.get("channel", "")
    if chosen not in ("hand", "email"):
        raise Invalid("Choose how the link gets to them", at="channel")
    return "email" if chosen == "email" else "hand"


def _issues(refusal: Refused, fields: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(issue.at if issue.at in fields else "", issue.message) for issue in refusal.issues]


def _wanted(call: Call) -> Wanted:
    """What is asked for; a value that nobody offers narrows nothing."""
    given = call.request.query_params
    found = Wanted()
    for name in Wanted.__struct_fields__:
        try:
            found = msgspec.convert(msgspec.structs.asdict(found) | {name: given.get(name, "")[:100]}, Wanted)
        except msgspec.ValidationError:
            continue
    return found


def _number(call: Call) -> int:
    text = call.request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 5 else 1


def _address(wanted: Wanted, number: int) -> str:
    kept = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value}
    return f"/users?{urlencode(kept | {'page': str(number)})}"
