"""What is asked and answered: the person, doses and observations that go in, the assessment that comes out."""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from commonchart.care.immunizations.offsets import Offset

VALID, NOT_VALID, EXTRANEOUS, SUB_STANDARD = "valid", "not valid", "extraneous", "sub-standard"
NOT_EVALUATED = "not evaluated"

NOT_COMPLETE, COMPLETE, IMMUNE = "not complete", "complete", "immune"
CONTRAINDICATED, AGED_OUT, NOT_RECOMMENDED = "contraindicated", "aged out", "not recommended"


class Person(Struct, frozen=True, gc=False):
    """Whom is asked about. `sex` is "female", "male" or "unknown"; `country` is the country of birth, "" if not known."""

    born: date | None
    sex: str = "unknown"
    country: str = ""
    died: date | None = None
    dead: bool = False


class Dose(Struct, frozen=True, gc=False):
    """A dose given: its id, CVX code, day (None: not known), manufacturer (MVX) and trade name where known.

    `expired_on` is the lot's last day; `flaw` says why the dose does not count in full (sub-potent, cold chain), "" if it does.
    """

    id: str
    cvx: str
    on: date | None
    mvx: str = ""
    trade: str = ""
    expired_on: date | None = None
    flaw: str = ""


class Observation(Struct, frozen=True, gc=False):
    """An active observation by the schedule's own code, with its day where one is known, and where it came from."""

    code: str
    on: date | None = None
    ref: str = ""


class Reason(Struct, frozen=True, gc=False):
    """One failed check of a dose: the rule (section of CDC's specification), its kind and the days that decided it.

    `needed` is the first day that would have done (or the first that was too late), `since` the day it is counted from (0 for
    none), `cvx` the other vaccine, `least` and `usual` the absolute and the usual minimum. Days are ordinals.
    """

    rule: str
    kind: str
    needed: int = 0
    since: int = 0
    cvx: str = ""
    least: Offset | None = None
    usual: Offset | None = None


class Evaluation(Struct, frozen=True, gc=False):
    """What a dose counted for: one antigen in one series. The first reason is the deciding one."""

    antigen: str
    group: str
    series: str
    kind: str
    status: str
    target: int
    reasons: tuple[Reason, ...] = ()


class Evaluated(Struct, frozen=True, gc=False):
    """A dose with every evaluation of it in the series that were chosen."""

    dose: Dose
    evaluations: tuple[Evaluation, ...]


class Forecast(Struct, frozen=True, gc=False):
    """What is next for a vaccine group by one kind of series ("standard", "risk" or "evaluation").

    `number` is the dose number of its series; `counted` is one more than all doses of the group that count in any chosen
    series. `past_due` is the day after which the dose is past due. `because` are the observations that indicate it,
    `stopped_by` those that forbid it or prove immunity. `products` are
    recommended, `usable` every preferable one that fits by age from today on and is not contraindicated (both CVX). `future` marks a series that only starts at a later age.
    """

    group: str
    kind: str
    status: str
    why: str
    series: tuple[str, ...]
    antigens: tuple[str, ...] = ()
    number: int | None = None
    counted: int | None = None
    earliest: date | None = None
    recommended: date | None = None
    past_due: date | None = None
    latest: date | None = None
    products: tuple[str, ...] = ()
    usable: tuple[str, ...] = ()
    guidance: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    stopped_by: tuple[str, ...] = ()
    future: bool = False
    started: bool = True


class Considered(Struct, frozen=True, gc=False):
    """A series that was considered: its status, how it scored and whether it was chosen, with the rule that decided."""

    antigen: str
    series: str
    kind: str
    group: str
    status: str
    valid: int
    score: int | None
    chosen: bool
    why: str


class GroupAnswer(Struct, frozen=True, gc=False):
    """A vaccine group: the forecast to show first, and all of them."""

    group: str
    shown: Forecast | None
    forecasts: tuple[Forecast, ...]


class Finding(Struct, frozen=True, gc=False):
    """Something about the record that whoever reads the answer must know. `dose` is the id of the dose it is about."""

    kind: str
    message: str
    dose: str = ""


class Assessment(Struct, frozen=True, gc=False):
    """The whole answer for one person on one day by one pack."""

    as_of: date
    pack: str
    groups: tuple[GroupAnswer, ...]
    doses: tuple[Evaluated, ...]
    considered: tuple[Considered, ...]
    findings: tuple[Finding, ...]
    next_change_on: date | None

    def group(self, name: str) -> GroupAnswer | None:
        """The answer for one vaccine group."""
        return next((one for one in self.groups if one.group == name), None)
