"""One person's facts as a pack sees them: found by code set, with quarantine and pregnancy worked out once for all rules."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from msgspec.structs import replace

from commonchart.care.accuracy import measured, once
from commonchart.care.calendar import add_months, after, age_on, birthday
from commonchart.care.evidence import Evidence, Fact
from commonchart.care.person import Person
from commonchart.care.pregnancy import Pregnancy, pregnancy
from commonchart.care.quarantine import Verdict, quarantined
from commonchart.care.schema import Applies, Pack, Rule

_WORD = re.compile(r"[a-z]{4,}")
Window = tuple[date | None, date | None]


@dataclass(frozen=True)
class Chart:
    """Evidence, person, pack and day. `released` are references of results that a clinician took out of quarantine."""

    evidence: Evidence
    person: Person
    pack: Pack
    as_of: date
    released: Collection[str] = ()
    _windows: dict[str, Window] = field(default_factory=dict, repr=False)
    _held: dict[tuple[str, ...], list[Fact]] = field(default_factory=dict, repr=False)

    @cached_property
    def by_set(self) -> dict[str, list[Fact]]:
        """Every fact under each code set that holds one of its codes, newest first."""
        out: dict[str, list[Fact]] = {}
        for fact in self.evidence.facts:
            for name in self._sets(fact):
                out.setdefault(name, []).append(fact)
        return out

    def _sets(self, fact: Fact) -> frozenset[str]:
        """A relative's disease is nobody's own, and an allergy to a drug is no taking of it: sets say by their name what they are about."""
        names = self.pack.sets_of(fact.codes)
        if fact.kind == "medication":
            return frozenset(n for n in names | self._named(fact) if not n.endswith("-allergy"))
        if fact.kind == "allergy":
            return frozenset(n for n in names if n.endswith("-allergy"))
        if fact.kind == "family":
            return frozenset(n for n in names if n.startswith("family-"))
        if fact.answers and fact.kind in ("condition", "procedure"):
            return names | self._sided(fact, names)
        return names

    def _sided(self, fact: Fact, names: frozenset[str]) -> frozenset[str]:
        sites = self.pack.sets_of(fact.answers)
        return frozenset(name for base, site, name in self.pack.sided if base in names and site in sites)

    def _named(self, fact: Fact) -> frozenset[str]:
        known = self.pack.drug_names
        return frozenset(n for word in _WORD.findall(fact.text.lower()) for n in known.get(word, ()))

    @cached_property
    def answers(self) -> dict[str, list[Fact]]:
        """Facts whose coded answer is in a set: where a record says "problem: diabetes" as a finding."""
        out: dict[str, list[Fact]] = {}
        for fact in self.evidence.facts:
            if fact.kind == "observation" and fact.answers:
                for name in self.pack.sets_of(fact.answers):
                    out.setdefault(name, []).append(fact)
        return out

    @cached_property
    def replies(self) -> dict[str, list[Fact]]:
        """Answers to our own questions, newest first, by question."""
        out: dict[str, list[Fact]] = {}
        for fact in self.evidence.facts:
            for system, code in fact.codes:
                if system == "question":
                    out.setdefault(code, []).append(fact)
        return out

    @cached_property
    def plans(self) -> dict[str, list[Fact]]:
        """What clinicians decided for this patient, newest first, by rule."""
        out: dict[str, list[Fact]] = {}
        for fact in self.evidence.of("plan"):
            for system, code in fact.codes:
                if system == "rule":
                    out.setdefault(code, []).append(fact)
        return out

    @cached_property
    def doubted(self) -> dict[int, str]:
        """Why results are in quarantine, by the identity of their facts."""
        return {id(one.fact): one.reason for one in reversed(self.verdicts)}

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The results in quarantine, each with its reasons: by analyte, by whom it is about, and by specimen."""
        out = [
            replace(one, analyte=name)
            for codes, names in self.pack.analytes_of.items()
            for name in (names if codes in self.by_set else ())
            for one in self._of_analyte(name, self.by_set[codes])
            if one.kind != "implausible" or not self._possible(one.fact)
        ]
        out += list(self._copies(out))
        out += [
            Verdict(fact, self.evidence.mistaken[fact.ref], "identity")
            for fact in (self.evidence.of("observation", "report") if self.evidence.mistaken else ())
            if fact.ref in self.evidence.mistaken and fact.ref not in self.released
        ]
        specimens = {one.fact.shown: one.reason for one in out if one.kind == "jump"}
        done = {id(one.fact) for one in out}
        return out + [
            Verdict(fact, specimens[fact.shown], "specimen")
            for fact in (self.evidence.of("observation") if specimens else ())
            if fact.shown in specimens and fact.ref not in self.released and id(fact) not in done
        ]

    def _possible(self, fact: Fact) -> bool:
        """Whether a value is possible as any other analyte of its codes: 170 cm is no length of an infant, and a height."""
        names = (name for held in self._sets(fact) for name in self.pack.analytes_of.get(held, ()))
        return any(measured(self.pack.analytes[name], fact).value is not None for name in names)

    def _of_analyte(self, name: str, facts: list[Fact]) -> list[Verdict]:
        analyte = self.pack.analytes[name]
        found = once(measured(analyte, fact) for fact in facts)
        return quarantined(analyte, found, self.person, self.as_of, self.released)

    def _copies(self, found: list[Verdict]) -> Iterator[Verdict]:
        """The same results from other sources: what is doubted in one is doubted in all."""
        for one in found:
            for fact in self.by_set[self.pack.analytes[one.analyte].codes] if one.also else ():
                if fact.ref in one.also:
                    yield replace(one, fact=fact, also=(one.fact.ref,))

    @cached_property
    def touched(self) -> frozenset[str]:
        """The code sets that any fact at all, usable or not, is in."""
        return frozenset((*self.by_set, *self.answers))

    def unusable(self, fact: Fact) -> str:
        """Why a fact may not satisfy anything on this day; "" if it may."""
        if fact.unusable:
            return fact.unusable
        if fact.day is not None and fact.day > self.as_of:
            return "dated in the future"
        return self.doubted.get(id(fact), "")

    def held(self, name: str, *kinds: str) -> list[Fact]:
        """The facts of a code set that may be used on this day, newest first."""
        return [
            f for f in self.by_set.get(name, ()) if (not kinds or f.kind in kinds) and not self.unusable(f)
        ]

    @cached_property
    def everywhere(self) -> tuple[Fact | None, str, date | None]:
        """What excludes this person from every rule (hospice, palliative care): the fact, its set, and until when it says so."""
        for name in self.pack.everywhere:
            for fact in self.held(name):
                until = _lasts(fact)
                if until is None or self.as_of < until:
                    return fact, name, until
        return None, "", None

    @cached_property
    def future(self) -> date | None:
        """The first day on which a fact that is dated in the future comes to count."""
        return min((f.day for f in self.evidence.facts if f.day and f.day > self.as_of), default=None)

    @cached_property
    def pregnancy(self) -> Pregnancy:
        """The pregnancy of this day, if any."""
        return pregnancy(self.by_set, self.person, self.as_of)

    @cached_property
    def unnamed_problems(self) -> list[Fact]:
        """Active problems without a code that rules can read."""
        return [
            f
            for f in self.evidence.of("condition")
            if not f.coded and not self.unusable(f) and f.active_on(self.as_of)
        ]

    @cached_property
    def unnamed_medicines(self) -> list[Fact]:
        """Active medications without a code, and without a name that the pack knows."""
        found = self.evidence.of("medication")
        return [
            f
            for f in found
            if not f.coded and not self.unusable(f) and f.active_on(self.as_of) and not self._named(f)
        ]

    def unnamed(self, drugs: bool) -> list[Fact]:
        """What has no code that rules can read: medications, or problems."""
        return self.unnamed_medicines if drugs else self.unnamed_problems

    @cached_property
    def age(self) -> int | None:
        """Whole years of age on this day."""
        born = self.person.born
        return age_on(born, self.as_of) if born is not None else None

    def window(self, rule: Rule) -> Window:
        """From when, and before when, age lets a rule apply."""
        found = self._windows.get(rule.id)
        if found is None:
            found = self._windows[rule.id] = self._window(rule.applies)
        return found

    def _window(self, applies: Applies) -> Window:
        born = self.person.born
        if born is None or (
            applies.min_age is applies.max_age is None and not applies.from_age and not applies.to_age
        ):
            return None, None
        start = birthday(born, applies.min_age) if applies.min_age is not None else None
        end = birthday(born, applies.max_age + 1) if applies.max_age is not None else None
        if applies.from_age:
            start = after(born, applies.from_age)
        return start, after(born, applies.to_age) if applies.to_age else end


_YEAR = 12


def _lasts(fact: Fact) -> date | None:
    """Until when something that was recorded still says so; None: without end."""
    if fact.kind == "condition":
        if fact.ended:
            return add_months(fact.ended, _YEAR)
        return None if fact.active else date.min
    if fact.kind == "observation" and fact.answers & _NO:
        return date.min
    begun = fact.ended or fact.day
    return add_months(begun, _YEAR) if begun else None


_NO = frozenset({("sct", "373067005"), ("loinc", "LA32-8")})
