"""Packed sets are sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonchart.terminology import bits

numbers = st.sets(st.integers(0, 5000), max_size=300)


@given(numbers)
def test_what_is_kept_comes_back(held: set[int]) -> None:
    assert bits.numbers(bits.unpack(bits.pack(sorted(held), 5001))) == sorted(held)
    assert bits.of_runs(bits.runs_of(sorted(held))) == bits.of(held)


@given(st.lists(numbers, max_size=5))
def test_a_union_of_kept_sets_holds_what_any_holds(parts: list[set[int]]) -> None:
    kept = [bits.pack(sorted(part), 5001) for part in parts]
    assert bits.numbers(bits.union(kept)) == sorted(set().union(*parts))


@given(numbers, st.integers(1, 50))
def test_pages_have_no_gaps_and_no_duplicates(held: set[int], size: int) -> None:
    whole = bits.of(held)
    pages = [bits.numbers(whole, at, size) for at in range(0, len(held) + size, size)]
    assert [n for page in pages for n in page] == sorted(held)
    assert whole.bit_count() == len(held)
