"""Each interaction of the FHIR API as a client sees it: status, headers, body, and what is there afterwards."""

from __future__ import annotations

import pytest

from commonchart.fhir import json
from commonchart.fhir.validate import validate
from commonchart.rest import routes
from tests.rest.conftest import Client, observation, patient

FHIR = {"content-type": "application/fhir+json"}


async def test_create_assigns_an_id_and_says_where_it_is(client: Client) -> None:
    made = await client.post("/fhir/Patient", json=patient(id="mine"))
    assert made.status_code == 201
    id = made.json()["id"]
    assert id != "mine"
    assert made.headers["etag"] == 'W/"1"'
    assert made.headers["location"] == f"http://test/fhir/Patient/{id}/_history/1"
    read = await client.get(f"/fhir/Patient/{id}")
    assert read.content == made.content
    assert read.headers["last-modified"].endswith("GMT")


async def test_numbers_come_back_as_they_were_sent(client: Client) -> None:
    body = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10},"component":[{"code":{"text":"y"},"valueQuantity":{"value":100.00}}]}'
    made = await client.post("/fhir/Observation", content=body, headers=FHIR)
    assert b'"value":1.10}' in made.content
    assert b'"value":100.00}' in (await client.get(f"/fhir/Observation/{made.json()['id']}")).content


async def test_update_keeps_every_version(client: Client) -> None:
    first = await client.put("/fhir/Patient/p1", json=patient(id="p1"))
    second = await client.put(
        "/fhir/Patient/p1", json=patient(id="p1", active=True), headers={"if-match": 'W/"1"'}
    )
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.headers["etag"] == 'W/"2"'
    old = await client.get("/fhir/Patient/p1/_history/1")
    assert "active" not in old.json()
    history = (await client.get("/fhir/Patient/p1/_history")).json()
    assert history["total"] == 2
    assert [entry["response"]["etag"] for entry in history["entry"]] == ['W/"2"', 'W/"1"']
    validate(json.decode((await client.get("/fhir/Patient/p1/_history")).content))


async def test_a_stale_if_match_is_refused_and_nothing_changes(client: Client) -> None:
    await client.put("/fhir/Patient/p1", json=patient(id="p1"))
    await client.put("/fhir/Patient/p1", json=patient(id="p1", active=True))
    late = await client.put(
        "/fhir/Patient/p1", json=patient(id="p1", active=False), headers={"if-match": 'W/"1"'}
    )
    assert late.status_code == 412
    assert (await client.get("/fhir/Patient/p1")).json()["active"] is True
    assert (
        await client.put("/fhir/Patient/p1", json=patient(id="p1"), headers={"if-match": "three"})
    ).status_code == 400


async def test_delete_and_undelete(client: Client) -> None:
    await client.put("/fhir/Observation/o1", json=observation("nobody", id="o1"))
    assert (await client.delete("/fhir/Observation/o1")).status_code == 204
    assert (await client.get("/fhir/Observation/o1")).status_code == 410
    assert (await client.get("/fhir/Observation/o1/_history/2")).status_code == 410
    assert (await client.get("/fhir/Observation?_id=o1")).json()["total"] == 0
    assert (await client.delete("/fhir/Observation/o1")).status_code == 204
    back = await client.put("/fhir/Observation/o1", json=observation("nobody", id="o1"))
    assert (back.status_code, back.headers["etag"]) == (201, 'W/"3"')
    history = (await client.get("/fhir/Observation/o1/_history")).json()
    assert [entry["request"]["method"] for entry in history["entry"]] == ["PUT", "DELETE", "POST"]


async def test_a_patient_with_a_record_is_not_deleted(client: Client) -> None:
    await client.put("/fhir/Patient/p1", json=patient(id="p1"))
    await client.put("/fhir/Observation/o1", json=observation("p1", id="o1"))
    assert (await client.delete("/fhir/Patient/p1")).status_code == 409
    await client.delete("/fhir/Observation/o1")
    assert (await client.delete("/fhir/Patient/p1")).status_code == 204


