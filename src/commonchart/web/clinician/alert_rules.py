"""Rules of the medication pack that would interrupt, were they reviewed: a clinician of the site approves them by name."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commonchart.access.medications import approvals
from commonchart.care.medications.pack import built_in
from commonchart.fhir.outcome import Forbidden, Invalid
from commonchart.web.call import Call, go
from commonchart.web.clinician.writing import texts


async def page(call: Call) -> Response:
    """What waits for a review, and what was approved."""
    return await _page(call, "", "")


async def decide(call: Call) -> Response:
    """Approve a rule, or take an approval back."""
    sent = await texts(call)
    rule = sent.get("rule", "")
    try:
        if sent.get("do") == "withdraw":
            await approvals.withdraw(call.records, rule)
        else:
            await approvals.approve(call.records, rule, sent.get("comment", ""))
    except Invalid as refusal:
        return await _page(call, rule, str(refusal), refusal.status)
    return go("/medication-rules")


async def _page(call: Call, wrong: str, message: str, status: int = 200) -> Response:
    if not call.may("create", "MedicationRequest"):
        raise Forbidden("Your role does not allow you to review rules")
    standing = {one.rule: one for one in await approvals.standing(call.records)}
    pack = built_in()
    unproved = [one for one in pack.every() if one.review != "reviewed"]
    return call.page(
        "medication-rules.html", status, title="Medication rules to review", pack=pack.label,
        rules=[_rule(call, one, standing.get(one.id)) for one in unproved if one.tier == "interrupt"],
        passive=sum(one.tier != "interrupt" for one in unproved), all=sum(1 for _ in pack.every()), wrong=wrong,
        issues=[(f"comment-{wrong}", message)] if message else [],
    )  # fmt: skip


def _rule(call: Call, one: Any, approval: approvals.Approval | None) -> dict[str, Any]:
    about = [
        str(getattr(one, name))
        for name in ("a", "b", "drug", "allergy", "order", "group")
        if getattr(one, name, "")
    ]
    return {
        "id": one.id, "about": " and ".join(dict.fromkeys(about)), "why": one.why, "source": one.source,
        "approved": f"{approval.name}, {call.zone.stamp(approval.at)}: {approval.comment}" if approval else "",
    }  # fmt: skip
