"""Terminology look-ups for the validator, search and the API, over what is loaded, in the box, or stored by clients.

In that order: what a client of a tenant stores never hides what the site loaded or what FHIR itself defines.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection

from commonchart.fhir.codes import Question
from commonchart.fhir.outcome import Invalid, Malformed, Refused, TooCostly
from commonchart.record import concepts
from commonchart.terminology import bits, box, resources, value_sets, words
from commonchart.terminology.look_up import Answers, Member
from commonchart.terminology.maps import ConceptMap
from commonchart.terminology.plan import Chosen, Extent, Run, certain, extent, plan, wanted
from commonchart.terminology.systems import OFF, Concept, Index, Part, begins, index, part
from commonchart.terminology.value_sets import ValueSet, canonical

Conn = AsyncConnection[Any]
Place = tuple[Chosen, int]

MAX_MEMBERS = 10_000
MAX_RANKED = 1000
MAX_SETS = 500
REMEMBERED = 64


class Catalog(Struct, frozen=True):
    """What is loaded, in one state of it: code systems, and (url, version, default) of value sets."""

    systems: tuple[tuple[Chosen, str, bool], ...]
    sets: Mapping[str, tuple[tuple[str, bool], ...]]


class Answered(Struct, frozen=True):
    """A value set, answered; `extra` are numbers of codes that are listed in it and in no loaded system."""

    value_set: ValueSet
    extent: Extent
    extra: Mapping[tuple[Chosen, str], int]


class Shown(Struct, frozen=True):
    """A code of an expansion as it is shown."""

    chosen: Chosen
    concept: Concept


class Page(Struct, frozen=True):
    """A page of an expansion."""

    value_set: ValueSet
    total: int
    members: tuple[Shown, ...]
    systems: tuple[Chosen, ...]


_catalogs: OrderedDict[str, Catalog] = OrderedDict()
_bodies: OrderedDict[tuple[str, str, str], ValueSet] = OrderedDict()
_answers: OrderedDict[tuple[str, str, tuple[tuple[str, str], ...]], Answered] = OrderedDict()
_indexes: OrderedDict[str, Index] = OrderedDict()


def _remember(known: OrderedDict[Any, Any], key: Any, value: Any, limit: int = REMEMBERED) -> None:
    known[key] = value
    while len(known) > limit:
        known.popitem(last=False)


class Reader:
    """The terminology as one tenant sees it at one moment. `versions` are the versions to use where none is said."""

    def __init__(
        self, conn: Conn, tenant: int | None, generation: str, catalog: Catalog, versions: Mapping[str, str]
    ) -> None:
        self.conn = conn
        self.tenant = tenant
        self.generation = generation
        self.catalog = catalog
        self.versions = versions
        self.used_stored = False
        self._stored: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._indexes: dict[Chosen, Index] = {}

    # ---- finding

    async def stored(self, rtype: str, urls: Iterable[str]) -> None:
        """Read the resources that the tenant's clients stored under these urls, once."""
        unknown = [url for url in dict.fromkeys(urls) if (rtype, url) not in self._stored]
        if self.tenant is None or not unknown:
            return
        for url in unknown:
            self._stored[rtype, url] = []
        rows = await (
            await self.conn.execute(
                "SELECT u.value, r.body FROM uri_row u JOIN resource r ON r.pk = u.pk AND r.tenant = u.tenant "
                "AND r.rtype = u.rtype AND r.id = u.id WHERE u.tenant = %s AND u.rtype = %s AND u.param = 'url' "
                "AND u.value = ANY(%s) AND NOT r.deleted ORDER BY r.recorded DESC, r.id LIMIT 50",
                [self.tenant, rtype, unknown],
            )
        ).fetchall()
        for url, body in rows:
            self._stored[rtype, url].append(msgspec.json.decode(body))

    def stored_one(self, rtype: str, url: str, version: str = "") -> dict[str, Any] | None:
        """The newest of these that has the version."""
        for resource in self._stored.get((rtype, url), ()):
            if version in ("", resource.get("version", "")):
                self.used_stored = True
                return resource
        return None

    def loaded(self, url: str, version: str = "") -> Chosen | None:
        """The loaded code system, by version (an edition of SNOMED CT finds its releases) or the default."""
        version = version or self.versions.get(url, "")
        for chosen, _, default in self.catalog.systems:
            if chosen.url == url and (
                default
                if not version
                else chosen.version == version or chosen.version.startswith(f"{version}/")
            ):
                return chosen
        return None

    def choose(self, url: str, version: str = "") -> Chosen:
        """The code system that answers; one without a source when none does."""
        version = version or self.versions.get(url, "")
        found = self.loaded(url, version) or box.chosen(url, version)
        if found is None:
            resource = self.stored_one("CodeSystem", url, version)
            found = None if resource is None else self._chosen_stored(resource)
        return found or Chosen(url, version)

    async def system(self, url: str, version: str = "") -> Chosen:
        """`choose`, after looking among what clients stored if need be."""
        if self.loaded(url, version) is None and box.chosen(url, version) is None:
            await self.stored("CodeSystem", [url])
            resource = self.stored_one("CodeSystem", url, version or self.versions.get(url, ""))
            if resource is not None:
                await asyncio.to_thread(self._chosen_stored, resource)
        return self.choose(url, version)

    def _chosen_stored(self, resource: dict[str, Any]) -> Chosen | None:
        if resource.get("content") in ("not-present", "supplement"):
            return None
        digest = hashlib.sha256(msgspec.json.encode(resource)).hexdigest()
        if digest not in _indexes:
            _remember(_indexes, digest, index(resources.code_system(resource)), 16)
        made = _indexes[digest]
        found = Chosen(made.system.url, made.system.version, "stored", digest, made.size, made.system.content)
        self._indexes[found] = made
        return found

    def index(self, chosen: Chosen) -> Index:
        """The index of a system that is not in tables."""
        made = self._indexes.get(chosen) or box.system_index(chosen.url)
        assert made is not None
        return made

    async def value_set(self, text: str) -> ValueSet | None:
        """A value set by canonical; None when nobody has it. Raises Unsupported for SNOMED CT's ECL."""
        url, version = canonical(text)
        found = (
            await self._loaded_set(url, version) or box.value_set(url, version) or value_sets.implicit(url)
        )
        if found is not None:
            return found
        for chosen, whole, default in self.catalog.systems:
            if whole == url and default:
                return ValueSet(url, include=(value_sets.Include(chosen.url),))
        await self.stored("ValueSet", [url])
        resource = self.stored_one("ValueSet", url, version)
        return None if resource is None else value_sets.read(resource)

    async def _loaded_set(self, url: str, version: str) -> ValueSet | None:
        for held, default in self.catalog.sets.get(url, ()):
            if held == version or (default and not version):
                key = (self.generation, url, held)
                if key not in _bodies:
                    row = await (
                        await self.conn.execute(
                            "SELECT body FROM value_set WHERE url = %s AND version = %s", key[1:]
                        )
                    ).fetchone()
                    if row is None:
                        return None
                    _remember(_bodies, key, value_sets.read(msgspec.json.decode(row[0])), 512)
                return _bodies[key]
        return None

    # ---- answering

    async def named(self, text: str) -> Answered | None:
        """A value set by canonical, answered; None when nobody has it. Raises Refused when it cannot be read."""
        key = (self.generation, text, tuple(sorted(self.versions.items())))
        if key in _answers:
            _answers.move_to_end(key)
            return _answers[key]
        self.used_stored = False
        found = await self.value_set(text)
        if found is None:
            return None
        made = await self.answered(found)
        if not self.used_stored and not made.extent.missing:
            _remember(_answers, key, made)
        return made

    async def answered(self, value_set: ValueSet) -> Answered:
        """Answer a value set. Raises Invalid when it includes itself, TooCostly."""
        sets: dict[str, ValueSet | None] = {}
        todo = [value_set]
        while todo:
            for text in value_sets.imports(todo.pop()):
                if text not in sets:
                    if len(sets) >= MAX_SETS:
                        raise TooCostly(f"This value set uses more than {MAX_SETS} others")
                    found = sets[text] = await self.value_set(text)
                    todo += [] if found is None else [found]
        for one in (value_set, *(held for held in sets.values() if held is not None)):
            for url, version in value_sets.systems(one):
                await self.system(url, version)
        planned = plan(value_set, sets, self.choose)
        asked = wanted(planned)
        get, extra = await self._getter(asked)
        return Answered(value_set, extent(planned, get), extra)

    async def _getter(
        self, asked: Sequence[tuple[Chosen, Part]]
    ) -> tuple[Any, dict[tuple[Chosen, str], int]]:
        listed = [(c, code) for c, p in asked if p.kind == "codes" for code in p.values]
        known = await self.numbers(listed)
        extra: dict[tuple[Chosen, str], int] = {}
        beyond: dict[Chosen, int] = {}
        for pair in dict.fromkeys(listed):
            if pair not in known:
                known[pair] = extra[pair] = pair[0].size + beyond.get(pair[0], 0)
                beyond[pair[0]] = beyond.get(pair[0], 0) + 1
        found = await self.sets([one for one in asked if one[1].kind not in ("codes", "all")])

        def get(chosen: Chosen, part_: Part) -> int | None:
            if part_.kind == "codes":
                return bits.of(known[chosen, code] for code in part_.values)
            if not chosen.source:
                return None
            return bits.first(chosen.size) if part_.kind == "all" else found[chosen, part_]

        return get, extra

    async def numbers(self, asked: Sequence[tuple[Chosen, str]]) -> dict[tuple[Chosen, str], int]:
        """The numbers of codes, for those that their system has."""
        kept = {int(c.id): c for c, _ in asked if c.source == "loaded"}
        rows = await concepts.numbers(
            self.conn, [(int(c.id), code) for c, code in asked if c.source == "loaded"]
        )
        found = {(kept[system], code): n for (system, code), n in rows.items()}
        for chosen, code in asked:
            if chosen.source in ("box", "stored"):
                n = self.index(chosen).number.get(code)
                if n is not None:
                    found[chosen, code] = n
        return found

    async def sets(self, asked: Sequence[tuple[Chosen, Part]]) -> dict[tuple[Chosen, Part], int | None]:
        """The answers to elementary questions, from tables or from memory; None for what cannot be told."""
        found = await concepts.sets(self.conn, [one for one in asked if one[0].source == "loaded"])
        held = [one for one in asked if one[0].source != "loaded"]
        slow = any(part_.kind == "matching" for _, part_ in held)
        found |= await asyncio.to_thread(self._held, held) if slow else self._held(held)
        return found

    def _held(self, asked: Sequence[tuple[Chosen, Part]]) -> dict[tuple[Chosen, Part], int | None]:
        found: dict[tuple[Chosen, Part], int | None] = {}
        for chosen, part_ in asked:
            made = self.index(chosen) if chosen.source else None
            if made is None:
                found[chosen, part_] = 0 if part_ == OFF else None
                continue
            relation = part_.kind in ("below", "above", "children", "parents")
            unknown = relation and part_.values[0] not in made.number
            found[chosen, part_] = None if unknown else part(made, part_)
        return found

    async def page(
        self,
        made: Answered,
        *,
        text: str = "",
        offset: int = 0,
        count: int | None = None,
        active: bool = False,
    ) -> Page:
        """A page of an expansion. Raises Invalid (not-found) when something is not loaded, TooCostly for too many codes."""
        require_certain(made)
        runs = [(run, run.held) for run in made.extent.runs]
        beginnings = words.asked(text)
        asked = [(run.chosen, begins(word)) for run, _ in runs for word in beginnings]
        asked += [(run.chosen, OFF) for run, _ in runs if active]
        found = await self.sets(list(dict.fromkeys(asked)))
        names = _extra_names(made)
        places: list[tuple[Chosen, int]] = []
        total = 0
        start = 0 if beginnings else offset
        ranked = bool(beginnings)
        kept = []
        for run, held in runs:
            for word in beginnings:
                held &= (found[run.chosen, begins(word)] or 0) | _extra_hits(names, run.chosen, word)
            if active:
                held &= ~(found[run.chosen, OFF] or 0)
            kept.append((run, held))
            total += held.bit_count()
        if ranked and total > MAX_RANKED:
            ranked, start = False, offset
        limit = total if ranked else MAX_MEMBERS if count is None else count
        if not ranked and count is None and total - offset > MAX_MEMBERS:
            raise TooCostly(
                f"This value set has {total} codes here: ask for at most {MAX_MEMBERS} with count or filter"
            )
        for run, held in kept:
            if len(places) >= limit:
                break
            places += await self._places(run, held, made, start, limit - len(places))
            start = max(0, start - held.bit_count())
        members = await self.shown(places, names)
        if ranked:
            members = _ranked(members, text)[offset:][:count]
        return Page(made.value_set, total, tuple(members), tuple(made.extent.systems))

    async def _places(self, run: Run, held: int, made: Answered, offset: int, count: int) -> list[Place]:
        """The places of a run from the offset-th on: in the order in which the value set lists them, if it does."""
        if count <= 0 or not held:
            return []
        if not run.listed:
            return [(run.chosen, n) for n in bits.numbers(held, offset, count)]
        pairs = [(run.chosen, listed.code) for listed in run.listed]
        known = {**await self.numbers(pairs), **made.extra}
        ordered = dict.fromkeys(known[pair] for pair in pairs if bits.holds(held, known[pair]))
        return [(run.chosen, n) for n in ordered][offset : offset + count]

    async def shown(
        self, places: Sequence[tuple[Chosen, int]], names: Mapping[tuple[Chosen, int], Concept]
    ) -> list[Shown]:
        """The concepts at these places, in this order."""
        kept = [(int(c.id), n) for c, n in places if c.source == "loaded" and (c, n) not in names]
        rows = await concepts.shown(self.conn, kept)
        out = []
        for chosen, n in places:
            if (chosen, n) in names:
                out.append(Shown(chosen, names[chosen, n]))
            elif chosen.source == "loaded":
                out.append(Shown(chosen, rows[int(chosen.id), n]))
            else:
                out.append(Shown(chosen, self.index(chosen).concepts[n]))
        return out

    async def concept(self, chosen: Chosen, code: str) -> concepts.Row | None:
        """One concept with its properties, parents and children; None for a code the system does not have."""
        if chosen.source == "loaded":
            return await concepts.one(self.conn, int(chosen.id), code)
        made = self.index(chosen) if chosen.source else None
        n = None if made is None else made.number.get(code)
        if made is None or n is None:
            return None
        children = tuple(made.concepts[child].code for child in made.hierarchy.children[n])
        return concepts.Row(made.concepts[n], children)

    async def name(self, chosen: Chosen) -> str:
        """What a code system is called, "" when it does not say."""
        if chosen.source != "loaded":
            return self.index(chosen).system.name
        row = await (
            await self.conn.execute("SELECT name FROM code_system WHERE id = %s", [chosen.id])
        ).fetchone()
        return "" if row is None else str(row[0])

    async def subsumes(self, chosen: Chosen, a: str, b: str) -> str | None:
        """`equivalent`, `subsumes`, `subsumed-by` or `not-subsumed`; None when a code is not of the system."""
        pairs = await self.numbers([(chosen, a), (chosen, b)])
        if (chosen, a) not in pairs or (chosen, b) not in pairs:
            return None
        if a == b:
            return "equivalent"
        below_a, below_b = Part("below", (a,)), Part("below", (b,))
        found = await self.sets([(chosen, below_a), (chosen, below_b)])
        if bits.holds(found[chosen, below_a] or 0, pairs[chosen, b]):
            return "subsumes"
        return "subsumed-by" if bits.holds(found[chosen, below_b] or 0, pairs[chosen, a]) else "not-subsumed"

    async def decide(self, made: Answered, pairs: Sequence[tuple[str | None, str]]) -> list[bool | None]:
        """Whether each (system, code) is in the value set; system None: the code in any system."""
        asked = [
            (chosen, code)
            for system, code in pairs
            for chosen in made.extent.systems
            if system in (None, chosen.url) and (chosen, code) not in made.extra
        ]
        known = await self.numbers(list(dict.fromkeys(asked)))
        return [_decided(made, known, system, code) for system, code in pairs]


