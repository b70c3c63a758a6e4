"""Ping-pong: an export loaded into another database and exported again is the same record."""

from __future__ import annotations

import asyncio
import json as plain
import random
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.records import Delete, Put, Records
from commonchart.exchange.bulk import manifest, runs
from commonchart.exchange.bulk.place import Place
from commonchart.exchange.bulk.wanted import Export
from commonchart.exchange.bulk.work import carry_out, to_folder
from commonchart.exchange.load.run import Options, load
from commonchart.fhir.outcome import Forbidden, Refused
from commonchart.fhir.validate import validate
from commonchart.record import store
from commonchart.record.database import Database
from tests.actors import clinician
from tests.conftest import Clock
from tests.shared import shared_data

LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}


@pytest.fixture
def records(database: Database, clock: Clock) -> Records:
    return Records(database, users.system(1, "loader"), clock)


async def exported(records: Records, folder: Path, wanted: Export | None = None) -> list[str]:
    folder.mkdir()
    asked = wanted or Export()
    made = await to_folder(records, asked, folder, lambda *_: None)
    (folder / manifest.NAME).write_bytes(manifest.written(asked, records.clock(), made))
    return [one.name for one in made]


def content(folder: Path) -> dict[str, Any]:
    """Every resource by type and id, without what the server stamps: meta.versionId and meta.lastUpdated.

    As text after the stamps are cut out, so that 1.10 and the order of names must be the same too.
    """
    out: dict[str, Any] = {}
    for path in folder.glob("*.ndjson"):
        for line in path.read_bytes().splitlines():
            resource = plain.loads(line, parse_float=str)
            resource["meta"] = {
                k: v for k, v in resource["meta"].items() if k not in ("versionId", "lastUpdated")
            }
            out[f"{resource['resourceType']}/{resource['id']}"] = plain.dumps(resource)
    return out


async def pong(folder: Path, other: Records) -> None:
    assert manifest.ours(folder)
    done = await load(
        other, manifest.resource_files([folder]), Options(jobs=1, keep_ids=True), lambda *_: None
    )
    assert (done.total.rejected, done.total.unchanged) == (0, 0), done.reasons


@pytest.fixture
async def other(empty_database: Any, template: str, clock: Clock) -> Any:
    name = empty_database.create(template)
    database = await Database.open(empty_database.url(name))
    yield Records(database, users.system(1, "loader"), clock)
    await database.close()
    empty_database.drop(name)


async def test_ping_pong(records: Records, other: Records, tmp_path: Path, clock: Clock) -> None:
    """Ids that are no UUID, labels, precision, odd characters, references among them: all come back."""
    for one in (
        {"resourceType": "Patient", "id": "p.1", "name": [{"family": "Ånne \\ \"x\" \u2028 𝛼"}]},
        {"resourceType": "Patient", "id": "00000000-0000-4000-8000-00000000ABCD"},
        {"resourceType": "Observation", "id": "o1", "meta": {"security": [LABEL], "versionId": "9"}, "status": "final",
         "code": {"text": "x"}, "subject": {"reference": "Patient/p.1"},
         "valueQuantity": {"value": plain.loads("1.10", parse_float=__import__("decimal").Decimal)}},
    ):  # fmt: skip
        await records.commit([Put(validate(one), str(one["id"]))])
    clock.advance(minutes=1)
    await records.commit([Put(validate({"resourceType": "Patient", "id": "p.1", "active": True}), "p.1")])
    await exported(records, tmp_path / "ping")
    await pong(tmp_path / "ping", other)
    await exported(other, tmp_path / "pong")
    assert content(tmp_path / "ping") == content(tmp_path / "pong")
    assert len(content(tmp_path / "ping")) == 3
    assert '"1.10"' in content(tmp_path / "pong")["Observation/o1"]


async def test_ping_pong_of_synthea(records: Records, other: Records, tmp_path: Path) -> None:
    chosen = sorted(shared_data("synthea").rglob("*.json*"), key=lambda path: path.stat().st_size)[:3]
    done = await load(records, chosen, Options(jobs=1), lambda *_: None)
    await exported(records, tmp_path / "ping")
    assert len(content(tmp_path / "ping")) == done.total.stored > 100
    await pong(tmp_path / "ping", other)
    await exported(other, tmp_path / "pong")
    assert content(tmp_path / "ping") == content(tmp_path / "pong")


