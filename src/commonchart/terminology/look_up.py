"""What others ask of a terminology, and the answers of one batched look-up as a value.

Callers collect `Question`s first, `record.terminology.answers(conn, tenant, questions)` answers them in a few
statements, and pure code decides with the `Answers`. None always means "cannot tell: not loaded", never yes or no.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from commonchart.fhir.codes import Question


class Member(Struct, frozen=True):
    """One code of an expansion."""

    system: str
    code: str
    display: str = ""
    inactive: bool = False


class Terminology(Protocol):
    """A synchronous view of what is loaded."""

    def in_value_set(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether the code is in the value set (`url` or `url|version`); None: something needed is not loaded."""
        ...

    def subsumes(self, system: str, a: str, b: str) -> str | None:
        """`equivalent`, `subsumes` (a is above b), `subsumed-by` or `not-subsumed`; None: not loaded or unknown code."""
        ...

    def display(self, system: str, code: str) -> str | None:
        """The preferred text of a code; None when the system is not loaded or has no such code."""
        ...

    def expansion(self, value_set: str) -> Sequence[Member] | None:
        """Every code of a value set; None: not loaded, or too large to list."""
        ...


class Answers(Struct, frozen=True):
    """What a batched look-up found. It is a `fhir.codes.Codes`: `member_of` answers what was asked, None for the rest.

    `missing` maps a value set that could not be decided to what is not loaded, for the message to the user.
    """

    members: Mapping[Question, bool] = {}
    missing: Mapping[str, str] = {}

    def member_of(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether the code is in the set; None when that was not asked or cannot be told."""
        return self.members.get(Question(value_set, system, code))


NOTHING_LOADED = Answers()
