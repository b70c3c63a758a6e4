"""Whom a rule is for, step by step; each step returns an answer that ends the matter, or None."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal

from msgspec import Struct

from commonchart.care.accuracy import series
from commonchart.care.calendar import after, birthday, span_words
from commonchart.care.chart import Chart
from commonchart.care.evidence import Fact
from commonchart.care.explain import shown_day
from commonchart.care.risks import held
from commonchart.care.schema import Rule
from commonchart.care.verdict import Question, Verdict, named, not_used


def birth_known(asked: Question) -> Verdict | None:
    """Without a date of birth nothing can be told."""
    if asked.person.born is not None:
        return None
    return Verdict(
        "cannot-tell",
        f"The date of birth is {asked.person.born_problem}.",
        question="Ask the date of birth",
        asks=("birth-date",),
    )


def ages(asked: Question) -> Verdict | None:
    """Too young for it, or too old."""
    start, end = asked.window
    applies = asked.rule.applies
    if start and asked.as_of < start:
        words = span_words(applies.from_age) if applies.from_age else str(applies.min_age)
        return Verdict("not-applicable", f"From age {words}.", next_change_on=asked.later(start))
    if end and asked.as_of >= end:
        words = (
            f"Before age {span_words(applies.to_age)}" if applies.to_age else f"Up to age {applies.max_age}"
        )
        return Verdict("not-applicable", f"{words}.")
    return None


def anatomy(asked: Question) -> Verdict | None:
    """By the organ inventory where it speaks, else by sex; a conflict or nothing recorded is asked."""
    applies, person = asked.rule.applies, asked.person
    if not applies.organ and applies.sex is None:
        return None
    said = _inventory(asked, applies.organ)
    if said is not None:
        return (
            None
            if said.truth
            else Verdict("not-applicable", f"No {applies.organ}, by the organ inventory.", used=(said,))
        )
    if person.sex == applies.sex:
        return None
    if person.sex:
        return Verdict(
            "not-applicable",
            f"For people whose {person.sex_source or 'sex'} is {applies.sex}.",
            note=person.sex_note,
        )
    asks = (f"organ-{applies.organ}",) if applies.organ else ("sex",)
    question = (
        f"Ask: do you have a {applies.organ}?"
        if applies.organ == "cervix"
        else "Ask the sex recorded at birth"
    )
    return Verdict(
        "cannot-tell",
        f"Whether this applies depends on {applies.organ or 'sex'}: {person.sex_problem}.",
        question=question,
        asks=asks,
    )


def _inventory(asked: Question, organ: str) -> Fact | None:
    found = asked.chart.replies.get(f"organ-{organ}", ()) if organ else ()
    return next((f for f in found if f.truth is not None and not asked.chart.unusable(f)), None)


def excluded_everywhere(asked: Question) -> Verdict | None:
    """Hospice and palliative care: as long as the condition lasts, and a year after its end or after anything else that says so."""
    fact, name, until = asked.chart.everywhere
    if fact is None:
        return None
    asked.turn(until)
    return Verdict("excluded", f"{fact.text or named([name]).capitalize()} is recorded.", used=(fact,))


def conditions(asked: Question) -> Verdict | None:
    """For rules about people with a condition: theirs, or nobody's, or an uncoded problem that might be it."""
    wanted = asked.rule.applies.conditions
    if not wanted or next(_with_condition(asked, wanted), None):
        return None
    return _doubtful(asked, wanted) or _no_such(asked, wanted)


def _with_condition(asked: Question, wanted: tuple[str, ...]) -> Iterator[Fact]:
    yield from asked.active(wanted)
    for name in wanted:
        yield from (f for f in asked.chart.answers.get(name, ()) if not asked.chart.unusable(f))


