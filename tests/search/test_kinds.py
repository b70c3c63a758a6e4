"""Searches against brute force, by kind of parameter: composites, `ap`, numbers, addresses, meta, includes, compartments."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.fhir import dates
from commonchart.record.database import Database
from commonchart.record.rows import Stored
from commonchart.search import page, query
from commonchart.search.compile import Statement
from commonchart.search.visible import Visible
from tests.search.test_against_oracle import DAYS, START, fill, found
from tests.search.test_against_oracle import quick as usual

quick = settings(usual, max_examples=25)

Resource = dict[str, Any]

UCUM = "http://unitsofmeasure.org"
PROFILES, SOURCES = (
    ("http://a.example/p", "http://a.example/p/q", "http://b.example/p"),
    ("http://s.example/1", "urn:s"),
)
PEOPLE = ("Patient/p0", "Patient/p1")


def quantity(value: Decimal, unit: str) -> dict[str, Any]:
    return {"value": value, "code": unit, "system": UCUM, "unit": unit}


values = st.tuples(st.decimals(0, 20, places=1), st.sampled_from(("mg", "kg")))
codes = st.sampled_from(("x", "y"))
measured = st.fixed_dictionaries(
    {"code": codes},
    optional={
        "value": values,
        "components": st.lists(st.tuples(codes, values), max_size=2),
        "when": st.sampled_from(DAYS),
        "subject": st.sampled_from(PEOPLE),
        "parts": st.lists(st.integers(0, 5), max_size=2),
        "tags": st.lists(st.sampled_from(("a", "b")), max_size=2),
        "labels": st.lists(st.sampled_from(("R", "V")), max_size=1),
        "profiles": st.lists(st.sampled_from(PROFILES), max_size=2),
        "source": st.sampled_from(SOURCES),
    },
)


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "urn:a", "code": code}]}


def observed(n: int, drawn: dict[str, Any]) -> Resource:
    out: Resource = {
        "resourceType": "Observation",
        "id": f"o{n}",
        "status": "final",
        "code": coded(drawn["code"]),
    }
    meta: dict[str, Any] = {
        "tag": [{"system": "urn:t", "code": tag} for tag in drawn.get("tags", ())],
        "security": [{"system": "urn:l", "code": label} for label in drawn.get("labels", ())],
        "profile": list(drawn.get("profiles", ())),
        "source": drawn.get("source"),
    }
    out["meta"] = {name: held for name, held in meta.items() if held}
    if "value" in drawn:
        out["valueQuantity"] = quantity(*drawn["value"])
    if drawn.get("components"):
        out["component"] = [{"code": coded(c), "valueQuantity": quantity(*v)} for c, v in drawn["components"]]
    if "when" in drawn:
        out["effectiveDateTime"] = drawn["when"]
    if "subject" in drawn:
        out["subject"] = {"reference": drawn["subject"]}
    if drawn.get("parts"):
        out["hasMember"] = [{"reference": f"Observation/o{part}"} for part in drawn["parts"]]
    return out


def made_of(drawn: list[dict[str, Any]]) -> list[Resource]:
    return [observed(n, one) for n, one in enumerate(drawn)]


async def expect(database: Database, rtype: str, params: list[tuple[str, str]], ids: set[str]) -> None:
    """Every match once, over pages of two."""
    seen = await found(database, rtype, [*params, ("_count", "2")])
    assert len(seen) == len(set(seen))
    assert set(seen) == ids, params


@given(st.lists(measured, max_size=6), codes, st.sampled_from(("gt", "le")), st.sampled_from(("5", "10.0")))
@quick
async def test_composites_match_in_one_place(
    database: Database, drawn: list[dict[str, Any]], code: str, prefix: str, number: str
) -> None:
    made = made_of(drawn)
    await fill(database, made)
    limit = Decimal(number)

    def fits(part: Resource) -> bool:
        if part["code"]["coding"][0]["code"] != code or "valueQuantity" not in part:
            return False
        value = part["valueQuantity"]["value"]
        return bool(value > limit if prefix == "gt" else value <= limit)

    whole = {one["id"] for one in made if fits(one)}
    inside = {one["id"] for one in made if any(map(fits, one.get("component", ())))}
    text = f"urn:a|{code}${prefix}{number}"
    await expect(database, "Observation", [("code-value-quantity", text)], whole)
    await expect(database, "Observation", [("component-code-value-quantity", text)], inside)
    await expect(database, "Observation", [("combo-code-value-quantity", text)], whole | inside)
    held = {
        one["id"]
        for one in made
        if any(part["code"]["coding"][0]["code"] == code for part in (one, *one.get("component", ())))
    }
    await expect(database, "Observation", [("combo-code", f"urn:a|{code}")], held)


@given(
    st.lists(measured, max_size=6),
    st.sampled_from(("5", "10", "0.4", "19.9")),
    st.sampled_from(("", f"|{UCUM}|mg", "||mg")),
)
@quick
async def test_about_a_quantity_is_within_a_tenth(
    database: Database, drawn: list[dict[str, Any]], number: str, unit: str
) -> None:
    made = made_of(drawn)
    await fill(database, made)
    wanted = Decimal(number)

    def fits(one: Resource) -> bool:
        if "valueQuantity" not in one:
            return False
        held = one["valueQuantity"]
        return bool(abs(held["value"] - wanted) <= wanted / 10) and (not unit or held["code"] == "mg")

    ids = {one["id"] for one in made if fits(one)}
    await expect(database, "Observation", [("value-quantity", f"ap{number}{unit}")], ids)


@given(st.lists(measured, max_size=6), st.sampled_from(("2020", "2020-02", "2020-02-10", "2020-12-31")))
@quick
async def test_about_a_date_overlaps_the_widened_interval(
    database: Database, drawn: list[dict[str, Any]], text: str
) -> None:
    made = made_of(drawn)
    await fill(database, made)
    lo, hi = dates.bounds(text)
    margin = max((hi - lo) / 10, timedelta(days=1))

    def fits(one: Resource) -> bool:
        if "effectiveDateTime" not in one:
            return False
        start, end = dates.bounds(one["effectiveDateTime"])
        return start < hi + margin and end > lo - margin

    await expect(database, "Observation", [("date", f"ap{text}")], {one["id"] for one in made if fits(one)})


@given(
    st.lists(st.decimals(0, 1, places=2), max_size=6),
    st.sampled_from(("eq", "ne", "gt", "lt", "ge", "le")),
    st.sampled_from(("0.5", "0.50", "0", "1", "1e0", "5e-1")),
)
@quick
async def test_numbers_by_their_implied_precision(
    database: Database, held: list[Decimal], prefix: str, text: str
) -> None:
    made: list[Resource] = [
        {
            "resourceType": "RiskAssessment",
            "id": f"r{n}",
            "status": "final",
            "subject": {"reference": "Patient/p0"},
            "prediction": [{"probabilityDecimal": one}],
        }
        for n, one in enumerate(held)
    ]
    await fill(database, made)
    wanted = Decimal(text)
    half = Decimal(5).scaleb(int(wanted.as_tuple().exponent) - 1)

    def fits(value: Decimal) -> bool:
        within = wanted - half <= value < wanted + half
        return {"eq": within, "ne": not within, "gt": value > wanted, "lt": value < wanted, "ge": value >= wanted, "le": value <= wanted}[prefix]  # fmt: skip

    ids = {one["id"] for one, value in zip(made, held, strict=True) if fits(value)}
    await expect(database, "RiskAssessment", [("probability", prefix.replace("eq", "") + text)], ids)


@given(st.lists(measured, max_size=6))
@quick
async def test_meta_is_searched_as_it_is_written(database: Database, drawn: list[dict[str, Any]]) -> None:
    made = made_of(drawn)
    await fill(database, made)

    def with_(name: str, value: str) -> set[str]:
        return {f"o{n}" for n, one in enumerate(drawn) if value in one.get(name, ())}

    await expect(database, "Observation", [("_tag", "urn:t|a")], with_("tags", "a"))
    await expect(database, "Observation", [("_tag", "b")], with_("tags", "b"))
    await expect(database, "Observation", [("_tag:not", "b")], {o["id"] for o in made} - with_("tags", "b"))
    await expect(database, "Observation", [("_security", "urn:l|R")], with_("labels", "R"))
    labelled = with_("labels", "R") | with_("labels", "V")
    await expect(database, "Observation", [("_security:missing", "false")], labelled)
    await expect(database, "Observation", [("_profile", PROFILES[0])], with_("profiles", PROFILES[0]))
    below = with_("profiles", PROFILES[0]) | with_("profiles", PROFILES[1])
    await expect(database, "Observation", [("_profile:below", PROFILES[0])], below)
    for source in SOURCES:
        ids = {f"o{n}" for n, one in enumerate(drawn) if one.get("source") == source}
        await expect(database, "Observation", [("_source", source)], ids)


@given(st.lists(measured, max_size=6), st.integers(-1, 4), st.sampled_from(("gt", "lt", "ge", "le", "eq")))
@quick
async def test_when_it_was_stored(
    database: Database, drawn: list[dict[str, Any]], seconds: int, prefix: str
) -> None:
    made = made_of(drawn)
    await fill(database, made)
    moment = START + timedelta(seconds=seconds)

    def fits(n: int) -> bool:
        at = START + timedelta(seconds=n // 2)
        return {
            "gt": at > moment,
            "lt": at < moment,
            "ge": at >= moment,
            "le": at <= moment,
            "eq": at == moment,
        }[prefix]

    ids = {one["id"] for n, one in enumerate(made) if fits(n)}
    text = prefix + moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    await expect(database, "Observation", [("_lastUpdated", text)], ids)
    both = [("_id", ",".join(f"o{n}" for n in range(3))), ("_lastUpdated", text)]
    await expect(database, "Observation", both, ids & {"o0", "o1", "o2"})


async def with_includes(database: Database, params: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Ids of the matches of all pages, and of what came with them."""
    matches: list[str] = []
    brought: list[str] = []
    cursor = ""
    async with database.connection() as conn:

        async def fetch(statement: Statement) -> list[tuple[Any, ...]]:
            return await (await conn.execute(statement.sql, statement.args)).fetchall()

        while True:
            given = [*params, ("_cursor", cursor)] if cursor else params
            one = await page.run(
                fetch, query.parse("Observation", given, strict=True), Visible(1, everything=True), key=b"k"
            )
            matches += [name(m) for m in one.matches]
            here = [name(m) for m in one.included]
            assert len(here) == len(set(here))
            assert not set(here) & {name(m) for m in one.matches}
            brought += here
            if not one.next_cursor:
                return matches, brought
            cursor = one.next_cursor


