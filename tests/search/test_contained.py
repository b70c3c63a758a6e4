"""`_contained` against brute force: what is found inside, in whose container, each once over all pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir import json
from commonchart.fhir.outcome import Malformed
from commonchart.record import store
from commonchart.record.database import Database
from commonchart.record.rows import Stamp, Write
from commonchart.search import page
from commonchart.search.compile import Statement
from commonchart.search.index import extract
from commonchart.search.parameters import Offered
from commonchart.search.query import parse
from commonchart.search.visible import Visible
from tests.search.test_against_oracle import (
    START,
    codings,
    date_terms,
    fill,
    matches,
    quick,
    resource,
    value_terms,
)
from tests.search.test_against_oracle import observations as drawn_observations

Resource = dict[str, Any]
Match = tuple[str, str]

reports = st.fixed_dictionaries(
    {
        "inner": st.lists(drawn_observations, max_size=3),
        "subject": st.sampled_from(("p0", "p1")),
        "kind": st.sampled_from(("DiagnosticReport", "Observation")),
        "own": st.lists(codings, min_size=1, max_size=2),
    }
)
others = st.sampled_from(
    [
        ("status", "final"),
        ("status:not", "final"),
        ("code:missing", "true"),
        ("date:missing", "true"),
        ("code:not", "x"),
        ("code", "x,y"),
        ("patient", "p0"),
        ("subject", "Patient/p1"),
    ]
)
code_terms = st.builds(lambda c: ("code", c["code"]), codings)
terms = st.lists(st.one_of(code_terms, date_terms, value_terms, others), max_size=2)
modes = st.sampled_from(("true", "both"))
types = st.sampled_from(("container", "contained"))


def holder(n: int, drawn: dict[str, Any]) -> Resource:
    """A container: a report, or an Observation that may be found itself as well."""
    inner = [resource(k, one) | {"id": f"c{k}"} for k, one in enumerate(drawn["inner"])]
    out: Resource = {
        "resourceType": drawn["kind"],
        "id": f"h{n}",
        "status": "final",
        "subject": {"reference": f"Patient/{drawn['subject']}"},
        "code": {"coding": drawn["own"]},
    }
    return out | ({"contained": inner} if inner else {})


def fits(one: Resource, params: list[tuple[str, str]]) -> bool:
    return one["resourceType"] == "Observation" and all(matches(one, *param) for param in params)


def expected(held: list[Resource], params: list[tuple[str, str]], mode: str, apart: bool) -> list[Match]:
    """A naive reading: every matching resource, and every matching contained one or its container once."""
    out: list[Match] = []
    for one in held:
        own = mode == "both" and fits(one, params)
        inside = [inner["id"] for inner in one.get("contained", ()) if fits(inner, params)]
        if own:
            out.append((one["id"], ""))
        if apart:
            out += [(one["id"], id) for id in inside]
        elif inside and not own:
            out.append((one["id"], ""))
    return out


async def pages(
    database: Database, rtype: str, params: list[tuple[str, str]], visible: Visible | None = None
) -> list[Match]:
    """(container, id in it) over all pages, in order, forwards; the way back gives the same."""
    visible = visible or Visible(1, everything=True)
    async with database.connection() as conn:

        async def fetch(statement: Statement) -> list[tuple[Any, ...]]:
            return await (await conn.execute(statement.sql, statement.args)).fetchall()

        async def at(cursor: str) -> page.Page:
            asked = [*params, ("_cursor", cursor)] if cursor else params
            return await page.run(fetch, parse(rtype, asked, strict=True, contained=True), visible, key=b"k")

        one = await at("")
        every = [_shown(one)]
        while one.next_cursor:
            one = await at(one.next_cursor)
            every.append(_shown(one))
        for before in reversed(every[:-1]):
            assert one.previous_cursor
            one = await at(one.previous_cursor)
            assert _shown(one) == before
        count = await page.run(
            fetch, parse(rtype, [*params, ("_summary", "count")], contained=True), visible, key=b"k"
        )
    out = [match for shown in every for match in shown]
    assert count.total == len(out)
    return out


def _shown(one: page.Page) -> list[Match]:
    return [
        (match.id, "" if n is None else json.decode(match.body or b"{}")["contained"][n]["id"])
        for match, n in one.placed()
    ]


@given(
    st.lists(reports, max_size=5), st.lists(drawn_observations, max_size=2), terms, modes, types, st.integers(1, 3),
    st.sampled_from(("", "date", "-date", "_lastUpdated", "-value-quantity", "code")),
)  # fmt: skip
@quick
async def test_what_is_found_inside_is_that_of_brute_force(
    database: Database, drawn: list[Any], top: list[Any], params: list[tuple[str, str]], mode: str, kind: str, count: int, sort: str
) -> None:  # fmt: skip
    held = [holder(n, one) for n, one in enumerate(drawn)] + [resource(n, one) for n, one in enumerate(top)]
    await fill(database, held)
    asked = [*params, ("_contained", mode), ("_containedType", kind), ("_count", str(count))]
    found = await pages(database, "Observation", [*asked, *([("_sort", sort)] if sort else [])])
    assert len(found) == len(set(found))
    assert sorted(found) == sorted(expected(held, params, mode, kind == "contained"))


@given(st.lists(reports, max_size=5), terms, modes, types)
@quick
async def test_whoever_does_not_see_the_container_sees_nothing_in_it(
    database: Database, drawn: list[Any], params: list[tuple[str, str]], mode: str, kind: str
) -> None:
    held = [holder(n, one) for n, one in enumerate(drawn)]
    await fill(database, held)
    own = [one for one in held if one["subject"]["reference"] == "Patient/p0"]
    asked = [*params, ("_contained", mode), ("_containedType", kind)]
    found = await pages(database, "Observation", asked, Visible(1, patients=frozenset({"p0"})))
    assert sorted(found) == sorted(expected(own, params, mode, kind == "contained"))
    assert await pages(database, "Observation", asked, Visible(1)) == []
    assert await pages(database, "Observation", asked, Visible(2, everything=True)) == []
    narrow = Visible(1, everything=True, types=frozenset({"Observation"}))
    seen = [one for one in held if one["resourceType"] == "Observation"]
    found = await pages(database, "Observation", asked, narrow)
    assert sorted(found) == sorted(expected(seen, params, mode, kind == "contained"))


def prescription() -> Resource:
    return {
        "resourceType": "MedicationRequest",
        "id": "23",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p0"},
        "medicationReference": {"reference": "#m1"},
        "contained": [
            {
                "resourceType": "Medication",
                "id": "m1",
                "code": {"coding": [{"system": "urn:a", "code": "abc"}], "text": "Custom Cream 3%"},
                "manufacturer": {"reference": "Organization/o1"},
            },
            {"resourceType": "Organization", "id": "o1", "name": "Zoë & Sons", "address": [{"city": "Ulm"}]},
        ],
    }


@pytest.mark.parametrize(
    ("rtype", "params"),
    [
        ("Medication", [("code", "urn:a|abc")]),
        ("Medication", [("code:text", "custom")]),
        ("Medication", [("_id", "m1")]),
        ("Medication", [("_id", "m1,m2"), ("code:missing", "false")]),
        ("Medication", [("manufacturer", "Organization/o1")]),
        ("Medication", [("_lastUpdated", "ge2020")]),
        ("Medication", [("_content", "cream")]),
        ("Organization", [("name", "zoe")]),
        ("Organization", [("name:exact", "Zoë & Sons")]),
        ("Organization", [("name:contains", "sons")]),
        ("Organization", [("address-city", "ulm"), ("_id:not", "o2")]),
    ],
)
async def test_each_kind_of_value_is_kept_of_a_contained_resource(
    database: Database, rtype: str, params: list[tuple[str, str]]
) -> None:
    await fill(database, [prescription()])
    local = "m1" if rtype == "Medication" else "o1"
    asked = [*params, ("_contained", "true")]
    assert await pages(database, rtype, [*asked, ("_containedType", "contained")]) == [("23", local)]
    assert await pages(database, rtype, asked) == [("23", "")]
    assert await pages(database, rtype, params) == []


@pytest.mark.parametrize(
    "params",
    [[("_id", "23")], [("code", "abd")], [("manufacturer", "Organization/o2")], [("code:text", "cream")]],
)
async def test_what_the_contained_resource_is_not_is_not_found(
    database: Database, params: list[tuple[str, str]]
) -> None:
    await fill(database, [prescription()])
    assert await pages(database, "Medication", [*params, ("_contained", "true")]) == []


async def test_containers_come_in_the_order_of_what_they_hold(database: Database) -> None:
    days = ("2021-01-01", "2020-02-10", None)
    inner = [{"resourceType": "Observation", "id": "c", "status": "final"} for _ in days]
    held = [
        {"resourceType": "DiagnosticReport", "id": f"h{n}", "contained": [one | ({"effectiveDateTime": day} if day else {})]}
        for n, (day, one) in enumerate(zip(days, inner, strict=True))
    ] + [resource(9, {"when": "2020-06-01"})]  # fmt: skip
    await fill(database, held)
    asked = [("_contained", "both"), ("_count", "1")]
    up = await pages(database, "Observation", [*asked, ("_sort", "date")])
    down = await pages(database, "Observation", [*asked, ("_sort", "-date")])
    assert [id for id, _ in up] == ["h1", "o9", "h0", "h2"]
    assert [id for id, _ in down] == ["h0", "o9", "h1", "h2"]


async def test_an_update_and_a_deletion_leave_nothing_behind(database: Database) -> None:
    await fill(database, [prescription()])
    async with database.connection() as conn:
        held = await (await conn.execute("SELECT local FROM contained_row ORDER BY n")).fetchall()
        bare = {name: value for name, value in prescription().items() if name != "contained"}
        again = Stamp(1, "o", "me", START + timedelta(days=1))
        await store.write(
            conn, again, [Write("MedicationRequest", "23", bare, extract("MedicationRequest", bare))]
        )
        left = await (await conn.execute("SELECT local FROM contained_row")).fetchall()
    assert (held, left) == ([("m1",), ("o1",)], [])  # fmt: skip


async def test_a_chain_leads_from_a_contained_resource_to_others(database: Database) -> None:
    await fill(database, [prescription(), {"resourceType": "Organization", "id": "o1", "name": "Top"}])
    asked = [("_contained", "true"), ("_containedType", "contained")]
    assert await pages(database, "Medication", [("manufacturer.name", "top"), *asked]) == [("23", "m1")]
    assert await pages(database, "Medication", [("manufacturer.name", "zoe"), *asked]) == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ([("_has:MedicationRequest:medication:status", "active")], "_has"),
        ([("_list", "x")], "_list"),
        ([("_include", "Medication:manufacturer")], "_include"),
        ([("_contained", "perhaps")], "one of|given once"),
    ],
)
def test_what_cannot_be_told_is_refused_by_name(params: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        parse("Medication", [*params, ("_contained", "true")], contained=True)


def test_a_caller_who_cannot_show_it_and_an_index_that_is_behind_refuse() -> None:
    with pytest.raises(Malformed, match="not searched here"):
        parse("Medication", [("_contained", "true")])
    with pytest.raises(Malformed, match="not searched here"):
        parse("Medication", [("_contained", "true")], contained=True, compartment=("Patient", "p"))
    with pytest.raises(Malformed, match="being indexed: 1 of 2"):
        parse("Medication", [("_contained", "both")], contained=True, offered=Offered(behind="1 of 2"))
    with pytest.raises(Malformed, match="one of container, contained"):
        parse("Medication", [("_contained", "true"), ("_containedType", "x")], contained=True)
