"""Links by which a patient lets one reader into their record: what, until when, with or without a passcode, how often.

Only a hash of the token is kept, so that a link is shown once. Whoever opens it reads through the patient's own predicate,
narrowed to the sections that were chosen, as it is at that moment; ending it holds from the next request on. Wrong passcodes
are counted before they are looked at, for the whole life of the link.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace
from psycopg.errors import UniqueViolation

from commonchart.access import audit, credentials, passwords, policy
from commonchart.access.actors import Actor
from commonchart.access.people import guessing
from commonchart.access.records import Records
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, Issue, NotFound, Throttled
from commonchart.search.visible import Part, Visible

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

CLIENT = "link"
PURPOSE = "PATRQT"
LONGEST = timedelta(days=365)
SHORTEST_PASSCODE, LONGEST_PASSCODE = 6, 100
MAX_FAILURES = 5
MOST_UNKNOWN = 50
"""Unknown links that one address may try in a quarter of an hour."""
MOST_OPENINGS = 60
"""How often one link may be opened in a quarter of an hour."""
FILE_LIVES = timedelta(minutes=15)
OVER = "This link opens nothing: it was ended, it has run out, or it was never given."
_RESULTS = (("category", ("laboratory", "vital-signs")),)
# section -> its types, and codes that narrow them; the page of the portal shows the same ones (`web.portal.lines`)
SECTIONS: dict[str, tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "allergies": (("AllergyIntolerance",), ()),
    "medicines": (("MedicationRequest", "MedicationStatement"), ()),
    "conditions": (("Condition",), ()),
    "vaccines": (("Immunization",), ()),
    "results": (("Observation",), _RESULTS),
    "visits": (("Encounter",), ()),
    "procedures": (("Procedure",), ()),
    "family": (("FamilyMemberHistory",), ()),
    "documents": (("DocumentReference", "DiagnosticReport"), ()),
    "insurance": (("Coverage",), ()),
}
# what a List may be about, so that "none known" is read as it was said (LOINC)
LISTS = {"allergies": ("52472-8", "48765-2"), "medicines": ("10160-0",), "conditions": ("11450-4",)}
_COLUMNS = (
    "l.id, l.tenant, l.patient, l.actor, l.reader, l.scope, l.sections, l.passcode IS NOT NULL, l.failures, l.opened, l.most, l.made, "
    "l.expires, l.used, l.revoked"
)
_FROM = "FROM share_link l JOIN app_user u ON u.id = l.actor AND u.tenant = l.tenant"
_LIVING = f"u.active AND l.revoked IS NULL AND l.expires > %s AND l.failures < {MAX_FAILURES} AND (l.most IS NULL OR l.opened < l.most)"


class Wanted(Struct, frozen=True):
    """A link to make. `id` is chosen by the form, so that sending it twice makes one; `sections` empty for all."""

    id: str
    reader: str
    expires: datetime
    sections: tuple[str, ...] = ()
    scope: str = "full"
    passcode: str = ""
    most: int | None = None


class Link(Struct, frozen=True):
    """A link as kept. `scope` "limited" leaves sensitive parts out; `locked` asks a passcode; `most` None: any number of times."""

    id: str
    tenant: int
    patient: str
    actor: str
    reader: str
    scope: str
    sections: list[str]
    locked: bool
    failures: int
    opened: int
    most: int | None
    made: datetime
    expires: datetime
    used: datetime | None
    revoked: datetime | None

    def ended(self, now: datetime) -> datetime | None:
        """Since when it opens nothing; None while it does."""
        if self.revoked is not None:
            return self.revoked
        if self.failures >= MAX_FAILURES or (self.most is not None and self.opened >= self.most):
            return self.used or self.made
        return self.expires if self.expires <= now else None


class Wrong(Forbidden):
    """The passcode is missing or wrong; `left` attempts remain."""

    def __init__(self, left: int, message: str) -> None:
        self.left = left
        super().__init__(message, at="passcode")


# ---- the patient's side ----------------------------------------------------------------------------------------


async def make(records: Records, patient: str, wanted: Wanted) -> tuple[str, bytes]:
    """A new link of the patient's own: its token, which is shown now and never again, and the salt of its key.

    Raises Invalid by field, Forbidden for anybody but the patient, Conflict if this form was sent before.
    """
    actor, now = records.actor, records.clock()
    if (
        actor.role != "patient"
        or actor.patient != patient
        or actor.app
        or actor.client == "web for another person"
    ):
        raise Forbidden("Only patients themselves make links to their record")
    _check(wanted, now)
    token, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    secret = await passwords.hashed(wanted.passcode, shortest=SHORTEST_PASSCODE) if wanted.passcode else None
    try:
        async with records.database.connection() as conn:
            await conn.execute(
                "INSERT INTO share_link (id, tenant, sha256, salt, patient, actor, reader, scope, sections, passcode, most, made, expires) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (wanted.id, actor.tenant, credentials.digest(token), salt, patient, actor.user, wanted.reader.strip(), wanted.scope,
                 list(wanted.sections), secret, wanted.most, now, wanted.expires),
            )  # fmt: skip
            await audit.note(
                conn, actor, now, "make-link", id=wanted.id, patients=[patient], detail=_said(wanted)
            )
    except UniqueViolation:
        raise Conflict("This link has been made already") from None
    return token, salt


def _said(wanted: Wanted) -> str:
    what = ",".join(wanted.sections) or "all"
    return f"{what} {wanted.scope} until {wanted.expires.isoformat(timespec='minutes')}{' with a passcode' if wanted.passcode else ''}"


def _check(wanted: Wanted, now: datetime) -> None:
    issues: list[Issue] = []

    def wrong(at: str, message: str) -> None:
        issues.append(Issue("invalid", message, at))

    if not (len(wanted.id) == 32 and wanted.id.isalnum() and wanted.id.isascii()):
        wrong("", "The form is not complete: open it again")
    if not 1 <= len(wanted.reader.strip()) <= 80 or any(ord(letter) < 32 for letter in wanted.reader):
        wrong("reader", "Say whom the link is for")
    if not set(wanted.sections) <= set(SECTIONS):
        wrong("what", "Choose what they may see, and tick the parts if not all of it")
    if wanted.scope not in ("full", "limited"):
        wrong("scope", "Choose with or without sensitive parts")
    if not now < wanted.expires <= now + LONGEST:
        wrong("until", "Choose until when")
    if wanted.passcode and not SHORTEST_PASSCODE <= len(wanted.passcode) <= LONGEST_PASSCODE:
        wrong("passcode", f"A passcode has at least {SHORTEST_PASSCODE} letters or digits")
    if wanted.most is not None and not 1 <= wanted.most <= 1000:
        wrong("most", "Choose how often it may be opened")
    if issues:
        raise Invalid(issues=issues)


async def of_patient(conn: Connection, tenant: int, patient: str) -> list[Link]:
    """Every link of a patient's, newest first, ended ones too."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM share_link l WHERE l.tenant = %s AND l.patient = %s ORDER BY l.made DESC, l.id LIMIT 200",
        (tenant, patient),
    )
    return [Link(*row) for row in rows]