def require_certain(made: Answered) -> None:
    """Raises Invalid (not-found) when something that decides about the value set is not loaded."""
    open_ = any(
        low != high and chosen.content == "complete" for chosen, (low, high) in made.extent.systems.items()
    )
    if open_ or made.extent.other[1] < 0 or made.extent.missing:
        what = ", ".join(made.extent.missing) or "a code that a filter names"
        raise Invalid(f"This value set cannot be expanded: not loaded here: {what}", code="not-found")


def _decided(
    made: Answered, known: Mapping[tuple[Chosen, str], int], system: str | None, code: str
) -> bool | None:
    verdict: bool | None = None if made.extent.other[1] < 0 else False
    for chosen, bound in made.extent.systems.items():
        if system not in (None, chosen.url):
            continue
        number = made.extra.get((chosen, code), known.get((chosen, code)))
        one = certain(bound, number)
        if one:
            return True
        verdict = None if one is None else verdict
    return verdict


def _extra_names(made: Answered) -> dict[tuple[Chosen, int], Concept]:
    """The texts that value sets give to the codes no system here has."""
    parts = (listed for run in made.extent.runs for listed in run.listed)
    texts = {listed.code: listed.display for listed in parts}
    return {(c, n): Concept(code, texts.get(code, "")) for (c, code), n in made.extra.items()}