def name(stored: Stored) -> str:
    return f"{stored.rtype}/{stored.id}"


@given(st.lists(measured, max_size=6), codes)
@quick
async def test_includes_are_what_the_references_say(
    database: Database, drawn: list[dict[str, Any]], code: str
) -> None:
    made = made_of(drawn)
    people: list[Resource] = [{"resourceType": "Patient", "id": one[8:]} for one in PEOPLE]
    await fill(database, [*people, *made])
    there = {f"{one['resourceType']}/{one['id']}": one for one in (*people, *made)}
    params = [("code", f"urn:a|{code}"), ("_count", "100")]
    matching = [key for key, one in there.items() if one.get("code") == coded(code)]

    def parts(keys: set[str]) -> set[str]:
        found = {ref["reference"] for key in keys for ref in there[key].get("hasMember", ())}
        return found & there.keys()

    def wholes(keys: set[str]) -> set[str]:
        return {
            key for key, one in there.items() if {r["reference"] for r in one.get("hasMember", ())} & keys
        }

    start = set(matching)
    seen, brought = await with_includes(database, [*params, ("_include", "Observation:has-member"), ("_include", "Observation:subject")])  # fmt: skip
    subjects = {there[key]["subject"]["reference"] for key in start if "subject" in there[key]}
    assert (sorted(seen), set(brought)) == (sorted(matching), (parts(start) | subjects) - start)
    _, brought = await with_includes(database, [*params, ("_revinclude", "Observation:has-member")])
    assert set(brought) == wholes(start) - start
    for kind, step in (("_include", parts), ("_revinclude", wholes)):
        reached = set(start)
        while not step(reached) <= reached:
            reached |= step(reached)
        _, brought = await with_includes(
            database,
            [*params, (kind, "Observation:has-member"), (f"{kind}:iterate", "Observation:has-member")],
        )
        assert set(brought) == reached - start


