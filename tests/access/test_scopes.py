"""Scopes: what they mean, that narrowing never widens, and that the SQL says what the plain function says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.access import scopes
from commonchart.access.scopes import Scope, admits, allows, covers, meet, narrow, parse, split, within

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LAB = f"patient/Observation.rs?category={CATEGORY}|laboratory"

types = st.sampled_from(["*", "Observation", "Condition", "Patient"])
letters = st.sets(st.sampled_from("cruds"), min_size=1).map(lambda s: "".join(c for c in "cruds" if c in s))
codes = st.sets(st.sampled_from(["a|1", "a|2", "b|1", "1"]), min_size=1).map(lambda s: tuple(sorted(s)))
only = st.lists(st.tuples(st.sampled_from(["category", "code"]), codes), max_size=2)


@st.composite
def a_scope(draw: Any) -> Scope:
    rtype = draw(types)
    asked = () if rtype == "*" else tuple(sorted(set(draw(only))))
    return Scope(draw(st.sampled_from(["patient", "user", "system"])), rtype, draw(letters), asked)


scope_texts = st.lists(a_scope().map(lambda one: one.text), max_size=5)
resource = st.builds(
    lambda category, code: {
        "category": [{"coding": [{"system": s, "code": c}]} for s, c in category],
        "code": {"coding": [{"system": s, "code": c} for s, c in code]},
    },
    *[st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("12")), max_size=2)] * 2,
)
probe = st.tuples(
    st.sampled_from(list(scopes.LETTER)),
    st.sampled_from(["Observation", "Condition", "Patient"]),
    st.sampled_from(["ada", "bea", None]),
    resource,
)


@pytest.mark.parametrize(
    ("text", "letters"),
    [("patient/Observation.read", "rs"), ("user/*.write", "cud"), ("system/Patient.*", "cruds"), ("user/Patient.rs", "rs"),
     ("patient/Patient.cruds", "cruds"), (LAB, "rs")],
)  # fmt: skip
def test_both_versions_are_read(text: str, letters: str) -> None:
    found = parse(text)
    assert found is not None
    assert found.letters == letters


@pytest.mark.parametrize(
    "text",
    ["patient/Observation.sr", "patient/Observation.", "patient/Observation", "Patient/Observation.rs", "patient/observation.rs", "patient/Nothing.rs",
     "patient/Observation.rs?", "patient/Observation.rs?value-quantity=5", "patient/*.rs?category=x", "patient/Observation.rs?category=",
     "patient/Observation.rs?category=a&subject=Patient/b", "patient/Observation.RS", "patient/Observation.rss", "group/Patient.rs", "*", "",
     "patient/Observation.rs?category=a%2Cb%00", "patient/Observation.rs?category:not=a"],
)  # fmt: skip
def test_what_is_unknown_is_dropped_and_never_widened(text: str) -> None:
    assert parse(text) is None
    assert split(f"openid {text} launch/patient") == ("openid", "launch/patient")


@given(a_scope())
def test_a_scope_reads_back_as_it_was_written(one: Scope) -> None:
    assert parse(one.text) == one


@given(scope_texts, scope_texts, st.lists(st.integers(0, 4)), probe)
def test_narrowing_never_widens(asked: list[str], registered: list[str], off: list[int], what: Any) -> None:
    unticked = [asked[n] for n in off if n < len(asked)]
    granted = narrow(asked, registered, unticked)
    kept = frozenset(text for text in asked if text not in unticked)
    if admits(frozenset(granted), "ada", *what):
        assert admits(kept, "ada", *what)
        assert admits(frozenset(registered), "ada", *what)
    assert within(granted, asked)
    assert within(granted, registered)


@given(scope_texts, scope_texts, probe)
def test_narrowing_keeps_what_both_allow_by_one_scope_each(
    asked: list[str], registered: list[str], what: Any
) -> None:
    granted = frozenset(narrow(asked, registered))
    both = any(
        admits(frozenset([a]), "ada", *what) and admits(frozenset([r]), "ada", *what)
        for a in asked
        for r in registered
        if a.partition("/")[0] == r.partition("/")[0]
    )
    assert admits(granted, "ada", *what) == both


@given(scope_texts, scope_texts, probe)
def test_two_sets_allow_what_either_allows(one: list[str], other: list[str], what: Any) -> None:
    both = admits(frozenset([*one, *other]), "ada", *what)
    assert both == (admits(frozenset(one), "ada", *what) or admits(frozenset(other), "ada", *what))


@given(a_scope(), a_scope(), probe)
def test_what_covers_admits_more_and_what_is_met_is_covered(one: Scope, other: Scope, what: Any) -> None:
    if covers(one, other) and admits(frozenset([other.text]), "ada", *what):
        assert admits(frozenset([one.text]), "ada", *what)
    met = meet(one, other)
    if met is not None:
        assert covers(one, met)
        assert covers(other, met)


def test_a_patient_scope_without_a_patient_in_context_allows_nothing() -> None:
    assert not allows(frozenset(["patient/*.cruds"]), None, "read", "Observation")
    assert not admits(frozenset(["patient/*.cruds"]), None, "read", "Observation", None, {})


def test_no_scope_allows_nothing() -> None:
    assert not allows(frozenset(), "ada", "read", "Patient")
    assert not allows(frozenset(["openid", "fhirUser", "launch"]), "ada", "read", "Patient")
