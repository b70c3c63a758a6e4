"""`$validate`: does a resource fit FHIR R4 and its profiles? http://hl7.org/fhir/R4/resource-operation-validate.html

The answer is an OperationOutcome with status 200, whatever it says; nothing is stored.
"""

from __future__ import annotations

from typing import Any

import msgspec

from commonchart.access.profiles import examined
from commonchart.access.records import Records
from commonchart.fhir.json import decode
from commonchart.fhir.outcome import Issue, Malformed, NotFound, Refused, operation_outcome
from commonchart.rest.exchange import Answer, Asked
from commonchart.rest.operations.operation import Operation

MODES = frozenset({"create", "update", "delete", "profile"})
_FINE = Issue("informational", "No issues found", severity="information")


async def _validate(records: Records, asked: Asked) -> Answer:
    """Look at the resource given, or at the stored one, and tell all that is found."""
    given = asked.arguments()
    mode = given.text("mode")
    if mode is not None and mode not in MODES:
        raise Malformed("mode is create, update, delete or profile", at="mode", code="not-supported")
    profiles = [url for url in given.every("profile") if isinstance(url, str)]
    if len(profiles) > 10:
        raise Malformed("At most 10 profiles are looked at", at="profile")
    resource = given.resource("resource")
    stored = len(asked.segments) == 3
    issues = list(_misplaced(asked, resource, mode))
    if resource is None and stored and mode in (None, "profile"):
        resource = await _stored(records, asked)
    if resource is None:
        if mode != "delete":
            raise Malformed("$validate needs a resource", at="resource", code="required")
        return _answer(issues)
    async with records.database.connection() as conn:
        report = await examined(conn, records.actor.tenant, resource, profiles)
    return _answer([*issues, *report.issues])


def _misplaced(asked: Asked, resource: dict[str, Any] | None, mode: str | None) -> list[Issue]:
    """What the address and the mode ask of the resource."""
    if resource is None:
        return []
    out = []
    id_ = asked.id if len(asked.segments) == 3 else None
    if resource.get("resourceType") != asked.rtype:
        out.append(Issue("invalid", f"must be of the type in the address, {asked.rtype}", "resourceType"))
    if mode == "create" and id_:
        out.append(Issue("invalid", "the mode create is for a resource that is not there yet"))
    if mode == "update" and id_ and resource.get("id") != id_:
        out.append(Issue("invalid", "the id must be the one in the address", f"{asked.rtype}.id"))
    return out


async def _stored(records: Records, asked: Asked) -> dict[str, Any]:
    found = await records.read(asked.rtype, asked.id)
    resource = decode(found.body or b"{}")
    if not isinstance(resource, dict):
        raise NotFound("There is no resource with this id")
    return resource


def _answer(issues: list[Issue]) -> Answer:
    outcome = operation_outcome(Refused(issues=issues or [_FINE]))
    return Answer(200, msgspec.json.encode(outcome))


VALIDATE = (Operation("validate", _validate, on_type=True, instance=True),)
