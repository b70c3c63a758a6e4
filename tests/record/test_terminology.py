"""Loaded terminology against a naive evaluation, versions side by side, and what is said when something is missing."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from commonchart.fhir.codes import Question
from commonchart.fhir.outcome import Malformed, NotFound
from commonchart.record import terminology
from commonchart.record.code_systems import listed, load_resource, load_system, remove
from commonchart.record.database import Database
from commonchart.terminology import value_sets, words
from commonchart.terminology.systems import CodeSystem, Concept

NOW = datetime(2026, 11, 24, tzinfo=UTC)
URL = "http://example.org/animals"
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"


def system(version: str = "1", *more: Concept) -> CodeSystem:
    concepts = [
        Concept("A", "Animal"),
        Concept("M", "Mammal", ("A",)),
        Concept("P", "Pet", ("A",)),
        Concept("D", "Dog", ("M", "P"), (("legs", "4"),)),
        Concept("C", "Cat, domestic", ("M", "P"), (("legs", "4"),)),
        Concept("B", "Budgie", ("P",), (("legs", "2"),)),
        Concept("X", "Dodo", ("A",), (), (), True),
        *more,
    ]
    return CodeSystem(URL, version, "Animals", concepts)


async def expanded(database: Database, *include: dict[str, Any], **how: Any) -> list[str]:
    resource = {"resourceType": "ValueSet", "status": "active", "compose": {"include": list(include)}}
    if "exclude" in how:
        resource["compose"]["exclude"] = how.pop("exclude")
    async with database.connection() as conn:
        reader = await terminology.reader(conn, 1)
        page = await reader.page(await reader.answered(value_sets.read(resource)), **how)
    return [one.concept.code for one in page.members]


def filtered(name: str, op: str, value: str) -> dict[str, Any]:
    return {"system": URL, "filter": [{"property": name, "op": op, "value": value}]}


@pytest.fixture
async def animals(database: Database) -> Database:
    async with database.connection() as conn:
        await load_system(conn, system(), "test", NOW)
    return database


@pytest.mark.parametrize(
    ("include", "codes"),
    [
        ({"system": URL}, "ABCDMPX"),
        (filtered("concept", "is-a", "M"), "CDM"),
        (filtered("concept", "descendent-of", "P"), "BCD"),
        (filtered("concept", "is-not-a", "M"), "ABPX"),
        (filtered("concept", "generalizes", "D"), "ADMP"),
        (filtered("concept", "in", "A,D"), "AD"),
        (filtered("concept", "not-in", "A,D"), "BCMPX"),
        (filtered("code", "regex", "[A-C]"), "ABC"),
        (filtered("display", "regex", "D.*"), "DX"),
        (filtered("legs", "=", "4"), "CD"),
        (filtered("legs", "in", "2, 4"), "BCD"),
        (filtered("legs", "exists", "false"), "AMPX"),
        (filtered("legs", "regex", "[2-3]"), "B"),
        (filtered("parent", "=", "P"), "BCD"),
        (filtered("child", "=", "D"), "MP"),
        (filtered("inactive", "=", "true"), "X"),
    ],
)
async def test_filters(animals: Database, include: dict[str, Any], codes: str) -> None:
    assert "".join(sorted(await expanded(animals, include))) == codes


async def test_excludes_imports_text_and_pages(animals: Database) -> None:
    pets = {
        "resourceType": "ValueSet",
        "url": "http://x/pets",
        "compose": {"include": [filtered("concept", "is-a", "P")]},
    }
    async with animals.connection() as conn:
        await load_resource(conn, pets, "test", NOW)
    assert sorted(await expanded(animals, {"system": URL, "valueSet": ["http://x/pets"]})) == list("BCDP")
    assert sorted(
        await expanded(animals, {"valueSet": ["http://x/pets"]}, exclude=[filtered("legs", "=", "4")])
    ) == ["B", "P"]
    assert await expanded(animals, {"system": URL}, text="dom ca") == ["C"]
    assert await expanded(animals, {"system": URL}, text="do") == ["D", "X", "C"]
    whole = await expanded(animals, {"system": URL})
    assert [
        c for at in range(0, 8, 3) for c in await expanded(animals, {"system": URL}, offset=at, count=3)
    ] == whole
    assert "X" not in await expanded(animals, {"system": URL}, active=True)
    listed_ = {"system": URL, "concept": [{"code": "D"}, {"code": "A"}, {"code": "C"}]}
    assert await expanded(animals, listed_) == ["D", "A", "C"]
    assert await expanded(animals, listed_, offset=1, count=1) == ["A"]


async def test_a_value_set_that_includes_itself_is_refused(database: Database) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        body = {
            "resourceType": "ValueSet",
            "url": f"http://x/{name}",
            "compose": {"include": [{"valueSet": [f"http://x/{other}"]}]},
        }
        async with database.connection() as conn:
            await load_resource(conn, body, "test", NOW)
    async with database.connection() as conn:
        found = await terminology.answers(conn, 1, [Question("http://x/a", URL, "D")])
    assert found.member_of("http://x/a", URL, "D") is None
    assert "includes itself" in found.missing["http://x/a"]


async def test_versions_lie_side_by_side_and_loading_again_changes_nothing(database: Database) -> None:
    async with database.connection() as conn:
        assert (await load_system(conn, system("1"), "test", NOW)).state == "loaded"
        assert (await load_system(conn, system("1"), "test", NOW)).state == "unchanged"
        assert (
            await load_system(conn, system("2", Concept("F", "Ferret", ("M",))), "test", NOW)
        ).state == "loaded"
    assert "F" in await expanded(database, filtered("concept", "is-a", "M"))
    assert "F" not in await expanded(database, filtered("concept", "is-a", "M") | {"version": "1"})
    async with database.connection() as conn:
        await remove(conn, URL, "2")
        assert [(one.version, one.chosen) for one in await listed(conn)] == [("1", True)]
    assert "F" not in await expanded(database, filtered("concept", "is-a", "M"))
    async with database.connection() as conn:
        await remove(conn, URL)
        with pytest.raises(NotFound):
            await remove(conn, URL)


async def test_what_is_loaded_can_be_replaced_and_says_what_was_left_out(database: Database) -> None:
    async with database.connection() as conn:
        await load_system(conn, system("1"), "test", NOW)
        odd = (
            Concept("D", "again"),
            Concept("E", "Eel", ("Q",)),
            Concept("Y", "y", ("Z",)),
            Concept("Z", "z", ("Y",)),
        )
        made = await load_system(conn, system("1", *odd), "test", NOW)
    assert made.state == "replaced"
    assert made.left_out_count == 3
    assert {"twice" in line or "not a code" in line or "circle" in line for line in made.left_out} == {True}


async def test_answers_are_three_valued(animals: Database) -> None:
    mixed = {
        "resourceType": "ValueSet",
        "url": "http://x/mixed",
        "compose": {
            "include": [
                filtered("concept", "is-a", "M"),
                {"system": "http://not.loaded"},
                {"system": "http://only.listed", "concept": [{"code": "k"}]},
            ]
        },
    }
    async with animals.connection() as conn:
        await load_resource(conn, mixed, "test", NOW)
        asked = [
            Question("http://x/mixed", URL, "D"),
            Question("http://x/mixed", URL, "B"),
            Question("http://x/mixed", "http://not.loaded", "q"),
            Question("http://x/mixed", "http://only.listed", "k"),
            Question("http://x/mixed", "http://only.listed", "l"),
            Question("http://x/mixed", "http://other", "D"),
            Question("http://x/nowhere", URL, "D"),
            Question(GENDER, None, "female"),
            Question(GENDER, "http://hl7.org/fhir/administrative-gender", "lady"),
        ]
        found = await terminology.answers(conn, 1, asked)
    assert [found.member_of(q.value_set, q.system, q.code) for q in asked] == [
        True, False, None, True, False, False, None, True, False,
    ]  # fmt: skip
    assert "http://not.loaded" in found.missing["http://x/mixed"]


async def test_look_ups_for_search(animals: Database) -> None:
    async with animals.connection() as conn:
        assert sorted(await terminology.descendants(conn, URL, "M")) == ["C", "D", "M"]
        assert sorted(await terminology.ancestors(conn, URL, "D")) == ["A", "D", "M", "P"]
        assert await terminology.display(conn, URL, "D") == "Dog"
        genders = await terminology.members(conn, 1, GENDER)
        assert [code for _, code in genders] == ["male", "female", "other", "unknown"]
        for asked in ("http://snomed.info/sct?fhir_vs=isa/1", "http://x/none"):
            with pytest.raises(Malformed, match="not loaded"):
                await terminology.members(conn, 1, asked)
        with pytest.raises(Malformed, match="not loaded"):
            await terminology.descendants(conn, "http://snomed.info/sct", "1")


async def test_expansion_equals_a_naive_evaluation(database: Database) -> None:
    rng = random.Random(7)
    for round_ in range(6):
        url = f"http://example.org/random{round_}"
        codes = [f"c{n}" for n in range(60)]
        concepts = [
            Concept(code, f"{rng.choice(['red', 'green', 'grey'])} {rng.choice(['box', 'bowl'])} {n}",
                    tuple(rng.sample(codes[:n], min(n, rng.randint(0, 3)))), (("k", str(rng.randint(0, 3))),))
            for n, code in enumerate(codes)
        ]  # fmt: skip
        async with database.connection() as conn:
            await load_system(conn, CodeSystem(url, "1", "r", concepts), "test", NOW)
        by_code = {one.code: one for one in concepts}

        def under(code: str, root: str, by_code: dict[str, Concept] = by_code) -> bool:
            return code == root or any(under(p, root) for p in by_code[code].parents)

        for _ in range(12):
            root, other, k, text = (
                rng.choice(codes),
                rng.choice(codes),
                str(rng.randint(0, 3)),
                rng.choice(["gr", "b", "gree bo", "1"]),
            )
            include = {
                "system": url,
                "filter": [
                    {"property": "concept", "op": "is-a", "value": root},
                    {"property": "k", "op": "not-in", "value": k},
                ],
            }
            exclude = [{"system": url, "filter": [{"property": "concept", "op": "is-a", "value": other}]}]
            expected = {
                c.code for c in concepts
                if under(c.code, root) and dict(c.properties)["k"] != k and not under(c.code, other)
                and words.matches(words.asked(text), c.display, c.code)
            }  # fmt: skip
            assert set(await expanded(database, include, exclude=exclude, text=text)) == expected
