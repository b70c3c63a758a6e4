"""Section A of the hostile list, the part about search, and E9: what a caller may not see has no effect anywhere."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.rest.conftest import Client, ClientOf, application, client, client_of, observation, patient

__all__ = ["application", "client", "client_of"]

CANARY = "Canarienvogel"


async def put(client: Client, *resources: dict[str, Any]) -> None:
    for one in resources:
        answer = await client.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one)
        assert answer.status_code in (200, 201), answer.text


@pytest.fixture
async def people(client: Client) -> None:
    """Ada, who asks, and Bea, whom she must not notice; one practitioner treats both."""
    quantity = {"value": 7123, "unit": "mg", "code": "mg", "system": "http://unitsofmeasure.org"}
    await put(
        client,
        {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Weber"}]},
        patient(id="ada", generalPractitioner=[{"reference": "Practitioner/doc"}]),
        patient(id="bea", name=[{"family": CANARY}], birthDate="1971-01-01", generalPractitioner=[{"reference": "Practitioner/doc"}]),
        observation("ada", id="a1"),
        observation("ada", id="a2", hasMember=[{"reference": "Observation/b1"}]),
        observation("bea", id="b1", valueQuantity=quantity, performer=[{"reference": "Practitioner/doc"}], note=[{"text": CANARY}]),
        {"resourceType": "Encounter", "id": "eb", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/bea"},
         "participant": [{"individual": {"reference": "Practitioner/doc"}}]},
        {"resourceType": "List", "id": "l", "status": "current", "mode": "working", "subject": {"reference": "Patient/bea"}, "entry": [{"item": {"reference": "Observation/a1"}}]},
    )  # fmt: skip


async def seen(asker: Client, address: str) -> tuple[list[str], str]:
    answer = await asker.get(f"/fhir/{address}")
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", [])
    return sorted(e["resource"]["id"] for e in entries), str(entries)


HIDDEN: list[tuple[str, list[str]]] = [
        # A3
        ("Observation", ["a1", "a2"]), ("Observation?_id=b1", []), ("Observation?_id=b1,a1", ["a1"]), ("Observation?code=4548-4", ["a1", "a2"]),
        ("Observation?value-quantity=7123", []), (f"Patient?name={CANARY}", []), ("Patient?birthdate=1971-01-01", []), (f"?_content={CANARY.lower()}", []),
        (f"Observation?_content={CANARY}", []), ("?_type=Patient,Observation", ["a1", "a2", "ada"]),
        # A7
        (f"Observation?subject:Patient.name={CANARY}", []), (f"Observation?has-member.subject:Patient.name={CANARY}", []),
        ("Observation?has-member.value-quantity=gt1", []), ("Observation?has-member.code=4548-4", []),
        ("Encounter?subject.general-practitioner:Practitioner.family=weber", []),
        # A5 and reverse chains
        ("Practitioner?_has:Observation:performer:value-quantity=gt1", []), ("Practitioner?_has:Observation:performer:code=4548-4", []),
        ("Practitioner?_has:Patient:general-practitioner:birthdate=1971-01-01", []), ("Patient?_has:Observation:patient:value-quantity=gt1", []),
        ("Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:value-quantity=gt1", []),
        # A9
        ("Observation?_include=Observation:has-member", ["a1", "a2"]), ("Observation?_id=a2&_include=*", ["a2", "ada"]),
        ("Observation?_id=a2&_include:iterate=Observation:has-member&_include:iterate=Observation:subject", ["a2", "ada"]),
        ("Practitioner?_id=doc&_revinclude=Observation:performer&_revinclude=Patient:general-practitioner&_revinclude=Encounter:participant", ["ada", "doc"]),
        # A15
        ("Patient/bea/Observation", []), ("Patient/bea/*", []), ("Patient/nobody/*", []), ("Patient/ada/Observation?patient=bea", []),
        ("Practitioner/doc/Observation", []), ("Practitioner/doc/Encounter", []), ("Encounter/eb/*", []),
        # lists
        ("Observation?_list=l", []), ("Observation?_list=nothing", []),
    ]  # fmt: skip


@pytest.mark.usefixtures("people")
async def test_what_is_hidden_changes_nothing(client_of: ClientOf) -> None:
    asker = await client_of("patient", patient="ada")
    for address, expected in HIDDEN:
        found, entries = await seen(asker, address)
        assert found == expected, address
        assert CANARY not in entries
        assert "7123" not in entries
        counted = (await asker.get(f"/fhir/{address}{'&' if '?' in address else '?'}_summary=count")).json()
        assert "include" in address or counted["total"] == len(expected), address


@pytest.mark.usefixtures("people")
async def test_a_threshold_cannot_be_bisected(client_of: ClientOf) -> None:
    asker = await client_of("front-desk")
    answers = set()
    for threshold in ("0", "7122", "7123", "7124", "99999"):
        answer = await asker.get(f"/fhir/Patient?_has:Observation:patient:value-quantity=gt{threshold}")
        answers.add((answer.status_code, str(answer.json().get("total")), "entry" in answer.json()))
    assert answers == {(200, "0", False)}


@pytest.mark.usefixtures("people")
async def test_order_carries_no_signal_of_what_is_hidden(client_of: ClientOf) -> None:
    asker = await client_of("patient", patient="ada")
    assert (await asker.get("/fhir/Observation?_sort=subject.name")).status_code == 400
    assert (await seen(asker, "Patient?_sort=-birthdate&_count=1"))[0] == ["ada"]
    assert (await seen(asker, "Observation?_sort=-value-quantity"))[0] == ["a1", "a2"]


@pytest.mark.usefixtures("people")
async def test_a_page_link_is_good_only_for_whom_it_was_made(client: Client, client_of: ClientOf) -> None:
    mine = (await client.get("/fhir/Observation?_count=1")).json()
    link = next(one["url"] for one in mine["link"] if one["relation"] == "next")
    asker = await client_of("patient", patient="ada")
    assert (await asker.get(link)).status_code == 400
    own = (await asker.get("/fhir/Observation?_count=1")).json()
    cursor = next(one["url"] for one in own["link"] if one["relation"] == "next").rpartition("_cursor=")[2]
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    raw[-3] ^= 1
    edited = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    for address in (
        f"Observation?_count=1&_cursor={edited}",
        f"Observation?_count=2&_cursor={cursor}",
        f"Patient?_count=1&_cursor={cursor}",
        "Observation?_cursor=x",
    ):
        assert (await asker.get(f"/fhir/{address}")).status_code == 400
    assert (await asker.get(f"/fhir/Observation?_count=1&_cursor={cursor}")).status_code == 200


CHAIN = ".".join(["has-member"] * 12)
COSTLY = [
    f"Observation?{CHAIN}.code=x",
    "Observation?_revinclude=*",
    "Observation?_sort=" + ",".join(["date"] * 20),
    "Patient?_has:Observation:patient:" + "_has:Observation:has-member:" * 11 + "code=x",
    "Observation?code=" + ",".join(["x"] * 1000),
    "Location?near=0|0|99999|km",
    "Patient?_filter=name eq x",
    "Observation?" + "&".join(["code=x"] * 100),
    "Provenance?target.subject.subject.name=x",
    "Observation?_include=" + "&_include=".join(["Observation:subject"] * 30),
]


async def test_costly_searches_are_refused(client: Client) -> None:
    for address in COSTLY:
        answer = await client.get(f"/fhir/{address}")
        assert answer.status_code in (400, 403), address


TEXTS = (
    "%",
    "_",
    "\\",
    "%%%%",
    "a%b_c\\",
    "(a+)+$",
    "' OR 1=1 --",
    "$$",
    "a' & 'b",
    "!x | y:*",
    "\u202e",
    "x" * 1999,
)
NAMES = (
    "name:contains", "name", "name:exact", "_content", "_text", "identifier", "identifier:text", "address:contains", "_profile:below",
    "_profile:above", "_id", "_has:Observation:patient:code:text", "general-practitioner.name:contains",
)  # fmt: skip


async def test_wildcards_and_quotes_are_letters(client: Client) -> None:
    await put(client, patient(id="plain"))
    for name in NAMES:
        for text in TEXTS:
            answer = await client.get("/fhir/Patient", params={name: text})
            assert answer.status_code in (200, 400), (name, text)
            assert not answer.json().get("entry"), (name, text)


@pytest.mark.usefixtures("people")
async def test_cycles_of_references_end(client: Client) -> None:
    await put(
        client,
        observation("ada", id="c1", hasMember=[{"reference": "Observation/c2"}]),
        observation("ada", id="c2", hasMember=[{"reference": "Observation/c1"}]),
    )
    found, _ = await seen(
        client,
        "Observation?_id=c1&_include:iterate=Observation:has-member&_revinclude:iterate=Observation:has-member",
    )
    assert found == ["c1", "c2"]
    loop = [
        {
            "resourceType": "Organization",
            "id": f"g{n}",
            "name": "g",
            "partOf": {"reference": f"Organization/g{1 - n}"},
        }
        for n in (0, 1)
    ]
    await put(client, {**loop[1], "partOf": {"reference": "Organization/top"}}, loop[0], loop[1])
    found, _ = await seen(client, "Organization?partof:below=Organization/g0")
    assert found == ["g0", "g1"]
