"""Whose records a group export holds: the members that the group has now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from commonchart.fhir import dates, json
from commonchart.fhir.outcome import Invalid, Malformed, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonchart.access.records import Records

EACH = 1000


async def members(records: Records, group: str) -> tuple[str, ...]:
    """The ids of the patients in a group. Raises NotFound, Gone, Forbidden, Malformed for a group of something else."""
    stored = await records.read("Group", group)
    resource = json.decode(stored.body or b"{}")
    if resource.get("type") != "person":
        raise Malformed("This group is not one of persons", at="Group.type")
    now = records.clock()
    return tuple(dict.fromkeys(id for one in resource.get("member", ()) if (id := _current(one, now))))


def _current(member: dict[str, Any], now: datetime) -> str:
    rtype, _, id = str((member.get("entity") or {}).get("reference", "")).partition("/")
    if rtype != "Patient" or member.get("inactive") is True:
        return ""
    period = member.get("period") or {}
    try:
        begun = not period.get("start") or dates.bounds(period["start"])[0] <= now
        ended = bool(period.get("end")) and dates.bounds(period["end"])[1] <= now
    except Invalid:
        return ""
    return id if begun and not ended else ""


async def known_patients(records: Records, ids: Sequence[str]) -> None:
    """Raises NotFound if any of them is not there, or not to be seen: nobody learns which of the two."""
    for at in range(0, len(ids), EACH):
        keys = [("Patient", id) for id in ids[at : at + EACH]]
        found = await records.named(keys)
        if len(found) < len(keys):
            raise NotFound("patient names somebody who is not here", at="patient")