def _extra_hits(names: Mapping[tuple[Chosen, int], Concept], chosen: Chosen, word: str) -> int:
    return bits.of(
        n
        for (c, n), concept in names.items()
        if c == chosen and words.matches([word], concept.display, concept.code)
    )


def _ranked(members: Sequence[Shown], text: str) -> list[Shown]:
    """The best first: what begins as typed, then shorter texts."""
    typed = words.folded(text).strip()

    def rank(one: Shown) -> tuple[bool, bool, int, str, str]:
        display = words.folded(one.concept.display)
        at_start = display.startswith(typed)
        return one.concept.code != text.strip(), not at_start, len(display), display, one.concept.code

    return sorted(members, key=rank)


async def reader(conn: Conn, tenant: int | None, versions: Mapping[str, str] | None = None) -> Reader:
    """The terminology as it is now, for one tenant (None: without what clients stored)."""
    row = await (await conn.execute("SELECT generation FROM terminology_state")).fetchone()
    generation = "" if row is None else str(row[0])
    if generation not in _catalogs:
        _remember(_catalogs, generation, await _catalog(conn) if generation else Catalog((), {}), 8)
    return Reader(conn, tenant, generation, _catalogs[generation], versions or {})


async def _catalog(conn: Conn) -> Catalog:
    rows = await (
        await conn.execute(
            "SELECT id, url, version, concepts, content, value_set, chosen FROM code_system ORDER BY loaded DESC, id DESC"
        )
    ).fetchall()
    systems = tuple(
        (Chosen(url, version, "loaded", id, size, content), whole, chosen)
        for id, url, version, size, content, whole, chosen in rows
    )
    sets: dict[str, tuple[tuple[str, bool], ...]] = {}
    for url, version, chosen in await (
        await conn.execute("SELECT url, version, chosen FROM value_set")
    ).fetchall():
        sets[url] = (*sets.get(url, ()), (version, chosen))
    return Catalog(systems, sets)


