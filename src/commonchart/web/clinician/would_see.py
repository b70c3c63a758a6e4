"""What would somebody see of this patient? Counted and listed by the engine that decides for them, within one's own view."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import would_see
from commonchart.access.actors import Actor
from commonchart.access.users import User
from commonchart.access.would_see import Foreseen, Withheld
from commonchart.care.labels import labels, names
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call
from commonchart.web.clinician import consents
from commonchart.web.clinician.chart import Chart, opened
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.provenance import headline
from commonchart.web.forms.consents import ROLE_NAMES
from commonchart.web.present import scopes
from commonchart.web.present.consents import purpose_options

ROLES = ROLE_NAMES | {
    "quality": "Quality",
    "administrator": "Administrators",
    "privacy-officer": "Privacy officers",
}
WHY = {
    "role": "Their role does not read this kind of thing",
    "apart": "Their role sees its own organisation’s records only",
    "purpose": "Nothing is shared for this purpose without a consent that names it",
    "untreated": "Their organisation does not treat the patient, and no consent permits it",
    "unknown": "CANNOT TELL: the engine withholds it, by a rule that this page does not know",
}
SHOWN = 60


class Group(Struct, frozen=True):
    """What one rule withholds: why, the Consent if one decides, and (title, kind, Type/id) of each."""

    why: str
    consent: str
    lines: tuple[tuple[str, str, str], ...]


class Kind(Struct, frozen=True):
    """One row of the counts."""

    words: str
    seen: int
    withheld: int


async def page(call: Call) -> Response:
    """The question, and the answer once it was asked."""
    chart = await opened(call, "consents", rail=False)
    query = call.request.query_params
    sent = {name: query.get(name, "")[:64] for name in ("user", "organization", "role", "purpose")}
    issues: list[tuple[str, str]] = []
    found = None
    if any(sent[name] for name in ("user", "organization", "role")):
        try:
            found = await would_see.foreseen(call.records, chart.id, await _who(call, sent))
        except Invalid as refusal:
            issues = [(one.at, one.message) for one in refusal.issues]
    return await _page(chart, sent, found, issues)


async def _who(call: Call, sent: dict[str, str]) -> Actor:
    """The person, or else somebody of the role (a clinician) in the organisation. Raises Invalid."""
    purpose = sent["purpose"] or "TREAT"
    if purpose not in dict(purpose_options()):
        raise Invalid("Choose a purpose from the list", at="purpose")
    if sent["user"]:
        if sent["organization"] or sent["role"]:
            raise Invalid("Choose one person, or an organisation and a role: not both", at="user")
        return await would_see.person(call.records, sent["user"], purpose)
    if sent["organization"] and sent["organization"] not in dict(await consents.organizations(call)):
        raise Invalid("Choose an organisation from the list", at="organization")
    return would_see.role(
        call.records, sent["organization"] or call.actor.org, sent["role"] or "clinician", purpose
    )


async def _page(
    chart: Chart, sent: dict[str, str], found: Foreseen | None, issues: list[tuple[str, str]]
) -> Response:
    call = chart.call
    organizations, staff = await consents.organizations(call), await consents.staff(call)
    return chart.page(
        "chart/would-see.html", "What would they see?", 422 if issues else 200, sent=sent, issues=issues, errors=dict(issues),
        organizations=organizations, staff=_choices(staff, dict(organizations)),
        roles=list(ROLES.items()), purposes=purpose_options(), found=found, shares=call.actor.network is not False,
        kinds=_kinds(found) if found else [], groups=await _groups(chart, found) if found else [],
        who=_called(found.who, dict(organizations)) if found else "",
        purpose=dict(purpose_options()).get(found.who.purpose, "").lower() if found else "", shown=SHOWN,
    )  # fmt: skip


def _choices(staff: list[User], organizations: dict[str, str]) -> list[tuple[str, str]]:
    """One choice a person; of somebody who works for several, one for each, since what they see differs."""
    often = Counter(one.id for one in staff)
    return [
        (
            one.membership if often[one.id] > 1 else one.id,
            f"{one.name}, {ROLES.get(one.role, one.role).lower()}"
            + (f" of {organizations.get(one.org, one.org)}" if often[one.id] > 1 else ""),
        )
        for one in staff
    ]


def _called(who: Actor, organizations: dict[str, str]) -> str:
    org = organizations.get(who.org, who.org)
    return (
        f"{who.name} ({ROLES.get(who.role, who.role).lower()}{f' of {org}' if org else ''})"
        if who.name
        else f"{ROLES.get(who.role, who.role)} of {org or 'this practice'}"
    )


def _kinds(found: Foreseen) -> list[Kind]:
    return [
        Kind(scopes.TYPES.get(rtype, rtype).capitalize(), seen, hidden)
        for rtype, (seen, hidden) in found.counts.items()
    ]


async def _groups(chart: Chart, found: Foreseen) -> list[Group]:
    """What is withheld by the rule that withholds it; consents that the one who asks may not open are not named."""
    facts = [fact_of(one.stored) for one in found.withheld]
    await chart.name(facts)
    mine = {fact.id for fact in (await chart.facts(["Consent"], limit=consents.MOST, named=False))[0]}
    held: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for one, fact in zip(found.withheld, facts, strict=True):
        consent = one.consent if one.consent in mine else ""
        line = (headline(fact, chart), scopes.TYPES.get(fact.rtype, fact.rtype), fact.key)
        held.setdefault((_why(one, found.who, known=bool(consent)), consent), []).append(line)
    return [Group(why, consent, tuple(lines)) for (why, consent), lines in held.items()]


def _why(one: Withheld, who: Actor, *, known: bool) -> str:
    titles = " and ".join(labels()[name].title for name in names(one.labels)) or "not looked at yet"
    if one.why == "label":
        return f"Labelled {titles}: not shown to this role, except to who wrote it"
    if one.why == "denied":
        return "Denied by a consent" if known else "Denied by a consent that is kept elsewhere"
    if one.why == "closed":
        return f"Labelled {titles}: crosses to another organisation only by a consent that names it"
    return WHY[one.why]