async def end(records: Records, patient: str, id: str) -> None:
    """End a link: it opens nothing from the next request on. Raises NotFound. The caller leaves the row in the trail."""
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "UPDATE share_link SET revoked = %s WHERE id = %s AND tenant = %s AND patient = %s AND revoked IS NULL RETURNING id",
            (records.clock(), id[:64], records.actor.tenant, patient),
        )
        if not rows:
            raise NotFound("There is no such link")
        await conn.fetch("DELETE FROM share_file WHERE link = %s", (id[:64],))


# ---- the reader's side -----------------------------------------------------------------------------------------


async def look(database: Database, token: str, address: str, now: datetime) -> Link:
    """The link of a token, if it opens anything; this opens nothing yet. Raises NotFound for every reason alike, Throttled."""
    key = f"link:{sha256(address.encode()).hexdigest()[:32]}"
    async with database.connection() as conn:
        if await guessing.too_many(conn, key, MOST_UNKNOWN, now):
            raise Throttled(
                "Too many links that do not exist were tried from here. Wait a quarter of an hour."
            )
        rows = await conn.fetch(
            f"SELECT {_COLUMNS} {_FROM} WHERE l.sha256 = %s AND {_LIVING}", (credentials.digest(token), now)
        )
        if address and not rows:  # "": behind a proxy that nobody named, one count would be everybody's
            await guessing.count(conn, key, now)
    if not rows:
        raise NotFound(OVER)
    return Link(*rows[0])


async def let_in(
    database: Database, link: Link, passcode: str | None, now: datetime, detail: str = ""
) -> Link:
    """Let the reader in, and leave a row of it, before anything is shown. Raises Wrong, NotFound (over by now), Throttled."""
    if link.locked:
        await _unlocked(database, link, passcode, now)
    key = f"link:{link.id}"
    async with database.connection() as conn:
        if await guessing.too_many(conn, key, MOST_OPENINGS, now):
            raise Throttled("This link was opened too often just now. Wait a quarter of an hour.")
        await guessing.count(conn, key, now)
        rows = await conn.fetch(
            f"UPDATE share_link k SET opened = k.opened + 1, used = %s {_FROM} WHERE k.id = l.id AND l.id = %s AND {_LIVING} "
            "AND (k.most IS NULL OR k.opened < k.most) AND k.revoked IS NULL RETURNING k.opened",
            (now, link.id, now),
        )
        if not rows:
            raise NotFound(OVER)
        await audit.note(
            conn, reader(link), now, "link", id=link.id, patients=[link.patient], detail=detail[:200] or None
        )
    return replace(link, opened=rows[0][0], used=now)


