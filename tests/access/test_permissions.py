"""What the page of roles says beside reading and writing, against the acts themselves: each is tried by every role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from commonchart.access import emergency, exports, labelling, permissions, persons, rules, trail
from commonchart.access.actors import FOR_A_PATIENT, Actor, Role
from commonchart.access.oauth import apps
from commonchart.access.people import links
from commonchart.access.portal import holds
from commonchart.access.records import Put, Records
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.access.test_sharing import patient, referral
from tests.conftest import Clock

ROLES = permissions.ROLES
NOTES = {"security": [{"code": "PSYTHPN"}]}
Try = Callable[[Records], Awaitable[Any]]


async def _shared(records: Records) -> None:
    await records.read("Patient", "referred")


async def _break_glass(records: Records) -> None:
    await emergency.grant(records, "strange", "unconscious in the emergency room")


async def _trail(records: Records) -> None:
    await trail.required(records)
    await emergency.to_review(records)


async def _administer(records: Records) -> None:
    await links.administrator(records)
    apps.require_administrator(records.actor)
    exports.require_exporter(records.actor)


async def _one_person(records: Records) -> None:
    async with records.transaction() as tx:
        await persons.decide(tx, "own", "own", "known to both of us", same=True)


async def _delay(records: Records) -> None:
    await holds.hold(
        records, "own", "Observation", "none", "to be told in person", records.clock() + timedelta(days=1)
    )


async def _mark(records: Records) -> None:
    await labelling.put(records, "Observation", "none", "restricted", "she asked for it")


async def _lift(records: Records) -> None:
    await labelling.lift(records, "Observation", "none", "restricted", "she asked for it")


async def _only_own(records: Records) -> None:
    """The other way round: whoever sees two patients of the same practice is not kept to one."""
    await records.read("Patient", "own")
    try:
        await records.read("Patient", "other")
    except NotFound:
        return
    raise Forbidden("sees another's as well")


async def _wrote_it(records: Records) -> None:
    await records.read("Patient", "noted")


ACTS: dict[str, Try] = {
    "See what other organisations share by treatment relationship or consent": _shared,
    "Open a record in an emergency (break-glass)": _break_glass,
    "Read the audit trail, review break-glass": _trail,
    "Mark an entry as sensitive": _mark,
    "Lift a sensitive label, or put one back": _lift,
    "Look after accounts, apps, exports and subscriptions": _administer,
    "Decide which rules of care are used": rules.deciding,
    "Say that two records are of one person, or are not": _one_person,
    "Delay a result on its way to the patient, or release it": _delay,
    "See only one's own record, or that of whom one acts for": _only_own,
    "See sensitive facts that one wrote oneself, whatever their label": _wrote_it,
}


async def _may(act: Try, records: Records) -> bool:
    """Whether the role is let in: what is refused for another reason was let in."""
    try:
        await act(records)
    except (Forbidden, NotFound) as refusal:
        # there is no such result: it was looked for
        return act in (_delay, _mark, _lift) and isinstance(refusal, NotFound)
    except Invalid:
        pass
    return True


@pytest.fixture
async def filled(database: Database, clock: Clock) -> Callable[[str], Records]:
    """Alder keeps `own`, `other`, and `noted` with notes by whoever asks; Birch keeps `referred` (to Alder) and `strange`."""

    def of(role: str, org: str = "alder", **more: Any) -> Records:
        own = "own" if role in FOR_A_PATIENT else None
        made = Actor(1, "me", "M", cast(Role, role), org, "test", network=True, patient=own)
        return Records(database, made, clock)

    bodies = {
        "alder": (patient("own"), patient("other"), patient("noted") | {"meta": NOTES}),
        "birch": (patient("referred"), patient("strange"), referral("r", "alder", "referred")),
    }
    for org, held in bodies.items():
        await of("system", org).commit([Put(validate(body), body["id"]) for body in held])
    return of


async def test_every_right_is_what_the_acts_decide(filled: Callable[[str], Records]) -> None:
    told = {right.words: right.roles for right in permissions.rights()}
    assert told.keys() == ACTS.keys()
    for words, act in ACTS.items():
        by_acts = {role for role in ROLES if await _may(act, filled(role))}
        assert told[words] == by_acts, words
