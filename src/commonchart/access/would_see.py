"""What somebody would see of a patient, and what is withheld from them by which rule: their predicate, asked about one's own view.

The one who asks learns of nothing that they may not see themselves: only rows of their own view are counted. Whether a row
is seen is decided by `search.visible`, as always; why it is not is told by `access.consent`, and where the two do not agree
on a reason, that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, policy, relationships
from commonchart.access.actors import FOR_A_PATIENT, Actor
from commonchart.access.consent import Asking, Row, Rule, fits
from commonchart.access.credentials import IN_FORCE
from commonchart.care.labels import mask
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid
from commonchart.record import people
from commonchart.record.keys import patient_key
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS
from commonchart.record.store import row_stored

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection
    from commonchart.search.visible import Beyond

MOST = 300
WHY = Literal["role", "label", "denied", "apart", "purpose", "untreated", "closed", "unknown"]
_RULES = (
    "SELECT patient, consent, depth, permit, starts, ends, actors, keepers, purposes, rtypes, labels, opens, codes, hashes, "
    "data, data_from, data_until FROM consent_rule WHERE tenant = %s AND patient = ANY(%s)"
)
_PERSON = (
    "SELECT u.id, u.name, m.role, m.org, u.practitioner, EXISTS (SELECT 1 FROM consent_rule k WHERE k.tenant = u.tenant "
    "AND NOT k.permit AND 'Practitioner/' || u.practitioner = ANY(k.people)) FROM app_user u "
    f"JOIN membership m ON m.actor = u.id AND {IN_FORCE} WHERE u.tenant = %s AND %s IN (u.id, m.id) AND u.active "
    "AND (%s OR m.org = %s OR u.practitioner IS NOT NULL) ORDER BY m.org <> %s, m.org LIMIT 1"
)


class Withheld(Struct, frozen=True):
    """One resource that they would not see: the rule that decides, `consent` its Consent if one does, `labels` those that do."""

    stored: Stored
    why: WHY
    consent: str = ""
    labels: int = 0


class Foreseen(Struct, frozen=True):
    """`counts` by type: (seen, withheld), of what the one who asks sees. `withheld` are the first of them, `more` the rest."""

    who: Actor
    counts: dict[str, tuple[int, int]]
    withheld: list[Withheld]
    more: int
    related: list[str]


async def person(records: Records, user: str, purpose: str) -> Actor:
    """A member of staff as they would ask: of one's own organisation, or one who stands in the directory of practitioners.

    `user` is the id of a user, or of whom they work for where there are several.

    Raises Invalid for anybody else.
    """
    async with records.database.single() as conn:
        rows = await conn.fetch(
            _PERSON,
            (
                records.actor.tenant,
                user[:64],
                records.actor.network is False,
                records.actor.org,
                records.actor.org,
            ),
        )
    if not rows or rows[0][2] in FOR_A_PATIENT:
        raise Invalid("Choose somebody of the staff", at="user")
    id, name, role, org, practitioner, refused = rows[0]
    return Actor(
        records.actor.tenant, id, name, role, org, "web", purpose, practitioner=practitioner,
        network=records.actor.network, refused=refused,
    )  # fmt: skip


def role(records: Records, org: str, name: str, purpose: str) -> Actor:
    """Somebody with this role in an organisation, as nobody in particular. Raises Invalid for a role that there is not."""
    if name not in policy.GRANTS or name in FOR_A_PATIENT or name == "system":
        raise Invalid("Choose a role", at="role")
    return Actor(records.actor.tenant, "", "", name, org, "web", purpose, network=records.actor.network)  # type: ignore[arg-type]


async def foreseen(records: Records, patient: str, who: Actor) -> Foreseen:
    """What `who` would see of the patient now, within what the one who asks sees. Raises Forbidden, NotFound."""
    await records.require("read", "Consent")
    await records.read("Patient", patient)
    now = records.clock()
    same = await people.linked(records.database, records.actor.tenant, patient)
    async with records.database.connection() as conn:
        counts = await _counts(conn, records, who, same, now)
        rows = await _hidden(conn, records, who, same, now)
        beyond = policy.visible(who, now).beyond
        known = await _known(conn, who, same, now) if beyond is not None and rows else ([], [])
        await audit.note(
            conn, records.actor, now, "would-see", patients=[patient],
            detail=f"{who.user or who.role} of {who.org} for {who.purpose}"[:200],
        )  # fmt: skip
    held = [_told(stored, labels, who, beyond, known, now) for stored, labels in rows]
    hidden = sum(n for _, n in counts.values())
    return Foreseen(who, counts, held, hidden - len(held), known[1])


async def _counts(
    conn: Connection, records: Records, who: Actor, same: Sequence[str], now: datetime
) -> dict[str, tuple[int, int]]:
    mine, mine_args = records.visible.predicate("r")
    theirs, theirs_args = policy.visible(who, now).predicate("r")
    rows = await conn.fetch(
        f"SELECT r.rtype, count(*) FILTER (WHERE {theirs}), count(*) FROM resource r WHERE {mine} "
        "AND r.pk = ANY(%s) AND r.patient = ANY(%s) AND NOT r.deleted GROUP BY r.rtype ORDER BY r.rtype",
        (*theirs_args, *mine_args, [patient_key(one) for one in same], list(same)),
    )
    return {
        rtype: (seen, every - seen)
        for rtype, seen, every in rows
        if policy.allowed(records.actor, "read", rtype)
    }


async def _hidden(
    conn: Connection, records: Records, who: Actor, same: Sequence[str], now: datetime
) -> list[tuple[Stored, int]]:
    """(resource, labels) of the first that they would not see."""
    mine, mine_args = records.visible.predicate("r")
    theirs, theirs_args = policy.visible(who, now).predicate("r")
    readable = [
        rtype for rtype in sorted(r4().resource_types) if policy.allowed(records.actor, "read", rtype)
    ]
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    rows = await conn.fetch(
        f"SELECT {columns}, r.labels FROM resource r WHERE {mine} AND r.pk = ANY(%s) AND r.patient = ANY(%s) "
        f"AND NOT r.deleted AND r.rtype = ANY(%s) AND NOT coalesce({theirs}, false) ORDER BY r.rtype, r.date_lo DESC NULLS LAST, r.id LIMIT %s",
        (*mine_args, [patient_key(one) for one in same], list(same), readable, *theirs_args, MOST),
    )
    return [(row_stored(row[:15]), row[15]) for row in rows]


Known = tuple[list[tuple[str, str, Rule]], list[str]]


async def _known(conn: Connection, who: Actor, same: Sequence[str], now: datetime) -> Known:
    """((patient, consent, rule) of every provision; why their organisation treats the patient, [] if it does not)."""
    rules = [(row[0], row[1], _rule(row[2:])) for row in await conn.fetch(_RULES, (who.tenant, list(same)))]
    held = [one for id in same for one in await relationships.of_patient(conn, who.tenant, id, now)]
    return rules, sorted({one.why for one in held if one.org == who.org})


def _rule(row: Sequence[Any]) -> Rule:
    (
        depth,
        permit,
        starts,
        ends,
        actors,
        keepers,
        purposes,
        rtypes,
        labels,
        opens,
        codes,
        hashes,
        data,
        lo,
        hi,
    ) = row
    return Rule(
        depth, permit, starts, ends, _lists(actors), _tuple(keepers), _lists(purposes), _tuple(rtypes), _tuple(labels), opens,
        _tuple(codes), _tuple(hashes), _tuple(data), None if lo is None else (lo, hi),
    )  # fmt: skip


def _lists(texts: list[str] | None) -> tuple[tuple[str, ...], ...] | None:
    return None if texts is None else tuple(tuple(text.strip("|").split("|")) for text in texts)


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


# ---- why -------------------------------------------------------------------------------------------------------


def _told(
    stored: Stored, labels: int, who: Actor, beyond: Beyond | None, known: Known, now: datetime
) -> Withheld:
    """Which rule withholds a row that the engine withholds, in the order in which it asks them."""
    if not policy.allowed(who, "read", stored.rtype):
        return Withheld(stored, "role")
    hidden = labels & mask(*policy.HIDDEN.get(who.role, ()))
    if hidden and stored.actor != who.user:
        return Withheld(stored, "label", labels=hidden)
    if beyond is None:
        return Withheld(stored, "unknown")
    denied = _denying(stored, labels, beyond, known, now)
    if denied:
        return Withheld(stored, "denied", denied)
    return replace(
        Withheld(stored, _closed(stored, labels, who, beyond, known)), labels=labels & beyond.blocked
    )


def _denying(stored: Stored, labels: int, beyond: Beyond, known: Known, now: datetime) -> str:
    """The Consent whose provision, the deepest that fits, denies this row; "" for none."""
    row = _row(stored, labels)
    asking = Asking(beyond.names, beyond.purposes, now, bool(known[1]) and beyond.related, beyond.blocked)
    own = beyond.org is None or stored.org == beyond.org
    fitting = [
        (rule, consent)
        for patient, consent, rule in known[0]
        if patient == stored.patient and fits(rule, asking, row) and (not own or beyond.person in rule.people)
    ]
    deepest = max((rule.depth for rule, _ in fitting), default=0)
    return next((consent for rule, consent in fitting if rule.depth == deepest and not rule.permit), "")


def _row(stored: Stored, labels: int) -> Row:
    body = stored.body.decode() if stored.body else ""
    return Row(stored.rtype, stored.id, stored.org, labels, stored.code, body, stored.date_lo, stored.date_hi)


def _closed(stored: Stored, labels: int, who: Actor, beyond: Beyond, known: Known) -> WHY:
    """Why another organisation's row stays closed though no consent denies it."""
    if beyond.org is None or stored.org == beyond.org:
        return "unknown"
    if not beyond.shares:
        return "apart"
    if not beyond.related:
        return "purpose"
    if not known[1]:
        return "untreated"
    return "closed" if labels & beyond.blocked else "unknown"
