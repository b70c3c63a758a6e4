"""Names behind references: organisations, people, medicines, places, visits, read together for a whole page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from commonchart.access import users
from commonchart.record.rows import Stored
from commonchart.web.present import codes, events, people, values
from commonchart.web.present.tables import Fact

if TYPE_CHECKING:
    from commonchart.access.records import Records

NAMED = {"Organization", "Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Medication", "Location", "Condition",
         "Encounter", "Device", "CareTeam", "HealthcareService", "Substance"}  # fmt: skip
MOST = 400
_decode = msgspec.json.Decoder(float_hook=Decimal).decode  # stored bodies were checked on their way in


def fact_of(stored: Stored) -> Fact:
    """A stored version, decoded. A deletion has an empty body."""
    body = _decode(stored.body) if stored.body else {"resourceType": stored.rtype, "id": stored.id}
    return Fact(
        stored.rtype, stored.id, body, stored.vid, stored.recorded, stored.org, stored.actor, stored.patient
    )


async def patients_called(records: Records, ids: Iterable[str]) -> dict[str, str]:
    """What lists call these patients, by id; those who may not be seen are left out."""
    found = await records.named([("Patient", id) for id in sorted(set(ids))])
    return {id: people.listed_name(fact_of(stored).body) for (_, id), stored in found.items()}


@dataclass
class Lookups:
    """What has been learned: names by `Type/id`, and the visits themselves."""

    names: dict[str, str] = field(default_factory=dict)
    encounters: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    people: dict[str, str] = field(default_factory=dict)

    async def learn_people(self, records: Records) -> None:
        """The names of everybody who can record anything, by user id."""
        self.people |= {user.id: user.name for user in await users.everyone(records.database)}

    async def learn(self, records: Records, facts: Sequence[Fact], organizations: Iterable[str] = ()) -> None:
        """Read what these facts refer to, and what their visits and roles refer to in turn."""
        for fact in facts:
            self._keep(fact)
        wanted = {target for fact in facts for target in references(fact.body)} | {
            f"Organization/{one}" for one in organizations if one
        }
        second = await self._read(records, wanted)
        await self._read(records, {target for fact in second for target in references(fact.body)})

    async def _read(self, records: Records, wanted: set[str]) -> list[Fact]:
        keys = [tuple(target.split("/")) for target in sorted(wanted - self.asked)][:MOST]
        self.asked |= wanted
        if not keys:
            return []
        found = await records.named([(rtype, id) for rtype, id in keys])
        facts = [fact_of(stored) for stored in found.values() if not stored.deleted]
        for fact in facts:
            self._keep(fact)
        return [fact for fact in facts if fact.rtype in ("Encounter", "PractitionerRole")]

    def _keep(self, fact: Fact) -> None:
        self.asked.add(fact.key)
        if fact.rtype == "Encounter":
            self.encounters[fact.id] = fact.body
        if fact.rtype in NAMED:
            self.names[fact.key] = called(fact, self.names)


def references(value: Any) -> Iterator[str]:
    """Every local `Type/id` of a type that has a name, in reading order."""
    if isinstance(value, dict):
        target = value.get("reference")
        if isinstance(target, str) and target.count("/") == 1 and target.split("/")[0] in NAMED:
            yield target
        for inner in value.values():
            if isinstance(inner, dict | list):
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def called(fact: Fact, names: dict[str, str]) -> str:
    """What a page calls this resource."""
    body = fact.body
    if fact.rtype in ("Practitioner", "RelatedPerson", "Patient"):
        best = people.best_name(body)
        return values.name(best) if best else f"{fact.rtype} without a name"
    if fact.rtype == "PractitionerRole":
        return values.reference(body.get("practitioner") or body.get("organization"), names)
    if fact.rtype == "Encounter":
        return events.visit_title(body)
    if isinstance(body.get("name"), str):
        return str(body["name"])
    code = body.get("code")
    return codes.concept(code if isinstance(code, dict) else None, f"{fact.rtype} without a name")
