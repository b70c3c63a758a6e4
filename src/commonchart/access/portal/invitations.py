"""An invitation into a record: a single-use code for a person whom the practice knows, never for who knows details.

One function makes one (`invite`) and one redeems it (`redeem`); a code has 80 bits, is kept by its hash, lives 7 days,
and the answer to a wrong, used, expired or withdrawn one is the same.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import audit, passwords, signin, users
from commonchart.access.actors import Actor, nobody
from commonchart.access.portal import proxies
from commonchart.access.signin import Session
from commonchart.fhir.outcome import Conflict, Invalid, NotFound, Unauthenticated

if TYPE_CHECKING:
    from pathlib import Path

    from commonchart.access.people.guessing import Origin
    from commonchart.access.records import Records
    from commonchart.record.database import Connection, Database

LIVES = timedelta(days=7)
LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
"""Without those that look alike when written down."""
GROUPS, LONG = 4, 4
KINDS = ("self", *proxies.KINDS)
WRONG = "This code is not right, was used already, or is too old. Ask the practice for a new one"


class Invited(Struct, frozen=True):
    """Who is to be let in: `name` of the person, to what, on which ground; `channel` is hand or email."""

    patient: str
    name: str
    kind: str = "self"
    scope: str = "full"
    relation: str = ""
    ends: datetime | None = None
    why: str = ""
    channel: str = "hand"


class Invitation(Struct, frozen=True):
    """One invitation as staff sees it: never the code."""

    name: str
    kind: str
    channel: str
    made: datetime
    expires: datetime
    used: datetime | None
    withdrawn: datetime | None


def code() -> str:
    """A new code, in groups: `K7QF-M2XW-9TRA-HDPC`."""
    letters = [secrets.choice(LETTERS) for _ in range(GROUPS * LONG)]
    return "-".join("".join(letters[n : n + LONG]) for n in range(0, len(letters), LONG))


def _digest(text: str) -> bytes:
    plain = "".join(letter for letter in text.upper() if letter.isalnum())
    return sha256(f"portal:{plain}".encode()).digest()


async def invite(records: Records, invited: Invited) -> str:
    """Let somebody in: the code, to be shown this once. Raises Forbidden, NotFound (the patient), Invalid."""
    await proxies.required(records)
    await records.read("Patient", invited.patient)
    _check(invited)
    made, now, by = code(), records.clock(), records.actor
    async with records.database.connection() as conn:
        await conn.fetch(
            "UPDATE portal_invitation SET withdrawn = %s WHERE tenant = %s AND patient = %s AND kind = %s AND name = %s "
            "AND used IS NULL AND withdrawn IS NULL",
            (now, by.tenant, invited.patient, invited.kind, invited.name),
        )
        await conn.fetch(
            "INSERT INTO portal_invitation (sha256, tenant, patient, org, name, kind, scope, relation, ends, why, channel, "
            "made, made_by, expires) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                _digest(made), by.tenant, invited.patient, by.org, invited.name, invited.kind, invited.scope, invited.relation,
                invited.ends, invited.why, invited.channel, now, by.user, now + LIVES,
            ),
        )  # fmt: skip
        await audit.note(
            conn, by, now, "invite", patients=[invited.patient], detail=f"{invited.kind} by {invited.channel}"
        )
    return made


def _check(invited: Invited) -> None:
    if not invited.name.strip():
        raise Invalid("Say who is invited", at="name")
    if invited.kind not in KINDS:
        raise Invalid("Choose whom you invite", at="kind")
    if invited.kind != "self" and not invited.why.strip():
        raise Invalid(
            "Say what the right to act for the patient rests on, such as a form that was signed", at="why"
        )
    if invited.scope not in proxies.SCOPES:
        raise Invalid("Choose what this person may see", at="scope")


async def of_patient(conn: Connection, tenant: int, patient: str) -> list[Invitation]:
    """The invitations into a record, newest first."""
    rows = await conn.fetch(
        "SELECT name, kind, channel, made, expires, used, withdrawn FROM portal_invitation WHERE tenant = %s AND patient = %s "
        "ORDER BY made DESC LIMIT 50",
        (tenant, patient),
    )
    return [Invitation(*row) for row in rows]


async def redeem(
    database: Database, text: str, login: str, password: str, now: datetime, *, new: bool,
    origin: Origin = signin.NOWHERE, breached: Path | None = None,
) -> Session:  # fmt: skip
    """Come in by a code: as a `new` user with this password, or as the user who has it already.

    Where the session still `wants` a second factor, nothing was granted and the code is as it was: `take_up` it after that.
    Raises Unauthenticated with the same words for every code that opens nothing; Invalid and Conflict (the login), which
    leave the code as it was.
    """
    await _living(database, text, now)
    if new:
        passwords.judged(password, (login,), breached)
        await _take(database, text, login, password, now)
        return await signin.sign_in(database, login, password, now, origin)
    session = await signin.sign_in(database, login, password, now, origin)
    if not session.wants:
        await take_up(database, text, session.actor, now)
    return session


async def take_up(database: Database, text: str, actor: Actor, now: datetime) -> None:
    """Use a code as somebody who is signed in. Raises Unauthenticated, Conflict; the code is then as it was."""
    await _grant(database, text, actor, now)


async def _living(database: Database, text: str, now: datetime) -> tuple[str, ...]:
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT patient, org, name, kind, scope, relation, why, tenant::text FROM portal_invitation WHERE sha256 = %s "
            "AND used IS NULL AND withdrawn IS NULL AND expires > %s",
            (_digest(text), now),
        )
        if not rows:
            await audit.note(
                conn, nobody(database.tenant), now, "redeem", outcome=audit.MINOR, detail="unknown code"
            )  # fmt: skip
            raise Unauthenticated(WRONG)
    return tuple(rows[0])


async def _take(database: Database, text: str, login: str, password: str, now: datetime) -> None:
    """Make the user, and use the code up; of two at the same moment one is refused."""
    patient, org, name, kind, *_, tenant = await _living(database, text, now)
    themselves = kind == "self"
    user = await users.create(
        database, tenant=int(tenant), login=login, name=name, role="patient" if themselves else "proxy", org=org, now=now,
        password=password, patient=patient if themselves else None,
    )  # fmt: skip
    actor = users.actor(user, "web")
    try:
        await _grant(database, text, actor, now)
    except Unauthenticated:
        await users.set_active(database, login, False, now, actor)
        raise


async def _grant(database: Database, text: str, actor: Actor, now: datetime) -> None:
    async with database.connection() as conn:
        rows = await conn.fetch(
            "UPDATE portal_invitation SET used = %s, used_by = %s WHERE sha256 = %s AND tenant = %s AND used IS NULL AND "
            "withdrawn IS NULL AND expires > %s RETURNING patient, kind, scope, relation, ends, why, made_by",
            (now, actor.user, _digest(text), actor.tenant, now),
        )
        if not rows:
            raise Unauthenticated(WRONG)
        patient, kind, scope, relation, ends, why, by = rows[0]
        if kind == "self" and actor.patient != patient:
            raise Conflict("This code is for the patient themselves: make an account with it", at="new")
        if kind != "self":
            _for_people(actor)
            giver = Actor(actor.tenant, by, "", "administrator", actor.org, "web", "PATADMIN")
            await proxies.give(
                conn, giver, proxies.Wanted(actor.user, patient, kind, scope, relation, ends, why), now
            )
        await audit.note(conn, actor, now, "redeem", patients=[patient], detail=kind)


def _for_people(actor: Actor) -> None:
    if actor.role not in ("patient", "proxy"):
        raise Conflict("A member of staff needs an account of their own for this: choose a new one", at="new")


async def withdraw(records: Records, patient: str) -> None:
    """End every open invitation into a record. Raises Forbidden, NotFound."""
    await proxies.required(records)
    await records.read("Patient", patient)
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "UPDATE portal_invitation SET withdrawn = %s WHERE tenant = %s AND patient = %s AND used IS NULL AND withdrawn IS NULL "
            "RETURNING 1",
            (records.clock(), records.actor.tenant, patient),
        )
        if not rows:
            raise NotFound("No invitation is open")
        await audit.note(conn, records.actor, records.clock(), "withdraw-invitation", patients=[patient])
