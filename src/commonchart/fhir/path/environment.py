"""What an expression may ask of its surroundings, and how much work it may cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from commonchart.fhir.outcome import TooCostly

MAX_STEPS = 1_000_000


class Profiles(Protocol):
    """Whether a resource conforms to a profile; None when the profile is not known."""

    def __call__(self, resource: dict[str, Any], profile: str) -> bool | None:
        """The verdict."""
        ...


class Environment:
    """One evaluation's surroundings. `now` is the only time; without it now() and today() are empty.

    `variables` are nodes by name; `resolver` gives a resource for a reference or canonical, None when there is none;
    `strict` refuses several values where one belongs, else the first counts (as search and invariants need it).
    `terminology` answers `member_of` (fhir.codes.Codes) and, where it can, `subsumes`. `left` is what may still be done.
    """

    __slots__ = (
        "context",
        "index",
        "left",
        "now",
        "profiles",
        "resolver",
        "resource",
        "root_resource",
        "strict",
        "terminology",
        "total",
        "trace",
        "variables",
    )

    def __init__(
        self,
        resource: Any = None,
        root_resource: Any = None,
        *,
        variables: Mapping[str, list[tuple[Any, str, Any]]] | None = None,
        terminology: Any = None,
        resolver: Callable[[str], dict[str, Any] | None] | None = None,
        profiles: Profiles | None = None,
        now: datetime | None = None,
        trace: Callable[[str, list[Any]], None] | None = None,
        max_steps: int = MAX_STEPS,
        strict: bool = False,
    ) -> None:
        self.resource = resource
        self.root_resource = resource if root_resource is None else root_resource
        self.context: Any = None
        self.variables = dict(variables) if variables else {}
        self.terminology = terminology
        self.resolver = resolver
        self.profiles = profiles
        self.now = now
        self.trace = trace
        self.left = max_steps
        self.strict = strict
        self.index: int | None = None
        self.total: list[tuple[Any, str, Any]] = []

    def spend(self, steps: int) -> None:
        """Count work done. Raises TooCostly when it is more than was allowed."""
        self.left -= steps
        if self.left < 0:
            raise TooCostly("FHIRPath: the expression takes more steps than one evaluation may")

    def inner(self) -> Environment:
        """A scope of its own for $index, $total and defined variables; the work is still counted here."""
        scope = Inner.__new__(Inner)
        for name in Environment.__slots__:
            if name != "left":
                setattr(scope, name, getattr(self, name))
        scope.variables = dict(self.variables)
        scope.outer = self
        return scope


class Inner(Environment):
    """A nested scope."""

    __slots__ = ("outer",)
    outer: Environment

    def spend(self, steps: int) -> None:
        """Count it where the evaluation began."""
        self.outer.spend(steps)
