"""What a patient, or who acts for them, may add to the record: requests, consents, answers; about themselves, and no more.

The role patient writes nothing (`policy.GRANTS`): these acts go by a door of their own, which only pages use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commonchart.access import audit
from commonchart.access.actors import FOR_A_PATIENT
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.record.rows import Write

if TYPE_CHECKING:
    from commonchart.access.records import Transaction

TYPES = frozenset({"Task", "Consent", "QuestionnaireResponse", "Observation"})
# the site's own questions, which the answers name
ABOUT_NOBODY = frozenset({"Questionnaire"})


async def checked(tx: Transaction, writes: Sequence[Write]) -> None:
    """Raises Forbidden for what is not theirs to say, NotFound for a version that is not theirs to change."""
    actor = tx.records.actor
    for one in writes:
        if (
            actor.app
            or actor.role not in FOR_A_PATIENT
            or actor.patient is None
            or not _about(one, actor.patient)
        ):
            async with tx.records.database.single() as conn:
                await audit.note(
                    conn, actor, tx.records.clock(), "create", outcome=audit.SERIOUS, rtype=one.rtype, id=one.id
                )  # fmt: skip
            raise Forbidden("This is not yours to record")
    await _theirs(tx, [one for one in writes if one.if_match is not None])


def _about(one: Write, patient: str) -> bool:
    if one.body is None:
        return False
    if one.rtype == "Task":  # outside FHIR's patient compartment: told by whom it is for
        return (one.body.get("for") or {}).get("reference") == f"Patient/{patient}"
    return one.rtype in ABOUT_NOBODY or (one.rtype in TYPES and one.index.patient == patient)


async def _theirs(tx: Transaction, changes: Sequence[Write]) -> None:
    seen = await tx.read_many([(one.rtype, one.id) for one in changes])
    for one in changes:
        if (one.rtype, one.id) not in seen:
            raise NotFound(f"There is no {one.rtype} with this id")
