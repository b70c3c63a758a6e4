"""Loading: every entry accounted for, nothing lost, nothing twice, numbers as sent."""

from __future__ import annotations

import asyncio
import gzip
import json as plain
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.records import Put, Records
from commonchart.exchange.load import files, receipt, run
from commonchart.exchange.load.names import id_of
from commonchart.exchange.load.receipt import Receipt
from commonchart.exchange.load.run import Options, load
from commonchart.fhir import json
from commonchart.fhir.links import rewrite
from commonchart.fhir.outcome import Busy, Invalid
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.shared import shared_data

A = "urn:uuid:aaaaaaaa-0000-4000-8000-000000000001"


@pytest.fixture
def records(database: Database, clock: Clock) -> Records:
    return Records(database, users.system(1, "loader"), clock)


async def loaded(records: Records, *paths: Path, **how: Any) -> Receipt:
    return await load(records, list(paths), Options(jobs=1, **how), lambda *_: None)


def bundle(
    path: Path, *resources: dict[str, Any], kind: str = "collection", urls: tuple[str, ...] = ()
) -> Path:
    entries: list[dict[str, Any]] = [{"resource": one} for one in resources]
    for entry, url in zip(entries, urls, strict=False):
        entry["fullUrl"] = url
    path.write_text(plain.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}))
    return path


def patient(id: str = "p1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "birthDate": "1980-01-01"} | more


def observation(subject: str, id: str = "o1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": subject},
    } | more


def sums(found: Receipt) -> tuple[int, int, int, int]:
    total = found.total
    assert total.read == total.stored + total.unchanged + total.rejected
    for name in ("read", "stored", "unchanged", "rejected"):
        assert sum(getattr(count, name) for count in found.types) == getattr(total, name)
    assert sum(reason.entries for reason in found.reasons) == total.rejected
    return total.read, total.stored, total.unchanged, total.rejected


async def test_a_second_load_changes_nothing(records: Records, tmp_path: Path) -> None:
    file = bundle(tmp_path / "a.json", patient(), observation("Patient/p1"))
    assert sums(await loaded(records, file)) == (2, 2, 0, 0)
    assert sums(await loaded(records, file)) == (2, 0, 2, 0)
    bundle(file, patient(active=True), observation("Patient/p1"))
    assert sums(await loaded(records, file)) == (2, 1, 1, 0)


async def test_one_bad_resource_never_loses_the_others(records: Records, tmp_path: Path) -> None:
    file = bundle(
        tmp_path / "a.json",
        patient(),
        observation("Patient/p1", shoe=44),
        observation("Patient/p1", "o2"),
        {"resourceType": "Shoe", "id": "s"},
    )
    found = await loaded(records, file)
    assert sums(found) == (4, 2, 0, 2)
    rejected = await receipt.lines(records, found.id, outcome="rejected")
    assert [(line.place, line.rtype) for line in rejected] == [
        ("Bundle.entry[1]", "Observation"),
        ("Bundle.entry[3]", "Shoe"),
    ]
    assert "Observation.shoe" in rejected[0].reason


async def test_links_follow_and_one_that_leads_nowhere_rejects_its_entry(
    records: Records, tmp_path: Path
) -> None:
    good, lost = observation(A), observation("urn:uuid:aaaaaaaa-0000-4000-8000-00000000dead", "o2")
    canonical = observation(A, "o3", meta={"profile": [A]})
    file = bundle(
        tmp_path / "a.json",
        {k: v for k, v in patient().items() if k != "id"},
        good,
        lost,
        canonical,
        urls=(A,),
    )
    found = await loaded(records, file)
    assert sums(found) == (4, 3, 0, 1)
    assert "Observation.subject" in found.reasons[0].reason
    stored = await records.read("Observation", id_of("load", "Observation", "o3", ""))
    body = json.decode(stored.body or b"")
    assert body["subject"]["reference"] == f"Patient/{A[9:]}"
    assert body["meta"]["profile"] == [A]


async def test_ids_that_are_no_uuid_are_named_after_their_source(records: Records, tmp_path: Path) -> None:
    file = bundle(tmp_path / "a.json", patient(), observation("Patient/p1"))
    await loaded(records, file, source="north")
    await loaded(records, file, source="south")
    north, south = (id_of(source, "Patient", "p1", "") for source in ("north", "south"))
    assert north != south
    observed = await records.read("Observation", id_of("north", "Observation", "o1", ""))
    assert json.decode(observed.body or b"")["subject"]["reference"] == f"Patient/{north}"


async def test_an_id_of_another_source_is_rejected_never_overwritten(
    records: Records, tmp_path: Path
) -> None:
    uuid = "bbbbbbbb-0000-4000-8000-000000000001"
    await records.commit([Put(validate(patient(uuid)), uuid)])
    found = await loaded(records, bundle(tmp_path / "a.json", patient(uuid, active=True), patient()))
    assert sums(found) == (2, 1, 0, 1)
    assert "another source" in found.reasons[0].reason
    assert "active" not in json.decode((await records.read("Patient", uuid)).body or b"")


