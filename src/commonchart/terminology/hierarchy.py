"""The order and the closure of a hierarchy in which a concept may have several parents.

Concepts are numbered in the order of a walk through one tree that spans the hierarchy, so that what lies below a
concept is nearly one run of numbers: Agrawal, Borgida and Jagadish, "Efficient management of transitive relationships
in large data and knowledge bases", SIGMOD 1989. The runs are the closure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

Run = tuple[int, int]


class Hierarchy(Struct, frozen=True):
    """Concepts renumbered. `order[n]` is the given place of concept n; everything else is in the new numbers.

    `below[n]` are the half-open runs of n and all its descendants. `broken` are the (child, parent) edges, by given
    place, that were left out because they closed a circle.
    """

    order: list[int]
    parents: list[list[int]]
    children: list[list[int]]
    below: list[list[Run]]
    broken: list[tuple[int, int]]


def arrange(count: int, edges: Iterable[tuple[int, int]]) -> Hierarchy:
    """Number `count` concepts with (child, parent) edges by given place; an edge that closes a circle is left out."""
    parents, children, broken = _linked(count, edges)
    sequence = _topological(count, parents, children, broken)
    tree = _spanning(sequence, parents)
    order, ends = _walk(count, children, tree)
    number = [0] * count
    for n, place in enumerate(order):
        number[place] = n
    up = [[number[p] for p in parents[place]] for place in order]
    down = [[number[c] for c in children[place]] for place in order]
    spanning = [number[tree[place]] if tree[place] >= 0 else -1 for place in order]
    below = _closure([number[place] for place in sequence], ends, down, spanning)
    return Hierarchy(order, up, down, below, broken)


def _linked(
    count: int, edges: Iterable[tuple[int, int]]
) -> tuple[list[list[int]], list[list[int]], list[tuple[int, int]]]:
    parents: list[list[int]] = [[] for _ in range(count)]
    children: list[list[int]] = [[] for _ in range(count)]
    broken = []
    for child, parent in edges:
        if child == parent:
            broken.append((child, parent))
        elif parent not in parents[child]:
            parents[child].append(parent)
            children[parent].append(child)
    return parents, children, broken


def _topological(
    count: int, parents: list[list[int]], children: list[list[int]], broken: list[tuple[int, int]]
) -> list[int]:
    """Parents before children; removes edges that lead back to where the walk came from."""
    done = bytearray(count)  # 1 while on the path, 2 when finished
    after: list[int] = []
    starts = [place for place in range(count) if not parents[place]]
    for start in (*starts, *range(count)):
        if done[start]:
            continue
        done[start] = 1
        path = [(start, iter(list(children[start])))]
        while path:
            place, rest = path[-1]
            child = next(rest, None)
            if child is None:
                done[place] = 2
                after.append(place)
                path.pop()
            elif done[child] == 1:
                children[place].remove(child)
                parents[child].remove(place)
                broken.append((child, place))
            elif not done[child]:
                done[child] = 1
                path.append((child, iter(list(children[child]))))
    after.reverse()
    return after


def _spanning(sequence: Sequence[int], parents: list[list[int]]) -> list[int]:
    """The parent of each in the spanning tree, -1 for a root: the deepest one keeps the runs of the others short."""
    depth = [0] * len(sequence)
    tree = [-1] * len(sequence)
    for place in sequence:
        for parent in parents[place]:
            if tree[place] < 0 or depth[parent] > depth[tree[place]]:
                tree[place] = parent
        if tree[place] >= 0:
            depth[place] = depth[tree[place]] + 1
    return tree


def _walk(count: int, children: list[list[int]], tree: list[int]) -> tuple[list[int], list[int]]:
    """Places in preorder of the tree, and for each number the end of its own branch."""
    order: list[int] = []
    ends = [0] * count
    for root in (place for place in range(count) if tree[place] < 0):
        path = [(root, 0, len(order))]
        order.append(root)
        while path:
            place, at, n = path.pop()
            below = children[place]
            while at < len(below) and tree[below[at]] != place:
                at += 1
            if at == len(below):
                ends[n] = len(order)
                continue
            path.append((place, at + 1, n))
            path.append((below[at], 0, len(order)))
            order.append(below[at])
    return order, ends


def _closure(
    sequence: Sequence[int], ends: list[int], children: list[list[int]], spanning: list[int]
) -> list[list[Run]]:
    """For each number its own branch, and the runs outside it that it reaches by other edges."""
    below: list[list[Run]] = [[] for _ in ends]
    for n in reversed(sequence):
        own = (n, ends[n])
        outside: list[Run] = []
        for child in children[n]:
            if spanning[child] == n and len(below[child]) == 1:
                continue
            outside += [run for run in below[child] if run[0] < n or run[1] > ends[n]]
        below[n] = merged([own, *outside]) if outside else [own]
    return below


def merged(runs: Iterable[Run]) -> list[Run]:
    """Runs in ascending order, those that touch made one."""
    out: list[Run] = []
    for start, end in sorted(runs):
        if out and start <= out[-1][1]:
            if end > out[-1][1]:
                out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out