async def test_conditional_create_finds_or_creates(client: Client) -> None:
    mrn = {"identifier": [{"system": "urn:mrn", "value": "M1"}]}
    condition = {"if-none-exist": "identifier=urn:mrn|M1"}
    first = await client.post("/fhir/Patient", json=patient(**mrn), headers=condition)
    second = await client.post("/fhir/Patient", json=patient(**mrn), headers=condition)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    await client.post("/fhir/Patient", json=patient(**mrn))
    assert (await client.post("/fhir/Patient", json=patient(**mrn), headers=condition)).status_code == 412


async def test_conditional_update_and_delete(client: Client) -> None:
    mrn = {"identifier": [{"system": "urn:mrn", "value": "M1"}]}
    made = await client.put("/fhir/Patient?identifier=urn:mrn|M1", json=patient(**mrn))
    again = await client.put("/fhir/Patient?identifier=urn:mrn|M1", json=patient(active=True, **mrn))
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == made.json()["id"]
    assert (await client.put("/fhir/Patient", json=patient())).status_code == 400
    assert (await client.delete("/fhir/Patient?identifier=urn:mrn|M1")).status_code == 204
    assert (await client.delete("/fhir/Patient?identifier=urn:mrn|M1")).status_code == 204


async def test_preconditions_of_reading(client: Client) -> None:
    made = await client.put("/fhir/Patient/p1", json=patient(id="p1"))
    assert (
        await client.get("/fhir/Patient/p1", headers={"if-none-match": made.headers["etag"]})
    ).status_code == 304
    assert (await client.get("/fhir/Patient/p1", headers={"if-none-match": 'W/"7"'})).status_code == 200
    modified = made.headers["last-modified"]
    assert (await client.get("/fhir/Patient/p1", headers={"if-modified-since": modified})).status_code == 304
    star = await client.put("/fhir/Patient/p1", json=patient(id="p1"), headers={"if-none-match": "*"})
    assert star.status_code == 412


@pytest.mark.parametrize(
    ("how", "kind"),
    [("minimal", None), ("representation", "Patient"), ("OperationOutcome", "OperationOutcome")],
)
async def test_prefer_return(client: Client, how: str, kind: str | None) -> None:
    made = await client.post("/fhir/Patient", json=patient(), headers={"prefer": f"return={how}"})
    assert made.status_code == 201
    assert (made.json()["resourceType"] if made.content else None) == kind


async def test_search_pages_are_whole_and_end(client: Client) -> None:
    for n in range(7):
        await client.put(f"/fhir/Patient/p{n}", json=patient(id=f"p{n}"))
    seen: list[str] = []
    url = "/fhir/Patient?_count=3&_sort=-birthdate"
    while url:
        page = (await client.get(url)).json()
        validate(json.decode(json.encode(page)))
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert sorted(seen) == [f"p{n}" for n in range(7)]


async def test_search_by_post_is_the_same(client: Client) -> None:
    await client.put("/fhir/Patient/p1", json=patient(id="p1"))
    by_get = (await client.get("/fhir/Patient?family=angstrom")).json()
    by_post = (await client.post("/fhir/Patient/_search", data={"family": "angstrom"})).json()
    assert by_get["entry"] == by_post["entry"]


async def test_unknown_parameters_are_listed_or_refused(client: Client) -> None:
    lenient = (await client.get("/fhir/Patient?shoe=44")).json()
    assert lenient["entry"][-1]["search"]["mode"] == "outcome"
    assert (
        await client.get("/fhir/Patient?shoe=44", headers={"prefer": "handling=strict"})
    ).status_code == 400