async def test_one_patient_by_type(records: Records, tmp_path: Path) -> None:
    for id in ("a", "b"):
        obs = {"resourceType": "Observation", "id": f"o{id}", "status": "final", "code": {"text": "x"},
               "subject": {"reference": f"Patient/{id}"}}  # fmt: skip
        await records.commit(
            [Put(validate({"resourceType": "Patient", "id": id}), id), Put(validate(obs), f"o{id}")]
        )
    asked = Export(level="patient", compartment=True, patients=("a",), types=("Observation",))
    assert await exported(records, tmp_path / "x", asked) == ["Observation.ndjson"]
    assert set(content(tmp_path / "x")) == {"Observation/oa"}


async def test_a_clinician_writes_no_folder(database: Database, clock: Clock, tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        await to_folder(Records(database, clinician(), clock), Export(), tmp_path, lambda *_: None)


def test_a_folder_of_others_is_not_ours(tmp_path: Path) -> None:
    assert not manifest.ours(tmp_path)
    for text in ("[]", "{}", "x", '{"extension":{"exportedBy":"Other"}}'):
        (tmp_path / manifest.NAME).write_text(text)
        assert not manifest.ours(tmp_path)


# ---- as of one moment ------------------------------------------------------------------------------------------


async def carried_out(database: Database, records: Records, run: str, folder: Path) -> dict[str, int]:
    """Carry a run out; the version of each Observation in its file, each once."""
    async with asyncio.timeout(60):
        while (await runs.of(records, run)).state != "finished":
            await carry_out(database, records.clock, Place(folder))
    lines = (folder / "exports" / run / "Observation.ndjson").read_bytes().splitlines()
    found = [plain.loads(line) for line in lines]
    versions = {one["id"]: int(one["meta"]["versionId"]) for one in found}
    assert len(versions) == len(found)
    return versions


def seen(n: int, text: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"text": text}}


@pytest.fixture
def wall(database: Database) -> Records:
    """Records by the clock on the wall: what is recorded when must be told apart here."""
    return Records(database, users.system(1, "commonchart"), lambda: datetime.now(UTC))


async def test_each_version_of_that_moment_once_while_others_write(
    database: Database, wall: Records, tmp_path: Path
) -> None:
    await wall.commit([Put(validate(seen(n, "first")), f"o{n}") for n in range(60)])
    stop = asyncio.Event()

    async def writes(chance: random.Random) -> None:
        while not stop.is_set():
            n = chance.randrange(80)
            with suppress(Refused):
                if chance.random() < 0.15:
                    await wall.commit([Delete("Observation", f"o{n}")])
                else:
                    await wall.commit([Put(validate(seen(n, str(chance.random()))), f"o{n}")])

    writers = [asyncio.create_task(writes(random.Random(seed))) for seed in range(3)]
    rounds = []
    for _ in range(4):
        await asyncio.sleep(0.1)
        run = await runs.begin(wall, Export(types=("Observation",)), "test")
        rounds.append((run, await carried_out(database, wall, run, tmp_path)))
    stop.set()
    await asyncio.gather(*writers)
    for run, found in rounds:
        at = (await runs.of(wall, run)).at
        async with database.single() as conn:
            versions = await store.history(conn, 1, "Observation", None, at=at, limit=10_000)
        assert found == {one.id: one.vid for one in versions if not one.deleted}
        assert len(found) > 20


async def test_a_change_that_is_committed_late_is_waited_for(
    database: Database, wall: Records, tmp_path: Path
) -> None:
    """Recorded before the moment, committed after the kick-off: without the wait this export and the next would miss it."""
    async with wall.transaction() as tx:
        await tx.write([Put(validate(seen(1, "late")), "o1")])
        run = await runs.begin(wall, Export(types=("Observation",)), "test")
        working = asyncio.create_task(carried_out(database, wall, run, tmp_path))
        await asyncio.sleep(0.5)
        assert not working.done()
    assert await working == {"o1": 1}
