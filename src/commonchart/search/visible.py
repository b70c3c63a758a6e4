"""What an actor may see, as a predicate that every statement on patient data must carry."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from commonchart.record.keys import patient_key

# (element, codes): the element, a coded concept or a list of them, has one of the codes, "system|code" or "code"
Only = tuple[tuple[str, tuple[str, ...]], ...]


class Part(Struct, frozen=True):
    """Rows of these types (None: of every type), of one patient or of the `shared` types (None: of anybody), so coded.

    With an `id` only that one.
    """

    types: frozenset[str] | None = None
    patient: str | None = None
    shared: frozenset[str] = frozenset()
    only: Only = ()
    id: str | None = None

    def predicate(self, alias: str) -> tuple[str, list[Any]]:
        """SQL and its arguments."""
        parts: list[str] = []
        args: list[Any] = []
        if self.types is not None:
            parts.append(f"{alias}.rtype = ANY(%s)")
            args.append(sorted(self.types))
        if self.patient is not None:
            own = f"({alias}.pk = %s AND {alias}.patient = %s)"
            parts.append(f"({own} OR {alias}.rtype = ANY(%s))")
            args += [patient_key(self.patient), self.patient, sorted(self.shared)]
        if self.id is not None:
            parts.append(f"{alias}.id = %s")
            args.append(self.id)
        for element, codes in self.only:
            parts.append(_coded(alias, element))
            args += [list(codes), [code for code in codes if "|" not in code]]
        return f"({' AND '.join(parts) or 'true'})", args


class Visible(Struct, frozen=True):
    """One tenant, and in it everything (of `types`, if given), or what is about `patients` plus the `shared` types.

    Empty means nothing. Of this, only what one of the parts `within` also holds, if they are given.
    """

    tenant: int
    everything: bool = False
    patients: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    types: frozenset[str] | None = None
    within: tuple[Part, ...] | None = None

    def predicate(self, alias: str) -> tuple[str, list[Any]]:
        """SQL and its arguments: true of the rows of `resource` or `history` under this alias that may be seen."""
        sql, args = self._own(alias)
        if self.within is None:
            return sql, args
        made = [part.predicate(alias) for part in self.within]
        text = " OR ".join(sql for sql, _ in made) or "false"
        return f"({sql} AND ({text}))", [*args, *(arg for _, more in made for arg in more)]

    def _own(self, alias: str) -> tuple[str, list[Any]]:
        sql = f"{alias}.tenant = %s"
        args: list[Any] = [self.tenant]
        if self.everything and self.types is None:
            return sql, args
        if self.everything:
            return f"({sql} AND {alias}.rtype = ANY(%s))", [*args, sorted(self.types or ())]
        if not self.patients:
            return f"({sql} AND {alias}.rtype = ANY(%s))", [*args, sorted(self.shared)]
        own = f"({alias}.pk = ANY(%s) AND {alias}.patient = ANY(%s))"
        args += [[patient_key(p) for p in self.patients], sorted(self.patients), sorted(self.shared)]
        return f"({sql} AND ({own} OR {alias}.rtype = ANY(%s)))", args


def _coded(alias: str, element: str) -> str:
    """Whether the body has one of the codes: the same of current and of superseded versions, which keep no tokens.

    json, not jsonb, whose numbers are narrower than FHIR's decimals.
    """
    held = f"{alias}.body::json->'{element}'"
    return (
        f"EXISTS (SELECT 1 FROM json_array_elements(CASE json_typeof({held}) WHEN 'array' THEN {held} "
        f"WHEN 'object' THEN json_build_array({held}) ELSE '[]' END) scoped, "
        "json_array_elements(CASE json_typeof(scoped->'coding') WHEN 'array' THEN scoped->'coding' ELSE '[]' END) coded "
        "WHERE coalesce(coded->>'system', '') || '|' || (coded->>'code') = ANY(%s) OR coded->>'code' = ANY(%s))"
    )
