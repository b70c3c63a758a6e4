"""Persons follow of pairs; taking a pair back leaves what the others say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonchart.identity.persons import Pair, ordered, persons

pairs = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")).filter(lambda p: p[0] != p[1]), max_size=8
)


@given(pairs, st.randoms())
def test_the_order_of_decisions_does_not_matter(held: list[Pair], random: object) -> None:
    mixed = list(held)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert persons(held) == persons(mixed)


@given(pairs, st.integers(0, 7))
def test_link_and_unlink_are_inverse(held: list[Pair], n: int) -> None:
    before = persons({ordered(*one) for one in held})
    extra = ordered("a", "bcdef"[n % 5])
    if extra in {ordered(*one) for one in held}:
        return
    persons([*held, extra])
    assert persons([one for one in [*held, extra] if one != extra]) == before


def test_connected_records_are_one_person() -> None:
    found = persons([("a", "b"), ("c", "d"), ("b", "c")])
    assert len(set(found.values())) == 1
    assert set(found) == {"a", "b", "c", "d"}
    assert persons([]) == {}
