"""Vaccine stock: what is on the shelf, what arrives, what is counted, thrown away or withdrawn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import lots
from commonchart.access.lots import Lot, Movement, NewLot
from commonchart.fhir.outcome import Forbidden, Invalid, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.writing import context_of, texts
from commonchart.web.forms.fields import Field, Values, options, parse_fields
from commonchart.web.forms.medicines import VACCINES
from commonchart.web.present import dates

SOON = timedelta(days=60)
FUNDING = options("private=Private", "vfc=Vaccines for Children", "state=State")
RECEIVE = (
    Field("cvx", "Vaccine", "choice", required=True, options=VACCINES),
    Field("product", "Product name", max_length=60, hint="As on the box. Empty: the name of the vaccine."),
    Field("manufacturer", "Manufacturer code (MVX)", max_length=10, pattern="[A-Za-z]{2,4}", pattern_hint="MSD"),
    Field("lot", "Lot number", required=True, max_length=60),
    Field("expires", "Expires", "date", required=True, future=True, hint="The last day it may be given, such as 2027-03-31."),
    Field("funding", "Funding", "choice", required=True, default="private", options=FUNDING),
    Field("doses", "Doses received", required=True, max_length=6, pattern="[0-9]{1,6}", pattern_hint="a whole number such as 10"),
)  # fmt: skip
_WHOLE = {"pattern": "[0-9]{1,6}", "pattern_hint": "a whole number such as 10", "max_length": 6}
ACTS: dict[str, tuple[Field, ...]] = {
    "count": (
        Field("doses", "Doses on the shelf", required=True, **_WHOLE),  # type: ignore[arg-type]
        Field("note", "Note", max_length=400),
    ),
    "waste": (
        Field("doses", "Doses thrown away", required=True, **_WHOLE),  # type: ignore[arg-type]
        Field("note", "Why", required=True, max_length=400),
    ),
    "withdraw": (Field("why", "Why it must not be given", required=True, max_length=200),),
    "release": (),
}
WORDS = {"received": "Received", "given": "Given", "returned": "Returned", "counted": "Counted", "wasted": "Thrown away"}  # fmt: skip


class Shelf(Struct, frozen=True):
    """A lot as it is shown: the mark and words of its state."""

    lot: Lot
    vaccine: str
    funding: str
    expires: str
    mark: str
    state: str


async def page(call: Call) -> Response:
    """The shelf, first to expire first, and the form for what arrives."""
    return await _page(call, {field.name: field.default for field in RECEIVE}, [])


async def receive(call: Call) -> Response:
    """Put a delivery on the shelf."""
    sent = await texts(call)
    try:
        values = parse_fields(RECEIVE, sent, context_of(call, ""))
        lot = await lots.receive(call.records, _new(values))
    except Forbidden:
        raise
    except Refused as refusal:
        typed = {field.name: sent.get(field.name, "") for field in RECEIVE}
        return await _page(call, typed, _issues(refusal, RECEIVE), refusal.status)
    return go(f"/stock?said={lot.id}")


async def one(call: Call) -> Response:
    """One lot, its movements, and what can be done with it."""
    return await _one(call, {}, [])


async def act(call: Call) -> Response:
    """Count, throw away, withdraw or release."""
    sent, id = await texts(call), call.request.path_params["lot"]
    todo = sent.get("do", "")
    if todo not in ACTS:
        raise Invalid("The form is not complete: open it again")
    try:
        await _done(call, id, todo, parse_fields(ACTS[todo], sent, context_of(call, "")))
    except Invalid as refusal:
        prefixed = [(f"{todo}-{at}" if at else "", message) for at, message in _issues(refusal, ACTS[todo])]
        return await _one(
            call, {f"{todo}-{name}": text for name, text in sent.items()}, prefixed, refusal.status
        )
    return go(f"/stock/{id}")


async def _done(call: Call, id: str, todo: str, values: Values) -> Lot:
    if todo == "count":
        return await lots.count(call.records, id, int(values["doses"]), values["note"])
    if todo == "waste":
        return await lots.waste(call.records, id, int(values["doses"]), values["note"])
    return await lots.withdraw(call.records, id, values.get("why", ""))


def _new(values: Values) -> NewLot:
    expires = values["expires"]
    if len(expires) != 10:
        raise Invalid("Expires must be a day, such as 2027-03-31", at="expires")
    label = next(option.label for option in VACCINES if option.value == values["cvx"])
    return NewLot(
        values["cvx"], values["product"] or label, values["manufacturer"].upper(), values["lot"],
        date.fromisoformat(expires), values["funding"], int(values["doses"]),  # type: ignore[arg-type]
    )  # fmt: skip


def _issues(refusal: Refused, fields: tuple[Field, ...]) -> list[tuple[str, str]]:
    known = {field.name for field in fields}
    return [(issue.at if issue.at in known else "", issue.message) for issue in refusal.issues]


async def _page(
    call: Call, values: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    found = await lots.listed(call.records, empty=call.request.query_params.get("empty") == "yes")
    return call.page(
        "stock.html", status, title="Vaccine stock", shelves=[shelf(lot, call.today) for lot in found],
        groups=[("", list(RECEIVE))], values=values, issues=issues, errors=_errors(issues),
        said=call.request.query_params.get("said", ""), empty=call.request.query_params.get("empty") == "yes",
    )  # fmt: skip


async def _one(
    call: Call, values: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    lot, moved = await lots.one(call.records, call.request.path_params["lot"])
    return call.page(
        "lot.html", status, title=f"{lot.product}, lot {lot.lot}", shelf=shelf(lot, call.today),
        moved=[_movement(call, one) for one in moved], values=values, issues=issues, errors=_errors(issues), acts=ACTS,
    )  # fmt: skip


def _errors(issues: list[tuple[str, str]]) -> dict[str, str]:
    return {at: message for at, message in reversed(issues) if at}


def shelf(lot: Lot, day: date) -> Shelf:
    """A lot as it is shown on a day: withdrawn and expired before all else, then what ends soon."""
    vaccine = next((option.label for option in VACCINES if option.value == lot.cvx), f"CVX {lot.cvx}")
    funding = next(option.label for option in FUNDING if option.value == lot.funding)
    mark, state = _state(lot, day)
    return Shelf(lot, vaccine, funding, dates.of_date(lot.expires), mark, state)


def _state(lot: Lot, day: date) -> tuple[str, str]:
    if lot.withdrawn:
        return "not", f"Withdrawn: {lot.withdrawn}"
    if lot.expired(day):
        return "not", "Expired: do not give"
    if lot.doses <= 0:
        return (
            "unknown" if lot.doses < 0 else "done",
            "Count it: more given than received" if lot.doses < 0 else "Used up",
        )
    return ("soon", "Expires soon") if lot.expires - day <= SOON else ("done", "May be given")


def _movement(call: Call, one: Movement) -> dict[str, Any]:
    return {
        "at": call.zone.stamp(one.at), "what": WORDS[one.why], "doses": f"{one.doses:+}", "note": one.note, "who": one.actor,
    }  # fmt: skip
