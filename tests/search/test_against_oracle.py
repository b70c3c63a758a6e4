"""Searches against brute force: random resources and queries, the same answers, every page once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonchart.fhir import dates
from commonchart.record import store
from commonchart.record.database import Database
from commonchart.record.rows import Stamp, Write
from commonchart.search import page, query
from commonchart.search.compile import Statement
from commonchart.search.fold import fold
from commonchart.search.index import extract
from commonchart.search.values import PREFIXES
from commonchart.search.visible import Visible

SYSTEMS, CODES, UNITS = ("urn:a", "urn:b", ""), ("x", "y", "z"), ("mg", "kg")
DAYS = ("2020", "2020-02", "2020-02-10", "2020-02-10T10:00:00Z", "2021-01-01", "2019-12-31T23:30:00-01:00")
NAMES = ("Ångström", "angst", "Zoë", "O'Brien", "100% sure", "a_b", "Zo")
START = datetime(2026, 1, 1, tzinfo=UTC)

codings = st.builds(
    lambda s, c: {"system": s, "code": c} if s else {"code": c},
    st.sampled_from(SYSTEMS),
    st.sampled_from(CODES),
)
observations = st.fixed_dictionaries(
    {},
    optional={
        "code": st.lists(codings, min_size=1, max_size=2),
        "subject": st.sampled_from(("Patient/p0", "Patient/p1", "Group/p0")),
        "when": st.sampled_from(DAYS),
        "value": st.tuples(st.decimals(-5, 20, places=1), st.sampled_from(UNITS)),
        "status": st.sampled_from(("final", "amended")),
    },
)


def resource(n: int, drawn: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"o{n}",
        "status": drawn.get("status", "final"),
    }
    if "code" in drawn:
        out["code"] = {"coding": drawn["code"]}
    if "subject" in drawn:
        out["subject"] = {"reference": drawn["subject"]}
    if "when" in drawn:
        out["effectiveDateTime"] = drawn["when"]
    if "value" in drawn:
        out["valueQuantity"] = {
            "value": drawn["value"][0],
            "code": drawn["value"][1],
            "system": "http://unitsofmeasure.org",
        }
    return out


def has_code(one: dict[str, Any], text: str) -> bool:
    system, bar, code = text.rpartition("|")
    held = one.get("code", {}).get("coding", [])
    return any((not code or c["code"] == code) and (not bar or c.get("system", "") == system) for c in held)


def has_date(one: dict[str, Any], prefix: str, text: str) -> bool:
    if "effectiveDateTime" not in one:
        return False
    (lo, hi), (start, end) = dates.bounds(one["effectiveDateTime"]), dates.bounds(text)
    return {
        "eq": start <= lo and hi <= end, "ne": not (start <= lo and hi <= end), "gt": hi > end, "lt": lo < start,
        "ge": hi > end or lo >= start, "le": lo < start or hi <= end, "sa": lo >= end, "eb": hi <= start,
    }[prefix]  # fmt: skip


def has_value(one: dict[str, Any], prefix: str, number: str, unit: str) -> bool:
    if "valueQuantity" not in one:
        return False
    value, wanted = one["valueQuantity"]["value"], Decimal(number)
    half = Decimal(5).scaleb(int(wanted.as_tuple().exponent) - 1)
    if unit and one["valueQuantity"]["code"] != unit:
        return False
    inside = wanted - half <= value < wanted + half
    return {
        "eq": inside,
        "ne": not inside,
        "gt": value > wanted,
        "lt": value < wanted,
        "ge": value >= wanted,
        "le": value <= wanted,
    }[prefix]


code_terms = st.builds(
    lambda s, c, bar: (("code", f"{s}|{c}" if bar else c)),
    st.sampled_from(SYSTEMS),
    st.sampled_from(CODES),
    st.booleans(),
)
date_terms = st.builds(
    lambda p, d: ("date", f"{p}{d}" if p != "eq" else d),
    st.sampled_from(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")),
    st.sampled_from(DAYS),
)
value_terms = st.builds(
    lambda p, n, u: ("value-quantity", f"{p if p != 'eq' else ''}{n}" + (f"|http://unitsofmeasure.org|{u}" if u else "")),
    st.sampled_from(("eq", "ne", "gt", "lt", "ge", "le")), st.sampled_from(("5", "5.4", "10", "1e1", "-1")), st.sampled_from(("", *UNITS)),
)  # fmt: skip
other_terms = st.sampled_from(
    [("patient", "p0"), ("patient", "Patient/p1"), ("subject", "Patient/p0"), ("subject", "Group/p0"), ("subject:Group", "p0"), ("status", "final"),
     ("status:not", "final"), ("code:missing", "true"), ("code:missing", "false"), ("date:missing", "true"), ("code", "x,y"), ("code:not", "x"), ("code", "urn:a|")]
)  # fmt: skip
terms = st.lists(st.one_of(code_terms, date_terms, value_terms, other_terms), min_size=1, max_size=3)


def matches(one: dict[str, Any], name: str, text: str) -> bool:
    if name.endswith(":missing"):
        present = ("effectiveDateTime" if name.startswith("date") else "code") in one
        return present is (text == "false")
    if name.endswith(":not"):
        return not matches(one, name[:-4], text)
    return any(_matches(one, name, part) for part in text.split(","))


def _matches(one: dict[str, Any], name: str, text: str) -> bool:
    subject = one.get("subject", {}).get("reference", "")
    prefix = text[:2] if text[:2] in PREFIXES else ""
    bare, prefix = text[len(prefix) :], prefix or "eq"
    if name == "code":
        return has_code(one, text)
    if name == "date":
        return has_date(one, prefix, bare)
    if name == "value-quantity":
        number, _, rest = bare.partition("|")
        return has_value(one, prefix, number, rest.rpartition("|")[2])
    if name == "status":
        return bool(one["status"] == text)
    if name == "patient":
        return bool(subject == f"Patient/{text.removeprefix('Patient/')}")
    return bool(subject == (f"Group/{text}" if name == "subject:Group" else text))


async def fill(database: Database, resources: list[dict[str, Any]]) -> None:
    async with database.connection() as conn:
        for table in (
            "resource",
            "resource_loc",
            "string_row",
            "quantity_row",
            "date_row",
            "composite_row",
            "identifier_row",
            "uri_row",
            "text_row",
            "contained_row",
        ):
            await conn.execute(f"DELETE FROM {table}")
        for n, body in enumerate(resources):
            stamp = Stamp(1, "o", "me", START + timedelta(seconds=n // 2))
            await store.write(
                conn,
                stamp,
                [Write(body["resourceType"], body["id"], body, extract(body["resourceType"], body))],
            )


async def found(
    database: Database, rtype: str, params: list[tuple[str, str]], visible: Visible | None = None
) -> list[str]:
    """Ids over all pages, in order."""
    seen: list[str] = []
    cursor = ""
    async with database.connection() as conn:

        async def fetch(statement: Statement) -> list[tuple[Any, ...]]:
            return await (await conn.execute(statement.sql, statement.args)).fetchall()

        while True:
            given = [*params, ("_cursor", cursor)] if cursor else params
            one = await page.run(
                fetch,
                query.parse(rtype, given, strict=True),
                visible or Visible(1, everything=True),
                key=b"k",
            )
            seen += [match.id for match in one.matches]
            if not one.next_cursor:
                return seen
            cursor = one.next_cursor


quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(st.lists(observations, max_size=8), terms, st.integers(1, 4))
@quick
async def test_matches_are_those_of_brute_force_each_once(
    database: Database, drawn: list[dict[str, Any]], params: list[tuple[str, str]], count: int
) -> None:
    resources = [resource(n, one) for n, one in enumerate(drawn)]
    await fill(database, resources)
    expected = {one["id"] for one in resources if all(matches(one, *param) for param in params)}
    ids = await found(database, "Observation", [*params, ("_count", str(count))])
    assert len(ids) == len(set(ids))
    assert set(ids) == expected


@given(
    st.lists(observations, max_size=8),
    st.sampled_from(["date", "-date", "_lastUpdated", "-value-quantity", "date,-_lastUpdated", "_id"]),
    st.integers(1, 3),
)
@quick
async def test_every_order_pages_through_everything_with_missing_values_last(
    database: Database, drawn: list[dict[str, Any]], sort: str, count: int
) -> None:
    resources = [resource(n, one) for n, one in enumerate(drawn)]
    await fill(database, resources)
    ids = await found(database, "Observation", [("_sort", sort), ("_count", str(count))])
    assert sorted(ids) == sorted(one["id"] for one in resources)
    by_id = {one["id"]: one for one in resources}
    if sort.lstrip("-") == "date":
        dated = [
            dates.bounds(by_id[id]["effectiveDateTime"])[0] for id in ids if "effectiveDateTime" in by_id[id]
        ]
        assert dated == sorted(dated, reverse=sort.startswith("-"))
        assert ["effectiveDateTime" in by_id[id] for id in ids] == sorted(
            ("effectiveDateTime" in by_id[id] for id in ids), reverse=True
        )


@given(
    st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2), max_size=6),
    st.sampled_from((*NAMES, "ZOE", "ang", "b", "%")),
    st.sampled_from(("", ":exact", ":contains")),
)
@quick
async def test_names_are_found_without_accents_and_wildcards_are_letters(
    database: Database, names: list[list[str]], text: str, modifier: str
) -> None:
    resources = [
        {"resourceType": "Patient", "id": f"p{n}", "name": [{"given": given}]}
        for n, given in enumerate(names)
    ]
    await fill(database, resources)

    def fits(name: str) -> bool:
        if modifier == ":exact":
            return name == text
        return fold(text) in fold(name) if modifier else fold(name).startswith(fold(text))

    expected = {f"p{n}" for n, given in enumerate(names) if any(map(fits, given))}
    assert set(await found(database, "Patient", [(f"name{modifier}", text)])) == expected


@given(st.lists(observations, max_size=8), terms)
@quick
async def test_a_narrower_view_is_the_same_answer_without_what_is_hidden(
    database: Database, drawn: list[dict[str, Any]], params: list[tuple[str, str]]
) -> None:
    resources = [resource(n, one) for n, one in enumerate(drawn)]
    await fill(database, resources)
    own = {one["id"] for one in resources if one.get("subject", {}).get("reference") == "Patient/p0"}
    everything = set(await found(database, "Observation", params))
    assert (
        set(await found(database, "Observation", params, Visible(1, patients=frozenset({"p0"}))))
        == everything & own
    )
    assert await found(database, "Observation", params, Visible(1)) == []
    assert await found(database, "Observation", params, Visible(2, everything=True)) == []
