"""What a patient asks of the practice about their record, as a Task that both sides see: a correction, a restriction, a question.

45 CFR 164.526 gives 60 days to answer a request to amend; 164.522 lets a patient ask to restrict. Denying needs a reason,
which the patient reads. An accepted correction names the version that came of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from commonchart.access import audit, policy
from commonchart.access.actors import FOR_A_PATIENT
from commonchart.access.writes import Create, Put
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.record import store
from commonchart.record.keys import token
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS
from commonchart.search.compile import Statement

if TYPE_CHECKING:
    from commonchart.access.records import Records

SYSTEM = "https://commonchart.example/patient-request"
ANSWER_WITHIN = timedelta(days=60)
Kind = Literal["correction", "restriction", "access", "result"]
KINDS: dict[str, str] = {
    "correction": "Correct my record",
    "restriction": "Limit who sees or uses my record",
    "access": "A question about who saw my record",
    "result": "A question about a result",
}
PRIVACY = frozenset({"restriction", "access"})
OPEN, ACCEPTED, DENIED = "requested", "completed", "rejected"
LONGEST = 4000


class Asked(Struct, frozen=True):
    """What is asked. `focus` is "Type/id" of what it is about or "", `about` the same in words, `text` their own words."""

    kind: str
    about: str
    text: str
    wrong: str = ""
    focus: str = ""


class Request(Struct, frozen=True):
    """A request as it stands. `changed` is "Type/id/_history/n" of what came of it, or ""."""

    id: str
    vid: int
    patient: str
    kind: str
    about: str
    text: str
    wrong: str
    focus: str
    by: str
    made: datetime
    answer_by: str
    status: str
    reason: str
    answered_by: str
    changed: str


async def ask(records: Records, asked: Asked) -> str:
    """Send a request about one's own record: its id. Raises Forbidden, Invalid."""
    actor = records.actor
    if asked.kind not in KINDS or not asked.text.strip() or len(asked.text) > LONGEST:
        raise Invalid(f"Tell us in your own words, in at most {LONGEST} characters", at="text")
    if actor.patient is None:
        raise Forbidden("This is not yours to record")
    body = task(asked, actor.patient, actor.name, actor.org, records.clock())
    async with records.transaction() as tx:
        made = (await tx.write_own([Create(validate(body))]))[0].stored
        await audit.note(
            tx.conn,
            actor,
            records.clock(),
            "ask",
            rtype="Task",
            id=made.id,
            patients=[actor.patient],
            detail=asked.kind,
        )
    return made.id


def task(asked: Asked, patient: str, name: str, org: str, now: datetime) -> dict[str, Any]:
    """The Task of a request."""
    at = now.isoformat(timespec="seconds")
    inputs = [("about", asked.about), ("wrong", asked.wrong), ("text", asked.text.strip())]
    body: dict[str, Any] = {
        "resourceType": "Task",
        "status": OPEN,
        "intent": "proposal",
        "code": {"coding": [{"system": SYSTEM, "code": asked.kind}], "text": KINDS[asked.kind]},
        "for": {"reference": f"Patient/{patient}"},
        "requester": {"reference": f"Patient/{patient}", "display": name or "The patient"},
        "authoredOn": at,
        "lastModified": at,
        "restriction": {"period": {"end": (now + ANSWER_WITHIN).date().isoformat()}},
        "performerType": [{"text": "privacy officer" if asked.kind in PRIVACY else "practice"}],
        "input": [{"type": {"text": name}, "valueString": text} for name, text in inputs if text],
    }
    if org:
        body["owner"] = {"reference": f"Organization/{org}"}
    if asked.focus:
        body["focus"] = {"reference": asked.focus}
    return body


def request_of(stored: Stored) -> Request | None:
    """A Task as a request, None for any other Task."""
    body = json.decode(stored.body or b"{}")
    codings = (body.get("code") or {}).get("coding") or ()
    kind = next((one.get("code", "") for one in codings if one.get("system") == SYSTEM), "")
    if kind not in KINDS:
        return None
    said = {
        str((one.get("type") or {}).get("text")): str(one.get("valueString", ""))
        for one in body.get("input") or ()
    }
    outputs = [
        str((one.get("valueReference") or {}).get("reference", "")) for one in body.get("output") or ()
    ]
    return Request(
        stored.id, stored.vid, str((body.get("for") or {}).get("reference", "")).removeprefix("Patient/"), kind, said.get("about", ""), said.get("text", ""), said.get("wrong", ""),
        str((body.get("focus") or {}).get("reference", "")), str((body.get("requester") or {}).get("display", "")),
        datetime.fromisoformat(str(body["authoredOn"])), str(((body.get("restriction") or {}).get("period") or {}).get("end", "")),
        str(body.get("status", "")), str((body.get("statusReason") or {}).get("text", "")),
        str(((body.get("note") or [{}])[0]).get("authorString", "")), outputs[0] if outputs else "",
    )  # fmt: skip