async def _unlocked(database: Database, link: Link, passcode: str | None, now: datetime) -> None:
    """Each attempt is taken off before the passcode is looked at, and given back when it was right."""
    if not passcode:
        raise Wrong(MAX_FAILURES - link.failures, "Type the passcode that you were given")
    async with database.connection() as conn:
        rows = await conn.fetch(
            "UPDATE share_link SET failures = failures + 1 WHERE id = %s AND failures < %s RETURNING passcode, failures",
            (link.id, MAX_FAILURES),
        )
    if not rows:
        raise NotFound(OVER)
    secret, failures = rows[0]
    right = await passwords.matches(secret, passcode[: LONGEST_PASSCODE + 1])
    async with database.connection() as conn:
        if right:
            await conn.execute("UPDATE share_link SET failures = failures - 1 WHERE id = %s", (link.id,))
            return
        await audit.note(
            conn, reader(link), now, "link", outcome=audit.MINOR, id=link.id, patients=[link.patient], detail="wrong passcode"
        )  # fmt: skip
    if failures >= MAX_FAILURES:
        raise NotFound(OVER)
    raise Wrong(MAX_FAILURES - failures, "The passcode is not right")


def reader(link: Link, org: str = "", network: bool | None = None) -> Actor:
    """Who reads through a link: nobody who could sign in, seen in the trail by the link's id."""
    role: Literal["patient", "proxy"] = "proxy" if link.scope == "limited" else "patient"
    return Actor(
        link.tenant, f"link-{link.id}", link.reader, role, org, CLIENT, PURPOSE, patient=link.patient, network=network
    )  # fmt: skip


def parts(patient: str, sections: Sequence[str]) -> tuple[Part, ...]:
    """What of a record lies in these sections (none: in all of them), with the Patient and who is named."""
    chosen = sections or tuple(SECTIONS)
    shared = policy.KNOWN_TO_PATIENTS
    found = [Part(frozenset({"Patient"}) | shared, patient, shared)]
    for name in chosen:
        types, only = SECTIONS[name]
        found.append(Part(frozenset(types), patient, only=only))
    codes = tuple(code for name in chosen for code in LISTS.get(name, ()))
    if codes:
        found.append(Part(frozenset({"List"}), patient, only=(("code", codes),)))
    return tuple(found)


class Reading(Records):
    """Records as the reader of a link has them: the patient's view, narrowed to the sections."""

    def __init__(self, database: Database, link: Link, clock: Any, *, key: bytes) -> None:
        super().__init__(database, reader(link), clock, key=key)
        self.visible = replace(policy.visible(self.actor, clock()), within=parts(link.patient, link.sections))

    @property
    def readable(self) -> Visible:
        """By its id there is no more."""
        return self.visible


async def keep_file(database: Database, link: Link, body: str, now: datetime) -> str:
    """Keep a sealed file to be fetched once: the token of its address."""
    token = secrets.token_urlsafe(32)
    async with database.connection() as conn:
        await conn.execute("DELETE FROM share_file WHERE expires <= %s", (now,))
        await conn.execute(
            "INSERT INTO share_file (sha256, link, body, expires) VALUES (%s, %s, %s, %s)",
            (credentials.digest(token), link.id, body, now + FILE_LIVES),
        )
    return token


async def take_file(database: Database, token: str, now: datetime) -> str:
    """A sealed file, once, while its link and whoever made that stand, with its row. Raises NotFound."""
    async with database.connection() as conn:
        rows = await conn.fetch(
            "DELETE FROM share_file f USING share_link l JOIN app_user u ON u.id = l.actor AND u.tenant = l.tenant "
            "WHERE f.sha256 = %s AND f.expires > %s AND l.id = f.link AND u.active AND l.revoked IS NULL AND l.expires > %s "
            f"RETURNING f.body, {_COLUMNS}",
            (credentials.digest(token), now, now),
        )
        if not rows:
            raise NotFound(OVER)
        link = Link(*rows[0][1:])
        await audit.note(conn, reader(link), now, "link", id=link.id, patients=[link.patient], detail="file")
    return str(rows[0][0])


async def salt_of(database: Database, link: Link) -> bytes:
    """The salt from which, with the token, the key of the link is made."""
    async with database.single() as conn:
        rows = await conn.fetch("SELECT salt FROM share_link WHERE id = %s", (link.id,))
    return bytes(rows[0][0])
