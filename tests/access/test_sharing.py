"""Two organisations of a network: what one sees of the other, by relationship, consent and emergency."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from commonchart.access import charts, consents, emergency, relationships
from commonchart.access import due as due_list
from commonchart.access.actors import Actor, Role
from commonchart.access.records import Create, Delete, Put, Records
from commonchart.fhir.outcome import Forbidden, Gone, Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.jobs import due as due_job
from commonchart.record.database import Database
from commonchart.search.query import parse
from tests.conftest import Clock

SUD = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}]}
PLAIN = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J06.9"}]}
SECURITY = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def who(
    org: str, role: Role = "clinician", user: str = "", practitioner: str | None = None, **more: Any
) -> Actor:
    return Actor(
        1, user or f"{role}-{org}", "X", role, org, "test", practitioner=practitioner, network=True, **more
    )


def put(body: dict[str, Any]) -> Put:
    return Put(validate(body), body["id"])


def patient(id: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id,
        "name": [{"family": id.title()}],
        "birthDate": "1980-01-01",
        "gender": "female",
    }


def condition(id: str, subject: str = "ada", code: dict[str, Any] = PLAIN, **more: Any) -> dict[str, Any]:
    clinical = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    }
    return {
        "resourceType": "Condition", "id": id, "code": code, "subject": {"reference": f"Patient/{subject}"},
        "clinicalStatus": clinical, "recordedDate": "2026-01-05",
    } | more  # fmt: skip


def referral(id: str, to: str, subject: str = "ada") -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest", "id": id, "status": "active", "intent": "order",
        "subject": {"reference": f"Patient/{subject}"}, "performer": [{"reference": f"Organization/{to}"}],
        "authoredOn": "2026-11-01",
    }  # fmt: skip


def consent(id: str, provision: dict[str, Any], subject: str = "ada", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Consent", "id": id, "status": "active", "patient": {"reference": f"Patient/{subject}"},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policyRule": {"text": "as written"}, "dateTime": "2026-11-01", "provision": provision,
    } | more  # fmt: skip


def actor_in(reference: str) -> dict[str, Any]:
    role = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]
    }
    return {"role": role, "reference": {"reference": reference}}


class World:
    """Alder keeps Ada's record; Birch is another organisation of the network."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self.alder, self.birch = self.of(who("alder")), self.of(who("birch"))
        # whoever loads brings ids along
        self.loader = self.of(who("alder", "system"))
        self.birch_loader = self.of(who("birch", "system"))

    def of(self, actor: Actor) -> Records:
        return Records(self.database, actor, self.clock)

    async def keeps(self, *bodies: dict[str, Any]) -> None:
        await self.loader.commit([put(body) for body in bodies])


@pytest.fixture
async def world(database: Database, clock: Clock) -> World:
    made = World(database, clock)
    await made.keeps(
        patient("ada"),
        condition("cold"),
        condition("opioid", code=SUD),
        {"resourceType": "Organization", "id": "birch", "name": "B"},
    )
    return made


async def ids(records: Records, rtype: str = "Condition", **by: str) -> set[str]:
    page = await records.search(parse(rtype, list(by.items())))
    return {one.id for one in page.matches}


async def test_without_a_relationship_another_organisation_sees_nothing(world: World) -> None:
    assert await ids(world.birch) == set()
    for rtype, id in (("Patient", "ada"), ("Condition", "cold")):
        with pytest.raises(NotFound) as hidden:
            await world.birch.read(rtype, id)
        with pytest.raises(NotFound) as unknown:
            await world.birch.read(rtype, "nobody")
        assert str(hidden.value) == str(unknown.value)
    assert (await world.birch.read("Organization", "birch")).id == "birch"
    assert await ids(world.alder) == {"cold", "opioid"}


async def test_a_referral_opens_the_record_but_not_part_2(world: World) -> None:
    await world.keeps(referral("r1", "birch"))
    assert await ids(world.birch) == {"cold"}
    assert (await world.birch.read("Patient", "ada")).id == "ada"
    with pytest.raises(NotFound):
        await world.birch.history("Condition", "opioid")
    await world.keeps(referral("r1", "birch") | {"status": "revoked"})
    assert await ids(world.birch) == set()


