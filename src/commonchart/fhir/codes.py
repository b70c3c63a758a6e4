"""What the engine asks of a terminology: whether a code is in a value set, or that it cannot tell.

`terminology` answers (it lies above `fhir`); who calls the engine passes the answers in.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Question(Struct, frozen=True):
    """Is this code in this value set? `system` None: the set decides by the code alone."""

    value_set: str
    system: str | None
    code: str


class Codes(Protocol):
    """Answers about membership."""

    def member_of(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether the code is in the set; None when that cannot be told because something is not loaded."""
        ...


class NoCodes:
    """A terminology that knows nothing, so that nothing is guessed."""

    def member_of(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Cannot tell."""
        return None