async def of_patient(records: Records, patient: str) -> list[Request]:
    """Every request about this patient's record, newest first. Raises NotFound for whoever may not see this patient.

    FHIR's patient compartment leaves Task out, so these are found by what they are (`SYSTEM`) and whom they are for.
    """
    await records.read("Patient", patient)
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            f"SELECT {columns} FROM resource r WHERE r.tenant = %s AND r.rtype = 'Task' AND NOT r.deleted AND "
            "r.tokens && %s::bigint[] AND r.tokens && %s::bigint[] LIMIT 200",
            (records.actor.tenant, [token("subject", f"Patient/{patient}")], _hashes()),
        )
        await audit.note(conn, records.actor, records.clock(), "search", rtype="Task", patients=[patient])
    found = [one for row in rows if (one := request_of(store.row_stored(row))) is not None]
    return sorted((one for one in found if one.patient == patient), key=lambda one: one.made, reverse=True)


def _hashes() -> list[int]:
    return [token("code", f"{SYSTEM}|{kind}") for kind in KINDS]


async def to_answer(records: Records, *, open_only: bool = True, limit: int = 200) -> list[Request]:
    """The requests that this member of staff may see, the oldest open one first. Raises Forbidden."""
    _staff(records)
    await records.require("search", "Task")
    predicate, args = records.visible.predicate("r")
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    status = " AND r.status = 'requested'" if open_only else ""
    sql = (
        f"SELECT {columns} FROM resource r WHERE {predicate} AND r.rtype = 'Task' AND NOT r.deleted AND "
        f"r.tokens && %s::bigint[]{status} ORDER BY r.recorded LIMIT %s"
    )
    found = await records.shown(
        Statement(sql, (*args, _hashes(), limit)), "search", "patient requests", "Task"
    )
    return [one for stored in found if (one := request_of(stored)) is not None]


async def answer(
    records: Records, id: str, *, accept: bool, reason: str, changed: str = "", vid: int
) -> None:
    """Accept or deny, with a reason that the patient reads; an accepted correction names what was changed.

    Raises Forbidden, NotFound, Conflict (it was answered already), Invalid.
    """
    _staff(records)
    stored = await records.read("Task", id)
    one = request_of(stored)
    if one is None:
        raise NotFound("There is no such request")
    if one.status != OPEN:
        raise Conflict("This request was answered already")
    if len(reason.strip()) < 10:
        raise Invalid("Tell the patient why, in a sentence they can understand", at="reason")
    version = await _version(records, one, changed) if accept and changed else ""
    if accept and one.kind == "correction" and not version:
        raise Invalid("Name the entry that was corrected, such as Observation/123", at="changed")
    now = records.clock().isoformat(timespec="seconds")
    body = json.decode(stored.body or b"{}") | {
        "status": ACCEPTED if accept else DENIED,
        "statusReason": {"text": reason.strip()[:LONGEST]},
        "lastModified": now,
        "note": [{"authorString": records.actor.name, "time": now, "text": reason.strip()[:LONGEST]}],
    }
    if version:
        body["output"] = [{"type": {"text": "changed version"}, "valueReference": {"reference": version}}]
    async with records.transaction() as tx:
        await tx.write([Put(validate(body), id, if_match=vid)])
        await audit.note(
            tx.conn, records.actor, records.clock(), "answer", rtype="Task", id=id, patients=[one.patient]
        )


async def _version(records: Records, one: Request, changed: str) -> str:
    """The current version of an entry of this patient's. Raises Invalid."""
    rtype, _, id = changed.strip().partition("/")
    try:
        stored = await records.read(rtype, id) if policy.allowed(records.actor, "read", rtype) else None
    except NotFound:
        stored = None
    if stored is None or stored.patient != one.patient:
        raise Invalid("There is no such entry in this patient's record", at="changed")
    return f"{rtype}/{id}/_history/{stored.vid}"


def _staff(records: Records) -> None:
    if records.actor.role in FOR_A_PATIENT or not policy.allowed(records.actor, "update", "Task"):
        raise Forbidden("Your role does not answer requests of patients")
