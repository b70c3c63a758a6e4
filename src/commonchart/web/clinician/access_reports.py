"""Reports over the audit trail for those who answer for privacy: who did what, refusals, break-glass, what is unusual."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from urllib.parse import urlencode

import msgspec
from msgspec import Struct
from starlette.responses import Response

from commonchart.access import trail
from commonchart.access.trail import Ask, Numbered
from commonchart.fhir.outcome import Malformed
from commonchart.web.call import Call
from commonchart.web.clinician.lookups import patients_called
from commonchart.web.people.words import ROLES
from commonchart.web.present import dates
from commonchart.web.present.sheets import plain as _plain

PAGE, WHOLE = 50, 50_000
DAYS = 30
KINDS: tuple[tuple[str, str], ...] = (
    ("all", "Everything"), ("changes", "Changes"), ("denials", "Refused or failed"), ("break-glass", "Break-glass"),
    ("disclosures", "Disclosures"), ("sign-ins", "Sign-ins"), ("programs", "Programs"),
)  # fmt: skip
SORTS: tuple[tuple[str, str], ...] = (
    ("at", "When"), ("actor", "Who"), ("action", "What"), ("rtype", "Of which kind"), ("outcome", "Outcome"),
    ("client", "By which program"), ("purpose", "For what"),
)  # fmt: skip
ACTS = {
    "read": "read", "vread": "read an old version of", "history": "read the history of", "search": "searched",
    "create": "recorded", "update": "changed", "delete": "deleted", "sign-in": "signed in", "sign-out": "signed out",
    "print": "printed", "report": "read an access report", "export": "exported", "notify": "sent a notification about",
}  # fmt: skip
PURPOSES = {
    "TREAT": "treatment", "HPAYMT": "payment", "HOPERAT": "operations", "PATADMIN": "administration", "BTG": "break-glass",
    "PATRQT": "at the patient's request", "PUBHLTH": "public health", "HRESCH": "research", "ETREAT": "emergency",
}  # fmt: skip
COLUMNS = (
    "number", "at", "user", "name", "role", "organization", "program", "purpose", "action", "outcome", "type", "id", "version",
    "patients", "query", "detail",
)  # fmt: skip


class Line(Struct, frozen=True):
    """One event as the table shows it."""

    number: int
    at: str
    who: str
    user: str
    role: str
    what: str
    target: str
    patients: list[str]
    outcome: str
    refused: bool
    purpose: str
    program: str
    detail: str


async def page(call: Call) -> Response:
    """The events that are asked for, fifty at a time."""
    ask, number = _ask(call), _number(call)
    found = await trail.events(call.records, ask, limit=PAGE + 1, offset=(number - 1) * PAGE)
    named = await patients_called(call.records, [ask.patient] if ask.patient else [])
    return call.page(
        "access-report.html",
        title="Who did what",
        lines=[line(call, one) for one in found[:PAGE]],
        ask=ask,
        since=call.zone.on(ask.since),
        until=call.zone.on(ask.until - timedelta(seconds=1)),
        patient=named.get(ask.patient, ""),
        kinds=[(key, words, _address(call, kind=key)) for key, words in KINDS],
        sorts=[(key, words, _sorted(call, ask, key)) for key, words in SORTS],
        newer=_address(call, page=str(number - 1), upto=str(ask.upto)) if number > 1 else "",
        older=_address(call, page=str(number + 1), upto=_upto(ask, found)) if len(found) > PAGE else "",
        whole=_address(call).replace("/reports/access", "/reports/access/csv", 1),
    )


async def download(call: Call) -> Response:
    """The same as CSV, whole up to 50,000 events."""
    found = await trail.events(call.records, _ask(call), limit=WHOLE)
    out = io.StringIO()
    sheet = csv.writer(out)
    sheet.writerow(COLUMNS)
    sheet.writerows(_cells(one) for one in found)
    headers = {"content-disposition": 'attachment; filename="access.csv"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


async def unusual(call: Call) -> Response:
    """What is out of the ordinary, to be asked about."""
    ask = _ask(call)
    found = await trail.unusual(call.records, ask.since, ask.until)
    rows = [(one, call.zone.stamp(one.last), _of(call, one)) for one in found]
    names = await patients_called(call.records, [one.patient for one in found if one.patient])
    return call.page(
        "access-unusual.html",
        title="Unusual access",
        rows=rows,
        since=call.zone.on(ask.since),
        until=call.zone.on(ask.until - timedelta(seconds=1)),
        names=names,
    )


def line(call: Call, one: Numbered) -> Line:
    """An event in words."""
    event = one.event
    target = f"{event.rtype}/{event.id}" if event.rtype and event.id else event.rtype or ""
    patients = [id for id in event.patients if id]
    return Line(
        one.seq, call.zone.stamp(event.at), one.who or event.actor or "somebody unknown", event.actor, ROLES.get(event.role, event.role),
        ACTS.get(event.action, event.action.replace("-", " ")), "" if [target] == [f"Patient/{p}" for p in patients] else target,
        patients, "refused" if event.outcome else "done", bool(event.outcome),
        PURPOSES.get(event.purpose, event.purpose), event.client, event.detail or "",
    )  # fmt: skip


def _cells(one: Numbered) -> list[str]:
    event = one.event
    cells = (
        one.seq, event.at.isoformat(), event.actor, one.who, event.role, event.org, event.client, event.purpose, event.action,
        event.outcome, event.rtype, event.id, event.vid, " ".join(id for id in event.patients if id), event.query, event.detail,
    )  # fmt: skip
    return [_plain("" if cell is None else str(cell)) for cell in cells]


def _ask(call: Call) -> Ask:
    given = call.request.query_params
    until = _day(call, "until", call.today)
    since = _day(call, "since", until - timedelta(days=DAYS - 1))
    if since > until:
        raise Malformed("The first day lies after the last one", at="since")
    names = ("patient", "actor", "action")
    upto = given.get("upto", "")
    asked = {
        "kind": given.get("kind") or "all",
        "sort": given.get("sort") or "at",
        "descending": given.get("order") != "up",
        "upto": int(upto) if upto.isascii() and upto.isdigit() and len(upto) < 19 else 0,
    }
    try:
        return msgspec.convert(
            asked
            | {"since": call.zone.starts(since), "until": call.zone.starts(until + timedelta(days=1))}
            | {name: given.get(name, "")[:64] for name in names},
            Ask,
        )
    except msgspec.ValidationError:
        raise Malformed("There is no such report, or it cannot be sorted by this", at="kind") from None


def _day(call: Call, name: str, default: date) -> date:
    text = call.request.query_params.get(name, "").strip()
    if text:
        try:
            return dates.typed(text)
        except ValueError:
            raise Malformed("A day looks like 12-Mar-2026", at=name) from None
    return default


def _number(call: Call) -> int:
    text = call.request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 5 else 1


def _upto(ask: Ask, found: list[Numbered]) -> str:
    """Where the later pages end: what is added while somebody turns them is not among them."""
    return str(ask.upto or max(one.seq for one in found))


def _address(call: Call, **changed: str) -> str:
    kept = {k: v for k, v in call.request.query_params.items() if v and k not in ("page", "upto")} | changed
    return f"/reports/access?{urlencode(kept)}" if kept else "/reports/access"


def _sorted(call: Call, ask: Ask, key: str) -> str:
    down = not ask.descending if ask.sort == key else key == "at"
    return _address(call, sort=key, order="down" if down else "up")


def _of(call: Call, one: trail.Unusual) -> str:
    """The events behind a line."""
    narrowed = {
        "actor": one.actor,
        "since": f"{call.zone.day(one.first)}",
        "until": f"{call.zone.day(one.last)}",
    }
    return f"/reports/access?{urlencode(narrowed | ({'patient': one.patient} if one.patient else {}))}"
