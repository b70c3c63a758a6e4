"""What the site has decided about its inbox, with cautious answers where it has said nothing; who may work in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import policy
from commonchart.care.inbox import escalate
from commonchart.care.inbox.address import DAYS
from commonchart.care.inbox.escalate import Staff, Step
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound
from commonchart.record import site
from commonchart.record.inbox.covers import Colleague, Cover

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonchart.access.records import Records
    from commonchart.record.database import Connection

LEVELS, ON_CALL, NEWS_DAYS, SINCE = "critical_levels", "critical_on_call", "inbox_days", "inbox_since"


class Policy(Struct, frozen=True):
    """The steps of escalation, the logins that are on call, and for how many days a result is news."""

    plan: tuple[Step, ...]
    on_call: frozenset[str] = frozenset()
    days: int = DAYS
    reviewed: bool = False


async def policy_of(conn: Connection, tenant: int) -> Policy:
    """The site's decisions. What cannot be read any more counts as not said: an alert is never lost over a setting."""
    said = await site.get(conn, tenant, LEVELS)
    try:
        plan, reviewed = escalate.steps(said or escalate.DEFAULT), bool(said)
    except Invalid:
        plan, reviewed = escalate.steps(escalate.DEFAULT), False
    on_call = frozenset((await site.get(conn, tenant, ON_CALL)).split())
    text = await site.get(conn, tenant, NEWS_DAYS)
    return Policy(plan, on_call, int(text) if text.isascii() and text.isdigit() else DAYS, reviewed)


def days(text: str) -> int:
    """For how many days a result is news. Raises Invalid."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 365):
        raise Invalid("Say a number of days from 1 to 365", at=NEWS_DAYS)
    return int(text)


def logins(text: str) -> tuple[str, ...]:
    """Logins with spaces between them. Raises Invalid."""
    found = tuple(text.split())
    if len(found) > 50 or any(len(one) > 64 or not one.isprintable() for one in found):
        raise Invalid("Say at most 50 logins with spaces between them", at=ON_CALL)
    return found


def staff_for(
    everybody: Sequence[Colleague], covers: Sequence[Cover], said: Policy, org: str, owner: str
) -> Staff:
    """Who is there for an alert of an organisation; where nobody is of that organisation, everybody of the site is."""
    own = [one for one in everybody if not org or one.org == org] or list(everybody)
    ids = frozenset(one.id for one in everybody)
    return Staff(
        frozenset(one.cover for one in covers if owner and one.absent == owner) & ids,
        frozenset(one.id for one in everybody if one.login in said.on_call),
        frozenset(one.id for one in own),
    )


async def required(records: Records, action: str = "read") -> None:
    """Raises Forbidden for a role that may not do this with results, NotFound for one that sees only its own record."""
    await records.require(action, "Observation")
    await records.require(action, "DiagnosticReport")
    if not policy.visible(records.actor).everything:
        raise NotFound("There is no inbox here")


async def may_sign(records: Records) -> None:
    """Raises Forbidden for whoever is no clinician: a signature says that a clinician has looked."""
    await required(records, "read")
    await records.require("create", "Provenance")
    if records.actor.role != "clinician":
        raise Forbidden("Only clinicians sign results: forward it to one")