def _doubtful(asked: Question, wanted: tuple[str, ...]) -> Verdict | None:
    maybe = [
        f
        for name in wanted
        for f in asked.chart.by_set.get(name, ())
        if f.active and f.unusable in _POSSIBLE and f.kind == "condition"
    ]
    if not maybe:
        return None
    labels, first = named(wanted), maybe[0]
    return Verdict(
        "cannot-tell", f"{labels.capitalize()} is recorded, but {first.unusable}.", question=f"Confirm or rule out {labels}",
        unused=(not_used(first, first.unusable),), asks=("confirm-problem",),
    )  # fmt: skip


def _no_such(asked: Question, wanted: tuple[str, ...]) -> Verdict:
    labels = named(wanted)
    uncoded = asked.chart.unnamed_problems
    if uncoded:
        return Verdict(
            "cannot-tell", "A problem is recorded without a code that this rule can read.",
            question=f"Is one of the uncoded problems {labels}? Code it",
            unused=tuple(not_used(f, "no code in a system that the rule knows") for f in uncoded[:5]), asks=("code-problems",),
        )  # fmt: skip
    return Verdict("not-applicable", f"For people with {labels}: none is recorded.")


_POSSIBLE = ("not confirmed", "provisional", "one of several possibilities")


def drugs(asked: Question) -> Verdict | None:
    """For rules about people who take a drug."""
    wanted = asked.rule.applies.drugs
    if not wanted:
        return None
    taken = list(asked.active(wanted, "medication"))
    if taken:
        return _long_enough(asked, wanted)
    labels = named(wanted)
    unnamed = asked.chart.unnamed_medicines
    if unnamed:
        return Verdict(
            "cannot-tell", f"NOT CHECKED: no code for “{unnamed[0].text or 'a medication without a name'}”.",
            question=f"Is one of the uncoded medications {labels}? Code it",
            unused=tuple(not_used(f, "no code and no name that the pack knows") for f in unnamed[:5]), asks=("code-medications",),
        )  # fmt: skip
    return Verdict("not-applicable", f"For people who take {labels}: none is recorded.")


def _long_enough(asked: Question, wanted: tuple[str, ...]) -> Verdict | None:
    span, start = asked.rule.applies.drug_for, began(asked)
    if not span or start is None or asked.as_of >= after(start, span):
        return None
    return Verdict(
        "not-applicable", f"After {span_words(span)} of {named(wanted)}: taken since {start:%d-%b-%Y}.",
        next_change_on=asked.later(after(start, span)),
    )  # fmt: skip


def began(asked: Question) -> date | None:
    """Since when a drug of the rule has been taken, by the first record of it."""
    days = [f.day for name in asked.rule.applies.drugs for f in asked.held(name, "medication") if f.day]
    return min(days, default=None)


def history(asked: Question) -> Verdict | None:
    """For rules that follow something that was done or found before, whether it goes on or not."""
    wanted = asked.rule.applies.after
    if not wanted or any(next(_finding(asked, name), None) for name in wanted):
        return None
    return Verdict("not-applicable", f"After {named(wanted)}: none is recorded.")


def excluded(asked: Question) -> Verdict | None:
    """What takes a person out: a finding of one of the sets, several together, or a risk; or another rule's matter."""
    for one in asked.rule.hand_over:
        for name in one.codes:
            if fact := next(_finding(asked, name), None):
                title = asked.pack.by_id[one.to].title
                because = f"{fact.text or named([name]).capitalize()} is recorded: see {title}."
                return Verdict("excluded", because, used=(fact,))
    for name in asked.rule.excluded_by:
        if fact := next(_finding(asked, name), None):
            return Verdict(
                "excluded", f"{fact.text or 'A finding'} is recorded ({named([name])}).", used=(fact,)
            )
    return _together(asked) or _by_risk(asked)


def _finding(asked: Question, name: str, *, orders: bool = False) -> Iterator[Fact]:
    """Anything but a wish that says so, and an order (of a walking frame) only where asked for."""
    left_out = (
        ("plan", "goal", "coverage", "medication")
        if orders
        else ("order", "plan", "goal", "coverage", "medication")
    )
    for fact in asked.held(name):
        if fact.kind not in left_out:
            yield fact
        elif fact.kind == "medication" and fact.active_on(asked.as_of):
            asked.turn(fact.ended)
            yield fact
    yield from (f for f in asked.chart.answers.get(name, ()) if not asked.chart.unusable(f))


