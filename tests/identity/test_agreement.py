"""Which records suggest one human: symmetric, and never of nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from commonchart.identity.agreement import compared, suggested

words = st.sampled_from(["", "Ada", "Àda", "Kestrel", "kestrel", "Jones"])
records = st.fixed_dictionaries(
    {},
    optional={
        "name": st.lists(st.fixed_dictionaries({}, optional={"family": words, "given": st.lists(words, max_size=2)}), max_size=2),
        "birthDate": st.sampled_from(["1985", "1985-12-10", "1985-12-11"]),
        "gender": st.sampled_from(["female", "male"]),
        "identifier": st.lists(
            st.fixed_dictionaries({}, optional={"system": st.sampled_from(["", "urn:mrn", "urn:ssn"]), "value": words, "use": st.just("old")}),
            max_size=2,
        ),
    },
)  # fmt: skip


@given(records, records)
def test_it_is_the_same_whichever_comes_first(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert suggested(one, other) == suggested(other, one)
    for left, right in zip(compared(one, other), compared(other, one), strict=True):
        assert (left.verdict, left.one, left.other) == (right.verdict, right.other, right.one)


@given(records)
def test_nothing_is_suggested_of_an_empty_record(one: dict[str, Any]) -> None:
    assert suggested(one, {}) == suggested({}, one) == ""
    assert {field.verdict for field in compared(one, {})} <= {"one side", "neither"}


def test_accents_and_case_do_not_matter_but_a_day_does() -> None:
    one = {"name": [{"family": "Kestrel", "given": ["Àda"]}], "birthDate": "1985-12-10"}
    other = {"name": [{"family": "KESTREL", "given": ["ada", "B"]}], "birthDate": "1985-12-10"}
    assert suggested(one, other) == "name and birth date agree"
    assert suggested(one, other | {"birthDate": "1985-12-11"}) == ""
    assert suggested(one | {"birthDate": "1985"}, other | {"birthDate": "1985"}) == ""


def test_an_identifier_suggests_even_where_everything_else_differs() -> None:
    number = {"identifier": [{"system": "urn:ssn", "value": "1"}]}
    assert (
        suggested(number | {"birthDate": "1985-12-10"}, number | {"birthDate": "1990-01-01"})
        == "an identifier agrees"
    )
    assert suggested({"identifier": [{"value": "1"}]}, {"identifier": [{"value": "1"}]}) == ""
