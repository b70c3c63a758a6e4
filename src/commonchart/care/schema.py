"""What a rule pack is made of: code sets, analytes, risks and rules, as a clinician writes them in TOML.

Every struct refuses a field it does not know. Lengths of time are written 3d, 2w, 18m, 11y. What types cannot say is in
`care.checks`; reading a pack is in `care.rules`; `docs/reference/rules.md` is the table of fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct

Code = tuple[str, str]
Kind = Literal["preventive", "monitoring", "visit"]
EVIDENCE = ("observation", "procedure", "report", "visit")


class CodeSet(Struct, frozen=True, forbid_unknown_fields=True):
    """Codes by system. ICD-10-CM entries are prefixes (E11 covers E11.9); all others are whole codes.

    `names` are words in the text of a medication (an ingredient), read where its code is none of these. `with_site`: another set
    whose findings belong here if their body site is in a third: { "one-sided-mastectomy" = "left-side" }.
    """

    loinc: tuple[str, ...] = ()
    sct: tuple[str, ...] = ()
    icd10: tuple[str, ...] = ()
    icd10pcs: tuple[str, ...] = ()
    cpt: tuple[str, ...] = ()
    hcpcs: tuple[str, ...] = ()
    cdt: tuple[str, ...] = ()
    cvx: tuple[str, ...] = ()
    rxnorm: tuple[str, ...] = ()
    question: tuple[str, ...] = ()
    sopt: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    with_site: dict[str, str] = {}


class Change(Struct, frozen=True, forbid_unknown_fields=True):
    """A change that is too great to believe, or to leave: absolute (`by`) or relative (`percent`), within so many days.

    `wrong_patient`: the specimen may be another person's, so that the whole specimen is quarantined.
    """

    days: int
    by: Decimal | None = None
    percent: Decimal | None = None
    way: Literal["any", "rise", "fall"] = "any"
    wrong_patient: bool = False


class Analyte(Struct, frozen=True, forbid_unknown_fields=True):
    """One measurement: its codes, its unit, the units that UCUM may convert, factors from others, and what is possible.

    `ucum` lists units of the same dimension that generic UCUM conversion gets right; everything else goes by `factors`
    and `offsets`. `below_critical` and `above_critical` are for adults. `words` are results in words that stand for a
    number at most so high ("not detected" -> 20 for a viral load). `ratio`: two analytes measured within four days whose quotient
    it is too.
    """

    label: str
    codes: str
    unit: str
    low: Decimal
    high: Decimal
    factors: dict[str, Decimal] = {}
    offsets: dict[str, Decimal] = {}
    spellings: tuple[str, ...] = ()
    ucum: tuple[str, ...] = ()
    words: dict[str, Decimal] = {}
    critical_below: Decimal | None = None
    critical_above: Decimal | None = None
    critical_source: str = ""
    deltas: tuple[Change, ...] = ()
    ratio: tuple[str, ...] = ()


class Sign(Struct, frozen=True, forbid_unknown_fields=True):
    """What in a record says yes (or no) to a risk: a code, an answer to it, or a number.

    With `at_least` a number decides both ways. `within` makes old evidence silent. `active`: only while it lasts.
    """

    codes: str
    answers: str = ""
    at_least: Decimal | None = None
    within: str = ""
    active: bool = False


class Risk(Struct, frozen=True, forbid_unknown_fields=True):
    """A fact about a person that rules ask for: yes, no, or not known, with the question to ask.

    `any` and `all` put risks together. `otherwise = "no"`: without a sign it is no (only for what nobody could overlook).
    `ask = "staff"`: not a question for the patient.
    """

    label: str
    question: str
    yes: tuple[Sign, ...] = ()
    no: tuple[Sign, ...] = ()
    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    otherwise: Literal["ask", "no"] = "ask"
    ask: Literal["patient", "staff"] = "patient"
    sensitive: bool = False


class Applies(Struct, frozen=True, forbid_unknown_fields=True):
    """Who a rule is for. Everything named has to hold; within `conditions`, `drugs` and `after`, any one is enough.

    Ages in years (both ends included) or as a length of time (`from_age` included, `to_age` excluded). `organ`: whoever
    has it, by the organ inventory, else by `sex`. Weeks are completed weeks of gestation.
    """

    min_age: int | None = None
    max_age: int | None = None
    from_age: str = ""
    to_age: str = ""
    sex: Literal["female", "male"] | None = None
    organ: str = ""
    conditions: tuple[str, ...] = ()
    drugs: tuple[str, ...] = ()
    drug_for: str = ""
    risks: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    pregnancy: Literal["", "pregnant", "postpartum", "either", "not"] = ""
    from_week: int | None = None
    to_week: int | None = None
    bmi_from: Decimal | None = None
    bmi_from_asian: Decimal | None = None


class Satisfied(Struct, frozen=True, forbid_unknown_fields=True):
    """Evidence that satisfies: a code set, and for how many months (0: for good), or `lasts` as a length of time.

    Which results count: `abnormal` words, answers in `abnormal_codes`, numbers outside `at_least` .. `below` of an analyte. An abnormal one
    opens a follow-up that only `follow_up` closes, by an order too where `follow_up_by_order`; `closed_counts`: it then satisfies as well. `min_age`: at the
    time of the test. `while_taken`: a medication, as long as it is active. `full_months`: counted in whole calendar months.
    `in_pregnancy`: only from this pregnancy, from `from_week` on.
    """

    codes: str
    label: str
    months: int | None = None
    lasts: str = ""
    min_age: int | None = None
    kinds: tuple[str, ...] = EVIDENCE
    abnormal: tuple[str, ...] = ()
    abnormal_codes: str = ""
    normal_codes: str = ""
    analyte: str = ""
    at_least: Decimal | None = None
    below: Decimal | None = None
    follow_up: str = ""
    follow_up_label: str = ""
    follow_up_days: int | None = None
    follow_up_by_order: bool = False
    closed_counts: bool = False
    while_taken: bool = False
    full_months: int | None = None
    in_pregnancy: bool = False
    from_week: int | None = None

    @property
    def span(self) -> str:
        """How long it counts."""
        return self.lasts or f"{self.months or 0}m"

    @property
    def reads_results(self) -> bool:
        """Whether its result matters."""
        return bool(self.abnormal or self.abnormal_codes or self.analyte)


class Phase(Struct, frozen=True, forbid_unknown_fields=True):
    """After the start of a drug: until so long after it, measured this often."""

    until: str
    every: str


class Monitor(Struct, frozen=True, forbid_unknown_fields=True):
    """A measurement to be repeated: sooner while it is outside its target.

    Target: from `at_least` (included) to `below` (excluded) or `at_most` (included), one per analyte. Alert: below
    `alert_below`, from `alert_from` on, or by a change. `every_in`, `every_out` are the intervals
    as lengths of time. `phases` are other intervals in the time after the drug was begun.
    """

    analytes: tuple[str, ...]
    months_in: int | None = None
    months_out: int | None = None
    every_in: str = ""
    every_out: str = ""
    below: tuple[Decimal, ...] = ()
    at_most: tuple[Decimal, ...] = ()
    at_least: tuple[Decimal, ...] = ()
    alert_below: tuple[Decimal, ...] = ()
    alert_from: tuple[Decimal, ...] = ()
    alert_above: tuple[Decimal, ...] = ()
    alert_change: Change | None = None
    phases: tuple[Phase, ...] = ()

    @property
    def inside(self) -> str:
        """How soon again while in the target."""
        return self.every_in or f"{self.months_in or 0}m"

    @property
    def outside(self) -> str:
        """How soon again while outside it."""
        return self.every_out or f"{self.months_out or self.months_in or 0}m"


class Slot(Struct, frozen=True, forbid_unknown_fields=True):
    """One visit or test of a schedule by age; `early_days` before it counts already."""

    at: str
    early_days: int = 0


class Together(Struct, frozen=True, forbid_unknown_fields=True):
    """An exclusion that needs all of these code sets and risks, from an age on; `to` is the rule that then applies instead."""

    label: str
    all: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    min_age: int | None = None
    to: str = ""


class HandOver(Struct, frozen=True, forbid_unknown_fields=True):
    """These findings make the person a matter of another rule (surveillance), and no longer of this one."""

    codes: tuple[str, ...]
    to: str


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """One rule."""

    id: str
    title: str
    plain: str
    kind: Kind
    authority: str
    source: str
    version: str
    review: Literal["reviewed", "needed"]
    states: str
    outreach: Literal["never", "generic", "detail"]
    date: str = ""
    rows: tuple[str, ...] = ()
    question: str = ""
    grade: str = ""
    applies: Applies = Applies()
    satisfied_by: tuple[Satisfied, ...] = ()
    monitor: Monitor | None = None
    slots: tuple[Slot, ...] = ()
    excluded_by: tuple[str, ...] = ()
    excluded_by_risks: tuple[str, ...] = ()
    excluded_together: tuple[Together, ...] = ()
    hand_over: tuple[HandOver, ...] = ()
    interval_by_clinician: bool = False
    soon_days: int = 60
    grace_days: int = 90
    young_adult_months: int | None = None
    young_adult_until: int | None = None
    set_aside: bool | None = None

    @property
    def may_be_set_aside(self) -> bool:
        """Whether a clinician may say that it is not for a patient: unless it says otherwise, not where it watches a drug."""
        return not self.applies.drugs if self.set_aside is None else self.set_aside


@dataclass(frozen=True)
class Pack:
    """A set of rules with everything they name. `site` are the rules in a version of the site's own, `boxed` is then the hash
    of the pack beneath them.
    """

    id: str
    version: str
    authority: str
    hash: str
    rules: tuple[Rule, ...]
    sets: Mapping[str, CodeSet]
    analytes: Mapping[str, Analyte]
    risks: Mapping[str, Risk]
    everywhere: tuple[str, ...]
    replaces: tuple[str, ...] = ()
    site: frozenset[str] = frozenset()
    boxed: str = ""
    explained: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict, compare=False, repr=False)
    idle: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    _plans: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    _found: dict[frozenset[Code], frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    def holds(self, name: str, codes: frozenset[Code]) -> bool:
        """Whether any of these codes is in the named set."""
        return name in self.sets_of(codes)

    def planned(self, rule: str, plan: Callable[[Rule], Any]) -> Any:
        """What `plan` makes of a rule, made once."""
        found = self._plans.get(rule)
        if found is None:
            found = self._plans[rule] = plan(self.by_id[rule])
        return found

    def sets_of(self, codes: frozenset[Code]) -> frozenset[str]:
        """The names of all sets that hold any of these codes; remembered, since records repeat their codes."""
        found = self._found.get(codes)
        if found is None:
            if len(self._found) > 100_000:
                self._found.clear()
            found = self._found[codes] = frozenset(name for code in codes for name in self._of_code(code))
        return found

    def _of_code(self, code: Code) -> Iterable[str]:
        if code[0] != "icd10":
            return self._whole.get(code, ())
        bare = code[1].replace(".", "").upper()
        return {name for n in range(3, len(bare) + 1) for name in self._prefixes.get(bare[:n], ())}

    @cached_property
    def _whole(self) -> dict[Code, list[str]]:
        out: dict[Code, list[str]] = {}
        for name, held in self.sets.items():
            for system in held.__struct_fields__:
                if system not in ("icd10", "names", "with_site"):
                    for code in getattr(held, system):
                        out.setdefault((system, code), []).append(name)
        return out

    @cached_property
    def _prefixes(self) -> dict[str, list[str]]:
        out: dict[str, list[str]] = {}
        for name, held in self.sets.items():
            for prefix in held.icd10:
                out.setdefault(prefix.replace(".", "").upper(), []).append(name)
        return out

    @cached_property
    def drug_names(self) -> dict[str, list[str]]:
        """The sets that an ingredient's name in a text stands for."""
        out: dict[str, list[str]] = {}
        for name, held in self.sets.items():
            for word in held.names:
                out.setdefault(word.lower(), []).append(name)
        return out

    @cached_property
    def sided(self) -> tuple[tuple[str, str, str], ...]:
        """(set, set of body sites, the set that a finding of the first at one of the second belongs to)."""
        return tuple(
            (base, site, name) for name, held in self.sets.items() for base, site in held.with_site.items()
        )

    @cached_property
    def by_id(self) -> dict[str, Rule]:
        """The rules by their ids."""
        return {rule.id: rule for rule in self.rules}

    @cached_property
    def analytes_of(self) -> dict[str, list[str]]:
        """Names of analytes by the code set they are measured in."""
        out: dict[str, list[str]] = {}
        for name, analyte in self.analytes.items():
            out.setdefault(analyte.codes, []).append(name)
        return out
