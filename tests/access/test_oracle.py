"""Every way to look answers exactly what a naive decision, row by row in Python, allows: for random worlds and readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from commonchart.access import emergency, everything, exports, policy
from commonchart.access.actors import Actor, Role
from commonchart.access.consent import ROLES, Asking, Row, decided, purposes_of, read
from commonchart.access.guarding import brings_ids
from commonchart.access.medications.reading import TOKENS, TYPES
from commonchart.access.records import Put, Records
from commonchart.access.subscribed import seen
from commonchart.access.withheld import nothing_hidden, withheld
from commonchart.care.labels import labels_of, mask
from commonchart.fhir import dates, json
from commonchart.fhir.outcome import NotFound, Refused
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.rest.exchange import Asked
from commonchart.rest.routes import run
from commonchart.search.index import extract
from commonchart.search.query import parse
from tests.access.mirror import FURTHER, directory, everything_asked, found, further, may_ask, mirrored
from tests.access.questions import QUESTIONS, REFUSED
from tests.access.test_sharing import actor_in, condition, consent, patient, referral
from tests.conftest import Clock

# shrinking a world takes minutes: what fails is shown as it is
EXAMPLES = 12
# each feature is asked in every so manieth world
TURNS = 4
ORGS = ("alder", "birch", "cedar")
PEOPLE = ("ada", "bob", "cyd")
SECURITY = (None, "ETH", "PSYTHPN", "HIV", "V", "VIP")
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
KINDS = {"lab": "laboratory", "vital": "vital-signs"}
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


@dataclass
class World:
    """What stands in the record: (organisation, body) in the order it was written."""

    stored: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    links: set[tuple[str, str]] = field(default_factory=set)
    emergencies: set[tuple[str, str]] = field(default_factory=set)


def person(who: str) -> dict[str, Any]:
    record = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    return patient(who) | {
        "identifier": [{"type": record, "system": "urn:mrn", "value": f"m-{who}"}],
        "generalPractitioner": [{"reference": "Practitioner/dr"}],
    }


def observation(
    id: str, subject: str, kind: str, security: str | None, related: str | None, day: int
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": f"Patient/{subject}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": f"1-{day}"}]},
        "category": [{"coding": [{"system": CATEGORY, "code": KINDS[kind]}]}], "effectiveDateTime": "2026-01" if day == 3 else f"2026-01-0{day}",
    }  # fmt: skip
    if related:
        body["hasMember"] = [{"reference": f"Observation/{related}"}]
    return body | ({"meta": {"security": [{"code": security}]}} if security else {})


@st.composite
def provisions(draw: st.DrawFn, deep: int = 2) -> dict[str, Any]:
    made: dict[str, Any] = {"type": draw(st.sampled_from(["permit", "deny"]))}
    if draw(st.booleans()):
        made["actor"] = [
            actor_in(
                draw(
                    st.sampled_from(
                        ["Organization/birch", "Organization/cedar", "Practitioner/dr", "Organization/alder"]
                    )
                )
            )
        ]
    elif draw(st.integers(0, 4)) == 0:
        nurses = {"identifier": {"system": ROLES, "value": draw(st.sampled_from(["nurse", "clinician"]))}}
        made["actor"] = [actor_in("") | {"reference": nurses}]
    if draw(st.integers(0, 4)) == 0:
        made["securityLabel"] = [{"code": draw(st.sampled_from(["42CFRPart2", "HIV", "V"]))}]
    if draw(st.integers(0, 4)) == 0:
        made["class"] = [{"code": draw(st.sampled_from(["Observation", "Condition", "Patient"]))}]
    if draw(st.integers(0, 4)) == 0:
        made["purpose"] = [{"code": draw(st.sampled_from(["TREAT", "HPAYMT"]))}]
    if draw(st.integers(0, 5)) == 0:
        made["dataPeriod"] = {"start": "2026-01-02", "end": "2026-01-03"}
    if draw(st.integers(0, 5)) == 0:
        made["code"] = [{"coding": [{"system": "http://loinc.org", "code": f"1-{draw(st.integers(1, 4))}"}]}]
    if draw(st.integers(0, 6)) == 0:
        made["period"] = {"end": draw(st.sampled_from(["2026-01-01", "2027-01-01"]))}
    if deep and "code" not in made:
        inner = draw(st.lists(provisions(deep=deep - 1), max_size=2))
        made |= {"provision": inner} if inner else {}
    return made


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    keepers = {who: draw(st.sampled_from(ORGS)) for who in PEOPLE}
    world.stored += [(draw(st.sampled_from(ORGS)), body) for body in directory()]
    world.stored += [(keepers[who], person(who)) for who in PEOPLE]
    for n in range(draw(st.integers(0, 3))):
        who = draw(st.sampled_from(PEOPLE))
        writer = draw(st.sampled_from([keepers[who], *ORGS]))
        world.stored.append((writer, referral(f"r{n}", draw(st.sampled_from(ORGS)), who)))
    for n in range(draw(st.integers(0, 3))):
        who = draw(st.sampled_from(PEOPLE))
        writer = draw(st.sampled_from([keepers[who], keepers[who], *ORGS]))
        world.stored.append((writer, consent(f"c{n}", draw(provisions()), who)))
    ids: list[str] = []
    for n in range(draw(st.integers(1, 8))):
        related = draw(st.sampled_from([None, *ids]))
        made = observation(
            f"o{n}", draw(st.sampled_from(PEOPLE)), draw(st.sampled_from(sorted(KINDS))), draw(st.sampled_from(SECURITY)),
            related, draw(st.integers(1, 4)),
        )  # fmt: skip
        ids.append(made["id"])
        world.stored.append((draw(st.sampled_from(ORGS)), made))
    for n in range(draw(st.integers(0, 3))):
        more = {"meta": {"security": [{"code": "ETH"}]}} if draw(st.booleans()) else {}
        world.stored.append(
            (draw(st.sampled_from(ORGS)), condition(f"d{n}", draw(st.sampled_from(PEOPLE)), **more))
        )
    for made in further(
        tuple(draw(st.sampled_from(PEOPLE)) for _ in range(FURTHER)), draw(st.sampled_from(ids))
    ):
        security = draw(st.sampled_from(SECURITY))
        more = {"meta": made.get("meta", {}) | {"security": [{"code": security}]}} if security else {}
        world.stored.append((draw(st.sampled_from(ORGS)), made | more))
    world.links = {pair for pair in [("ada", "bob")] if draw(st.integers(0, 3)) == 0}
    world.emergencies = {(who, "birch") for who in PEOPLE if draw(st.integers(0, 5)) == 0}
    return world


LABORATORY = frozenset({f"user/Observation.rs?category={CATEGORY}|laboratory", "user/Patient.rs"})
OF_ADA = frozenset({"patient/*.rs"})
# what an app was allowed; None: no app asks
APPS: tuple[frozenset[str] | None, ...] = (None, None, None, LABORATORY, OF_ADA, frozenset())

readers = st.builds(
    lambda org, role, purpose, practitioner, app: Actor(
        1, f"{role}-{org}", "X", role, org, "test", purpose, practitioner=practitioner, network=True,
        scopes=app or frozenset(), app="" if app is None else "an-app", context="ada" if app else None,
        patient="ada" if role in ("patient", "proxy") else None,
    ),
    st.sampled_from(ORGS),
    st.sampled_from(["clinician", "nurse", "front-desk", "lab", "quality", "administrator", "patient", "proxy", "privacy-officer"]),
    st.sampled_from(["TREAT", "HPAYMT", "HRESCH"]),
    st.sampled_from([None, None, "dr"]),
    st.sampled_from(APPS),
)  # fmt: skip


class Oracle:
    """One row at a time, from the bodies alone."""

    def __init__(self, world: World, reader: Actor) -> None:
        self.world, self.reader = world, reader
        self.keepers = {b["id"]: org for org, b in world.stored if b["resourceType"] == "Patient"}
        self.related: dict[str, set[str]] = {who: {org} for who, org in self.keepers.items()}
        for org, body in world.stored:
            if body["resourceType"] == "ServiceRequest":
                held = self.related[self.subject(body)]
                if org in held:
                    held.add(body["performer"][0]["reference"].removeprefix("Organization/"))
        self.labels: dict[str, int] = {}
        for _, body in world.stored:
            key = f"{body['resourceType']}/{body['id']}"
            own = labels_of(body)
            for member in (*body.get("hasMember", ()), *(one["item"] for one in body.get("entry", ()))):
                own |= self.labels.get(member["reference"], 0)
            self.labels[key] = own

    @staticmethod
    def subject(body: dict[str, Any]) -> str:
        if body["resourceType"] == "Patient":
            return str(body["id"])
        about = body.get("subject") or body.get("patient") or {"reference": ""}
        return str(about["reference"]).removeprefix("Patient/")

    def seen(self) -> set[str]:
        return {f"{b['resourceType']}/{b['id']}" for org, b in self.world.stored if self.may(org, b)}

    def may(self, org: str, body: dict[str, Any]) -> bool:
        rtype, who = body["resourceType"], self.subject(body)
        held = self.labels[f"{rtype}/{body['id']}"]
        if not policy.allowed(self.reader, "read", rtype) or held & mask(*policy.HIDDEN[self.reader.role]):
            return False
        if self.reader.app and not self.allowed_to_the_app(body, who):
            return False
        if not who:  # the directory, open to everybody
            return True
        if self.reader.role in ("patient", "proxy"):
            return who == self.reader.patient
        return org == self.reader.org or self.shared(org, body, who, held)

    def allowed_to_the_app(self, body: dict[str, Any], who: str) -> bool:
        if self.reader.scopes == OF_ADA:
            return who in ("ada", "")
        if self.reader.scopes != LABORATORY:
            return False
        category = (body.get("category") or [{}])[0] if isinstance(body.get("category"), list) else {}
        spelled = {f"{c.get('system', '')}|{c['code']}" for c in category.get("coding", ())}
        laboratory = body["resourceType"] == "Observation" and f"{CATEGORY}|laboratory" in spelled
        return laboratory or body["resourceType"] == "Patient"

    def shared(self, org: str, body: dict[str, Any], who: str, held: int) -> bool:
        reader = self.reader
        if reader.role not in policy.SHARED_WITH:
            return False
        if (
            (who, reader.org) in self.world.emergencies
            and reader.role == "clinician"
            and not held & mask("psychotherapy")
        ):
            return True
        related = reader.purpose in policy.TPO and any(
            reader.org in self.related[one] for one in self.same(who)
        )
        blocked = mask(*policy.BLOCKED_BETWEEN)
        index = extract(body["resourceType"], body)
        row = Row(
            body["resourceType"], body["id"], org, held, index.code, json.encode(body).decode(), index.date_lo,
            index.date_hi,
        )  # fmt: skip
        names = (
            f"Organization/{reader.org}",
            *((f"Practitioner/{reader.practitioner}",) if reader.practitioner else ()),
            f"role:{reader.role}",
        )
        asking = Asking(names, purposes_of(reader.purpose), NOW, related, blocked)
        said = decided(self.rules(who), asking, row)
        return related and not held & blocked if said is None else said

    def rules(self, who: str) -> list[Any]:
        return [
            rule
            for org, body in self.world.stored
            if body["resourceType"] == "Consent"
            and self.subject(body) == who
            and org in self.related_before(body, who)
            for rule in read(body).rules
        ]

    def related_before(self, body: dict[str, Any], who: str) -> set[str]:
        return self.related[who]  # consents are written after every referral

    def same(self, who: str) -> Iterator[str]:
        yield who
        for pair in self.world.links:
            if who in pair:
                yield from (one for one in pair if one != who)


async def write(database: Database, world: World, clock: Clock) -> None:
    for org, body in world.stored:
        loader = Records(
            database, Actor(1, f"loader-{org}", "L", "system", org, "test", network=False), clock
        )
        await loader.commit([Put(validate(body), body["id"])])
    async with database.connection() as conn:
        for a, b in world.links:
            for one in (a, b):
                await conn.execute(
                    "INSERT INTO person_link (tenant, patient, person, linked_at, actor, reason) VALUES (1, %s, 'p', now(), 'x', 'y')",
                    (one,),
                )
    for who, org in world.emergencies:
        records = Records(
            database, Actor(1, f"clinician-{org}", "X", "clinician", org, "test", network=True), clock
        )
        await emergency.grant(records, who, "unconscious in the emergency room")


async def empty(database: Database) -> None:
    tables = ("resource", "history", "resource_loc", "change", "audit", "person_link", "relationship", "consent_rule",
              "emergency_access", "privacy_notice", "string_row", "quantity_row", "date_row", "uri_row", "composite_row",
              "identifier_row", "text_row", "contained_row")  # fmt: skip
    async with database.dedicated(owner=True) as conn:
        await conn.execute("; ".join(f"DELETE FROM {table}" for table in tables))


def keys(found: Any) -> set[str]:
    return {f"{one.rtype}/{one.id}" for one in found}


async def by_every_way(records: Records, world: World, expected: set[str]) -> None:
    """Each way of looking, against the same expectation."""
    actor = records.actor
    for rtype in ("Patient", "Observation", "Condition"):
        if not (policy.allowed(actor, "search", rtype) and policy.allowed(actor, "read", rtype)):
            continue
        mine = {one for one in expected if one.startswith(f"{rtype}/")}

        async def found(query: str, rtype: str = rtype) -> Any:
            pairs = [tuple(pair.split("=", 1)) for pair in query.split("&") if pair]
            return await records.search(parse(rtype, pairs))  # type: ignore[arg-type]

        assert keys((await found("_count=500")).matches) == mine, rtype
        assert (await found("_summary=count")).total == len(mine), rtype
        ordered = await found("_sort=-_lastUpdated&_count=500&_total=accurate")
        assert keys(ordered.matches) == mine
        assert ordered.total == len(mine)
        assert keys((await records.history(rtype, count=500)).matches) == mine
    await _joined(records, expected)
    await _short_cut(records)
    for _, body in world.stored:
        key = f"{body['resourceType']}/{body['id']}"
        if policy.allowed(actor, "read", body["resourceType"]):
            try:
                await records.read(body["resourceType"], body["id"])
                assert key in expected
            except NotFound:
                assert key not in expected
    assert keys((await records.history(count=500)).matches) == expected
    if policy.allowed(actor, "read", "Patient"):
        await _everything(records, expected)
    await _exported(records, expected)
    await _told(records, world, expected)


async def by_question(records: Records, world: World, expected: set[str], turn: int) -> None:
    """Every declared feature, some in each world, against a record in which what is hidden does not exist."""
    mirror = await mirrored(records.database, records.clock, world.stored, world.links, expected)  # type: ignore[arg-type]
    chosen = sorted(QUESTIONS)[turn % TURNS :: TURNS]
    for address in spelled(
        [*(one for name in chosen for one in QUESTIONS[name]), *REFUSED.values()], world, turn
    ):
        if may_ask(records.actor, address):
            asked = await everything_asked(records, address)
            assert asked == await everything_asked(mirror, address), (records.actor, address)
    await changed_by_nobody_who_sees_nothing(records, world, expected)


def spelled(addresses: Iterable[str], world: World, turn: int) -> list[str]:
    """The addresses with a patient, an Observation and any resource of the world, another one at each turn."""
    keys = [f"{body['resourceType']}/{body['id']}" for _, body in world.stored]
    observed = [key.partition("/")[2] for key in keys if key.startswith("Observation/o")]
    places = {"who": PEOPLE[turn % 3], "o": observed[turn % len(observed)]}
    return [one.format(**places, id=keys[(turn + n) % len(keys)]) for n, one in enumerate(addresses)]


async def changed_by_nobody_who_sees_nothing(records: Records, world: World, expected: set[str]) -> None:
    """A write that names a hidden Observation, or looks for it, is answered like one that names none."""
    keys = {f"{b['resourceType']}/{b['id']}" for _, b in world.stored}
    hidden = sorted(key for key in keys - expected if key.startswith("Observation/"))[:2]
    for key in hidden:
        for name, ask in CHANGES.items():
            if name == "update" and brings_ids(
                records.actor, "Observation"
            ):  # who brings ids along finds out that one is taken
                continue
            told, unknown = [
                await _status(records, ask(id)) for id in (key.partition("/")[2], "nobody-knows")
            ]
            assert told == unknown, (records.actor, name, key)
    async with records.database.single() as conn:
        rows = await conn.fetch(
            "SELECT id FROM resource WHERE tenant = 1 AND vid > 1 AND 'Observation/' || id = ANY(%s)",
            (hidden,),
        )
    assert rows == []


async def _status(records: Records, asked: Asked) -> Any:
    try:
        return (await run(records, asked)).status
    except Refused as refusal:
        return type(refusal).__name__, [one.message for one in refusal.issues]


def _change(
    method: str, path: str, body: dict[str, Any] | None = None, where: str = "", **headers: str
) -> Asked:
    params = (tuple(where.split("=")),) if where else ()
    return Asked(method, tuple(path.split("/")), params, "http://test/fhir", headers, body)  # type: ignore[arg-type]


def _new(id: str | None = None) -> dict[str, Any]:
    made = observation("new", "ada", "lab", None, None, 1)
    return {name: one for name, one in made.items() if name != "id"} | ({"id": id} if id else {})


_META = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
_PATCHED = {"resourceType": "Parameters", "parameter": []}
CHANGES: dict[str, Callable[[str], Asked]] = {
    "patch": lambda id: _change("PATCH", f"Observation/{id}", _PATCHED, **{"content-type": "application/fhir+json"}),
    "delete": lambda id: _change("DELETE", f"Observation/{id}"),
    "meta-add": lambda id: _change("POST", f"Observation/{id}/$meta-add", _META),
    "meta-delete": lambda id: _change("POST", f"Observation/{id}/$meta-delete", _META),
    "delete where": lambda id: _change("DELETE", "Observation", None, f"_id={id}"),
    "patch where": lambda id: _change("PATCH", "Observation", _PATCHED, f"_id={id}", **{"content-type": "application/fhir+json"}),
    "update": lambda id: _change("PUT", f"Observation/{id}", _new(id), **{"if-match": 'W/"1"'}),
    "update where": lambda id: _change("PUT", "Observation", _new(), f"_id={id}"),
    "create where": lambda id: _change("POST", "Observation", _new(), **{"if-none-exist": f"_id={id}"}),
}  # fmt: skip


async def _told(records: Records, world: World, expected: set[str]) -> None:
    """What a subscription would tell of each version."""
    async with records.database.single() as conn:
        for _, body in world.stored:
            rtype, id = body["resourceType"], body["id"]
            told = await seen(conn, records.actor, rtype, id, 1, records.clock())
            may = policy.allowed(records.actor, "read", rtype) and f"{rtype}/{id}" in expected
            assert (told is not None) == may, (rtype, id)


async def _asked(records: Records, path: str, *params: tuple[str, str]) -> dict[str, Any]:
    """The answer at an address of the API; refusals aside, which are for the role and the same for everybody."""
    answer = await run(records, Asked("GET", tuple(path.split("/")), params, "http://test/fhir"))
    return dict(json.decode(answer.body or b"{}"))


def _entries(bundle: dict[str, Any]) -> set[str]:
    found = [one["resource"] for one in bundle.get("entry", ())]
    return {
        f"{one['resourceType']}/{one['id']}" for one in found if one["resourceType"] != "OperationOutcome"
    }


async def by_address(records: Records, world: World, expected: set[str]) -> None:
    """GraphQL, `$lastn`, includes that iterate and the compartment: the very answers that leave the house."""
    if not all(policy.allowed(records.actor, act, "Observation") for act in ("search", "read")):
        return
    mine = {one for one in expected if one.startswith("Observation/")}
    said = await _asked(records, "$graphql", ("query", "{ObservationList(_count: 100) {id}}"))
    assert {f"Observation/{one['id']}" for one in said["data"]["ObservationList"] or ()} == mine
    bodies = {f"Observation/{b['id']}": b for _, b in world.stored if b["resourceType"] == "Observation"}
    for key, body in bodies.items():
        start = [("_id", body["id"]), ("_include:iterate", "Observation:has-member"), ("_count", "50")]
        assert _entries(await _asked(records, "Observation", *start)) == _reached(bodies, key, mine), key
    for who in PEOPLE:
        of_theirs = {key for key in mine if Oracle.subject(bodies[key]) == who}
        for category in KINDS.values():
            held = {key for key in of_theirs if bodies[key]["category"][0]["coding"][0]["code"] == category}
            newest = _entries(
                await _asked(
                    records, "Observation/$lastn", ("patient", who), ("category", category), ("max", "1")
                )
            )
            codes = {bodies[key]["code"]["coding"][0]["code"] for key in newest}
            assert newest <= held
            assert codes == {bodies[key]["code"]["coding"][0]["code"] for key in held}
        if policy.allowed(records.actor, "read", "Patient"):
            in_compartment = _entries(await _asked(records, f"Patient/{who}/Observation", ("_count", "100")))
            assert in_compartment == (
                of_theirs if f"Patient/{who}" in expected else in_compartment & of_theirs
            )


def _reached(bodies: dict[str, dict[str, Any]], key: str, mine: set[str]) -> set[str]:
    """From one Observation over hasMember, as far as each may be seen."""
    out: set[str] = set()
    todo = [key]
    while todo:
        one = todo.pop()
        if one in mine and one not in out:
            out.add(one)
            todo += [member["reference"] for member in bodies[one].get("hasMember", ())]
    return out


async def _short_cut(records: Records) -> None:
    """Of a patient who is settled, every row that is not doubtful may be seen: lists rely on it."""
    visible = records.visible
    (doubtful, first), (settled, second), (seen, third) = (
        visible.doubtful("r"), visible.settled("r"), visible.predicate("r"),
    )  # fmt: skip
    async with records.database.single() as conn:
        rows = await conn.fetch(
            f"SELECT r.rtype, r.id FROM resource r WHERE r.patient IS NOT NULL AND NOT ({doubtful}) AND {settled} "
            f"AND ({seen}) IS NOT TRUE",
            [*first, *second, *third],
        )
        assert rows == []
        for some in (
            PEOPLE,
            *((one,) for one in PEOPLE),
        ):  # and charts, which ask that once for all their rows
            (quick, fourth), (seen, third) = visible.about("r", some), visible.predicate("r")
            rows = await conn.fetch(
                f"SELECT r.rtype, r.id FROM resource r WHERE ({quick}) IS TRUE <> ({seen}) IS TRUE",
                [*fourth, *third],
            )
            assert rows == []
    async with records.database.connection() as conn:
        for one in PEOPLE:
            split = await withheld(conn, records.actor, records.clock(), [one], TYPES, TOKENS)
            told = await nothing_hidden(conn, records.actor, records.clock(), [one], TYPES, TOKENS)
            assert told == (bool(split.seen) and not split.hidden)


async def _joined(records: Records, expected: set[str]) -> None:
    """Chains, _has, include and revinclude: over what is seen at both ends."""
    if not all(policy.allowed(records.actor, "search", t) for t in ("Patient", "Observation")):
        return
    subjects = {one: await _subjects(records, one) for one in expected if one.startswith("Observation/")}
    for who in PEOPLE:
        chained = await records.search(
            parse("Observation", [("subject:Patient.family", who.title()), ("_count", "500")])
        )
        both = {one for one, subject in subjects.items() if subject == who and f"Patient/{who}" in expected}
        assert keys(chained.matches) == both
    has = await records.search(
        parse("Patient", [("_has:Observation:subject:status", "final,amended"), ("_count", "500")])
    )
    assert keys(has.matches) == {f"Patient/{who}" for who in subjects.values()} & expected
    brought = await records.search(
        parse("Patient", [("_revinclude", "Observation:subject"), ("_count", "500")])
    )
    assert keys(brought.included) == {one for one, who in subjects.items() if f"Patient/{who}" in expected}
    forward = await records.search(
        parse("Observation", [("_include", "Observation:subject"), ("_count", "500")])
    )
    assert keys(forward.included) == {f"Patient/{who}" for who in subjects.values()} & expected


async def _subjects(records: Records, key: str) -> str:
    stored = await records.read(*key.split("/"))
    return str(json.decode(stored.body or b"{}")["subject"]["reference"]).removeprefix("Patient/")


async def _everything(records: Records, expected: set[str]) -> None:
    for who in PEOPLE:
        try:
            found = (await everything.of_patient(records, who, everything.Asked())).shown
        except NotFound:
            assert f"Patient/{who}" not in expected
            continue
        shown = {f"{one.rtype}/{one.id}" for one in found}
        assert f"Patient/{who}" in expected
        assert shown <= expected


async def _exported(records: Records, expected: set[str]) -> None:
    for rtype in exports.readable_types(records.actor, compartment=True):
        statement = exports.bodies(records.visible, exports.Part(rtype, dates.MAX - timedelta(days=1)))
        async with records.database.single() as conn:
            rows = await conn.fetch(statement.sql, statement.args)
        found = {f"{rtype}/{json.decode(row[0].encode())['id']}" for row in rows}
        assert found == {one for one in expected if one.startswith(f"{rtype}/")}
    await _filtered(records, expected)


async def _filtered(records: Records, expected: set[str]) -> None:
    """What a `_typeFilter` leaves of an export."""
    if not policy.allowed(records.actor, "read", "Observation"):
        return
    part = exports.Part("Observation", dates.MAX - timedelta(days=1), compartment=True)
    async with records.database.connection() as conn:
        every = [
            parse("Observation", [pair], strict=True) for pair in (("status", "final"), ("code", "none"))
        ]
        statement = await exports.filtered(conn, records.visible, part, every)
        rows = await (await conn.execute(statement.sql, statement.args)).fetchall()
    found = {f"Observation/{json.decode(row[0].encode())['id']}" for row in rows}
    assert found == {one for one in expected if one.startswith("Observation/")} - {"Observation/x1"}


@pytest.mark.parametrize("part", range(3))
def test_every_way_to_look_answers_what_the_naive_decision_allows(
    database_url: str, clock: Clock, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what is hidden is refused at a beat, which others test: a thousand refusals would be waited for here
    monkeypatch.setattr("commonchart.access.records.BEAT_SECONDS", 0.0001)

    async def once(database: Database, world: World, asking: list[Actor]) -> None:
        await empty(database)
        await write(database, world, clock)
        for reader in asking:
            await by_every_way(Records(database, reader, clock), world, Oracle(world, reader).seen())
        first, turn = asking[0], next(turns)
        await by_address(Records(database, first, clock), world, Oracle(world, first).seen())
        await by_question(Records(database, first, clock), world, Oracle(world, first).seen(), turn)

    turns = count(part * EXAMPLES)
    with asyncio.Runner() as runner:
        database = runner.run(Database.open(database_url))

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(worlds(), st.lists(readers, min_size=4, max_size=4))
        def each(world: World, asking: list[Actor]) -> None:
            runner.run(once(database, world, asking))

        try:
            each()
        finally:
            runner.run(database.close())


async def test_every_question_finds_something(database: Database, clock: Clock) -> None:
    """Asked of a world of which everything is seen: what is always answered with nothing would compare nothing."""
    world = World([("alder", body) for body in (*directory(), *map(person, PEOPLE), condition("d0"))])
    world.stored += [
        ("alder", observation(f"o{n}", who, "lab", "ETH", "o0" if n else None, n + 1))
        for n, who in enumerate(PEOPLE)
    ]
    world.stored += [("alder", body) for body in further(("ada",) * FURTHER, "o0")]
    keys = {f"{body['resourceType']}/{body['id']}" for _, body in world.stored}
    records = await mirrored(database, clock, world.stored, (), keys)
    silent = []
    for name, addresses in QUESTIONS.items():
        answers = [await everything_asked(records, one) for one in spelled(addresses, world, 0)]
        if not any(map(found, answers)):
            silent.append((name, answers))
    assert [name for name, _ in silent] == [], silent
    for name, address in REFUSED.items():
        (said,) = {str(await everything_asked(records, one)) for one in spelled([address], world, 0)}
        assert said.startswith("['Malformed'"), name
        assert "not-supported" in said, name


def test_roles_of_the_property_are_roles() -> None:
    from typing import get_args

    assert set(policy.HIDDEN) == set(get_args(Role))