async def test_a_relationship_ends(world: World) -> None:
    await world.keeps(referral("r1", "birch"))
    world.clock.advance(days=366)
    assert await ids(world.birch) == set()


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "CareTeam", "id": "t", "status": "active", "subject": {"reference": "Patient/ada"},
         "participant": [{"member": {"reference": "Organization/birch"}}]},
        {"resourceType": "Appointment", "id": "t", "status": "booked", "start": "2026-11-20T09:00:00Z", "end": "2026-11-20T09:30:00Z",
         "participant": [{"actor": {"reference": "Patient/ada"}, "status": "accepted"},
                         {"actor": {"reference": "Organization/birch"}, "status": "accepted"}]},
        {"resourceType": "Encounter", "id": "t", "status": "in-progress", "subject": {"reference": "Patient/ada"},
         "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
         "serviceProvider": {"reference": "Organization/birch"}},
    ],
)  # fmt: skip
async def test_care_team_appointment_and_admission_are_relationships(
    world: World, body: dict[str, Any]
) -> None:
    if body["resourceType"] == "Appointment":
        body = body | {
            "participant": [
                body["participant"][0],
                {"actor": {"reference": "Practitioner/dr"}, "status": "accepted"},
            ]
        }
        await _practitioner(world, "dr", "birch")
    await world.keeps(body)
    assert await ids(world.birch) == {"cold"}
    await world.loader.commit([Delete(body["resourceType"], "t")])
    assert await ids(world.birch) == set()


async def _practitioner(world: World, id: str, org: str) -> None:
    async with world.database.connection() as conn:
        await conn.execute(
            "INSERT INTO app_user (id, tenant, login, name, practitioner, created) VALUES (%s, 1, %s, 'Dr', %s, now())",
            (id, id, id),
        )
        await conn.execute(
            "INSERT INTO membership (id, tenant, actor, org, role, asked, since) VALUES (%s, 1, %s, %s, 'clinician', now(), now())",
            (id, id, org),
        )


async def test_an_organisation_cannot_let_itself_in(world: World) -> None:
    body = referral("x", "birch")
    del body["id"]
    await world.birch.commit([Create(validate(body))])
    grant = consent("x", {"type": "permit", "actor": [actor_in("Organization/birch")]})
    del grant["id"]
    await world.birch.commit([Create(validate(grant))])
    assert await ids(world.birch) == set()
    told = await consents.notices(world.of(who("birch", "privacy-officer")))
    assert [one.kind for one in told] == ["consent-foreign"]


async def test_a_link_that_a_client_wrote_opens_nothing(world: World) -> None:
    own = patient("bea") | {"link": [{"other": {"reference": "Patient/ada"}, "type": "seealso"}]}
    await world.birch_loader.commit([put(own)])
    await world.keeps(patient("ada") | {"link": [{"other": {"reference": "Patient/bea"}, "type": "seealso"}]})
    assert await ids(world.birch) == set()
    assert (await world.birch.facts("bea", ["Condition"])).total == 0
    async with world.database.connection() as conn:
        await conn.execute(
            "INSERT INTO person_link (tenant, patient, person, linked_at, actor, reason) "
            "VALUES (1, 'ada', 'p', now(), 'x', 'same'), (1, 'bea', 'p', now(), 'x', 'same')"
        )
    assert await ids(world.birch) == {"cold"}
    assert (await world.birch.facts("bea", ["Condition"])).total == 1
    async with world.database.connection() as conn:
        await conn.execute("UPDATE person_link SET unlinked_at = now() WHERE patient = 'ada'")
    assert await ids(world.birch) == set()


async def test_another_organisations_record_is_not_written_over(world: World) -> None:
    with pytest.raises(NotFound):
        await world.birch.commit([put(condition("cold", code=SUD))])
    with pytest.raises(NotFound):
        await world.birch.commit([put(condition("unknown"))])
    with pytest.raises(NotFound):
        await world.birch.commit([Delete("Condition", "cold")])
    await world.keeps(referral("r1", "birch"))
    with pytest.raises(Forbidden):
        await world.birch.commit([put(condition("cold", code=SUD))])
    with pytest.raises(NotFound):
        await world.birch_loader.commit([put(condition("opioid"))])


# ---- consent -----------------------------------------------------------------------------------------------------


async def test_a_consent_that_names_the_organisation_opens(world: World) -> None:
    await world.keeps(consent("c", {"type": "permit", "actor": [actor_in("Organization/birch")]}))
    assert await ids(world.birch) == {"cold"}
    assert await ids(world.of(who("cedar"))) == set()
    assert [one.permit for one in await consents.of_patient(world.alder, "ada")] == [True]


async def test_part_2_needs_a_consent_that_says_so(world: World) -> None:
    label = [{"system": SECURITY, "code": "42CFRPart2"}]
    await world.keeps(
        consent("c", {"type": "permit", "actor": [actor_in("Organization/birch")], "securityLabel": label})
    )
    assert await ids(world.birch) == {"opioid"}