async def test_a_transaction_is_whole_if_asked(records: Records, tmp_path: Path) -> None:
    file = bundle(tmp_path / "a.json", patient(), observation("Patient/p1", shoe=1), kind="transaction")
    assert sums(await loaded(records, file, atomic=True)) == (2, 0, 0, 2)
    assert sums(await loaded(records, file)) == (2, 1, 0, 1)


async def test_ndjson_lines_stand_alone_and_a_cut_one_is_named(records: Records, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_text(
        plain.dumps(patient()) + "\n\n" + plain.dumps(patient("p2")) + "\n" + '{"resourceType":"Pat'
    )
    found = await loaded(records, file)
    assert sums(found) == (3, 2, 0, 1)
    (line,) = await receipt.lines(records, found.id, outcome="rejected")
    assert line.place == "line 4"


async def test_cut_files_are_rejected_with_their_place(records: Records, tmp_path: Path) -> None:
    whole = plain.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient()}]}
    ).encode()
    (tmp_path / "cut.json").write_bytes(whole[:-20])
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(whole)[:-12])
    (tmp_path / "fine.ndjson.gz").write_bytes(gzip.compress(plain.dumps(patient("p9")).encode()))
    found = await loaded(records, tmp_path)
    assert sums(found) == (3, 1, 0, 2)
    assert found.files == 3


async def test_the_same_resource_twice_in_one_file_is_stored_once(records: Records, tmp_path: Path) -> None:
    assert sums(await loaded(records, bundle(tmp_path / "a.json", patient(), patient()))) == (2, 1, 1, 0)


async def test_a_load_that_fails_or_is_interrupted_says_so_and_keeps_what_it_stored(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files_of = [bundle(tmp_path / f"{n}.json", patient(f"p{n}")) for n in range(2)]
    real = receipt.add

    def ending(error: BaseException) -> Any:
        async def add(records: Records, run: str, first: int, lines: Any) -> None:
            if first:
                raise error
            await real(records, run, first, lines)

        return add

    monkeypatch.setattr(receipt, "add", ending(Busy("gone")))
    with pytest.raises(Busy):
        await loaded(records, *files_of)
    monkeypatch.setattr(receipt, "add", ending(asyncio.CancelledError()))
    found = await loaded(records, *files_of)
    assert (found.state, found.total.unchanged) == ("interrupted", 1)
    assert sorted(state for *_, state in await receipt.recent(records)) == ["failed", "interrupted"]


async def test_what_is_stored_when_the_interruption_comes_stands_in_the_receipt(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = run._store

    async def store(*given: Any) -> Any:
        lines = await real(*given)
        loading.cancel()
        return lines

    monkeypatch.setattr(run, "_store", store)
    loading = asyncio.ensure_future(loaded(records, bundle(tmp_path / "a.json", patient())))
    found = await loading
    assert (found.state, found.total.stored) == ("interrupted", 1)


async def test_nothing_to_load_is_said(records: Records, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(Invalid):
            await loaded(records, path)


async def test_entries_that_store_nothing_are_rejected(records: Records, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    entries = [
        {"request": {"method": "DELETE", "url": "Patient/1"}},
        {"resource": patient(), "request": {"method": "DELETE", "url": "Patient/p1"}},
        "text",
    ]
    file.write_text(plain.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    assert sums(await loaded(records, file)) == (3, 0, 0, 3)


def test_the_receipt_reads_well() -> None:
    from datetime import UTC, datetime

    count = receipt.Count("Patient", 2, 1, 0, 1)
    reason = receipt.Reason("Patient.shoe is not an element", 1, "Patient 1", "a.json, Bundle.entry[1]")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    text = receipt.as_text(
        Receipt(
            "r",
            "load",
            "",
            "x",
            "finished",
            now,
            now,
            receipt.Count("Total", 2, 1, 0, 1),
            (count,),
            (reason,),
            1,
        )
    )
    assert "Total" in text
    assert "Rejected 1: Patient.shoe" in text


async def test_synthea_reads_back_number_for_number(records: Records) -> None:
    """Everything that was sent is what is read, apart from meta and resolved references (all of it: benchmarks)."""
    sample = sorted(shared_data("synthea").glob("*.json.gz"))[:3]
    found = await loaded(records, *sample, source="synthea")
    assert found.total.rejected == 0
    for file in sample:
        (unit,) = files.units(file)
        mapping = {e.full_url: f"{(e.resource or {})['resourceType']}/{e.full_url[9:]}" for e in unit.entries}
        for entry in unit.entries:
            sent = rewrite(entry.resource or {}, mapping).resource
            stored = json.decode((await records.read(sent["resourceType"], entry.full_url[9:])).body or b"")
            kept = {k: v for k, v in stored["meta"].items() if k not in ("versionId", "lastUpdated")}
            assert spelled(stored | {"meta": kept or None}) == spelled(sent | {"meta": sent.get("meta")})


def spelled(value: Any) -> Any:
    """A value with its decimals as text, so that 1.10 differs from 1.1."""
    if isinstance(value, Decimal):
        return f"decimal {value}"
    if isinstance(value, dict):
        return {k: spelled(v) for k, v in sorted(value.items()) if v is not None}
    return [spelled(one) for one in value] if isinstance(value, list) else value
