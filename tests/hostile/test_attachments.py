"""A file is as secret as what shows it: labels follow from a document to its Binary, at every door and in either order."""

from __future__ import annotations

from typing import Any

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.rest.conftest import Client, ClientOf, application, client_of, observation, patient
from tests.rest.test_hidden_writes import PSYCHOTHERAPY

__all__ = ["application", "client_of"]


async def test_a_file_carries_the_labels_of_what_shows_it(
    client_of: ClientOf, database: Database, clock: Clock
) -> None:
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=False), clock)
    nurse, system = await client_of("nurse"), await client_of("system")

    def file(id: str, **more: Any) -> dict[str, Any]:
        return {"resourceType": "Binary", "id": id, "contentType": "text/plain", "data": "Q0FOQVJZ"} | more

    def note(id: str, url: str) -> dict[str, Any]:
        return {
            "resourceType": "DocumentReference", "id": id, "status": "current", "subject": {"reference": "Patient/ada"},
            "meta": {"security": [PSYCHOTHERAPY]}, "content": [{"attachment": {"url": url}}],
        }  # fmt: skip

    async def put(*bodies: dict[str, Any]) -> None:
        await loader.commit([Put(validate(one), one["id"]) for one in bodies])

    async def seen(client: Client) -> set[str]:
        found = (await client.get("/fhir/Binary")).json()
        ids = {one["resource"]["id"] for one in found.get("entry", []) if "resource" in one}
        for id in ("before", "after", "with", "far", "guarded", "plain"):
            assert ((await client.get(f"/fhir/Binary/{id}")).status_code == 200) == (id in ids), id
            assert ((await client.get(f"/fhir/Binary/{id}/_history/1")).status_code == 200) == (id in ids), id
        return ids

    await put(patient(id="ada"), file("before"), file("plain"), file("far"))
    await put(note("n1", "Binary/before"))
    await put(note("n2", "Binary/after"))
    await put(file("after"))
    await put(file("with"), note("n3", "Binary/with"), note("n4", "http://test/fhir/Binary/far"))
    await put(file("guarded", securityContext={"reference": "DocumentReference/n1"}))
    assert await seen(system) == {"before", "after", "with", "far", "guarded", "plain"}
    assert await seen(nurse) == {"plain"}
    # the next version keeps them, whoever shows it now
    await put(file("before", contentType="text/html"), {**note("n3", "Binary/other")})
    assert await seen(nurse) == {"plain"}
    # a report of what a label hides is hidden too, however the address is spelled
    hidden = observation("ada", id="hid", meta={"security": [PSYCHOTHERAPY]})
    await put(hidden)
    report = {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": {"text": "x"}, "result": [{"reference": "http://test/fhir/Observation/hid"}]}  # fmt: skip
    await put(report)
    assert (await nurse.get("/fhir/DiagnosticReport/r")).status_code == 404