def _together(asked: Question) -> Verdict | None:
    for one in asked.rule.excluded_together:
        if one.min_age is not None and asked.person.born:
            turns = birthday(asked.person.born, one.min_age)
            asked.turn(turns)
            if asked.as_of < turns:
                continue
        found = [next(_finding(asked, name, orders=True), None) for name in one.all]
        answers = [held(asked, name) for name in one.risks]
        if all(found) and all(answer.value for answer in answers):
            facts = [*found, *(answer.fact for answer in answers)]
            see = f": see {asked.pack.by_id[one.to].title}" if one.to else ""
            return Verdict("excluded", f"{one.label}{see}.", used=tuple(f for f in facts if f))
    return None


def _by_risk(asked: Question) -> Verdict | None:
    for name in asked.rule.excluded_by_risks:
        found = held(asked, name)
        if found.value:
            used = (found.fact,) if found.fact else ()
            return Verdict("excluded", f"{asked.pack.risks[name].label.capitalize()}.", used=used)
        if found.value is None:
            return _ask(asked, found.asks)
    return None


def risks(asked: Question) -> Verdict | None:
    """Every risk that the rule names has to hold; one that nobody asked about makes it cannot-tell."""
    unknown: list[str] = []
    for name in asked.rule.applies.risks:
        found = held(asked, name)
        if found.value is False:
            used = (found.fact,) if found.fact else ()
            return Verdict(
                "not-applicable", f"For people with this risk: {asked.pack.risks[name].label}.", used=used
            )
        unknown += found.asks
    return _ask(asked, tuple(dict.fromkeys(unknown))) if unknown else None


def _ask(asked: Question, names: tuple[str, ...]) -> Verdict:
    known = [asked.pack.risks[name] for name in names]
    labels = "; ".join(risk.label for risk in known)
    return Verdict(
        "cannot-tell",
        f"Not recorded: {labels}.",
        question=" ".join(risk.question for risk in known),
        asks=names,
    )


def gestation(asked: Question) -> Verdict | None:
    """Whether the rule's pregnancy, or its absence, is there, and far enough on."""
    wanted = asked.rule.applies.pregnancy
    if not wanted or (asked.person.sex == "male" and wanted == "not"):
        return None
    now = asked.chart.pregnancy
    asked.turn(*now.changes)
    if now.state == "unknown":
        since = f" since {now.start:%d-%b-%Y}" if now.start else ""
        return Verdict(
            "cannot-tell", f"A pregnancy is recorded{since}, and no end of it.", used=(now.fact,) if now.fact else (),
            question="Ask how and when the pregnancy ended", asks=("pregnancy-end",),
        )  # fmt: skip
    if wanted == "not":
        return (
            Verdict("excluded", "Pregnancy is recorded.", used=(now.fact,) if now.fact else ())
            if now.state == "pregnant"
            else None
        )
    states = {"pregnant": ("pregnant",), "postpartum": ("postpartum",), "either": ("pregnant", "postpartum")}[
        wanted
    ]
    if now.state not in states:
        return Verdict("not-applicable", f"For people who are {' or '.join(states)}.")
    return _weeks(asked)


def _weeks(asked: Question) -> Verdict | None:
    applies, now = asked.rule.applies, asked.chart.pregnancy
    if applies.from_week is None and applies.to_week is None:
        return None
    if not now.dated:
        return Verdict(
            "cannot-tell", "The due date of the pregnancy is not recorded.", used=(now.fact,) if now.fact else (),
            question="Record the estimated due date", asks=("due-date",),
        )  # fmt: skip
    start = now.week_day(applies.from_week or 0)
    end = now.week_day(applies.to_week + 1) if applies.to_week is not None else None
    asked.turn(start, end)
    if start and asked.as_of < start:
        return Verdict("not-applicable", f"From {applies.from_week} weeks of pregnancy, on {start:%d-%b-%Y}.")
    if end and asked.as_of >= end:
        return Verdict("not-applicable", f"Up to {applies.to_week} weeks of pregnancy.")
    return None