# ---- what others ask -------------------------------------------------------------------------------------------


async def answers(conn: Conn, tenant: int | None, questions: Iterable[Question]) -> Answers:
    """Decide all questions at once. `tenant` None: only what the site loaded counts, not what clients stored."""
    by_set: dict[str, list[Question]] = {}
    for question in questions:
        by_set.setdefault(question.value_set, []).append(question)
    members_: dict[Question, bool] = {}
    missing: dict[str, str] = {}
    if not by_set:
        return Answers()
    look_up = await reader(conn, tenant)
    for url, asked in by_set.items():
        try:
            made = await look_up.named(url)
        except Refused as refused:
            missing[url] = str(refused)
            continue
        if made is None:
            missing[url] = f"value set {url}"
            continue
        for question, verdict in zip(
            asked, await look_up.decide(made, [(q.system, q.code) for q in asked]), strict=True
        ):
            if verdict is None:
                missing[url] = ", ".join(made.extent.missing) or url
            else:
                members_[question] = verdict
    return Answers(members_, missing)


async def members(conn: Conn, tenant: int | None, url: str) -> list[tuple[str, str]]:
    """Every (system, code) of a value set. Raises TooCostly when too many, Malformed (not-supported) when not loaded."""
    return [(member.system, member.code) for member in await expansion(conn, tenant, url)]