async def test_a_denial_ends_what_a_relationship_opened_at_once(world: World) -> None:
    await world.keeps(referral("r1", "birch"))
    assert await ids(world.birch) == {"cold"}
    await world.keeps(consent("c", {"type": "deny", "actor": [actor_in("Organization/birch")]}))
    assert await ids(world.birch) == set()
    assert await ids(world.alder) == {"cold", "opioid"}
    await world.loader.commit([Delete("Consent", "c")])
    assert await ids(world.birch) == {"cold"}


@pytest.mark.parametrize("long", [1, charts.LONG])
async def test_a_long_chart_is_asked_for_in_another_way_and_shows_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, long: int
) -> None:
    """What a label hides, and from the next statement on what a consent denies or the end of a relationship takes away."""
    monkeypatch.setattr(charts, "LONG", long)
    monkeypatch.setattr(charts, "_long", {})
    await world.keeps(referral("r1", "birch"))
    assert await _chart(world) == ["cold"]
    assert ((1, "ada") in charts._long) == (long == 1)
    await world.keeps(consent("no", {"type": "deny", "actor": [actor_in("Organization/birch")]}))
    assert await _chart(world) == []
    await world.keeps(consent("no", {"type": "deny"}, status="inactive"))
    assert await _chart(world) == ["cold"]
    await world.keeps(referral("r1", "birch") | {"status": "revoked"})
    assert await _chart(world) == []


async def _chart(world: World) -> list[str]:
    await world.birch.counts("ada")
    now = await world.birch.facts("ada", ["Condition"])
    then = await world.birch.facts("ada", ["Condition"], as_of=world.clock())
    assert [one.id for one in then.items] == [one.id for one in now.items]
    return [one.id for one in now.items]


async def test_the_deepest_provision_wins_and_a_tie_denies(world: World) -> None:
    nested = {
        "type": "deny",
        "provision": [
            {
                "type": "permit",
                "actor": [actor_in("Organization/birch")],
                "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Condition"}],
            }
        ],
    }
    await world.keeps(referral("r1", "birch"), consent("c", nested))
    assert await ids(world.birch) == {"cold"}
    with pytest.raises(NotFound):
        await world.birch.read("Patient", "ada")
    await world.keeps(
        consent(
            "d",
            {"type": "permit", "provision": [{"type": "deny", "actor": [actor_in("Organization/birch")]}]},
        )
    )
    assert await ids(world.birch) == set()


async def test_what_cannot_be_read_denies_and_is_told(world: World) -> None:
    await world.keeps(
        referral("r1", "birch"), consent("c", {"type": "permit", "actor": [actor_in("Group/g")]})
    )
    assert await ids(world.birch) == set()
    assert await ids(world.alder) == {"cold", "opioid"}
    officer = world.of(who("alder", "privacy-officer"))
    told = await consents.notices(officer)
    assert [(one.kind, one.source) for one in told] == [("consent-unreadable", "Consent/c")]
    await consents.seen(officer, told[0].id)
    assert await consents.notices(officer) == []
    with pytest.raises(NotFound):
        await consents.notices(world.alder)


async def test_a_person_who_is_shut_out_sees_nothing_in_the_own_organisation_either(world: World) -> None:
    await world.keeps(consent("c", {"type": "deny", "actor": [actor_in("Practitioner/ex")]}))
    for network in (True, False):
        actor = Actor(
            1, "ex", "Ex", "clinician", "alder", "test", practitioner="ex", network=network, refused=True
        )
        assert await ids(world.of(actor)) == set()
    assert await ids(world.alder) == {"cold", "opioid"}


