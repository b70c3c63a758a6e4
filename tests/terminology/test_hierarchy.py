"""The closure as runs of numbers equals a walk through the graph, circles left out and said."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.terminology import bits
from commonchart.terminology.hierarchy import arrange


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 30))
    place = st.integers(0, count - 1)
    return count, draw(st.lists(st.tuples(place, place), max_size=60))


def reached(start: int, children: dict[int, set[int]]) -> set[int]:
    found, todo = {start}, [start]
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


@settings(max_examples=300)
@given(graphs())
def test_below_is_what_a_walk_reaches(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    made = arrange(count, edges)
    assert sorted(made.order) == list(range(count))
    kept = set(edges) - set(made.broken)
    children: dict[int, set[int]] = {}
    for child, parent in kept:
        children.setdefault(parent, set()).add(child)
    for n, place in enumerate(made.order):
        below = {made.order[m] for m in bits.numbers(bits.of_runs(made.below[n]))}
        assert below == reached(place, children)
    for child, parent in kept:
        assert parent not in reached(child, children), "a circle was kept"


@given(graphs())
def test_only_edges_of_circles_are_left_out(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    children: dict[int, set[int]] = {}
    for child, parent in edges:
        children.setdefault(parent, set()).add(child)
    for child, parent in arrange(count, edges).broken:
        assert parent in reached(child, children)


def test_a_deep_chain_is_one_run_each() -> None:
    made = arrange(20_000, [(n + 1, n) for n in range(19_999)])
    assert all(len(runs) == 1 for runs in made.below)
