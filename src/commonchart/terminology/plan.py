"""From value sets to sets of concept numbers: a plan of elementary questions, then its answer in three values.

Each part of a plan is answered with a lower and an upper set (`bits`): what is surely in it, and what may be in it
when something it needs is not loaded. Where both agree the answer is certain; nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce

from msgspec import Struct

from commonchart.fhir.outcome import Invalid, TooCostly
from commonchart.terminology import bits
from commonchart.terminology.systems import ALL, OFF, Part, has_property, property_is
from commonchart.terminology.value_sets import SNOMED, Filter, Include, Listed, ValueSet, canonical

MAX_IMPORTS = 40
MAX_PAIRS = 20_000
MAX_MATCHING = 5


class Chosen(Struct, frozen=True):
    """A version of a code system that answers, and where it is: `source` is loaded, box, stored, or "" for nowhere."""

    url: str
    version: str = ""
    source: str = ""
    id: int | str = 0
    size: int = 0
    content: str = "complete"

    @property
    def canonical(self) -> str:
        """`url|version`, or the url where no version is known."""
        return f"{self.url}|{self.version}" if self.version else self.url


class Node(Struct, frozen=True):
    """A set of concepts of one system: op is `nothing`, `unknown`, `part`, `or`, `and`, `minus` (the first less the rest)."""

    op: str
    parts: tuple[Node, ...] = ()
    part: Part | None = None


NOTHING = Node("nothing")
UNKNOWN = Node("unknown")

Bounds = tuple[int, int]
EMPTY: Bounds = (0, 0)


class Shape(Struct, frozen=True):
    """A set over all systems: a node for each one that is named, and one for all others."""

    systems: Mapping[Chosen, Node]
    other: Node = NOTHING


class Segment(Struct, frozen=True):
    """One include of a value set; `listed` are the codes it names, in its order, else in the order of the system."""

    shape: Shape
    listed: tuple[Listed, ...] = ()


class Plan(Struct, frozen=True):
    """How a value set is answered; `missing` says in words what it needs and is not there."""

    value_set: ValueSet
    segments: tuple[Segment, ...]
    missing: tuple[str, ...] = ()


Choose = Callable[[str, str], Chosen]


def plan(value_set: ValueSet, sets: Mapping[str, ValueSet | None], choose: Choose) -> Plan:
    """Plan a value set. `sets` has what it imports, by canonical, None for what is not loaded.

    Raises Invalid when it includes itself, TooCostly when imports are nested too deeply.
    """
    planner = _Planner(sets, choose)
    segments = planner.segments(value_set, ())
    return Plan(value_set, tuple(segments), tuple(dict.fromkeys(planner.missing)))


class _Planner:
    def __init__(self, sets: Mapping[str, ValueSet | None], choose: Choose) -> None:
        self._sets = sets
        self._choose = choose
        self._known: dict[str, Shape] = {}
        self.missing: list[str] = []

    def segments(self, value_set: ValueSet, path: tuple[str, ...]) -> list[Segment]:
        if len(value_set.include) * len(value_set.exclude) > MAX_PAIRS:
            raise TooCostly("This value set has too many includes and excludes")
        excluded = [self._shape(part, path) for part in value_set.exclude]
        out = []
        for part in value_set.include:
            shape = reduce(lambda a, b: _joined("minus", a, b), excluded, self._shape(part, path))
            if not value_set.inactive:
                shape = _active(shape)
            out.append(Segment(shape, part.concepts))
        return out

    def _shape(self, part: Include, path: tuple[str, ...]) -> Shape:
        shapes = [self._imported(url, path) for url in part.value_sets]
        if part.system:
            chosen = self._choose(part.system, part.version)
            shapes.append(Shape({chosen: self._node(part, chosen)}))
        return reduce(lambda a, b: _joined("and", a, b), shapes)

    def _node(self, part: Include, chosen: Chosen) -> Node:
        nodes = []
        if part.concepts:
            nodes.append(Node("part", part=Part("codes", tuple(listed.code for listed in part.concepts))))
        if not chosen.source and (part.filters or not part.concepts):
            self.missing.append(f"code system {chosen.canonical}")
            return UNKNOWN
        for one in part.filters:
            node = filtered(part.system, one)
            if node is None:
                self.missing.append(f"filter {one.property} {one.op} on {part.system}")
            nodes.append(UNKNOWN if node is None else node)
        if not nodes:
            nodes.append(Node("part", part=ALL))
        return nodes[0] if len(nodes) == 1 else Node("and", tuple(nodes))

    def _imported(self, url: str, path: tuple[str, ...]) -> Shape:
        if url in path or canonical(url)[0] in (canonical(one)[0] for one in path):
            raise Invalid(f"The value set {canonical(url)[0]} includes itself", code="processing")
        if len(path) >= MAX_IMPORTS:
            raise TooCostly("Value sets are nested too deeply")
        if url not in self._known:
            found = self._sets.get(url)
            if found is None:
                self.missing.append(f"value set {url}")
                self._known[url] = Shape({}, UNKNOWN)
            else:
                parts = [segment.shape for segment in self.segments(found, (*path, url))]
                self._known[url] = reduce(lambda a, b: _joined("or", a, b), parts, Shape({}))
        return self._known[url]


def _joined(op: str, a: Shape, b: Shape) -> Shape:
    systems = {
        chosen: _joined_nodes(op, a.systems.get(chosen, a.other), b.systems.get(chosen, b.other))
        for chosen in dict.fromkeys((*a.systems, *b.systems))
    }
    return Shape(
        {chosen: node for chosen, node in systems.items() if node is not NOTHING},
        _joined_nodes(op, a.other, b.other),
    )


def _joined_nodes(op: str, a: Node, b: Node) -> Node:
    if a is NOTHING:
        return b if op == "or" else NOTHING
    if b is NOTHING:
        return NOTHING if op == "and" else a
    return Node(op, (*a.parts, b)) if a.op == op else Node(op, (a, b))  # flat, so that no list is a deep tree


def _active(shape: Shape) -> Shape:
    off = Node("part", part=OFF)
    return Shape({chosen: Node("minus", (node, off)) for chosen, node in shape.systems.items()}, shape.other)


# ---- filters ---------------------------------------------------------------------------------------------------


def filtered(system: str, one: Filter) -> Node | None:
    """The concepts a filter lets through; None for one that is not offered."""
    everything = Node("part", part=ALL)
    if one.op in ("not-in", "is-not-a"):
        inside = filtered(system, Filter(one.property, "in" if one.op == "not-in" else "is-a", one.value))
        return None if inside is None else Node("minus", (everything, inside))
    if one.op == "regex":
        field = "code" if one.property == "concept" else one.property
        return _part("matching", field, one.value)
    if one.property in ("concept", "code"):
        return _by_concept(system, one)
    if one.op in ("=", "in"):
        values = [one.value] if one.op == "=" else [value.strip() for value in one.value.split(",")]
        return Node("or", tuple(_by_value(one.property, value) for value in values))
    if one.op == "exists":
        held = Node("part", part=has_property(one.property))
        return held if one.value != "false" else Node("minus", (everything, held))
    return None


def _by_concept(system: str, one: Filter) -> Node | None:
    if one.op == "is-a":
        return _part("below", one.value)
    if one.op == "descendent-of":
        return Node("minus", (_part("below", one.value), _part("codes", one.value)))
    if one.op == "generalizes":
        return _part("above", one.value)
    if one.op == "=":
        return _part("codes", one.value)
    if one.op == "in":
        codes = tuple(value.strip() for value in one.value.split(","))
        if system == SNOMED and len(codes) == 1:
            return Node("part", part=property_is("refset", codes[0]))
        return Node("part", part=Part("codes", codes))
    return Node("part", part=ALL) if one.op == "exists" and one.value != "false" else None


def _by_value(name: str, value: str) -> Node:
    if name == "parent":
        return _part("children", value)
    if name == "child":
        return _part("parents", value)
    if name == "ancestor":
        return Node("minus", (_part("below", value), _part("codes", value)))
    if name == "inactive":
        off = Node("part", part=OFF)
        return off if value == "true" else Node("minus", (Node("part", part=ALL), off))
    return Node("part", part=property_is(name, value))


def _part(kind: str, *values: str) -> Node:
    return Node("part", part=Part(kind, values))


# ---- answering -------------------------------------------------------------------------------------------------

Get = Callable[[Chosen, Part], int | None]


def parts(node: Node) -> Iterator[Part]:
    """The elementary questions of a node."""
    if node.part is not None:
        yield node.part
    for inner in node.parts:
        yield from parts(inner)


def wanted(planned: Plan) -> list[tuple[Chosen, Part]]:
    """The elementary questions of a plan, each once. Raises TooCostly for too many regular expressions."""
    found = {
        (chosen, part): None
        for segment in planned.segments
        for chosen, node in segment.shape.systems.items()
        for part in parts(node)
    }
    if sum(part.kind == "matching" for _, part in found) > MAX_MATCHING:
        raise TooCostly(f"A value set has at most {MAX_MATCHING} regular expressions")
    return list(found)


def bounds(chosen: Chosen, node: Node, get: Get) -> Bounds:
    """The surely and the possibly held concepts of a node. `get` answers None for what cannot be told."""
    if node.op == "nothing":
        return EMPTY
    if node.op == "unknown":
        return 0, bits.EVERYTHING
    if node.part is not None:
        return _part_bounds(chosen, node.part, get)
    inner = [bounds(chosen, one, get) for one in node.parts]
    low, high = inner[0]
    for other_low, other_high in inner[1:]:
        if node.op == "or":
            low, high = low | other_low, high | other_high
        elif node.op == "and":
            low, high = low & other_low, high & other_high
        else:
            low, high = low & ~other_high, high & ~other_low
    return low, high


def _part_bounds(chosen: Chosen, part: Part, get: Get) -> Bounds:
    found = get(chosen, part)
    if found is None:
        return 0, bits.EVERYTHING
    if chosen.content == "complete" or part.kind == "codes":
        return found, found
    return found, found | ~bits.first(chosen.size)


class Run(Struct, frozen=True):
    """What one include adds to an expansion from one system: the concepts no earlier one has, and its own order."""

    chosen: Chosen
    held: int
    listed: tuple[Listed, ...] = ()


class Extent(Struct, frozen=True):
    """An answered plan. `runs` are in order and do not overlap; `systems` and `other` bound what is in the set."""

    runs: tuple[Run, ...]
    systems: Mapping[Chosen, Bounds]
    other: Bounds = EMPTY
    missing: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many codes are surely in the set."""
        return sum(run.held.bit_count() for run in self.runs)


def extent(planned: Plan, get: Get) -> Extent:
    """Answer a plan."""
    runs: list[Run] = []
    systems: dict[Chosen, Bounds] = {}
    other = EMPTY
    for segment in planned.segments:
        for chosen, node in segment.shape.systems.items():
            low, high = bounds(chosen, node, get)
            before = systems.get(chosen, EMPTY)
            if low & ~before[0]:
                runs.append(Run(chosen, low & ~before[0], segment.listed))
            systems[chosen] = before[0] | low, before[1] | high
        if segment.shape.other is not NOTHING:
            low, high = bounds(Chosen(""), segment.shape.other, get)
            other = other[0] | low, other[1] | high
    return Extent(tuple(runs), systems, other, planned.missing)


def certain(bound: Bounds, n: int | None) -> bool | None:
    """Whether a concept is in: n None is one that has no number. None when it cannot be told."""
    low, high = bound
    surely, maybe = (low < 0, high < 0) if n is None else (bits.holds(low, n), bits.holds(high, n))
    return surely if surely is maybe else None
