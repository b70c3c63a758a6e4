"""What a Reference may name: the types of its element, what is contained, and the forms of an address.

http://hl7.org/fhir/R4/references.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from commonchart.fhir import links
from commonchart.fhir.definitions import r4
from commonchart.fhir.validation import At, Run

_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_ABSOLUTE = re.compile(
    r"https?://\S*?/([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://\S+|urn:\S+")


def reference(targets: frozenset[str]) -> Callable[[Any, At, Run], None]:
    """The check of a reference whose element may refer to these types; `Resource` means any."""
    allowed = targets - {"Resource"} if "Resource" not in targets else frozenset()
    words = f"must refer to {' or '.join(sorted(allowed))}"

    def checker(value: Any, at: At, run: Run) -> None:
        if type(value) is not dict:
            return
        text = value.get("reference")
        rtype = _target(text, at, run) if isinstance(text, str) else None
        stated = value.get("type")
        for found, name in ((rtype, "reference"), (stated, "type")):
            if allowed and isinstance(found, str) and found in r4().resource_types and found not in allowed:
                run.add((at, name, None), "value", words)
        if rtype and isinstance(stated, str) and stated in r4().resource_types and stated != rtype:
            run.add((at, "type", None), "value", "must be the type that reference names")

    return checker


def _target(text: str, at: At, run: Run) -> str | None:
    """The resource type that a literal reference names, None if it does not say."""
    if text.startswith("#"):
        if text != "#" and text[1:] not in run.contained:
            run.add((at, "reference", None), "not-found", "must name a resource contained in this one")
        return run.contained.get(text[1:])
    found = _RELATIVE.fullmatch(text)
    if found:
        if found[1] not in r4().resource_types:
            run.add((at, "reference", None), "value", "must name a resource type of FHIR R4")
        return found[1]
    if run.conditional and (searched := links.conditional(text)):
        return searched
    if _URL.match(text):
        known = _ABSOLUTE.fullmatch(text)
        return known[1] if known else None
    run.add((at, "reference", None), "value", "must be Type/id, #id, a URL, or urn:uuid: and a UUID")
    return None
