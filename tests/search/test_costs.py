"""What a search may cost: bounds on what leads on, and on what is looked up for it."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.fhir.outcome import Malformed, TooCostly
from commonchart.record.database import Database
from commonchart.search import include, page, resolve
from commonchart.search.compile import Statement
from commonchart.search.query import parse
from commonchart.search.visible import Visible
from tests.search.test_against_oracle import fill

Params = list[tuple[str, str]]
ALL = Visible(1, everything=True)


async def run(
    database: Database, rtype: str, params: Params, terminology: Any = resolve.NOT_LOADED
) -> list[str]:
    async with database.connection() as conn:

        async def fetch(statement: Statement) -> list[tuple[Any, ...]]:
            return await (await conn.execute(statement.sql, statement.args)).fetchall()

        query = parse(rtype, params, strict=True)
        return [
            one.id for one in (await page.run(fetch, query, ALL, key=b"k", terminology=terminology)).matches
        ]


def crowd(size: int) -> list[dict[str, Any]]:
    patients = [{"resourceType": "Patient", "id": f"p{n}", "name": [{"family": "Many"}]} for n in range(size)]
    observations = [
        {"resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"coding": [{"code": "x"}]},
         "subject": {"reference": f"Patient/p{n}"}, "performer": [{"reference": f"Patient/p{n}"}]}
        for n in range(size)
    ]  # fmt: skip
    return [*patients, *observations]


async def test_a_chain_to_patients_has_no_bound_and_others_have(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "MAX_CHAIN", 3)
    await fill(database, crowd(5))
    assert len(await run(database, "Observation", [("patient.name", "many")])) == 5
    assert len(await run(database, "Patient", [("_has:Observation:patient:code", "x")])) == 5
    with pytest.raises(TooCostly, match="narrow"):
        await run(database, "Observation", [("performer:Patient.name", "many")])
    with pytest.raises(TooCostly, match="narrow"):
        await run(database, "Patient", [("_has:Observation:performer:code", "x")])


async def test_includes_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(include, "MAX_INCLUDED", 3)
    await fill(database, crowd(5))
    with pytest.raises(TooCostly, match="smaller page"):
        await run(database, "Observation", [("_include", "Observation:subject")])
    with pytest.raises(TooCostly, match="smaller page"):
        await run(database, "Patient", [("_revinclude", "Observation:subject")])
    assert len(await run(database, "Patient", [("_revinclude", "Observation:subject"), ("_count", "3")])) == 3


async def test_long_hierarchies_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = [
        {
            "resourceType": "Organization",
            "id": f"g{n}",
            "name": "g",
            "partOf": {"reference": f"Organization/g{n - 1}"},
        }
        for n in range(1, 13)
    ]
    await fill(database, chain)
    assert len(await run(database, "Organization", [("partof:below", "Organization/g4")])) == 8
    assert len(await run(database, "Organization", [("partof:above", "Organization/g9")])) == 10
    with pytest.raises(TooCostly, match="levels"):
        await run(database, "Organization", [("partof:below", "Organization/g0")])
    with pytest.raises(TooCostly, match="steps"):
        await run(database, "Organization", [("_id", "g12"), ("_include:iterate", "Organization:partof")])


class Codes:
    """A terminology with one large value set."""

    async def members(self, url: str) -> list[tuple[str, str]]:
        return [("urn:a", str(n)) for n in range(resolve.MAX_CODES + 1)]

    async def descendants(self, system: str, code: str) -> list[str]:
        return []

    async def ancestors(self, system: str, code: str) -> list[str]:
        return []


async def test_large_value_sets_are_refused_and_a_code_is_below_itself(database: Database) -> None:
    await fill(
        database,
        [
            {
                "resourceType": "Observation",
                "id": "o",
                "status": "final",
                "code": {"coding": [{"system": "urn:a", "code": r"x|y"}]},
            }
        ],
    )
    with pytest.raises(TooCostly, match="codes"):
        await run(database, "Observation", [("code:in", "urn:large")], Codes())
    assert await run(database, "Observation", [("code:below", r"urn:a|x\|y")], Codes()) == ["o"]


@pytest.mark.parametrize(
    ("rtype", "name", "text"),
    [
        ("Observation", "has-member.has-member.has-member.has-member.code", "x"),
        ("Observation", "subject.general-practitioner.organization.partof.name", "x"),
        ("Patient", "_has:Observation:patient:_has:Observation:has-member:_has:Observation:has-member:_has:Observation:has-member:code", "x"),
        ("Patient", "_has:Observation:patient:has-member.has-member.has-member.code", "x"),
    ],
)  # fmt: skip
def test_chains_end_after_three_steps(rtype: str, name: str, text: str) -> None:
    with pytest.raises(TooCostly):
        parse(rtype, [(name, text)])


@pytest.mark.parametrize(
    "name",
    [
        "_has",
        "_has:Observation",
        "_has:Shoe:patient:code",
        "_has:Observation:patient:shoe",
        "_has:Medication:manufacturer:code",
    ],
)
def test_has_names_what_it_follows(name: str) -> None:
    with pytest.raises(Malformed):
        parse("Patient", [(name, "x")], strict=True)
