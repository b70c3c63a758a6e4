"""`$export` over the API: kick-off, state, manifest, files, and who may have them."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.exchange.bulk import runs, work, write
from commonchart.fhir.validate import validate
from commonchart.jobs import bulk
from commonchart.jobs.worker import Site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.rest.conftest import Client, ClientOf, observation, patient
from tests.smart import a_backend, assertion, bearer, ec_key, forget, signed

ASYNC = {"prefer": "respond-async", "accept": "application/fhir+json"}


class House:
    """A client that exports, with the worker at hand."""

    def __init__(self, client: Client, database: Database, clock: Clock, site: Site) -> None:
        self.client, self.database, self.clock, self.site = client, database, clock, site

    async def work(self) -> None:
        while await bulk.drain(self.database, self.clock, self.site):
            pass

    async def put(self, resource: dict[str, Any]) -> None:
        answer = await self.client.put(f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text

    async def kick_off(self, path: str = "$export", body: dict[str, Any] | None = None, **params: str) -> str:
        answer = (
            await self.client.post(f"/fhir/{path}", json=body, headers=ASYNC)
            if body
            else await self.client.get(f"/fhir/{path}", params=params, headers=ASYNC)
        )
        assert answer.status_code == 202, answer.text
        return answer.headers["content-location"]

    async def exported(
        self, path: str = "$export", body: dict[str, Any] | None = None, **params: str
    ) -> dict[str, Any]:
        state = await self.kick_off(path, body, **params)
        await self.work()
        done = await self.client.get(state)
        assert done.status_code == 200, done.text
        return done.json()

    async def lines(self, manifest: dict[str, Any], kind: str = "output") -> dict[str, list[dict[str, Any]]]:
        out: dict[str, list[dict[str, Any]]] = {}
        for one in manifest[kind]:
            answer = await self.client.get(one["url"])
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/fhir+ndjson"
            read = [json.loads(line) for line in answer.content.splitlines()]
            assert len(read) == one["count"]
            assert {r["resourceType"] for r in read} == {one["type"]}
            out[one["type"]] = read
        return out


@pytest.fixture
def site(application: Starlette) -> Site:
    settings = application.state.settings
    return Site(settings.data_dir, settings.secret, "http://test")


@pytest.fixture
async def house(client: Client, database: Database, clock: Clock, site: Site) -> House:
    made = House(client, database, clock, site)
    for one in (
        patient(id="ada"),
        patient(id="bea"),
        {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Grüße \\ \"x\""}]},
        {"resourceType": "Practitioner", "id": "other"},
        {"resourceType": "Organization", "id": "alder", "name": "Alder", "partOf": {"reference": "Organization/top"}},
        {"resourceType": "Organization", "id": "top", "name": "Top"},
        observation("ada", id="a1", performer=[{"reference": "Practitioner/doc"}, {"reference": "Organization/alder"}]),
        observation("bea", id="b1", valueString="line\nbreak\x7f \u2028 1.10"),
        {"resourceType": "Provenance", "id": "pa", "target": [{"reference": "Observation/a1"}],
         "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": {"reference": "Practitioner/doc"}}]},
        {"resourceType": "Provenance", "id": "pb", "target": [{"reference": "Observation/b1"}],
         "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": {"reference": "Practitioner/doc"}}]},
        {"resourceType": "Group", "id": "g1", "type": "person", "actual": True, "member": [
            {"entity": {"reference": "Patient/ada"}},
            {"entity": {"reference": "Patient/bea"}, "inactive": True}]},
    ):  # fmt: skip
        await made.put(one)
    return made


def ids(found: dict[str, list[dict[str, Any]]]) -> set[str]:
    return {f"{t}/{r['id']}" for t, rows in found.items() for r in rows}


async def test_everything_is_exported_as_it_is_stored(house: House) -> None:
    found = await house.lines(await house.exported())
    assert len(ids(found)) == 11
    for rtype, rows in found.items():
        for row in rows:
            assert row == (await house.client.get(f"/fhir/{rtype}/{row['id']}")).json()
    state = await house.kick_off()
    await house.work()
    url = next(
        o["url"] for o in (await house.client.get(state)).json()["output"] if o["type"] == "Observation"
    )
    stored = [(await house.client.get(f"/fhir/Observation/{id}")).content for id in ("a1", "b1")]
    assert sorted((await house.client.get(url)).content.splitlines(keepends=True)) == sorted(
        s + b"\n" for s in stored
    )


async def test_patient_level_brings_what_the_records_refer_to(house: House) -> None:
    found = ids(await house.lines(await house.exported("Patient/$export")))
    assert found == {
        "Patient/ada", "Patient/bea", "Observation/a1", "Observation/b1", "Provenance/pa", "Provenance/pb",
        "Practitioner/doc", "Organization/alder", "Organization/top",
    }  # fmt: skip


async def test_group_level_is_its_members_of_now(house: House) -> None:
    found = ids(await house.lines(await house.exported("Group/g1/$export")))
    assert found == {
        "Patient/ada", "Observation/a1", "Provenance/pa", "Practitioner/doc", "Organization/alder", "Organization/top",
    }  # fmt: skip


async def test_a_group_without_members_is_nobody_and_never_everybody(house: House) -> None:
    await house.put({"resourceType": "Group", "id": "g0", "type": "person", "actual": True})
    assert await house.lines(await house.exported("Group/g0/$export")) == {}


async def test_types_elements_filters_and_patients(house: House) -> None:
    found = await house.lines(
        await house.exported(_type="Patient,Observation", _elements="Patient.birthDate")
    )
    assert set(found) == {"Patient", "Observation"}
    assert set(found["Patient"][0]) == {"resourceType", "id", "meta", "birthDate"}
    assert found["Patient"][0]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "subject" in found["Observation"][0]
    narrow = {
        "_type": "Observation,Patient",
        "_typeFilter": "Observation?_id=a1,nobody,Observation?_id=b1&status=amended",
    }
    assert ids(await house.lines(await house.exported(**narrow))) == {
        "Observation/a1",
        "Patient/ada",
        "Patient/bea",
    }
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "patient", "valueReference": {"reference": "Patient/bea"}}],
    }
    assert "Observation/a1" not in ids(await house.lines(await house.exported("Patient/$export", body)))


async def test_since_brings_changes_and_deletions(house: House) -> None:
    first = await house.exported()
    house.clock.advance(minutes=5)
    await house.put(observation("ada", id="a1", status="amended"))
    await house.client.delete("/fhir/Observation/b1")
    second = await house.exported(_since=first["transactionTime"])
    assert ids(await house.lines(second)) == {"Observation/a1"}
    (bundle,) = (await house.lines(second, "deleted"))["Bundle"]
    assert [entry["request"] for entry in bundle["entry"]] == [{"method": "DELETE", "url": "Observation/b1"}]
    house.clock.advance(minutes=5)
    third = await house.exported(_since=second["transactionTime"])
    assert (third["output"], third["deleted"]) == ([], [])


async def test_the_files_are_of_the_moment_it_was_asked_for(house: House) -> None:
    state = await house.kick_off(_type="Observation")
    house.clock.advance(seconds=1)
    await house.put(observation("ada", id="a1", status="amended"))
    await house.client.delete("/fhir/Observation/b1")
    await house.put(observation("ada", id="late"))
    await house.work()
    found = await house.lines((await house.client.get(state)).json())
    assert {(r["id"], r["status"], r["meta"]["versionId"]) for r in found["Observation"]} == {
        ("a1", "final", "1"), ("b1", "final", "1"),
    }  # fmt: skip


async def test_states_and_giving_up(house: House) -> None:
    state = await house.kick_off()
    waiting = await house.client.get(state)
    assert (waiting.status_code, waiting.headers["retry-after"]) == (202, "1")
    assert waiting.headers["x-progress"] == "waiting"
    assert (await house.client.get(state)).status_code == 429
    await house.work()
    done = await house.client.get(state)
    assert "expires" in done.headers
    assert done.json()["requiresAccessToken"] is True
    assert done.json()["request"] == "http://test/fhir/$export"
    url = done.json()["output"][0]["url"]
    assert (await house.client.delete(state)).status_code == 202
    for address in (state, url):
        gone = await house.client.get(address)
        assert (gone.status_code, gone.json()["resourceType"]) == (404, "OperationOutcome")
    await house.work()
    assert list((house.site.data_dir / "exports").iterdir()) == []


async def test_files_expire_and_are_removed(house: House) -> None:
    async with house.database.single() as conn:
        await conn.execute("INSERT INTO site_setting VALUES (1, 'export_hours', '2')")
    state = await house.kick_off()
    await house.work()
    url = (await house.client.get(state)).json()["output"][0]["url"]
    folder = house.site.data_dir / "exports"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert next(folder.iterdir()).stat().st_mode & 0o777 == 0o700
    house.clock.advance(hours=2)
    assert (await house.client.get(url)).status_code == 404
    assert (await house.client.get(state)).status_code == 404
    await house.work()
    assert list(folder.iterdir()) == []


async def test_only_whoever_asked_may_see_it(house: House, client_of: ClientOf) -> None:
    state = await house.kick_off()
    await house.work()
    url = (await house.client.get(state)).json()["output"][0]["url"]
    other = await client_of("administrator")
    for address in (state, url):
        assert (await other.get(address)).status_code == 404
        assert (await other.delete(state)).status_code == 404
        anonymous = await other.get(address, headers={"authorization": ""})
        assert anonymous.status_code == 401
    for tampered in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.partition("?")[0],
        url.replace("expires=1", "expires=2"),
    ):
        assert (await house.client.get(tampered)).status_code == 404
    assert (await house.client.get(url)).status_code == 200


@pytest.mark.parametrize("role", ["clinician", "front-desk", "patient"])
async def test_others_do_not_export(house: House, client_of: ClientOf, role: str) -> None:
    other = await client_of(role, patient="ada" if role == "patient" else None)
    for path in ("$export", "Patient/$export", "Group/g1/$export"):
        assert (await other.get(f"/fhir/{path}", headers=ASYNC)).status_code == 403
    assert (await other.get("/fhir/$export", headers={**ASYNC, "authorization": ""})).status_code == 401


async def test_who_exports_no_more_fetches_nothing_more(house: House) -> None:
    state = await house.kick_off()
    await house.work()
    url = (await house.client.get(state)).json()["output"][0]["url"]
    async with house.database.connection() as conn:
        await conn.execute(
            "UPDATE membership SET role = 'nurse' WHERE actor = %s", (users.id_of("administrator-0"),)
        )
    forget()
    assert [(await house.client.get(one)).status_code for one in (state, url)] == [404, 404]


async def test_a_narrower_token_fetches_no_file_beyond_it(house: House) -> None:
    key = ec_key()
    app = await a_backend(house.database, house.clock, key, "system/*.rs")
    tokens = {}
    del house.client.headers["authorization"]
    for scope in ("system/*.rs", "system/Patient.rs", "system/Observation.rs?category=laboratory"):
        form = signed(assertion(app.id, key, house.clock), grant_type="client_credentials", scope=scope)
        tokens[scope] = bearer((await house.client.post("/oauth/token", data=form)).json())
    house.client.headers["authorization"] = tokens["system/*.rs"]["authorization"]
    found = {one["type"]: one["url"] for one in (await house.exported(_type="Patient,Observation"))["output"]}
    for scope, allowed in zip(tokens, ({"Patient", "Observation"}, {"Patient"}, set()), strict=True):
        got = {
            rtype: (await house.client.get(url, headers=tokens[scope])).status_code
            for rtype, url in found.items()
        }
        assert got == {rtype: 200 if rtype in allowed else 403 for rtype in found}, scope


async def test_what_was_decided_otherwise_is_in_no_file(house: House) -> None:
    """A worker that died, or a consent taken back in between: what is there already is kept only by the same decision."""
    state = await house.kick_off()
    await house.work()
    run = state.rpartition("/")[2]
    place = work.Place(house.site.data_dir)
    decided = (place.made("export", run) / work.DECIDED).read_text()
    async with house.database.connection() as conn:
        found = await _run(conn, run)
        assert await work._made_before(conn, place, found, decided)
        assert await work._made_before(conn, place, found, "other") == []
        assert await work._made_before(conn, place, found, "other") == []
    assert list(place.made("export", run).glob("*.ndjson")) == []


def denied(id: str, subject: str, **provision: Any) -> dict[str, Any]:
    """A patient's consent that denies, to whom and what the provision says."""
    return {
        "resourceType": "Consent", "id": id, "status": "active", "patient": {"reference": f"Patient/{subject}"},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policyRule": {"text": "as written"}, "dateTime": "2026-11-01", "provision": {"type": "deny", **provision},
    }  # fmt: skip