def body_mass(asked: Question) -> Verdict | None:
    """Rules from a body mass index on, which is lower for people of Asian descent; unknown is asked, not assumed."""
    limit = asked.rule.applies.bmi_from
    if limit is None:
        return None
    lower = asked.rule.applies.bmi_from_asian or limit
    found = [
        m
        for m in series(asked.pack, "bmi", asked.held(asked.pack.analytes["bmi"].codes))
        if m.value is not None
    ]
    if not found:
        return Verdict(
            "cannot-tell",
            "No body mass index is recorded.",
            question="Measure weight and height",
            asks=("measure-bmi",),
        )
    value, fact, asian = found[0].value or Decimal(0), found[0].fact, _asian(asked)
    if value >= (lower if asian else limit):
        return None
    if value >= lower and asian is None:
        return Verdict(
            "cannot-tell", f"The body mass index is {value:.1f}: enough for people of Asian descent ({lower}), not for others ({limit}).",
            question="Ask about Asian descent", used=(fact,), asks=("asian-descent",),
        )  # fmt: skip
    words = (
        f"The last body mass index, on {shown_day(fact)}, is {value:.1f}, below {lower if asian else limit}."
    )
    return Verdict("not-applicable", words, used=(fact,))


Step = Callable[[Question], Verdict | None]


def _asian(asked: Question) -> bool | None:
    """By the record's race, else by an answer to our question."""
    if asked.person.asian is not None:
        return asked.person.asian
    said = (f.truth for f in asked.chart.replies.get("asian-descent", ()) if not asked.chart.unusable(f))
    return next((truth for truth in said if truth is not None), None)


class Plan(Struct, frozen=True):
    """What is known of a rule before anybody is looked at: its steps, and the code sets (of `drugs` or conditions) it needs.

    `without` says why it is not about somebody who has none of them.
    """

    steps: tuple[Step, ...]
    needs: frozenset[str]
    drugs: bool
    without: str


def plan(rule: Rule) -> Plan:
    """The plan of a rule."""
    wanted, taken = rule.applies.conditions, rule.applies.drugs
    without = f"For people with {named(wanted)}: none is recorded." if wanted else ""
    if taken and not wanted:
        without = f"For people who take {named(taken)}: none is recorded."
    return Plan(steps(rule), frozenset(wanted or taken), not wanted, without)


def too_old(chart: Chart, rule: Rule) -> str:
    """Why a rule is over for this person; "" if it is not."""
    applies = rule.applies
    if applies.max_age is not None and not applies.to_age:
        over = chart.age is not None and chart.age > applies.max_age
    else:
        end = chart.window(rule)[1]
        over = end is not None and chart.as_of >= end
    return _too_old(rule) if over else ""


def _too_old(rule: Rule) -> str:
    applies = rule.applies
    return f"Before age {span_words(applies.to_age)}." if applies.to_age else f"Up to age {applies.max_age}."


_ALWAYS: tuple[Step, ...] = (birth_known,)


def steps(rule: Rule) -> tuple[Step, ...]:
    """The steps that this rule needs, in their order."""
    applies = rule.applies
    window = applies.min_age is not None or applies.max_age is not None or applies.from_age or applies.to_age
    out = (rule.excluded_by, rule.excluded_by_risks, rule.excluded_together, rule.hand_over)
    needed: tuple[tuple[object, Step], ...] = (
        (window, ages), (applies.organ or applies.sex, anatomy), (True, excluded_everywhere), (applies.conditions, conditions),
        (applies.drugs, drugs), (applies.after, history), (applies.pregnancy, gestation), (any(out), excluded),
        (applies.risks, risks), (applies.bmi_from is not None, body_mass),
    )  # fmt: skip
    return (*_ALWAYS, *(step for wanted, step in needed if wanted))
