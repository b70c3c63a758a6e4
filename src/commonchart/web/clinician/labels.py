"""The sensitive labels of the site: what carries them, who does not see them, how many there are, and indexing at work."""

from __future__ import annotations

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import labelled, labelling, policy, trail
from commonchart.access.labelling import Shown
from commonchart.care.labels import Label, labels
from commonchart.fhir.outcome import Invalid, Refused
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import Lookups
from commonchart.web.clinician.would_see import ROLES
from commonchart.web.clinician.writing import texts
from commonchart.web.present.label_acts import what

SYSTEMS = (
    ("icd10", "ICD-10-CM"),
    ("sct", "SNOMED CT"),
    ("loinc", "LOINC"),
    ("rxnorm", "RxNorm"),
    ("hcpcs", "HCPCS"),
)


class Line(Struct, frozen=True):
    """One label as the page shows it. `count` is None until somebody asks for it."""

    title: str
    review: str
    written: str
    codes: tuple[tuple[str, str], ...]
    hidden: str
    between: str
    count: int | None


class ByHand(Struct, frozen=True):
    """One act in words, with where to look at the entry; `waits` for a second person, who is not `mine`."""

    key: str
    patient: str
    n: int
    label: str
    when: str
    what: str
    who: str
    reason: str
    state: str
    waits: bool
    mine: bool
    back: bool


async def page(call: Call) -> Response:
    """Every label; counted only when asked for, since that reads all labelled rows. And what was done by hand."""
    return await _page(call, [])


async def act(call: Call) -> Response:
    """Agree to a lifted label, or put it back."""
    sent = await texts(call)
    rtype, _, id = sent.get("key", "").partition("/")
    n = sent.get("n", "")
    if not (rtype and id and n.isascii() and n.isdigit() and len(n) < 10) or sent.get("act") not in (
        "agree",
        "restore",
    ):
        raise Invalid("The form is not complete: open it again")
    try:
        if sent["act"] == "agree":
            await labelling.agree(call.records, rtype, id, int(n))
        else:
            await labelling.restore(call.records, rtype, id, sent.get("label", ""))
    except Refused as refusal:
        if refusal.status not in (409, 422):
            raise
        return await _page(call, [("", issue.message) for issue in refusal.issues], refusal.status)
    return go(f"/labels?said={'agreed' if sent['act'] == 'agree' else 'restored'}#h-hand")


async def _page(call: Call, issues: list[tuple[str, str]], status: int = 200) -> Response:
    await trail.required(call.records)
    found = await labelled.counts(call.records) if call.request.query_params.get("count") == "yes" else None
    runs = await call.records.indexing() if call.may("search", "SearchParameter") else []
    acts = await labelling.listed(call.records)
    people = Lookups()
    await people.learn_people(call.records)
    return call.page(
        "labels.html", status, title="Sensitive labels", acts=[_by_hand(call, one, people.people) for one in acts],
        issues=issues, said=call.request.query_params.get("said", ""), lines=[_line(name, one, found) for name, one in labels().items()], counted=found is not None,
        runs=[one for one in runs if one.state != "done"],
    )  # fmt: skip


def _line(name: str, one: Label, found: dict[str, int] | None) -> Line:
    hidden = [words for role, words in ROLES.items() if name in policy.HIDDEN.get(role, ())]
    held = [(words, list(getattr(one, key))) for key, words in SYSTEMS]
    return Line(
        one.title, one.review, ", ".join(one.security), tuple((words, ", ".join(codes)) for words, codes in held if codes),
        ", ".join(hidden) or "Nobody", _between(name), None if found is None else found.get(name, 0),
    )  # fmt: skip


def _between(name: str) -> str:
    if name not in policy.BLOCKED_BETWEEN:
        return "As everything else"
    emergency = "not in an emergency either" if name in policy.NEVER_IN_EMERGENCY else "or in an emergency"
    return f"Only by a consent that names it, {emergency}"


def _by_hand(call: Call, one: Shown, people: dict[str, str]) -> ByHand:
    act = one.act
    return ByHand(
        f"{act.rtype}/{act.id}", act.patient, act.n, act.label, call.zone.stamp(act.at), what(act),
        people.get(act.actor, act.actor), act.reason, _state(call, one, people), one.waits and one.current, act.actor == call.actor.user,
        act.act == "lifted" and one.current,
    )  # fmt: skip


def _state(call: Call, one: Shown, people: dict[str, str]) -> str:
    act = one.act
    if act.act != "lifted":
        return ""
    if not one.current:
        return "changed since"
    if one.waits:
        return "waits for a second person"
    return (
        f"agreed by {people.get(act.reviewer, act.reviewer)}, {call.zone.stamp(act.reviewed)}"
        if act.reviewed
        else ""
    )
