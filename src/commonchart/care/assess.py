"""What a person is due for, rule by rule, with the reason: a pure function of evidence, person, pack and date.

Each answer carries the dates at which it will change by itself, so that it stays right until `next_change_on` without
being computed again (docs/decisions/0007). Missing data gives "cannot-tell" with the question to ask, never silence.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.evidence import Evidence, Person
from commonchart.care.explain import describe
from commonchart.care.measures import series
from commonchart.care.monitoring import monitored
from commonchart.care.rules import Pack, Rule
from commonchart.care.screening import screened
from commonchart.care.verdict import Question, Verdict, not_used

Status = Literal["overdue", "due", "cannot-tell", "due-soon", "up-to-date", "excluded", "not-applicable"]
STATUSES: tuple[str, ...] = (
    "overdue",
    "due",
    "cannot-tell",
    "due-soon",
    "up-to-date",
    "excluded",
    "not-applicable",
)


class Due(Struct, frozen=True):
    """One rule's answer for one person: a row of the due table. `why` is the whole explanation."""

    rule: str
    kind: str
    title: str
    status: str
    due_on: date | None
    overdue_on: date | None
    until: date | None
    next_change_on: date | None
    why: dict[str, Any]
    pack: str
    version: str


def assess(evidence: Evidence, person: Person, pack: Pack, as_of: date) -> list[Due]:
    """The answer of every rule of the pack. Nobody who has died is due for anything: then the list is empty."""
    if person.died:
        return []
    return [_due(_answer(Question(evidence, person, pack, rule, as_of)), pack, rule) for rule in pack.rules]


def _due(verdict: Verdict, pack: Pack, rule: Rule) -> Due:
    return Due(
        rule.id, rule.kind, rule.title, verdict.status, verdict.due_on, verdict.overdue_on, verdict.until,
        verdict.next_change_on, describe(rule, pack, verdict), pack.id, f"{pack.version}/{rule.version}",
    )  # fmt: skip


def _answer(asked: Question) -> Verdict:
    for step in (_known_person, _ages, _excluded_everywhere, _conditions, _excluded, _body_mass):
        verdict = step(asked)
        if verdict is not None:
            return _with_next_change(asked, verdict)
    return monitored(asked) if asked.rule.monitor else screened(asked)


def _with_next_change(asked: Question, verdict: Verdict) -> Verdict:
    """An answer that names no day of change still changes when age ends it, or when a fact of the future comes to count."""
    if verdict.next_change_on is not None:
        return verdict
    return replace(verdict, next_change_on=asked.later(*asked.future))


def _known_person(asked: Question) -> Verdict | None:
    applies = asked.rule.applies
    if asked.person.born is None:
        return Verdict(
            "cannot-tell",
            f"The date of birth is {asked.person.born_problem}.",
            question="Ask the date of birth",
        )
    if applies.sex is None or asked.person.sex == applies.sex:
        return None
    if asked.person.sex:
        return Verdict(
            "not-applicable", f"For people whose {asked.person.sex_source or 'sex'} is {applies.sex}."
        )
    return Verdict(
        "cannot-tell",
        f"Whether this applies depends on sex: {asked.person.sex_problem}.",
        question="Ask the sex recorded at birth",
    )


def _ages(asked: Question) -> Verdict | None:
    start, end = asked.window
    if start and asked.as_of < start:
        return Verdict("not-applicable", f"From age {asked.rule.applies.min_age}.", next_change_on=start)
    if end and asked.as_of >= end:
        return Verdict("not-applicable", f"Up to age {asked.rule.applies.max_age}.")
    return None


def _excluded_everywhere(asked: Question) -> Verdict | None:
    for name in asked.pack.everywhere:
        for fact in asked.known("condition", "service", "procedure"):
            if fact.active and asked.pack.holds(name, fact.codes):
                return Verdict(
                    "excluded", f"{fact.text} is recorded.", used=(fact,), next_change_on=asked.window[1]
                )
    return None


def _conditions(asked: Question) -> Verdict | None:
    """For rules about people with a condition: theirs, or nobody's, or an uncoded problem that might be it."""
    wanted = asked.rule.applies.conditions
    if not wanted:
        return None
    active = [fact for fact in asked.known("condition") if fact.active]
    if any(asked.pack.holds(name, fact.codes) for fact in active for name in wanted):
        return None
    labels = " or ".join(name.replace("-", " ") for name in wanted)
    maybe = [
        f
        for f in asked.evidence.of("condition")
        if f.active and f.unusable in _POSSIBLE and asked.in_any(wanted, f)
    ]
    if maybe:
        return Verdict(
            "cannot-tell", f"{labels.capitalize()} is recorded, but {maybe[0].unusable}.", question=f"Confirm or rule out {labels}",
            unused=(not_used(maybe[0], maybe[0].unusable),),
        )  # fmt: skip
    uncoded = [fact for fact in active if not fact.coded]
    if uncoded:
        return Verdict(
            "cannot-tell", "A problem is recorded without a code that this rule can read.",
            question=f"Is one of the uncoded problems {labels}? Code it",
            unused=tuple(not_used(fact, "no code in a system that the rule knows") for fact in uncoded[:5]),
        )  # fmt: skip
    return Verdict("not-applicable", f"For people with {labels}: none is recorded.")


_POSSIBLE = ("not confirmed", "provisional", "one of several possibilities")


def _excluded(asked: Question) -> Verdict | None:
    for name in asked.rule.excluded_by:
        for fact in asked.known("condition", "procedure", "observation"):
            if asked.pack.holds(name, fact.codes):
                return Verdict(
                    "excluded",
                    f"{fact.text} is recorded ({name.replace('-', ' ')}).",
                    used=(fact,),
                    next_change_on=asked.window[1],
                )
    return None


def _body_mass(asked: Question) -> Verdict | None:
    """Rules from a body mass index on, which is lower for people of Asian descent; unknown is asked, not assumed."""
    limit = asked.rule.applies.bmi_from
    if limit is None:
        return None
    lower = asked.rule.applies.bmi_from_asian or limit
    found = [m for m in series(asked.pack, "bmi", list(asked.known("observation"))) if m.value is not None]
    if not found:
        return Verdict("cannot-tell", "No body mass index is recorded.", question="Measure weight and height")
    value, fact = found[0].value or Decimal(0), found[0].fact
    if value >= (lower if asked.person.asian else limit):
        return None
    if value >= lower and asked.person.asian is None:
        return Verdict(
            "cannot-tell", f"The body mass index is {value:.1f}: enough for people of Asian descent ({lower}), not for others ({limit}).",
            question="Ask about Asian descent", used=(fact,),
        )  # fmt: skip
    return Verdict(
        "not-applicable",
        f"The last body mass index is {value:.1f}, below {lower if asked.person.asian else limit}.",
        used=(fact,),
    )
