"""Consents to look at: what could not be understood or does not count, until a privacy officer has looked at it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import consents
from commonchart.access.consents import Notice
from commonchart.fhir.outcome import Invalid
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.writing import texts
from commonchart.web.present import people, values

KINDS = {
    "consent-unreadable": "Not understood",
    "consent-foreign": "Does not count",
    "break-glass": "Break-glass",
}
ACTS = {"seen": consents.seen, "open": consents.open_again}
MOST = 100


class Line(Struct, frozen=True):
    """One notice as the list shows it."""

    notice: Notice
    kind: str
    at: str
    patient: str
    href: str
    org: str
    seen: str = ""
    who: str = ""


async def page(call: Call) -> Response:
    """What is open, the oldest first, and what was looked at last."""
    waiting = await consents.notices(call.records, MOST)
    past = await consents.looked_at(call.records)
    names = await _names(call, [*waiting, *(one for one, _, _ in past)])
    return call.page(
        "consents-queue.html", title="Consents to look at", rows=[_line(call, one, names) for one in waiting],
        past=[_line(call, one, names, call.zone.stamp(at), who) for one, at, who in past], most=MOST, network=call.actor.network is not False,
        said=call.request.query_params.get("said", ""),
    )  # fmt: skip


async def act(call: Call) -> Response:
    """Say that one was looked at, or put it back."""
    sent = await texts(call)
    number, what = sent.get("notice", ""), sent.get("do", "")
    if what not in ACTS or not (number.isascii() and number.isdigit() and len(number) < 19):
        raise Invalid("The form is not complete: open it again")
    await ACTS[what](call.records, int(number))
    return go(f"/reports/consents?said={what}")


async def _names(call: Call, found: list[Notice]) -> dict[str, str]:
    keys = [("Patient", one.patient) for one in found if one.patient]
    keys += [("Organization", one.org) for one in found if one.org]
    named = await call.records.named(sorted(set(keys)))
    return {f"{rtype}/{id}": _called(rtype, fact_of(stored).body) for (rtype, id), stored in named.items()}


def _called(rtype: str, body: dict[str, Any]) -> str:
    return values.name(people.best_name(body)) if rtype == "Patient" else str(body.get("name") or "")


def _line(call: Call, one: Notice, names: dict[str, str], seen: str = "", who: str = "") -> Line:
    """A notice; a patient who is not seen here is not named."""
    known = names.get(f"Patient/{one.patient}", "")
    href = (
        f"/patients/{one.patient}/consents/{one.source.partition('/')[2]}"
        if one.source.startswith("Consent/")
        else "/reports/break-glass"
    )
    return Line(
        one, KINDS.get(one.kind, one.kind), call.zone.stamp(one.at), known or "A patient not shown to you",
        href if known or not one.source.startswith("Consent/") else "", names.get(f"Organization/{one.org}", one.org), seen, who,
    )  # fmt: skip