@given(st.lists(measured, max_size=6), st.sampled_from(PEOPLE))
@quick
async def test_a_compartment_is_what_names_its_owner(
    database: Database, drawn: list[dict[str, Any]], owner: str
) -> None:
    made = made_of(drawn)
    people: list[Resource] = [{"resourceType": "Patient", "id": one[8:]} for one in PEOPLE]
    await fill(database, [*people, *made])
    own = {one["id"] for one in made if one.get("subject", {}).get("reference") == owner}
    async with database.connection() as conn:

        async def fetch(statement: Statement) -> list[tuple[Any, ...]]:
            return await (await conn.execute(statement.sql, statement.args)).fetchall()

        whose = ("Patient", owner[8:])
        asked = query.parse("Observation", [("_count", "100")], compartment=whose)
        one = await page.run(fetch, asked, Visible(1, everything=True), key=b"k")
        assert {match.id for match in one.matches} == own
        types = ["Observation", "Patient"]
        asked = query.parse("", [("_count", "100")], compartment=whose, types=types)
        one = await page.run(fetch, asked, Visible(1, everything=True), key=b"k")
        assert {match.id for match in one.matches} == own | {owner[8:]}


@given(
    st.lists(measured, max_size=6),
    st.sampled_from(("_source", "value-quantity", "_tag", "_profile", "has-member", "date")),
    st.booleans(),
)
@quick
async def test_any_parameter_sorts_every_match_once(
    database: Database, drawn: list[dict[str, Any]], code: str, down: bool
) -> None:
    made = made_of(drawn)
    await fill(database, made)
    seen = await found(database, "Observation", [("_sort", f"{'-' * down}{code}"), ("_count", "2")])
    assert sorted(seen) == sorted(one["id"] for one in made)
    lacking = {one["id"] for one in made if not _value(one, code)}
    assert set(seen[len(seen) - len(lacking) :]) == lacking


def _value(one: Resource, code: str) -> Any:
    held = {
        "_source": one["meta"].get("source"), "_tag": one["meta"].get("tag"), "_profile": one["meta"].get("profile"),
        "value-quantity": "valueQuantity" in one, "has-member": one.get("hasMember"), "date": one.get("effectiveDateTime"),
    }  # fmt: skip
    return held[code]
