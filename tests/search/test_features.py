"""Searches against a naive reading of the specification over the resources themselves: what the first oracle leaves out."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.record.database import Database
from commonchart.search.visible import Visible
from tests.search.test_against_oracle import fill, found, quick

Resource = dict[str, Any]

WORDS = ("Heart rate", "Rate, heart", "Ångström 50%", "blood_pressure", "")
PEOPLE = ("ann", "bob", "cid")


def bare(text: str) -> str:
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in spread if not unicodedata.combining(c))


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", bare(text)))


def people() -> list[Resource]:
    """Three patients, of whom two have practitioners of two organisations, one of which is part of the other."""
    return [
        {"resourceType": "Organization", "id": "top", "name": "Top", "active": True},
        {"resourceType": "Organization", "id": "sub", "name": "Sub", "partOf": {"reference": "Organization/top"}},
        {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Weber"}]},
        {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "Practitioner/doc"}, "organization": {"reference": "Organization/sub"}},
        {"resourceType": "Patient", "id": "ann", "name": [{"family": "Ann"}], "gender": "female", "managingOrganization": {"reference": "Organization/sub"},
         "generalPractitioner": [{"reference": "Practitioner/doc"}]},
        {"resourceType": "Patient", "id": "bob", "name": [{"family": "Bob"}], "gender": "male", "managingOrganization": {"reference": "Organization/top"}},
        {"resourceType": "Patient", "id": "cid", "name": [{"family": "Cid"}]},
    ]  # fmt: skip


events = st.fixed_dictionaries(
    {
        "who": st.sampled_from(PEOPLE),
        "code": st.sampled_from(("x", "y")),
        "text": st.sampled_from(WORDS),
        "performer": st.booleans(),
        "part": st.sampled_from((None, 0, 1)),
        "events": st.lists(st.sampled_from(("2020-01-01", "2020-06-01", "2021-01-01")), max_size=3),
    }
)


def observed(n: int, drawn: dict[str, Any]) -> Resource:
    out: Resource = {
        "resourceType": "Observation",
        "id": f"o{n}",
        "status": "final",
        "subject": {"reference": f"Patient/{drawn['who']}"},
        "code": {"coding": [{"system": "urn:a", "code": drawn["code"]}]},
        "text": {"status": "generated", "div": f"<div>told {drawn['text']}</div>"},
    }
    if drawn["text"]:
        out["code"]["text"] = drawn["text"]
    if drawn["performer"]:
        out["performer"] = [{"reference": "Practitioner/doc"}]
    if drawn["part"] is not None and drawn["part"] < n:
        out["hasMember"] = [{"reference": f"Observation/o{drawn['part']}"}]
    if drawn["events"]:
        out["effectiveTiming"] = {"event": drawn["events"]}
    return out


def by(resources: list[Resource], rtype: str) -> list[Resource]:
    return [one for one in resources if one["resourceType"] == rtype]


async def expect(
    database: Database,
    rtype: str,
    params: list[tuple[str, str]],
    ids: set[str],
    visible: Visible | None = None,
) -> None:
    seen = await found(database, rtype, [*params, ("_count", "2")], visible)
    assert len(seen) == len(set(seen))
    assert set(seen) == ids, params


@given(st.lists(events, max_size=6))
@quick
async def test_chains_lead_to_what_the_references_say(
    database: Database, drawn: list[dict[str, Any]]
) -> None:
    made = [observed(n, one) for n, one in enumerate(drawn)]
    await fill(database, [*people(), *made])
    who = {one["id"]: one["subject"]["reference"][8:] for one in made}
    of = {person: {id for id, held in who.items() if held == person} for person in PEOPLE}
    await expect(database, "Observation", [("subject:Patient.name", "an")], of["ann"])
    await expect(database, "Observation", [("patient.name", "an,bo")], of["ann"] | of["bob"])
    await expect(database, "Observation", [("subject.gender", "male")], of["bob"])
    await expect(database, "Observation", [("patient.organization.name", "sub")], of["ann"])
    await expect(database, "Observation", [("patient.organization.partof.name", "top")], of["ann"])
    await expect(
        database, "Observation", [("patient.general-practitioner:Practitioner.family", "web")], of["ann"]
    )
    performed = {one["id"] for one in made if "performer" in one}
    await expect(database, "Observation", [("performer:Practitioner.name", "weber")], performed)
    await expect(database, "Observation", [("patient.name", "nobody")], set())


@given(st.lists(events, max_size=6))
@quick
async def test_has_finds_what_is_referred_to(database: Database, drawn: list[dict[str, Any]]) -> None:
    made = [observed(n, one) for n, one in enumerate(drawn)]
    await fill(database, [*people(), *made])
    coded = {one["subject"]["reference"][8:] for one in made if one["code"]["coding"][0]["code"] == "x"}
    await expect(database, "Patient", [("_has:Observation:patient:code", "urn:a|x")], coded)
    performed = any("performer" in one for one in made)
    await expect(
        database,
        "Practitioner",
        [("_has:Observation:performer:code", "x,y")],
        {"doc"} if performed else set(),
    )
    named = {m["reference"][12:]: one for one in made for m in one.get("hasMember", ())}
    await expect(database, "Observation", [("_has:Observation:has-member:code", "x,y")], set(named))
    orgs = {"sub"} if "ann" in coded else set()
    orgs |= {"top"} if "bob" in coded else set()
    await expect(
        database, "Organization", [("_has:Patient:organization:_has:Observation:subject:code", "x")], orgs
    )
    through = {"doc"} if "ann" in coded else set()
    await expect(
        database,
        "Practitioner",
        [("_has:Patient:general-practitioner:_has:Observation:patient:code", "x")],
        through,
    )


@given(
    st.lists(events, max_size=6),
    st.sampled_from(("heart", "Rate", "told rate", "ångström", "blood pres*", "50%", "hear*")),
)
@quick
async def test_texts_are_found_by_their_words(
    database: Database, drawn: list[dict[str, Any]], text: str
) -> None:
    made = [observed(n, one) for n, one in enumerate(drawn)]
    await fill(database, made)

    def holds(held: set[str], asked: str) -> bool:
        for piece in asked.split():
            for word in words(piece):
                exact = word in held
                begins = piece.endswith("*") and any(one.startswith(word) for one in held)
                if not (exact or begins):
                    return False
        return True

    narrative = {one["id"]: words("told " + drawn[n]["text"]) for n, one in enumerate(made)}
    await expect(
        database,
        "Observation",
        [("_text", text)],
        {id for id, held in narrative.items() if holds(held, text)},
    )
    everything = {
        one["id"]: words(f"told {drawn[n]['text']} generated final {drawn[n]['code']}")
        for n, one in enumerate(made)
    }
    await expect(
        database,
        "Observation",
        [("_content", text)],
        {id for id, held in everything.items() if holds(held, text)},
    )


@given(
    st.lists(events, max_size=6),
    st.sampled_from(("heart", "Heart R", "rate", "ang", "ANGSTRÖM 50%", "blood_", "bloodx", "%")),
)
@quick
async def test_text_modifier_is_the_beginning_of_a_text_and_wildcards_are_letters(
    database: Database, drawn: list[dict[str, Any]], text: str
) -> None:
    made = [observed(n, one) for n, one in enumerate(drawn)]
    await fill(database, made)
    fits = {o["id"] for o in made if "text" in o["code"] and bare(o["code"]["text"]).startswith(bare(text))}
    await expect(database, "Observation", [("code:text", text)], fits)
    await expect(database, "Observation", [("combo-code:text", text)], fits)


@given(
    st.lists(events, max_size=6),
    st.sampled_from(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")),
    st.sampled_from(("2020", "2020-01", "2020-06-01", "2021", "2019")),
)
@quick
async def test_each_event_of_a_timing_counts_alone(
    database: Database, drawn: list[dict[str, Any]], prefix: str, day: str
) -> None:
    made = [observed(n, one) for n, one in enumerate(drawn)]
    await fill(database, made)

    def fits(event: str) -> bool:
        first, last = (day + "-01-01")[:10] if len(day) == 4 else (day + "-01")[:10], day + "~"
        within = event.startswith(day)
        return {
            "eq": within, "ne": not within, "gt": event > last, "lt": event < first, "ge": event >= first,
            "le": event < last, "sa": event > last, "eb": event < first,
        }[prefix]  # fmt: skip

    def matching(one: Resource) -> bool:
        return any(fits(event) for event in one.get("effectiveTiming", {}).get("event", ()))

    await expect(database, "Observation", [("date", prefix + day)], {o["id"] for o in made if matching(o)})


@given(
    st.lists(events, max_size=8),
    st.sampled_from(("code", "-code", "subject", "-subject", "performer", "code,-subject")),
)
@quick
async def test_tokens_and_references_sort_with_missing_last(
    database: Database, drawn: list[dict[str, Any]], sort: str
) -> None:
    made = [observed(n, one) for n, one in enumerate(drawn)]
    await fill(database, made)
    seen = await found(database, "Observation", [("_sort", sort), ("_count", "2")])
    assert sorted(seen) == sorted(one["id"] for one in made)
    values = {
        "code": lambda o: o["code"]["coding"][0]["code"],
        "subject": lambda o: o["subject"]["reference"],
        "performer": lambda o: o["performer"][0]["reference"] if "performer" in o else None,
    }
    key = sort.split(",")[0]
    held = [values[key.lstrip("-")](next(o for o in made if o["id"] == id)) for id in seen]
    present = [one for one in held if one is not None]
    assert held[: len(present)] == present
    assert present == sorted(present, reverse=key.startswith("-"))


async def test_hierarchies_lists_types_of_identifiers_and_addresses(database: Database) -> None:
    extra: list[Resource] = [
        {"resourceType": "List", "id": "l", "status": "current", "mode": "working", "entry": [{"item": {"reference": "Patient/ann"}}, {"deleted": True, "item": {"reference": "Patient/bob"}}]},
        {"resourceType": "Patient", "id": "dan", "identifier": [{"type": {"coding": [{"system": "urn:t", "code": "MR"}], "text": "Record"}, "value": "1|2"}]},
        {"resourceType": "ValueSet", "id": "v", "status": "active", "url": "http://a.example/x/y"},
    ]  # fmt: skip
    await fill(database, [*people(), *extra])
    await expect(database, "Patient", [("_list", "l")], {"ann"})
    await expect(database, "Patient", [("_list", "none")], set())
    await expect(database, "Patient", [("identifier:of-type", r"urn:t|MR|1\|2")], {"dan"})
    await expect(database, "Patient", [("identifier:of-type", "urn:t|MR|1")], set())
    await expect(database, "Patient", [("identifier:text", "rec")], {"dan"})
    await expect(database, "Patient", [("organization:below", "Organization/top")], {"ann", "bob"})
    await expect(database, "Patient", [("organization:above", "Organization/sub")], {"ann", "bob"})
    await expect(database, "Patient", [("organization:below", "Organization/sub")], {"ann"})
    await expect(database, "ValueSet", [("url:below", "http://a.example/x")], {"v"})
    await expect(database, "ValueSet", [("url:above", "http://a.example/x/y/z")], {"v"})
    await expect(database, "ValueSet", [("url:above", "http://a.example/x")], set())
    await expect(database, "Patient", [("gender:missing", "true")], {"cid", "dan"})


@pytest.mark.parametrize("param", ["code:in", "code:below"])
async def test_codes_that_are_not_loaded_are_refused(database: Database, param: str) -> None:
    from commonchart.fhir.outcome import Malformed

    with pytest.raises(Malformed, match="not loaded"):
        await found(database, "Observation", [(param, "urn:a|x")])
