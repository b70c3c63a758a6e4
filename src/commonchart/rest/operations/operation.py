"""What an operation is. http://hl7.org/fhir/R4/operations.html."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from commonchart.access.records import Records
from commonchart.rest.exchange import Answer, Asked

Run = Callable[[Records, Asked], Awaitable[Answer]]


class Operation(Struct, frozen=True):
    """One operation: its name without `$`, at which levels it is offered and how it is carried out.

    `types` None means every resource type. One that `changes` anything is asked by POST only. `definition` is its
    canonical url, where that is not HL7's own of the same name.
    """

    name: str
    run: Run
    system: bool = False
    on_type: bool = False
    instance: bool = False
    version: bool = False
    types: frozenset[str] | None = None
    changes: bool = False
    definition: str = ""

    def offered(self, segments: tuple[str, ...]) -> bool:
        """Whether it is offered at this address (the operation's own name last)."""
        levels = {1: self.system, 2: self.on_type, 3: self.instance, 5: self.version}
        fits = levels.get(len(segments), False) and (len(segments) != 5 or segments[2] == "_history")
        return fits and (len(segments) == 1 or self.types is None or segments[0] in self.types)

    def canonical(self, rtype: str) -> str:
        """The url of its definition, as it is offered on a type, or on the whole server for ""."""
        owner = rtype if self.types is not None and rtype else "Resource"
        return self.definition or f"http://hl7.org/fhir/OperationDefinition/{owner}-{self.name}"
