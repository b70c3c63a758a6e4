"""Emergency: find a patient by exact match, open one record for at most an hour, end it."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access import emergency, lookup, policy
from commonchart.care.labels import labels
from commonchart.fhir.outcome import Busy, Invalid, Refused
from commonchart.record.rows import Stored
from commonchart.web import step_up
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.clinician.writing import texts
from commonchart.web.present import dates, people

FIELDS = ("family", "given", "born", "number")


async def page(call: Call) -> Response:
    """The form, and what this user has open."""
    await lookup.required(call.records)
    return await _looking(call, {}, None, [])


async def find(call: Call) -> Response:
    """Look for exactly this patient, or end what is open."""
    sent = await texts(call)
    if sent.get("do") == "end":
        await emergency.end(call.records, sent.get("access", "")[:64])
        return go("/emergency?said=ended")
    try:
        born = dates.typed(sent["born"]) if sent.get("born", "").strip() else None
        found = await lookup.find(
            call.records,
            sent.get("family", "")[:120],
            sent.get("given", "")[:120],
            born,
            sent.get("number", "")[:64],
        )
    except ValueError:
        return await _looking(call, sent, None, [("born", "A birth date looks like 10-Dec-1985")], 422)
    except (Invalid, Busy) as refusal:
        return await _looking(call, sent, None, _issues(refusal), refusal.status)
    return await _looking(call, sent, found, [])


async def _looking(
    call: Call,
    sent: dict[str, str],
    found: list[Stored] | None,
    issues: list[tuple[str, str]],
    status: int = 200,
) -> Response:
    shown = [people.banner(fact.body | {"id": fact.id}, call.today) for fact in map(fact_of, found or ())]
    return call.page(
        "emergency.html", status, title="Emergency look-up", values={n: sent.get(n, "") for n in FIELDS}, issues=issues,
        errors=dict(issues), shown=shown, looked=found is not None,
        open=[(one, call.zone.stamp(one.ends)) for one in await emergency.current(call.records)],
    )  # fmt: skip


async def ask(call: Call) -> Response:
    """What breaking the glass opens, before one confirms."""
    return await _asking(call, {}, [])


async def confirm(call: Call) -> Response:
    """Open the record, with a reason; the route has asked who it is."""
    patient, sent = call.request.path_params["patient"], await texts(call)
    try:
        await lookup.found_before(call.records, patient)
        await emergency.grant(call.records, patient, sent.get("reason", "")[:500])
    except Invalid as refusal:
        return await _asking(call, sent, _issues(refusal), 422)
    return go(f"/patients/{patient}")


async def _asking(
    call: Call, sent: dict[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    fact = fact_of(await lookup.found_before(call.records, call.request.path_params["patient"]))
    never = policy.NEVER_IN_EMERGENCY
    return call.page(
        "emergency-ask.html", status, title="Open this record in an emergency", who=people.banner(fact.body | {"id": fact.id}, call.today),
        opens=[(label.title, name not in never) for name, label in labels().items()], issues=issues, errors=dict(issues),
        reason=sent.get("reason", ""), wanted=await step_up.wanted(call),
    )  # fmt: skip


def _issues(refusal: Refused) -> list[tuple[str, str]]:
    return [(issue.at if issue.at in (*FIELDS, "reason") else "", issue.message) for issue in refusal.issues]