TO_DOC = {
    "role": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]
    },
    "reference": {"reference": "Practitioner/doc"},
}


async def test_a_finished_file_is_not_given_out_when_a_consent_hides_what_is_in_it(house: House) -> None:
    """Hostile B3, consents: a change takes effect within a minute, in what is finished too."""
    async with house.database.connection() as conn:
        await conn.execute("UPDATE app_user SET practitioner = 'doc' WHERE login = 'administrator-0'")
    kinds = "Patient,Observation,Practitioner,Provenance"
    made = (await house.exported(_type=kinds))["output"]
    loose = (await house.exported(_type="Observation", _elements="code"))["output"]
    assert {one["type"] for one in made} == set(kinds.split(","))

    async def said(consent: dict[str, Any]) -> None:
        loader = Records(house.database, Actor(1, "load", "L", "system", "alder", "cli"), house.clock)
        await loader.commit([Put(validate(consent), consent["id"])])
        forget()

    async def given() -> dict[str, int]:
        return {one["type"]: (await house.client.get(one["url"])).status_code for one in made}

    whole = dict.fromkeys(kinds.split(","), 200)
    assert await given() == whole
    house.clock.advance(minutes=1)
    await said(denied("later", "ada", actor=[TO_DOC], period={"start": "2099-01-01"}))
    await said(denied("reports", "bea", actor=[TO_DOC], **{"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Condition"}]}))  # fmt: skip
    assert await given() == whole  # neither hides what is there
    await said(denied("now", "ada", actor=[TO_DOC]))
    assert await given() == {**whole, "Patient": 410, "Observation": 410}
    refused = await house.client.get(loose[0]["url"])
    assert (refused.status_code, "begin the export anew" in refused.text) == (410, True)
    again = {one["type"]: one for one in (await house.exported(_type=kinds))["output"]}
    assert {t: one["count"] for t, one in again.items()} == {"Patient": 1, "Observation": 1, "Practitioner": 2, "Provenance": 2}  # fmt: skip
    assert [(await house.client.get(one["url"])).status_code for one in again.values()] == [200] * 4
    async with house.database.single() as conn:
        rows = await conn.fetch(
            "SELECT rtype, outcome FROM audit WHERE action = 'export-file' AND outcome <> 0 ORDER BY seq"
        )
    assert [row[0] for row in rows] == ["Patient", "Observation", "Observation"]
    await said(denied("now", "ada", actor=[TO_DOC]) | {"status": "inactive"})
    assert await given() == whole


