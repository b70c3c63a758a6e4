"""Whether the care team has looked at a result: from the results inbox, whose rows the patient does not read otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from commonchart.fhir.outcome import NotFound
from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.access.records import Records

Looked = Literal["yes", "not yet", "cannot tell"]


async def looked_at(records: Records, patient: str, id: str) -> Looked:
    """Of an Observation of a patient that this actor may see: yes only if nothing of it came after it was signed."""
    if patient not in records.visible.patients:
        raise NotFound("There is no such result")
    async with records.database.single() as conn:
        rows = await conn.fetch(
            "SELECT state FROM inbox_item WHERE pk = %s AND tenant = %s AND patient = %s AND "
            "(item = %s OR position(%s IN version || ' ') > 0) ORDER BY (state = 'signed') LIMIT 5",
            (patient_key(patient), records.actor.tenant, patient, f"Observation/{id}", f"Observation/{id}/"),
        )
    states = {row[0] for row in rows}
    if not states - {"gone"}:
        return "cannot tell"
    return "yes" if states <= {"signed", "gone"} else "not yet"