async def expansion(conn: Conn, tenant: int | None, url: str) -> list[Member]:
    """Every code of a value set with its text. Raises as `members` does."""
    look_up = await reader(conn, tenant)
    made = await look_up.named(url)
    if made is None:
        raise Malformed(f"The value set {canonical(url)[0]} is not loaded here", code="not-supported")
    try:
        page = await look_up.page(made)
    except Invalid as refused:
        raise Malformed(str(refused), code="not-supported") from None
    return [Member(m.chosen.url, m.concept.code, m.concept.display, m.concept.inactive) for m in page.members]


async def _around(conn: Conn, system: str, code: str, kind: str, tenant: int | None) -> list[str]:
    look_up = await reader(conn, tenant)
    chosen = await look_up.system(*canonical(system))
    if not chosen.source:
        raise Malformed(f"The code system {system} is not loaded here", code="not-supported")
    asked = (chosen, Part(kind, (code,)))
    held = (await look_up.sets([asked]))[asked]
    if held is None:
        raise Malformed("The code system that is loaded here has no such code", code="not-supported")
    if held.bit_count() > MAX_MEMBERS:
        raise TooCostly(
            f"There are {held.bit_count()} codes there, and at most {MAX_MEMBERS} can be searched for"
        )
    return [one.concept.code for one in await look_up.shown([(chosen, n) for n in bits.numbers(held)], {})]


