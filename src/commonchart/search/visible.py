"""What an actor may see, as a predicate that every statement on patient data must carry."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from commonchart.record.keys import patient_key


class Visible(Struct, frozen=True):
    """One tenant, and in it everything (of `types`, if given), or what is about `patients` plus the `shared` types.

    Empty means nothing.
    """

    tenant: int
    everything: bool = False
    patients: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    types: frozenset[str] | None = None

    def predicate(self, alias: str) -> tuple[str, list[Any]]:
        """SQL and its arguments: true of the rows of `resource` or `history` under this alias that may be seen."""
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