async def test_a_denied_code_hides_what_has_it_anywhere(world: World) -> None:
    code = [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J06.9"}]}]
    await world.keeps(referral("r1", "birch"), condition("other", code={"coding": [{"system": "x", "code": "y"}, *PLAIN["coding"]]}),
                      condition("free", code={"coding": [{"system": "x", "code": "y"}]}),
                      consent("c", {"type": "permit", "provision": [{"type": "deny", "code": code}]}))  # fmt: skip
    assert await ids(world.birch) == {"free"}


# ---- labels ------------------------------------------------------------------------------------------------------


async def test_a_label_follows_into_reports_whichever_comes_first(world: World) -> None:
    result = {"resourceType": "Observation", "id": "hiv", "status": "final", "subject": {"reference": "Patient/ada"},
              "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}}  # fmt: skip
    report = {"resourceType": "DiagnosticReport", "id": "rep", "status": "final", "subject": {"reference": "Patient/ada"},
              "code": {"text": "panel"}, "result": [{"reference": "Observation/hiv"}]}  # fmt: skip
    secret = {"meta": {"security": [{"system": SECURITY, "code": "PSYTHPN"}]}}
    await world.keeps(referral("r1", "birch"), result, report)
    assert await ids(world.birch, "DiagnosticReport") == {"rep"}
    await world.keeps(result | secret)
    assert await ids(world.birch, "DiagnosticReport") == set()
    assert await ids(world.birch, "Observation") == set()
    await world.keeps(report | {"id": "later"})
    assert await ids(world.birch, "DiagnosticReport") == set()
    # what was known before the label came is hidden with it
    with pytest.raises(NotFound):
        await world.birch.vread("Observation", "hiv", 1)
    assert await ids(world.alder, "Observation") == set()  # a colleague does not read a psychotherapy note


async def test_labels_are_raised_and_not_taken_away(world: World) -> None:
    await world.keeps(
        referral("r1", "birch"), condition("cold", meta={"security": [{"system": SECURITY, "code": "ETH"}]})
    )
    assert await ids(world.birch) == set()
    await world.keeps(condition("cold"))
    assert await ids(world.birch) == set()


async def test_a_psychotherapy_note_is_for_who_wrote_it(world: World) -> None:
    note = condition("note", meta={"security": [{"system": SECURITY, "code": "PSYTHPN"}]})
    author = world.of(Actor(1, "author", "A", "clinician", "alder", "test", network=False))
    del note["id"]
    written = (await author.commit([Create(validate(note))]))[0].stored
    colleague = world.of(Actor(1, "other", "O", "clinician", "alder", "test", network=False))
    assert (await author.read("Condition", written.id)).id == written.id
    for records in (
        colleague,
        world.of(Actor(1, "p", "P", "patient", "", "test", patient="ada", network=False)),
    ):
        with pytest.raises(NotFound):
            await records.read("Condition", written.id)
    with pytest.raises(NotFound):
        await colleague.commit([put(condition(written.id))])


async def test_a_deleted_resource_keeps_its_labels(world: World) -> None:
    await world.keeps(referral("r1", "birch"))
    await world.loader.commit([Delete("Condition", "opioid"), Delete("Condition", "cold")])
    with pytest.raises(NotFound):
        await world.birch.read("Condition", "opioid")
    with pytest.raises(Gone):
        await world.birch.read("Condition", "cold")


async def test_a_due_row_is_hidden_with_the_fact_that_decided_it(world: World) -> None:
    diabetes = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}]}
    secret = {"security": [{"system": SECURITY, "code": "ETH"}]}
    await world.keeps(referral("r1", "birch"), condition("opioid", code=diabetes, meta=secret))
    await due_job.everyone(world.database, world.clock())
    whole = {one.rule: one for one in await due_list.due_of(world.alder, "ada")}
    seen = {one.rule for one in await due_list.due_of(world.birch, "ada")}
    named = {rule for rule, one in whole.items() if "Condition/opioid" in one.why}
    assert "a1c" in whole
    assert named
    assert not seen & (named | {"a1c"})
    assert seen == {rule for rule, one in whole.items() if not one.labels}
    with pytest.raises(NotFound):
        await due_list.due_of(world.of(who("cedar")), "ada")
    counted = await due_list.registry(world.birch, due_list.Filters(), as_of=world.clock().date())
    assert {one for one, _, _ in counted.rules} <= seen


SENSITIVE: tuple[dict[str, Any], ...] = (
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}]},
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}]},
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}]},
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F10.20"}]},
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F17.210"}]},
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "B20"}]},
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "B18.2"}]},
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C50.911"}]},
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "N18.4"}]},
    {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z90.710"}]},
)


@pytest.mark.parametrize("code", SENSITIVE, ids=lambda one: one["coding"][0]["code"])
async def test_what_is_shown_of_the_due_list_is_as_if_the_hidden_fact_were_not_there(
    world: World, code: dict[str, Any]
) -> None:
    """Each row that another organisation sees is the one that a record without the labelled fact would have."""
    secret = {"security": [{"system": SECURITY, "code": "ETH"}]}
    await world.loader.commit([Delete("Condition", "opioid")])
    await world.keeps(
        referral("r1", "birch"), patient("bea"), referral("r2", "birch", "bea"), condition("beas", "bea"),
        condition("hidden", code=code, meta=secret),
    )  # fmt: skip
    await due_job.everyone(world.database, world.clock())
    without = {
        one.rule: (one.status, one.due_on, one.overdue_on, one.title)
        for one in await due_list.due_of(world.birch, "bea")
    }
    seen = {
        one.rule: (one.status, one.due_on, one.overdue_on, one.title)
        for one in await due_list.due_of(world.birch, "ada")
    }
    assert seen
    assert {rule: said for rule, said in seen.items() if without.get(rule) != said} == {}


