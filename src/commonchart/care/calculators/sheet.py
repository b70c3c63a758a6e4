"""What a calculator is given and what it answers: a number with its inputs and source, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from msgspec import Struct

from commonchart.care.calculators.quantities import Quantity
from commonchart.care.calendar import age_on


class Given(Struct, frozen=True):
    """One input as recorded: a number in its own unit, a yes or no, or a word. `ref` is "Type/id"."""

    value: Decimal | bool | str
    unit: str = ""
    day: date | None = None
    ref: str = ""
    comparator: str = ""


class Used(Struct, frozen=True):
    """One input as the formula used it, beside what was recorded."""

    name: str
    value: str
    given: Given


class Result(Struct, frozen=True):
    """A calculator's answer. `value` is None when `problem` says why there is none; then nothing may be inferred."""

    name: str
    value: Decimal | None
    unit: str
    inputs: tuple[Used, ...]
    source: str
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The answer in words: "27.8 kg/m2", or "cannot compute: missing height"."""
        return self.problem or f"{self.value} {self.unit}".strip()


@dataclass
class Sheet:
    """The working sheet of one calculation: reads inputs, collects what is missing or unusable."""

    name: str
    source: str
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def number(self, given: Given | None, quantity: Quantity) -> float:
        """The value in the quantity's unit; 0 with the reason noted when it cannot be used."""
        if given is None:
            self.missing.append(quantity.label)
            return 0.0
        value = self._converted(given, quantity)
        if value is None:
            return 0.0
        self.used.append(Used(quantity.label, f"{shown(value)} {quantity.unit}".strip(), given))
        return float(value)

    def _converted(self, given: Given, quantity: Quantity) -> Decimal | None:
        if isinstance(given.value, bool) or not isinstance(given.value, Decimal) or given.comparator:
            self.wrong.append(f"{quantity.label} is not an exact number")
            return None
        value = quantity.convert(given.value, given.unit)
        if value is None:
            said = f"unit {given.unit}" if given.unit else "no unit"
            self.wrong.append(f"{quantity.label} has {said}, {quantity.unit} is needed")
        elif not quantity.low <= value <= quantity.high:
            self.wrong.append(f"{quantity.label} {shown(value)} {quantity.unit} is implausible")
        else:
            return value
        return None

    def truth(self, given: Given | None, label: str) -> bool:
        """A yes or no that must be known: absence is missing, never "no"."""
        if given is None or not isinstance(given.value, bool):
            self.missing.append(label)
            return False
        self.used.append(Used(label, "yes" if given.value else "no", given))
        return given.value

    def word(self, given: Given | None, label: str, known: tuple[str, ...]) -> str:
        """One of the known words."""
        if given is None or given.value not in known:
            self.missing.append(label)
            return ""
        self.used.append(Used(label, str(given.value), given))
        return str(given.value)

    def age(self, born: date | None, on: date) -> float:
        """Age in whole years on a day; 0 when the birth date is missing or lies after it."""
        if born is None:
            self.missing.append("date of birth")
            return 0.0
        if born > on:
            self.wrong.append("date of birth is after the day asked about")
            return 0.0
        years = age_on(born, on)
        self.used.append(Used("age", f"{years} years", Given(born.isoformat(), day=born)))
        return float(years)

    def inside(self, value: float, low: float, high: float, label: str, unit: str = "") -> None:
        """The formula was made for this range; outside of it there is no answer."""
        if not self.stopped and not low <= value <= high:
            words = f"{label} {low:g} to {high:g} {unit}".strip()
            self.wrong.append(f"outside the range the formula was made for ({words})")

    @property
    def stopped(self) -> bool:
        """Whether an input is missing or unusable."""
        return bool(self.missing or self.wrong)

    def answer(self, value: float, unit: str, places: int) -> Result:
        """The result, rounded half up; only to be called when nothing has stopped the calculation."""
        step = Decimal(1).scaleb(-places)
        number = Decimal(repr(value)).quantize(step, ROUND_HALF_UP)
        return Result(self.name, number, unit, tuple(self.used), self.source, notes=tuple(self.notes))

    def refused(self) -> Result:
        """Why there is no number."""
        parts = []
        if self.missing:
            parts.append("missing " + ", ".join(self.missing))
        parts += self.wrong
        return Result(
            self.name,
            None,
            "",
            tuple(self.used),
            self.source,
            "cannot compute: " + "; ".join(parts),
            tuple(self.notes),
        )


def shown(value: Decimal) -> str:
    """A number without needless digits."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return text or "0"
