"""Within what PostgreSQL itself holds a transaction: the second wall (row-level security, migration 0026).

The first wall is the condition that every statement carries (`search.visible`). The policies of the tables read what is set
here, for one transaction, when it begins; where nothing was set, reading a table of patients raises. See decision 0031.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import Struct

ROLE = "commonchart_app"
"""As what a connection of the program stands until it is bound: it owns nothing, and sees nobody's record."""
PROGRAM_ROLE = "commonchart_program"
"""Whom the policies let see every tenant: the worker and the command line."""
PATIENT_ROLE = "commonchart_patient"
"""Who sees, beside what is about nobody, only what is about the patients that were named."""

_SET = "SELECT " + ", ".join(
    f"set_config('{name}', %s, true)"
    for name in ("role", "commonchart.tenant", "commonchart.hidden", "commonchart.deciding", "commonchart.author", "commonchart.patients")
)  # fmt: skip


class Bounds(Struct, frozen=True):
    """One tenant (None: each, for the program's own work), without what carries a `hidden` label.

    `deciding` are the labels that hide a worked-out answer. `author` sees the versions that they wrote, whatever their
    labels. `patients`, if given, are those whose records may be seen.
    """

    tenant: int | None
    hidden: int = 0
    deciding: int = 0
    author: str = ""
    patients: tuple[str, ...] | None = None

    @property
    def role(self) -> str:
        """As what PostgreSQL sees the transaction."""
        if self.tenant is None:
            return PROGRAM_ROLE
        return ROLE if self.patients is None else PATIENT_ROLE

    def values(self) -> list[str]:
        """What is set, in the order of the statement."""
        tenant = "" if self.tenant is None else str(self.tenant)
        return [
            self.role, tenant, str(self.hidden), str(self.deciding), self.author, " ".join(self.patients or ()),
        ]  # fmt: skip


PROGRAM = Bounds(None)


@lru_cache(maxsize=1024)
def setting(bounds: Bounds) -> tuple[str, list[Any]]:
    """The statement that binds the transaction it is run in, with its arguments."""
    return _SET, bounds.values()