# ---- emergency ---------------------------------------------------------------------------------------------------


async def test_break_glass_opens_one_patient_for_a_while(world: World) -> None:
    await world.keeps(patient("bob"), condition("bobs", "bob"),
                      condition("note", meta={"security": [{"system": SECURITY, "code": "PSYTHPN"}]}))  # fmt: skip
    grant = await emergency.grant(world.birch, "ada", "unconscious in the emergency room")
    assert await ids(world.birch) == {"cold", "opioid"}
    assert await ids(world.of(who("birch", user="another"))) == set()
    assert [one.kind for one in await consents.notices(world.of(who("alder", "privacy-officer")))] == [
        "break-glass"
    ]
    assert [one.id for one in await emergency.of_patient(world.alder, "ada")] == [grant.id]
    world.clock.advance(minutes=60)
    assert await ids(world.birch) == set()


async def test_break_glass_ends_when_it_is_ended_and_is_reviewed(world: World) -> None:
    grant = await emergency.grant(
        world.birch, "ada", "unconscious in the emergency room", lasting=timedelta(minutes=5)
    )
    assert [one.id for one in await emergency.current(world.birch)] == [grant.id]
    officer = world.of(who("alder", "privacy-officer"))
    await emergency.end(officer, grant.id)
    assert await ids(world.birch) == set()
    assert [one.id for one in await emergency.to_review(officer)] == [grant.id]
    assert await emergency.to_review(world.of(who("cedar", "privacy-officer"))) == []
    await emergency.reviewed(officer, grant.id, "justified", "unconscious on arrival")
    assert await emergency.to_review(officer) == []


async def test_break_glass_is_not_for_everybody(world: World) -> None:
    with pytest.raises(Forbidden):
        await emergency.grant(
            world.of(who("birch", "front-desk")), "ada", "unconscious in the emergency room"
        )
    with pytest.raises(NotFound):
        await emergency.grant(world.birch, "nobody", "unconscious in the emergency room")
    with pytest.raises(Invalid):
        await emergency.grant(world.birch, "ada", "curious")
    with pytest.raises(Invalid):
        await emergency.grant(
            world.birch, "ada", "unconscious in the emergency room", lasting=timedelta(minutes=61)
        )
    await world.keeps(consent("c", {"type": "deny", "actor": [actor_in("Practitioner/ex")]}))
    with pytest.raises(NotFound):
        await emergency.grant(
            world.of(who("birch", practitioner="ex")), "ada", "unconscious in the emergency room"
        )


async def test_a_patient_who_shuts_somebody_out_ends_their_emergency_too(world: World) -> None:
    # as `credentials` finds them once a consent names them
    ex = world.of(who("birch", practitioner="ex", refused=True))
    await emergency.grant(ex, "ada", "unconscious in the emergency room")
    assert await ids(ex) == {"cold", "opioid"}
    until = {"end": (world.clock() + timedelta(minutes=5)).isoformat()}
    await world.keeps(consent("c", {"type": "deny", "actor": [actor_in("Practitioner/ex")], "period": until}))
    assert await ids(ex) == set()
    with pytest.raises(NotFound):
        await emergency.grant(ex, "ada", "unconscious in the emergency room")
    # a denial that is over bars nobody from a life that is to be saved
    world.clock.advance(minutes=6)
    await emergency.grant(ex, "ada", "unconscious in the emergency room")
    assert await ids(ex) == {"cold", "opioid"}


async def test_relationships_are_told(world: World) -> None:
    await world.keeps(referral("r1", "birch"))
    async with world.database.single() as conn:
        held = await relationships.of_patient(conn, 1, "ada", world.clock())
    assert {(one.org, one.kind, one.source) for one in held} == {
        ("alder", "record", "Patient/ada"), ("birch", "servicerequest", "ServiceRequest/r1")
    }  # fmt: skip


async def test_without_a_moment_nothing_is_decided() -> None:
    from commonchart.access import policy

    with pytest.raises(RuntimeError):
        policy.visible(who("alder")).predicate("r")
