"""Packages in the database: loaded, the same again, side by side, removed, and seen at once by whoever asks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from commonchart.fhir.outcome import Malformed, NotFound, TooLarge
from commonchart.fhir.profiles.known import boxed
from commonchart.fhir.validate import examine
from commonchart.record import packages
from commonchart.record.database import Database
from tests.fhir.package import NEEDLE, SET, packed, profile, tgz
from tests.shared import shared_data

NOW = datetime(2026, 3, 4, tzinfo=UTC)
LATER = datetime(2026, 3, 5, tzinfo=UTC)
ADA = {"resourceType": "Patient", "gender": "female"}
COLOURS = {
    "resourceType": "ValueSet",
    "url": SET,
    "compose": {"include": [{"system": "urn:colours", "concept": [{"code": "red"}]}]},
}


async def test_a_package_is_loaded_once_known_at_once_and_removed(database: Database) -> None:
    data = tgz(profile(), COLOURS)
    async with database.connection() as conn:
        assert (await packages.known(conn, 1)).profile(NEEDLE) is None
        loaded = await packages.add(conn, 1, data, "x.tgz", NOW)
        assert (loaded.state, loaded.profiles, loaded.value_sets) == ("loaded", 1, 1)
        again = await packages.add(conn, 1, data, "x.tgz", LATER)
        assert (again.state, again.loaded) == ("unchanged", NOW)
        known = await packages.known(conn, 1)
        assert not examine(ADA, [NEEDLE], known=known).valid
        assert known.member(SET, "urn:colours", "red") is True
        assert known.profile("http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient") is not None
        assert (await packages.known(conn, 2)).profile(NEEDLE) is None
        assert await packages.remove(conn, 1, "org.example.names") == 1
        assert (await packages.known(conn, 1)).profile(NEEDLE) is None
        with pytest.raises(NotFound):
            await packages.remove(conn, 1, "org.example.names")


async def test_versions_lie_side_by_side_and_the_last_is_meant(database: Database) -> None:
    loose = profile(version="2.0.0", differential={"element": [{"id": "Patient", "path": "Patient"}]})
    async with database.connection() as conn:
        await packages.add(conn, 1, tgz(profile()), "1.tgz", NOW)
        await packages.add(conn, 1, tgz(loose, version="2.0.0"), "2.tgz", LATER)
        known = await packages.known(conn, 1)
    assert examine(ADA, [NEEDLE], known=known).valid
    assert examine(ADA, [f"{NEEDLE}|2.0.0"], known=known).valid
    assert not examine(ADA, [f"{NEEDLE}|1.0.0"], known=known).valid
    assert examine(ADA, [f"{NEEDLE}|3.0.0"], known=known).not_checked == (f"{NEEDLE}|3.0.0",)


async def test_a_differential_stands_on_a_base_of_another_package(database: Database) -> None:
    above = profile(
        f"{NEEDLE}-born",
        baseDefinition=NEEDLE,
        differential={"element": [{"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1}]},
    )
    async with database.connection() as conn:
        alone = await packages.add(conn, 1, tgz(above, COLOURS, name="org.example.born"), "b.tgz", NOW)
        assert alone.left_out == (f"{NEEDLE}-born",)
        await packages.remove(conn, 1, "org.example.born")
        await packages.add(conn, 1, tgz(profile()), "a.tgz", NOW)
        await packages.add(conn, 1, tgz(above, name="org.example.born"), "b.tgz", LATER)
        known = await packages.known(conn, 1)
    issues = examine(ADA, [f"{NEEDLE}-born"], known=known).issues
    found = [issue.at for issue in issues if issue.severity == "error"]
    assert found == ["Patient.name", "Patient.birthDate"]


async def test_us_core_as_a_package_gives_the_verdicts_of_the_box(database: Database) -> None:
    data = shared_data("packages", "hl7.fhir.us.core-6.1.0.tgz").read_bytes()
    async with database.connection() as conn:
        loaded = await packages.add(conn, 1, data, "us-core.tgz", NOW)
        known = await packages.known(conn, 1)
    assert loaded.left_out == ()
    assert (known.tables, known.sets) == (boxed().tables, boxed().sets)


def manifest(**more: Any) -> bytes:
    return json.dumps({"name": "n", "version": "1", **more}).encode()


PROFILE = json.dumps(profile()).encode()
BAD: dict[str, bytes] = {
    "nothing": b"",
    "no archive": b"PK\x03\x04",
    "no manifest": packed({"package/StructureDefinition-x.json": PROFILE}),
    "manifest without version": packed({"package/package.json": b'{"name": "n"}'}),
    "definition that is no JSON": packed(
        {"package/package.json": manifest(), "package/ValueSet-x.json": b"{"}
    ),
    "no definitions": packed({"package/package.json": manifest()}),
    "only outside its folder": packed(
        {
            "package/package.json": manifest(),
            "../StructureDefinition-x.json": PROFILE,
            "/etc/StructureDefinition-x.json": PROFILE,
            "package/../StructureDefinition-x.json": PROFILE,
        }
    ),
    "only a link": packed({"package/package.json": manifest()}, link="/etc/passwd"),
    "a torn archive": tgz(profile())[:-40],
    "a name with NUL": tgz(profile(), name="a\x00b"),
    "a url with NUL": tgz(profile(url="http://x/\x00")),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
async def test_what_is_no_package_is_refused_and_leaves_nothing(database: Database, data: bytes) -> None:
    async with database.connection() as conn:
        with pytest.raises(Malformed):
            await packages.add(conn, 1, data, "x.tgz", NOW)
        assert await packages.listed(conn, 1) == []


async def test_a_package_that_unpacks_to_too_much_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonchart.fhir.packages.MAX_UNPACKED", 1_000_000)
    bomb = packed({"package/package.json": manifest(), "package/x.json": b" " * 5_000_000})
    assert len(bomb) < 50_000
    async with database.connection() as conn:
        with pytest.raises(TooLarge):
            await packages.add(conn, 1, bomb, "x.tgz", NOW)
