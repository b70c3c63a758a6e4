"""What a check is given: the medicines, the allergies and the facts of one person, each with its source."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from commonchart.care.medications.dose import Dose
from commonchart.care.medications.naming import Drug


class Medication(Struct, frozen=True):
    """One medicine as requested, stated, dispensed or given. `until`: the last day, None while it goes on.

    `family` joins records of one course (a dispense and its request), which are no duplicates of each other.
    """

    ref: str
    text: str
    drug: Drug
    dose: Dose = Dose(problem="no dose recorded")
    route: str = ""
    until: date | None = None
    family: frozenset[str] = frozenset()
    counts_twice: bool = True
    replaces: str = ""
    problem: str = ""


class Allergy(Struct, frozen=True):
    """One recorded allergy or intolerance: ingredients, or classes of them. `leave_out` says why it does not count."""

    ref: str
    text: str
    ingredients: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    kind: Literal["allergy", "intolerance", ""] = ""
    certainty: str = ""
    severity: str = ""
    reactions: tuple[str, ...] = ()
    unknown: bool = False
    not_a_drug: bool = False
    leave_out: str = ""


class Allergies(Struct, frozen=True):
    """All recorded allergies, and "no known allergies" where somebody recorded that: not recorded is neither."""

    recorded: tuple[Allergy, ...] = ()
    known_none: str = ""


class Reading(Struct, frozen=True):
    """A measurement with its day and record."""

    value: Decimal
    unit: str
    day: date
    ref: str


class Reproductive(Struct, frozen=True):
    """Pregnancy or breastfeeding: yes, no, or None where nobody recorded it lately."""

    value: bool | None = None
    text: str = ""
    ref: str = ""


class Facts(Struct, frozen=True):
    """What limits depend on. `sex` "" when not known; readings are the newest usable ones of any age."""

    born: date | None = None
    sex: str = ""
    weight: Reading | None = None
    height: Reading | None = None
    creatinine: Reading | None = None
    egfr: Reading | None = None
    pregnant: Reproductive = Reproductive()
    breastfeeding: Reproductive = Reproductive()


class Record(Struct, frozen=True):
    """One person's medicines, allergies and facts. `left_out`: records that do not count, and why."""

    medications: tuple[Medication, ...] = ()
    allergies: Allergies = Allergies()
    facts: Facts = Facts()
    left_out: tuple[tuple[str, str], ...] = ()


class Withheld(Struct, frozen=True):
    """What the reader may not see. `whole`: the record with it; `hint`: whether its being there may be told.

    Without `whole` nothing of it can be checked, which is always said.
    """

    whole: Record | None = None
    hint: bool = False