async def descendants(conn: Conn, system: str, code: str, tenant: int | None = None) -> list[str]:
    """The code and every code below it. Raises TooCostly when too many, Malformed (not-supported) when not loaded."""
    return await _around(conn, system, code, "below", tenant)


async def ancestors(conn: Conn, system: str, code: str, tenant: int | None = None) -> list[str]:
    """The code and every code above it. Raises Malformed (not-supported) when the system is not loaded."""
    return await _around(conn, system, code, "above", tenant)


async def display(conn: Conn, system: str, code: str, tenant: int | None = None) -> str | None:
    """The preferred text of a code; None when the system is not loaded or has no such code."""
    look_up = await reader(conn, tenant)
    found = await look_up.concept(await look_up.system(*canonical(system)), code)
    return None if found is None else found.concept.display or None


async def concept_maps(conn: Conn, tenant: int | None, url: str = "", source: str = "") -> list[ConceptMap]:
    """The map of a url, or those that lead from a value set: loaded, then in the box, then stored by clients."""
    if url:
        address, version = canonical(url)
        rows = await (
            await conn.execute(
                "SELECT body FROM concept_map WHERE url = %s AND (version = %s OR (%s = '' AND chosen))",
                [address, version, version],
            )
        ).fetchall()
        found = [resources.concept_map(msgspec.json.decode(row[0])) for row in rows]
        boxed = box.concept_map(address)
        if not found and boxed is not None and version in ("", boxed.version):
            found = [boxed]
        if not found:
            look_up = await reader(conn, tenant)
            await look_up.stored("ConceptMap", [address])
            resource = look_up.stored_one("ConceptMap", address, version)
            found = [] if resource is None else [resources.concept_map(resource)]
        return found
    loaded = await (await conn.execute("SELECT body FROM concept_map WHERE chosen LIMIT 200")).fetchall()
    maps = [resources.concept_map(msgspec.json.decode(row[0])) for row in loaded]
    boxed_maps = [box.concept_map(one) for one in box.maps_from().get(source, [])]
    return [m for m in maps if m.source == source] + [m for m in boxed_maps if m is not None]
