"""Records of one human: the work list, and two records side by side with what can be decided of them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commonchart.access import persons
from commonchart.access.persons import Suggestion
from commonchart.fhir.outcome import Conflict, Invalid, Refused
from commonchart.jobs import persons as deciding
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import Lookups, fact_of
from commonchart.web.clinician.writing import texts
from commonchart.web.present import people
from commonchart.web.present.tables import Fact

WORDS = {"agrees": "Agrees", "differs": "Differs", "one side": "One record only", "neither": "Not recorded"}
ACTS = ("same", "apart", "back")


async def listing(call: Call) -> Response:
    """Pairs of records that may be of one human: of everybody, or of `?patient=`."""
    patient = call.request.query_params.get("patient", "")[:64]
    found = await (persons.of_patient(call.records, patient) if patient else persons.waiting(call.records))
    names = await _organizations(call, [fact_of(held) for one in found for held in (one.one, one.other)])
    return call.page(
        "persons.html", title="Records of one person", lines=[_line(call, one, names) for one in found], patient=patient
    )  # fmt: skip


def _line(call: Call, one: Suggestion, names: dict[str, str]) -> dict[str, Any]:
    facts = [fact_of(one.one), fact_of(one.other)]
    return {
        "why": one.why,
        "href": f"/persons/{one.one.id}/{one.other.id}",
        "sides": [
            (people.banner(fact.body | {"id": fact.id}, call.today), names[fact.org]) for fact in facts
        ],
    }


async def one(call: Call) -> Response:
    """Two records side by side."""
    return await _page(call, {}, [])


async def act(call: Call) -> Response:
    """Link them, say that they are of two, or take back what was decided."""
    sent, params = await texts(call), call.request.path_params
    first, second, what = params["one"], params["other"], sent.get("do", "")
    try:
        if what not in ACTS:
            raise Invalid("Choose what you decide", at="do")
        if what == "back":
            await deciding.take_back(call.records, first, second, sent.get("reason", ""))
        else:
            await deciding.decide(call.records, first, second, sent.get("reason", ""), same=what == "same")
    except (Invalid, Conflict) as refusal:
        return await _page(call, sent, _issues(refusal), refusal.status)
    return go(f"/persons/{first}/{second}?said=kept")


def _issues(refusal: Refused) -> list[tuple[str, str]]:
    return [(issue.at if issue.at in ("do", "reason") else "", issue.message) for issue in refusal.issues]


async def _page(
    call: Call, sent: dict[str, str], issues: list[tuple[str, str]], status: int = 200
) -> Response:
    params = call.request.path_params
    found = await persons.beside(call.records, params["one"], params["other"])
    facts = [fact_of(found.one), fact_of(found.other)]
    names = await _organizations(call, facts)
    current = found.current
    return call.page(
        "persons-beside.html", status, title="Two records side by side", found=found, words=WORDS, issues=issues,
        errors=dict(issues), reason=sent.get("reason", ""), chosen=sent.get("do", ""), current=current,
        heads=[(people.banner(fact.body | {"id": fact.id}, call.today), names[fact.org], call.zone.stamp(fact.recorded) if fact.recorded else "") for fact in facts],
        fields=[field for field in found.fields if field.verdict != "neither"],
        choices=[("back", "Take back: this decision no longer stands")] if current else [
            ("same", "Same person: link both records"), ("apart", "Two people: do not suggest this again")],
        decisions=[(held, call.zone.stamp(held.at), call.zone.stamp(held.ended) if held.ended else "") for held in found.decisions],
        may_decide=call.actor.role in persons.DECIDING and not (found.linked and current is None),
        kept=call.request.query_params.get("said") == "kept",
    )  # fmt: skip


async def _organizations(call: Call, facts: list[Fact]) -> dict[str, str]:
    """The name of each organisation that keeps one of the records, by its id."""
    lookups = Lookups()
    await lookups.learn(call.records, facts, {fact.org for fact in facts})
    return {
        fact.org: lookups.names.get(f"Organization/{fact.org}", fact.org or "not recorded") for fact in facts
    }
