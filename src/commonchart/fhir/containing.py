"""The rules of every DomainResource about what it contains. http://hl7.org/fhir/R4/domainresource.html."""

from __future__ import annotations

from typing import Any

from commonchart.fhir import invariants
from commonchart.fhir.outcome import Issue
from commonchart.fhir.validation import At, Run, location


def domain(value: dict[str, Any], at: At, run: Run) -> None:
    """dom-3 to dom-6: what is contained is referred to, once, and has no version of its own."""
    if run.warnings is not None and "text" not in value and at[1] != "contained":
        run.warnings.append(
            Issue("invariant", "should have a narrative for people to read (dom-6)", location(at), "warning")
        )
    held = value.get("contained")
    if not isinstance(held, list):
        return
    seen: set[str] = set()
    pointed = invariants.pointed_at(value)
    for index, one in enumerate(held):
        if isinstance(one, dict):
            _held(one, (at, "contained", index), run, seen, pointed)


def _held(one: dict[str, Any], at: At, run: Run, seen: set[str], pointed: set[str]) -> None:
    meta, id_ = one.get("meta"), one.get("id")
    if isinstance(meta, dict):
        if "versionId" in meta or "lastUpdated" in meta:
            run.add((at, "meta", None), "invariant", "must have neither version nor date of its own (dom-4)")
        if "security" in meta:
            run.add((at, "meta", None), "invariant", "must have no security labels of its own (dom-5)")
    if not isinstance(id_, str):
        run.add((at, "id", None), "required", "a contained resource needs an id")
    elif id_ in seen:
        run.add((at, "id", None), "invariant", "must be unique among what is contained")
    elif f"#{id_}" not in pointed and not _points_out(one):
        run.add(at, "invariant", "must be referred to from the resource that contains it (dom-3)")
    seen.add(str(id_))


def _points_out(one: dict[str, Any]) -> bool:
    """Whether a contained resource refers to its container (`#`)."""
    return "#" in invariants.pointed_at(one)
