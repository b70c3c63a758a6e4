"""A code system as it comes from any source, and its index: numbers, closure, and the sets that answer questions.

The same index is written to PostgreSQL for what a site loads and used from memory for what is small.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from commonchart.terminology import bits
from commonchart.terminology.hierarchy import Hierarchy, arrange
from commonchart.terminology.regex import compiled
from commonchart.terminology.words import SHORT, beginnings, words

WORD = "word"
PROPERTY = "property"
INACTIVE = "inactive"
MAX_KEY = 250

Key = tuple[str, str]


class Designation(Struct, frozen=True):
    """Another text of a concept: a synonym, a translation."""

    value: str
    language: str = ""
    use: str = ""


class Concept(Struct, frozen=True):
    """One code. `parents` are codes; `properties` are (name, value as text)."""

    code: str
    display: str = ""
    parents: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    designations: tuple[Designation, ...] = ()
    inactive: bool = False


class CodeSystem(Struct, frozen=True):
    """One version of a code system. `content` as in FHIR: complete, fragment, example, not-present.

    `types` are the declared types of properties (code, string, boolean ...) for those that are no string.
    """

    url: str
    version: str
    name: str
    concepts: Sequence[Concept]
    content: str = "complete"
    types: Mapping[str, str] = {}
    copyright: str = ""


class Index(Struct, frozen=True):
    """A code system by number. `sets` are packed sets by (kind, key); see `sets_of` for the kinds."""

    system: CodeSystem
    concepts: list[Concept]
    number: dict[str, int]
    hierarchy: Hierarchy
    sets: dict[Key, bytes]
    left_out: list[str]

    @property
    def size(self) -> int:
        """How many concepts there are."""
        return len(self.concepts)


def index(system: CodeSystem) -> Index:
    """Number a code system. What cannot stand is left out and said: duplicate codes, unknown parents, circles."""
    left_out: list[str] = []
    place: dict[str, int] = {}
    kept: list[Concept] = []
    for concept in system.concepts:
        if concept.code in place:
            left_out.append(f"code {concept.code} is there twice: the first one counts")
            continue
        place[concept.code] = len(kept)
        kept.append(concept)
    edges = []
    for child, concept in enumerate(kept):
        for parent in concept.parents:
            if parent in place:
                edges.append((child, place[parent]))
            else:
                left_out.append(f"parent {parent} of {concept.code} is not a code of the system")
    hierarchy = arrange(len(kept), edges)
    left_out += [
        f"parent {kept[up].code} of {kept[down].code} closes a circle" for down, up in hierarchy.broken
    ]
    concepts = [kept[at] for at in hierarchy.order]
    number = {concept.code: n for n, concept in enumerate(concepts)}
    return Index(system, concepts, number, hierarchy, sets_of(concepts), left_out)


def sets_of(concepts: Sequence[Concept]) -> dict[Key, bytes]:
    """The packed sets: `word` by word and by short beginning (`di*`), `property` by `name=value` and by `name`, `inactive`."""
    found: dict[Key, array[int]] = {}
    for n, concept in enumerate(concepts):
        for key in _keys(concept):
            known = found.get(key)
            if known is None:
                found[key] = array("I", (n,))
            else:
                known.append(n)
    return {key: bits.pack(held, len(concepts)) for key, held in found.items()}


def _keys(concept: Concept) -> Iterable[Key]:
    said = words(concept.display)
    for designation in concept.designations:
        said |= words(designation.value)
    said |= words(concept.code)
    keys: set[Key] = {(WORD, word) for word in said}
    keys |= {(WORD, start) for word in said for start in beginnings(word)}
    for name, value in concept.properties:
        keys.add((PROPERTY, name))
        if len(value) <= MAX_KEY:
            keys.add((PROPERTY, f"{name}={value}"))
    if concept.inactive:
        keys.add((INACTIVE, ""))
    return keys


class Part(Struct, frozen=True):
    """One elementary question about a code system, answered by a set of concept numbers.

    kind: `all`, `codes` (values), `below` / `above` / `children` / `parents` (of values[0], the first two with itself), `set`
    (kind and key), `begins` (words that begin so), `matching` (values: field, regular expression).
    """

    kind: str
    values: tuple[str, ...] = ()


ALL = Part("all")
OFF = Part("set", (INACTIVE, ""))


def property_is(name: str, value: str) -> Part:
    """The concepts with this value of a property."""
    return Part("set", (PROPERTY, f"{name}={value}"))


def has_property(name: str) -> Part:
    """The concepts with any value of a property."""
    return Part("set", (PROPERTY, name))


def begins(word: str) -> Part:
    """The concepts one of whose words begins so."""
    return Part("set", (WORD, f"{word}*")) if len(word) <= SHORT else Part("begins", (word,))


def part(of: Index, wanted: Part) -> int:
    """The answer from an index in memory."""
    if wanted.kind == "all":
        return bits.first(of.size)
    if wanted.kind == "codes":
        return bits.of(of.number[code] for code in wanted.values if code in of.number)
    if wanted.kind == "set":
        return _kept(of, (wanted.values[0], wanted.values[1]))
    if wanted.kind == "begins":
        start = wanted.values[0]
        return bits.union(
            [held for (kind, key), held in of.sets.items() if kind == WORD and key.startswith(start)]
        )
    if wanted.kind == "matching":
        return _matching(of, *wanted.values)
    n = of.number.get(wanted.values[0])
    return 0 if n is None else _related(of.hierarchy, wanted.kind, n)


def _kept(of: Index, key: Key) -> int:
    held = of.sets.get(key)
    return 0 if held is None else bits.unpack(held)


def _related(hierarchy: Hierarchy, kind: str, n: int) -> int:
    if kind == "below":
        return bits.of_runs(hierarchy.below[n])
    if kind == "above":
        return bits.of(above(hierarchy, n))
    return bits.of(hierarchy.children[n] if kind == "children" else hierarchy.parents[n])


def above(hierarchy: Hierarchy, n: int) -> set[int]:
    """n and every ancestor."""
    found, todo = {n}, [n]
    while todo:
        for parent in hierarchy.parents[todo.pop()]:
            if parent not in found:
                found.add(parent)
                todo.append(parent)
    return found


def _matching(of: Index, field: str, pattern: str) -> int:
    fits = compiled(pattern)
    if field == "code":
        return bits.of(n for n, concept in enumerate(of.concepts) if fits(concept.code))
    if field == "display":
        return bits.of(n for n, concept in enumerate(of.concepts) if fits(concept.display))
    return bits.of(
        n
        for n, concept in enumerate(of.concepts)
        if any(name == field and fits(v) for name, v in concept.properties)
    )