async def _run(conn: Any, run: str) -> runs.Run:
    row = await (await conn.execute(f"SELECT {runs._COLUMNS} FROM bulk_run WHERE id = %s", (run,))).fetchone()
    return runs.Run(*row)


async def test_a_revoked_right_ends_it(house: House) -> None:
    """Hostile B3: what was allowed at the kick-off is decided again at every step."""
    state = await house.kick_off()
    await users.set_active(house.database, "administrator-0", False, house.clock())
    await house.work()
    await users.set_active(house.database, "administrator-0", True, house.clock())
    async with house.database.single() as conn:
        row = await (await conn.execute("SELECT state, error FROM bulk_run")).fetchone()
    assert row is not None
    assert row[0] == "refused"
    assert "ended" in row[1]
    assert list((house.site.data_dir / "exports").glob("*/*.ndjson")) == []
    assert state


async def test_a_right_revoked_while_it_is_written_ends_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = await house.kick_off()
    real, types = write.exports.bodies, []

    def bodies(*given: Any) -> Any:
        types.append(given[1].rtype)
        return real(*given)

    monkeypatch.setattr(write.exports, "bodies", bodies)
    working = asyncio.create_task(house.work())
    while not types:
        await asyncio.sleep(0.001)
    await users.set_active(house.database, "administrator-0", False, house.clock())
    await working
    assert len(types) < 145
    assert state


