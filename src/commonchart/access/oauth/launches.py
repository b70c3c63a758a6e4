"""A launch from a chart: a token that says who launched which app for which patient and visit. Once, at most five minutes."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.access import audit, credentials
from commonchart.access.oauth import apps
from commonchart.access.oauth.apps import App
from commonchart.access.people import memberships
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection, Database

LIVES = timedelta(minutes=5)


class Context(Struct, frozen=True):
    """What an app is told beside the patient and the visit: `fhir_context` objects, an `intent`, whether it shows the banner."""

    fhir_context: tuple[dict[str, Any], ...] = ()
    intent: str = ""
    need_patient_banner: bool = True


class Launch(Struct, frozen=True):
    """What a launch token was made for."""

    app: str
    actor: str
    patient: str
    encounter: str | None
    context: Context
    membership: str = ""


def same(launch: Launch, user: str, membership: str) -> None:
    """Raises Forbidden unless this very person launched it, for the organisation that they act for now."""
    if launch.actor != user:
        raise Forbidden("This app was launched by somebody else: open it from the chart again")
    if launch.membership != membership:
        raise Forbidden(
            "This app was opened for another organisation than the one you act for now: open it from the chart again"
        )


def read_context(text: str) -> Context:
    """A context that was kept."""
    return msgspec.json.decode(text or "{}", type=Context)


async def launchable(database: Database, tenant: int, role: str) -> list[App]:
    """The approved apps that can be opened from a chart, for clinicians or for patients."""
    found = await apps.listed(database, tenant, "approved")
    audience = "patient" if role == "patient" else "clinician"
    return [app for app in found if app.launch_url and app.audience in (audience, "both")]


async def begin(
    records: Records, app_id: str, patient: str, encounter: str | None = None, context: Context = Context()
) -> tuple[App, str]:
    """The app, and a new launch token for it. Raises Forbidden, NotFound; Invalid for a visit of somebody else."""
    actor, now = records.actor, records.clock()
    found = await launchable(records.database, actor.tenant, actor.role)
    app = next((one for one in found if one.id == app_id), None)
    if app is None:
        raise NotFound("There is no app of this kind here")
    await records.read("Patient", patient)
    if encounter is not None:
        visit = json.decode((await records.read("Encounter", encounter)).body or b"{}")
        if (visit.get("subject") or {}).get("reference") != f"Patient/{patient}":
            raise Invalid("This visit is not of this patient")
    token = secrets.token_urlsafe(32)
    async with records.database.connection() as conn:
        await conn.execute("DELETE FROM app_launch WHERE expires <= %s", (now,))
        await conn.execute(
            "INSERT INTO app_launch (sha256, tenant, app, actor, patient, encounter, context, expires, membership) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                credentials.digest(token), actor.tenant, app.id, actor.user, patient, encounter,
                msgspec.json.encode(context).decode(), now + LIVES, await memberships.of(conn, actor),
            ),
        )  # fmt: skip
        await audit.note(conn, actor, now, "launch-app", id=app.id, patients=[patient], detail=app.name[:100])
    return app, token


async def look(conn: Connection, token: str, now: datetime) -> Launch | None:
    """What a token was made for, if it may still be used."""
    return await _found(conn, "SELECT {} FROM app_launch WHERE {}", token, now)


async def redeem(conn: Connection, token: str, now: datetime) -> Launch | None:
    """The same, and it is of no use any more."""
    return await _found(conn, "DELETE FROM app_launch WHERE {1} RETURNING {0}", token, now)


async def _found(conn: Connection, sql: str, token: str, now: datetime) -> Launch | None:
    text = sql.format(
        "app, actor, patient, encounter, context, membership", "sha256 = %s AND expires > %s AND used IS NULL"
    )
    row = await (await conn.execute(text, (credentials.digest(token[:200]), now))).fetchone()
    return Launch(row[0], row[1], row[2], row[3], read_context(row[4]), row[5]) if row else None