async def test_totals_are_given_only_when_known_or_asked_for(client: Client) -> None:
    for n in range(3):
        await client.put(f"/fhir/Patient/p{n}", json=patient(id=f"p{n}"))
        await client.put(f"/fhir/Observation/o{n}", json=observation(f"p{n}", id=f"o{n}"))
    assert "total" not in (await client.get("/fhir/Patient?_count=2")).json()
    assert (await client.get("/fhir/Patient?_count=2&_total=accurate")).json()["total"] == 3
    assert (await client.get("/fhir/Patient?_summary=count")).json()["total"] == 3
    included = (await client.get("/fhir/Observation?_include=Observation:subject")).json()
    assert included["total"] == 3
    assert [e["search"]["mode"] for e in included["entry"]] == ["match"] * 3 + ["include"] * 3


async def test_elements_are_marked_as_a_part(client: Client) -> None:
    await client.put("/fhir/Patient/p1", json=patient(id="p1"))
    part = (await client.get("/fhir/Patient/p1?_elements=birthDate")).json()
    assert part.keys() == {"resourceType", "id", "meta", "birthDate"}
    assert part["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_the_capability_statement_is_valid_and_open(client: Client) -> None:
    client.headers.pop("authorization")
    answer = await client.get("/fhir/metadata")
    statement = json.decode(answer.content)
    validate(statement)
    assert statement["fhirVersion"] == "4.0.1"
    assert len(statement["rest"][0]["resource"]) == 146


async def test_a_transaction_stands_or_falls_as_one(client: Client) -> None:
    good = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:aaaaaaaa-0000-4000-8000-000000000001",
                "resource": patient(),
                "request": {"method": "POST", "url": "Patient"},
            },
            {
                "resource": observation("x")
                | {"subject": {"reference": "urn:uuid:aaaaaaaa-0000-4000-8000-000000000001"}},
                "request": {"method": "POST", "url": "Observation"},
            },
            {"request": {"method": "GET", "url": "Patient?_summary=count"}},
        ],
    }
    answer = (await client.post("/fhir", json=good)).json()
    assert [e["response"]["status"][:3] for e in answer["entry"]] == ["201", "201", "200"]
    subject = answer["entry"][1]["resource"]["subject"]["reference"]
    assert (await client.get(f"/fhir/{subject}")).status_code == 200
    bad = good | {
        "entry": [
            *good["entry"][:1],
            {
                "resource": {"resourceType": "Observation", "status": "wrong"},
                "request": {"method": "POST", "url": "Observation"},
            },
        ]
    }
    refused = await client.post("/fhir", json=bad)
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1].resource")
    assert (await client.get("/fhir/Patient?_summary=count")).json()["total"] == 1


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ({"request": {"method": "GET", "url": "http://evil.example/Patient"}}, 400),
        ({"request": {"method": "GET", "url": "../Patient"}}, 400),
        ({"request": {"method": "GET", "url": "//Patient"}}, 400),
        ({"request": {"method": "GET", "url": "%2e%2e/Patient"}}, 400),
        ({"request": {"method": "TRACE", "url": "Patient"}}, 400),
        (
            {
                "resource": {"resourceType": "Observation"},
                "request": {"method": "POST", "url": "Observation"},
            },
            422,
        ),
        (
            {
                "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": "x"},
                    "subject": {"reference": "urn:uuid:aaaaaaaa-0000-4000-8000-00000000dead"},
                },
                "request": {"method": "POST", "url": "Observation"},
            },
            422,
        ),
        (
            {
                "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": "x"},
                    "subject": {"reference": "Patient?identifier=none"},
                },
                "request": {"method": "POST", "url": "Observation"},
            },
            412,
        ),
        ({}, 400),
        ("text", 400),
    ],
)
async def test_a_bad_entry_refuses_the_transaction(client: Client, entry: object, status: int) -> None:
    first = {"resource": patient(), "request": {"method": "POST", "url": "Patient"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [first, entry]}
    assert (await client.post("/fhir", json=bundle)).status_code == status
    assert (await client.get("/fhir/Patient?_summary=count")).json()["total"] == 0


@pytest.mark.parametrize(
    ("url", "status"), [("Patient/nobody", 404), ("Patient?_count=x", 400), ("Shoe/1", 404)]
)
async def test_a_transaction_that_cannot_read_stores_nothing(client: Client, url: str, status: int) -> None:
    create = {"resource": patient(), "request": {"method": "POST", "url": "Patient"}}
    entries = [create, {"request": {"method": "GET", "url": url}}]
    refused = await client.post(
        "/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}
    )
    assert refused.status_code == status
    assert (await client.get("/fhir/Patient?_summary=count")).json()["total"] == 0


async def test_a_transaction_reads_what_it_has_just_written(client: Client) -> None:
    put = {"resource": patient(id="zoe"), "request": {"method": "PUT", "url": "Patient/zoe"}}
    entries = [{"request": {"method": "GET", "url": "Patient/zoe"}}, put]
    answer = await client.post(
        "/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}
    )
    assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["200", "201"]
    assert answer.json()["entry"][0]["resource"]["id"] == "zoe"


async def test_a_bug_in_one_entry_of_a_batch_does_not_hide_the_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a patient's secret")

    monkeypatch.setitem(routes.READS, "T/id", broken)
    entries = [
        {"resource": patient(), "request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "GET", "url": "Patient/1"}},
    ]
    answer = await client.post("/fhir", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert answer.status_code == 200
    assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["201", "500"]
    assert "secret" not in answer.text


async def test_a_bug_is_answered_without_its_words(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(Exception):
        def __init__(self, *, secret: str) -> None:
            self.secret = secret

    async def broken(*_: object) -> None:
        raise Odd(secret="a patient's secret")

    monkeypatch.setitem(routes.READS, "T/id", broken)
    answer = await client.get("/fhir/Patient/1")
    assert answer.status_code == 500
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "secret" not in answer.text


async def test_a_large_resource_is_checked_like_any_other(client: Client) -> None:
    note = [{"text": "x" * 300_000}]
    assert (await client.post("/fhir/Observation", json=observation("x", note=note))).status_code == 201
    refused = await client.post("/fhir/Observation", json=observation("x", note=note, status="wrong"))
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"] == ["Observation.status"]


async def test_conditional_references_are_resolved(client: Client) -> None:
    made = await client.post(
        "/fhir/Patient", json=patient(identifier=[{"system": "http://x.example/mrn", "value": "M1"}])
    )
    text = "Patient?identifier=http://x.example/mrn|M1"
    entry = {
        "resource": observation("x") | {"subject": {"reference": text}},
        "request": {"method": "POST", "url": "Observation"},
    }
    answer = await client.post(
        "/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    )
    assert answer.status_code == 200
    assert answer.json()["entry"][0]["resource"]["subject"]["reference"] == f"Patient/{made.json()['id']}"


async def test_a_batch_answers_each_entry_for_itself(client: Client) -> None:
    entries = [
        {"resource": patient(), "request": {"method": "POST", "url": "Patient"}},
        {
            "resource": {"resourceType": "Patient", "shoe": 44},
            "request": {"method": "POST", "url": "Patient"},
        },
        {"request": {"method": "GET", "url": "Patient/none"}},
        {"request": {"method": "DELETE", "url": "Patient/none"}},
        {"resource": {"resourceType": "Bundle", "type": "batch"}, "request": {"method": "POST", "url": ""}},
    ]
    answer = (
        await client.post("/fhir/", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
    ).json()
    assert [e["response"]["status"][:3] for e in answer["entry"]] == ["201", "422", "404", "404", "400"]
    assert answer["entry"][1]["response"]["outcome"]["issue"][0]["expression"] == ["Patient.shoe"]


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", "/fhir/Patient", {"content": b'{"resourceType":', "headers": FHIR}, 400),
        ("POST", "/fhir/Patient", {"content": b"[]", "headers": FHIR}, 400),
        ("POST", "/fhir/Patient", {"content": b"", "headers": FHIR}, 400),
        ("POST", "/fhir/Patient", {"json": {"resourceType": "Observation"}}, 400),
        ("POST", "/fhir/Patient", {"json": {"resourceType": "Patient", "shoe": 1}}, 422),
        ("POST", "/fhir/Patient", {"json": {"resourceType": "Patient", "birthDate": "1999-02-30"}}, 422),
        ("POST", "/fhir/Observation", {"json": {"resourceType": "Observation"}}, 422),
        (
            "POST",
            "/fhir/Observation",
            {
                "json": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": "x"},
                    "subject": {"reference": "Practitioner/1"},
                }
            },
            422,
        ),
        (
            "POST",
            "/fhir/Patient",
            {"content": b"<Patient/>", "headers": {"content-type": "application/fhir+xml"}},
            415,
        ),
        ("POST", "/fhir/Patient", {"content": b"x", "headers": FHIR | {"content-encoding": "br"}}, 415),
        ("POST", "/fhir/Patient", {"content": b"x", "headers": FHIR | {"content-encoding": "gzip"}}, 400),
        ("POST", "/fhir/Patient", {"content": b"{" + b" " * 16_000_001 + b"}", "headers": FHIR}, 413),
        ("POST", "/fhir/Patient", {"content": b'{"a":' * 200 + b"1" + b"}" * 200, "headers": FHIR}, 400),
        ("PUT", "/fhir/Patient/p1", {"json": {"resourceType": "Patient", "id": "p2"}}, 400),
        ("PUT", "/fhir/Patient/p_1", {"json": {"resourceType": "Patient", "id": "p_1"}}, 404),
        ("GET", "/fhir/Patient/none", {}, 404),
        ("GET", "/fhir/Patient/none/_history", {}, 404),
        ("GET", "/fhir/Patient/none/_history/1", {}, 404),
        ("GET", "/fhir/Patient/none/_history/x", {}, 404),
        ("GET", "/fhir/Shoe/1", {}, 404),
        ("GET", "/fhir/Patient?birthdate=soon", {}, 400),
        ("GET", "/fhir/Patient?_cursor=abc", {}, 400),
        ("GET", "/fhir/Patient?_count=-1", {}, 400),
        ("GET", "/fhir/Patient?_sort=shoe", {}, 400),
        ("GET", "/fhir/Patient?name:loudly=x", {}, 400),
        ("GET", "/fhir/Patient?_has:Observation:code:code=x", {}, 400),
        ("GET", "/fhir/Patient/p1/$everything", {}, 404),
        ("GET", "/fhir/Patient", {"headers": {"accept": "application/fhir+xml"}}, 406),
        ("GET", "/fhir/Patient?_format=xml", {}, 406),
        ("PATCH", "/fhir/Patient/p1", {}, 404),
        ("GET", "/fhir/Patient?_elements=a%00b", {}, 400),
        ("DELETE", "/fhir/Patient", {}, 400),
        ("GET", "/fhir", {}, 400),
    ],
)
async def test_bad_input_gets_its_status_and_an_outcome(
    client: Client, method: str, path: str, options: dict[str, object], status: int
) -> None:
    answer = await client.request(method, path, **options)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text[:300]
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["diagnostics"]
    assert (await client.get("/fhir/_history")).json().get("total") == 0


async def test_nobody_is_let_in_without_a_token(client: Client) -> None:
    client.headers["authorization"] = "Bearer nonsense"
    answer = await client.get("/fhir/Patient")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    client.headers.pop("authorization")
    assert (await client.get("/fhir/Patient")).status_code == 401
    assert (await client.get("/fhir/Patient", headers={"authorization": "Basic x"})).status_code == 401


async def test_other_origins_may_ask_but_never_with_cookies(client: Client) -> None:
    preflight = await client.options(
        "/fhir/Patient", headers={"origin": "https://app.example", "access-control-request-method": "PUT"}
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in preflight.headers