async def test_gzip_when_accepted(house: House) -> None:
    url = (await house.exported(_type="Observation"))["output"][0]["url"]
    async with house.client.stream("GET", url, headers={"accept-encoding": "gzip"}) as answer:
        packed = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    plain = await house.client.get(url, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content


@pytest.mark.parametrize(
    ("params", "strict", "lenient"),
    [
        ({"_outputFormat": "text/csv"}, 400, 400),
        ({"_outputFormat": "application/fhir ndjson"}, 202, 202),
        ({"_type": "Shoe"}, 400, 400),
        ({"_type": "Shoe,Patient"}, 400, 202),
        ({"_since": "yesterday"}, 400, 400),
        ({"_since": "2027-01-01"}, 400, 400),
        ({"_elements": "Shoe.size"}, 400, 400),
        ({"_typeFilter": "Patient?shoe=1"}, 400, 400),
        ({"_typeFilter": "Patient?_sort=name"}, 400, 400),
        ({"_typeFilter": "Patient"}, 400, 400),
        ({"_typeFilter": "Shoe?a=b"}, 400, 400),
        ({"patient": "Patient/ada"}, 400, 400),
        ({"includeAssociatedData": "Shoes"}, 400, 202),
        ({"_until": "2026-01-01"}, 400, 202),
        ({"organizeOutputBy": "Patient"}, 400, 202),
    ],
)
async def test_what_cannot_be_asked(house: House, params: dict[str, str], strict: int, lenient: int) -> None:
    for handling, status in (("strict", strict), ("lenient", lenient)):
        headers = {"prefer": f"respond-async, handling={handling}"}
        answer = await house.client.get("/fhir/$export", params=params, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"


async def test_patients_that_are_not_in_the_group_or_nowhere(house: House) -> None:
    for path, name, status in (
        ("Group/g1/$export", "Patient/bea", 400),
        ("Patient/$export", "Patient/nobody", 404),
    ):
        body = {
            "resourceType": "Parameters",
            "parameter": [{"name": "patient", "valueReference": {"reference": name}}],
        }
        assert (await house.client.post(f"/fhir/{path}", json=body, headers=ASYNC)).status_code == status
    assert (await house.client.get("/fhir/Group/none/$export", headers=ASYNC)).status_code == 404


async def test_an_interrupted_export_goes_on_where_it_was(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if killed in the middle of Observation: what was finished stays, the rest is written, nothing twice."""
    state = await house.kick_off()
    real = write._copied

    async def cut(*given: Any, **how: Any) -> int:
        if given[5] == "Observation":
            raise KeyboardInterrupt
        return await real(*given, **how)

    monkeypatch.setattr(write, "_copied", cut)
    with pytest.raises(KeyboardInterrupt):
        await bulk.drain(house.database, house.clock, house.site)
    monkeypatch.setattr(write, "_copied", real)
    done = list((house.site.data_dir / "exports").glob("*/*.ndjson"))
    assert done
    stamps = {path: path.stat().st_mtime_ns for path in done}
    house.clock.advance(minutes=1)
    await house.put(observation("ada", id="later"))
    await house.work()
    found = await house.lines((await house.client.get(state)).json())
    assert len(ids(found)) == sum(map(len, found.values())) == 11
    assert stamps == {path: path.stat().st_mtime_ns for path in done}


async def test_the_trail_names_the_patients_of_a_group(house: House) -> None:
    await house.lines(await house.exported("Group/g1/$export"))
    async with house.database.single() as conn:
        rows = await (
            await conn.execute(
                "SELECT action, patients, detail FROM audit WHERE action LIKE 'export%%' ORDER BY seq"
            )
        ).fetchall()
    assert rows[0][1] == ["ada"]
    assert [row[2].split()[0] for row in rows if row[0] == "export"] == ["begin", "finished"]
    assert sum(row[0] == "export-file" for row in rows) == 5


async def test_our_own_export_is_imported(house: House, tmp_path: Path) -> None:
    manifest = await house.exported(_type="Observation")
    url = manifest["output"][0]["url"]
    part = [{"name": "type", "valueCode": "Observation"}, {"name": "url", "valueUrl": url}]
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "inputFormat", "valueCode": "application/fhir+ndjson"},
        {"name": "inputSource", "valueUri": "http://elsewhere.example"},
        {"name": "input", "part": part}]}  # fmt: skip
    state = await house.kick_off("$import", body)
    await house.work()
    done = await house.client.get(state)
    assert "2 stored" in done.json()["outcome"]
    for bad in (
        "file:///etc/passwd",
        "http://127.0.0.1/x",
        "https://169.254.169.254/x",
        "https://user@x.example/",
    ):
        part[1]["valueUrl"] = bad
        assert (await house.client.post("/fhir/$import", json=body, headers=ASYNC)).status_code == 403
    part[1]["valueUrl"] = url.replace("signature=", "signature=0")
    state = await house.kick_off("$import", body)
    await house.work()
    refused = await house.client.get(state)
    assert (refused.status_code, refused.json()["resourceType"]) == (422, "OperationOutcome")


async def test_long_ago_is_nothing(house: House) -> None:
    house.clock.advance(hours=12)
    assert (await house.exported(_since=(house.clock() - timedelta(hours=1)).isoformat()))["output"] == []


async def test_one_user_does_not_fill_the_disk(house: House) -> None:
    states = [await house.kick_off() for _ in range(10)]
    refused = await house.client.get("/fhir/$export", headers=ASYNC)
    assert refused.status_code == 429
    assert "retry-after" in refused.headers
    await house.client.delete(states[0])
    await house.kick_off()


async def test_a_disk_that_cannot_be_written_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*given: Any, **how: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "_copied", full)
    state = await house.kick_off()
    await house.work()
    failed = await house.client.get(state)
    assert failed.status_code == 500
    assert "No space left" in failed.text
    assert list((house.site.data_dir / "exports").iterdir()) == []


async def test_an_address_that_is_exactly_what_was_asked(house: House) -> None:
    manifest = await house.exported(_type="Patient,Observation", _since="2026-01-01T00:00:00Z")
    assert (
        manifest["request"]
        == "http://test/fhir/$export?_type=Patient,Observation&_since=2026-01-01T00:00:00Z"
    )
