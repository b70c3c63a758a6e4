"""What a query needs to know before it is one statement: chains, `_has`, lists, hierarchies and code systems.

Every step carries the reader's visibility: what cannot be seen does not match, and leads nowhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed, TooCostly
from commonchart.fhir.path.nodes import root
from commonchart.search.compile import Statement, identifying, reading
from commonchart.search.index import references_of
from commonchart.search.parameters import parameters
from commonchart.search.query import Query, Term
from commonchart.search.terms import by_patient, halves
from commonchart.search.values import Value
from commonchart.search.visible import Visible

MAX_CHAIN = 1000
MAX_LEVELS = 10
MAX_CODES = 10_000
NOWHERE = Value("Nothing/-")

Fetch = Callable[[Statement], Awaitable[list[tuple[Any, ...]]]]


class Terminology(Protocol):
    """What search asks of code systems and value sets: each raises Malformed when not loaded, TooCostly when too large."""

    async def members(self, url: str) -> Sequence[tuple[str, str]]:
        """Every (system, code) of a value set."""
        ...

    async def descendants(self, system: str, code: str) -> Sequence[str]:
        """The code and every one below it."""
        ...

    async def ancestors(self, system: str, code: str) -> Sequence[str]:
        """The code and every one above it."""
        ...


class NotLoaded:
    """A site without terminology."""

    async def members(self, url: str) -> Sequence[tuple[str, str]]:
        """Raises Malformed."""
        raise Malformed("The value set is not loaded here", at=":in", code="not-supported")

    async def descendants(self, system: str, code: str) -> Sequence[str]:
        """Raises Malformed."""
        raise Malformed("The code system is not loaded here", at=":below", code="not-supported")

    async def ancestors(self, system: str, code: str) -> Sequence[str]:
        """Raises Malformed."""
        raise Malformed("The code system is not loaded here", at=":above", code="not-supported")


NOT_LOADED = NotLoaded()


async def resolved(
    fetch: Fetch, query: Query, visible: Visible, terminology: Terminology = NOT_LOADED
) -> Query:
    """The query as one statement can answer it. Raises TooCostly, and Malformed for codes that are not loaded."""
    if not any(_open(term) for term in query.terms):
        return query
    found = _Finding(fetch, visible, terminology)
    return replace(query, terms=tuple([await found.term(query, term) for term in query.terms]))


def _open(term: Term) -> bool:
    return bool(term.chain) or term.kind == "list" or term.modifier in ("in", "not-in", "above", "below")


class _Finding:
    """The steps of one search."""

    def __init__(self, fetch: Fetch, visible: Visible, terminology: Terminology) -> None:
        self.fetch = fetch
        self.visible = visible
        self.terminology = terminology

    async def query(self, query: Query) -> Query:
        return replace(query, terms=tuple([await self.term(query, term) for term in query.terms]))

    async def term(self, query: Query, term: Term) -> Term:
        if term.code == "_has" and term.chain:
            return await self._referring(query, term)
        if term.chain:
            return await self._chained(query, term)
        if term.kind == "list":
            return await self._listed(query, term)
        if term.kind == "token" and term.modifier in ("in", "not-in"):
            return await self._members(term)
        if term.kind == "token" and term.modifier in ("above", "below"):
            return await self._related(term)
        if term.kind == "reference" and term.modifier in ("above", "below"):
            return await self._hierarchy(term)
        return term

    async def _chained(self, query: Query, term: Term) -> Term:
        """The references it leads to; for a patient's own rows with many targets, the query on the patients itself."""
        found: list[Value] = []
        for target in term.chain:
            inner = await self.query(target)
            rows = await self.fetch(identifying(inner, self.visible, MAX_CHAIN + 1))
            found += [Value(f"{rtype}/{id}") for rtype, id in rows]
            own = target.rtype == "Patient" and all(by_patient(one, term.code) for one in query.every_type)
            if len(rows) > MAX_CHAIN and own and len(term.chain) == 1 and query.contained == "false":
                return Term(term.code, "reference", within=inner)
        if len(found) > MAX_CHAIN:
            raise TooCostly(
                f"The chain through {term.code} matches more than {MAX_CHAIN} resources: narrow it",
                at=term.code,
            )
        return Term(term.code, "reference", tuple(found) or (NOWHERE,))

    async def _referring(self, query: Query, term: Term) -> Term:
        """`_has`: what the matching resources refer to."""
        inner = await self.query(term.chain[0])
        if query.rtype == "Patient" and by_patient(inner.rtype, term.modifier):
            return Term("_has", "reference", within=inner)
        rows = await self.fetch(reading(inner, self.visible, MAX_CHAIN + 1))
        if len(rows) > MAX_CHAIN:
            raise TooCostly(f"_has through {inner.rtype} finds more than {MAX_CHAIN}: narrow it", at="_has")
        assert term.step is not None
        step = term.step
        texts = {text for (body,) in rows for text in references_of(step(root(json.decode(body.encode()))))}
        return _by_id([text for text in sorted(texts) if text.startswith(f"{query.rtype}/")])

    async def _listed(self, query: Query, term: Term) -> Term:
        """`_list`: what the lists name, but for entries marked as deleted."""
        ids = Term("_id", "token", tuple(Value(one.text.removeprefix("List/")) for one in term.values))
        rows = await self.fetch(reading(Query("List", (ids,)), self.visible, len(term.values)))
        texts: set[str] = set()
        for (body,) in rows:
            for entry in json.decode(body.encode()).get("entry") or ():
                item = entry.get("item")
                if not entry.get("deleted") and isinstance(item, dict):
                    texts.update(references_of([(item, "Reference", None)]))
        named = [text for text in sorted(texts) if text.partition("/")[0] in query.every_type and "/" in text]
        if len(named) > MAX_CODES:
            raise TooCostly(f"The lists name more than {MAX_CODES} resources", at="_list")
        return _by_id(named)

    async def _members(self, term: Term) -> Term:
        pairs = [pair for value in term.values for pair in await self.terminology.members(value.text)]
        return _codes(term, pairs, "not" if term.modifier == "not-in" else "")

    async def _related(self, term: Term) -> Term:
        pairs: list[tuple[str, str]] = []
        for value in term.values:
            system, _, code = halves(value.text)
            ask = self.terminology.descendants if term.modifier == "below" else self.terminology.ancestors
            pairs += [(system, one) for one in {code, *await ask(system, code)}]
        return _codes(term, pairs, "")

    async def _hierarchy(self, term: Term) -> Term:
        """`:below` and `:above` on a reference: the resource named, and those that are part of it (or it of them)."""
        found: set[str] = set()
        for value in term.values:
            rtype = value.text.partition("/")[0] if "/" in value.text else (*term.target, "")[0]
            part = next((code for code in ("partof", "part-of") if code in _parts(rtype)), "")
            if not part:
                raise Malformed(
                    f"{term.code}:{term.modifier} needs a type with parts, as Location/x", at=term.code
                )
            step = self._below if term.modifier == "below" else self._above
            found |= await step(rtype, part, f"{rtype}/{value.text.rpartition('/')[2]}")
        return Term(term.code, "reference", tuple(Value(text) for text in sorted(found)))

    async def _below(self, rtype: str, part: str, top: str) -> set[str]:
        found = edge = {top}
        for _ in range(MAX_LEVELS):
            children = Query(rtype, (Term(part, "reference", tuple(Value(text) for text in sorted(edge))),))
            rows = await self.fetch(identifying(children, self.visible, MAX_CHAIN + 1))
            edge = {f"{one}/{id}" for one, id in rows} - found
            found = found | edge
            if not edge:
                return found
            if len(found) > MAX_CHAIN:
                break
        raise TooCostly(f"The hierarchy has more than {MAX_CHAIN} members or {MAX_LEVELS} levels")

    async def _above(self, rtype: str, part: str, bottom: str) -> set[str]:
        found = edge = {bottom}
        step = parameters(rtype)[part].step
        for _ in range(MAX_LEVELS):
            parents = Query(rtype, (_by_id(sorted(edge)),))
            rows = await self.fetch(reading(parents, self.visible, MAX_CHAIN))
            texts = {
                text for (body,) in rows for text in references_of(step(root(json.decode(body.encode()))))
            }
            edge = {text for text in texts if text.startswith(f"{rtype}/")} - found
            found = found | edge
            if not edge:
                return found
        raise TooCostly(f"The hierarchy has more than {MAX_LEVELS} levels")


def _parts(rtype: str) -> set[str]:
    if rtype not in r4().resource_types:
        return set()
    return {
        code for code, one in parameters(rtype).items() if one.kind == "reference" and rtype in one.target
    }


def _by_id(references: Sequence[str]) -> Term:
    return Term("_id", "token", tuple(Value(text) for text in references) or (NOWHERE,))


def _codes(term: Term, pairs: Sequence[tuple[str, str]], modifier: str) -> Term:
    if len(pairs) > MAX_CODES:
        raise TooCostly(f"{term.code}:{term.modifier} stands for more than {MAX_CODES} codes", at=term.code)
    values = tuple(Value(f"{_escaped(system)}|{_escaped(code)}") for system, code in pairs)
    return Term(term.code, "token", values, modifier)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")
