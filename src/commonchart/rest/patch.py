"""patch, by id and by condition: JSON Patch, FHIRPath Patch, JSON Merge Patch. http://hl7.org/fhir/R4/http.html#patch.

R4 knows the first two. The third is for clients such as fhirpy, which send it as plain application/json.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

from commonchart.access import permitted
from commonchart.access.records import Put, Transaction
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Forbidden, Gone, Invalid, Malformed, NotFound, Stale
from commonchart.fhir.patch import fhirpath_patch, json_patch, merge_patch
from commonchart.record.rows import Stored
from commonchart.rest.body import JSON_PATCH, MERGE_PATCH
from commonchart.rest.exchange import Answer, Asked, if_match
from commonchart.rest.write import answered, matching, taken, validated

MERGED = frozenset({MERGE_PATCH, "application/json"})


async def patch(tx: Transaction, asked: Asked) -> Answer:
    """Change parts of the current version; all operations happen or none (200)."""
    await tx.records.require("update", asked.rtype)
    return await _patched(tx, asked, await current(tx, asked, asked.id))


async def patch_where(tx: Transaction, asked: Asked) -> Answer:
    """Conditional patch of the one match; none is not found, many are refused (412)."""
    await tx.records.require("update", asked.rtype)
    found = await matching(tx, asked.rtype, asked.params)
    if found is None:
        raise NotFound(f"No {asked.rtype} matches the condition")
    return await _patched(tx, asked, found)


async def current(tx: Transaction, asked: Asked, id: str) -> Stored:
    """The version to be changed, with no other patch of it under way. Raises NotFound, Gone."""
    await tx.alone(f"patch {asked.rtype}/{id}")
    tx.about = ("update", asked.rtype, id)
    stored = await tx.read(asked.rtype, id)
    if stored is None:
        raise NotFound(f"There is no {asked.rtype} with this id")
    if stored.deleted:
        raise Gone(f"This {asked.rtype} has been deleted")
    return stored


def changed(tx: Transaction, asked: Asked, stored: Stored) -> dict[str, Any]:
    """The resource after the patch, still of this type and id. Raises Malformed, Invalid, TooCostly, Stale, Forbidden."""
    if _looks(asked) and not permitted.readable(tx.records.actor, stored):
        raise Forbidden("A test looks at what is there, which this app was not allowed")
    wanted = if_match(asked)
    if wanted is not None and wanted != stored.vid:
        raise Stale("If-Match names another version than the current one", at="If-Match")
    before = json.decode(stored.body or b"{}")
    after = _applied(asked, before)
    if (after.get("resourceType"), after.get("id")) != (stored.rtype, stored.id):
        raise Invalid("A patch changes neither the type nor the id", at=f"{stored.rtype}.id")
    return after


def _applied(asked: Asked, before: dict[str, Any]) -> dict[str, Any]:
    """By the kind of patch: a list of JSON Patch, or that inside a Binary, Parameters of FHIRPath Patch, or a merge."""
    body = asked.body
    if body is None:
        raise Malformed(f"The request has no body: send {JSON_PATCH}, or Parameters of a FHIRPath Patch")
    kind = body.get("resourceType")
    if kind == "Parameters":
        return fhirpath_patch(before, body)
    if kind == "Binary":
        return json_patch(before, _unpacked(body))
    if kind is None and "patch" in body:
        return json_patch(before, body["patch"])
    if asked.headers.get("content-type", "").split(";")[0].strip().lower() in MERGED:
        return merge_patch(before, body)
    raise Malformed(
        f"A patch is {JSON_PATCH}, {MERGE_PATCH}, or a Parameters resource (FHIRPath Patch)",
        at="resourceType",
        code="invalid",
    )


def _unpacked(binary: dict[str, Any]) -> Any:
    """The JSON Patch that a Bundle carries in a Binary. http://hl7.org/fhir/R4/http.html#patch."""
    if binary.get("contentType") != JSON_PATCH:
        raise Malformed(
            f"The Binary of a patch is {JSON_PATCH}", at="Binary.contentType", code="not-supported"
        )
    try:
        data = b64decode(str(binary.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("The data of a Binary is base64", at="Binary.data") from None
    return json.decode(b'{"patch":' + data + b"}")["patch"]


async def _patched(tx: Transaction, asked: Asked, stored: Stored) -> Answer:
    valid = await taken(tx, asked, await validated(asked, changed(tx, asked, stored)))
    try:
        (written,) = await tx.write([Put(valid, stored.id, stored.vid)])
    except Stale:
        raise Conflict("Somebody changed it at the same time: send the patch again") from None
    return answered(tx, asked, written.stored, 200)


def _looks(asked: Asked) -> bool:
    """Whether a JSON Patch asks what a value is."""
    body = asked.body or {}
    if body.get("resourceType") == "Binary":
        body = {"patch": _unpacked(body)}
    operations = body.get("patch")
    return isinstance(operations, list) and any(
        isinstance(one, dict) and one.get("op") == "test" for one in operations
    )
