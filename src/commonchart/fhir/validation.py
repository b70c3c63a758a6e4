"""One validation under way: what was found so far and where, and what its checks look around at."""

from __future__ import annotations

from typing import Any

from commonchart.fhir import invariants
from commonchart.fhir.outcome import Issue
from commonchart.fhir.path.environment import Environment

MAX_ISSUES = 100

At = tuple[Any, str, int | None]
"""A place: the place around it, the name of a property, and the index in a list."""


class Full(Exception):
    """Enough issues were found to stop looking."""


class Run:
    """One validation: the issues so far, what `#` references point into, and whether `Type?query` may refer."""

    __slots__ = ("conditional", "contained", "environment", "invariants", "issues", "modifiers", "warnings")

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.warnings: list[Issue] | None = None
        self.modifiers: dict[str, At] = {}
        self.contained: dict[str, str] = {}
        self.conditional = False
        self.invariants = True
        self.environment = Environment(max_steps=invariants.MAX_STEPS)

    def add(self, at: At | None, code: str, message: str) -> None:
        """Tell. Raises Full once there is enough."""
        self.issues.append(Issue(code, message, location(at)))
        if len(self.issues) >= MAX_ISSUES:
            raise Full

    def rule(self, at: At, rule: invariants.Rule) -> None:
        """A broken invariant: an error refuses, a warning is only told to who asks for warnings."""
        message = f"breaks the rule {rule.key}"
        if rule.severity == "error":
            self.add(at, "invariant", message)
        elif self.warnings is not None and len(self.warnings) < MAX_ISSUES:
            self.warnings.append(Issue("invariant", message, location(at), "warning"))


def location(at: At | None) -> str:
    """The place as an expression such as `Patient.name[0].given[1]`."""
    parts: list[str] = []
    while at is not None:
        parent, name, index = at
        parts.append(f"{name}[{index}]" if index is not None else name)
        at = parent
    return ".".join(reversed(parts))
