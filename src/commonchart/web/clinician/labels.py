"""The sensitive labels of the site: what carries them, who does not see them, how many there are, and indexing at work."""

from __future__ import annotations

from msgspec import Struct
from starlette.responses import Response

from commonchart.access import labelled, policy, trail
from commonchart.care.labels import Label, labels
from commonchart.web.call import Call
from commonchart.web.clinician.would_see import ROLES

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


async def page(call: Call) -> Response:
    """Every label; counted only when asked for, since that reads all labelled rows."""
    await trail.required(call.records)
    found = await labelled.counts(call.records) if call.request.query_params.get("count") == "yes" else None
    runs = await call.records.indexing() if call.may("search", "SearchParameter") else []
    return call.page(
        "labels.html", title="Sensitive labels", lines=[_line(name, one, found) for name, one in labels().items()], counted=found is not None,
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
