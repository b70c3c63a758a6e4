"""Rules that a test satisfies for some time: the latest end of any of them counts, and results count, not only dates."""

from __future__ import annotations

import re
from datetime import date

from msgspec import Struct

from commonchart.care.calendar import add_months, age_on, birthday
from commonchart.care.evidence import Fact
from commonchart.care.explain import shown_day
from commonchart.care.rules import Satisfied
from commonchart.care.verdict import Question, Unused, Verdict, not_used

_NEGATIVE = re.compile(
    r"\b(not detected|undetected|non-?reactive|not reactive|negative|no (?:abnormality|malignancy|evidence)[\w ]*|nilm|normal|never \w+)\b",
    re.I,
)
_INADEQUATE = re.compile(
    r"\b(inadequate|unsatisfactory|incomplete|failed|insufficient|invalid|indeterminate|not performed)\b",
    re.I,
)


class _Found(Struct):
    """What the evidence of a rule comes to."""

    best: Fact | None = None
    until: date = date.min
    label: str = ""
    open: list[tuple[Fact, Satisfied]] = []
    unread: list[Fact] = []
    unused: list[Unused] = []


def screened(asked: Question) -> Verdict:
    """Up to date by the test that lasts longest; an open follow-up, an unreadable result or nothing otherwise."""
    found = _Found(open=[], unread=[], unused=[])
    for way in asked.rule.satisfied_by:
        for fact in asked.evidence.of(*way.kinds):
            if asked.pack.holds(way.codes, fact.codes) and not fact.part_of:
                _weigh(asked, way, fact, found)
    unused, would = tuple(found.unused[:6]), _would_satisfy(asked)
    if found.open:
        return _follow_up(asked, found, unused)
    newest_unread = max((f.day for f in found.unread if f.day), default=date.min)
    if found.unread and (found.best is None or newest_unread > (found.best.day or date.min)):
        return Verdict(
            "cannot-tell", "The last result cannot be read.", used=(found.unread[0],), unused=unused,
            question=f"Ask the result of: {found.unread[0].text or asked.rule.title}", satisfied_by=would,
            next_change_on=asked.later(*asked.future),
        )  # fmt: skip
    if found.best is not None and found.until > asked.as_of:
        because = f"{found.label} on {shown_day(found.best)}" + (
            " counts for good." if found.until == date.max else "."
        )
        return asked.done(
            found.until, because, _turns(asked), used=(found.best,), unused=unused, satisfied_by=would
        )
    if found.best is not None:
        because = f"The last {found.label.lower()} was on {shown_day(found.best)}; it counted until {found.until:%d-%b-%Y}."
        return asked.waiting(found.until, because, used=(found.best,), unused=unused, satisfied_by=would)
    because = "None is recorded that counts." if found.unused else "None is recorded."
    return asked.waiting(asked.window[0], because, unused=unused, satisfied_by=would)


def _follow_up(asked: Question, found: _Found, unused: tuple[Unused, ...]) -> Verdict:
    fact, way = max(found.open, key=lambda pair: pair[0].day or date.min)
    label = way.follow_up_label or "follow-up"
    because = f"{way.label} on {shown_day(fact)} was not normal, and no {label} is recorded since."
    return asked.waiting(
        fact.day,
        because,
        used=(fact,),
        unused=unused,
        satisfied_by=f"{label.capitalize()} after {shown_day(fact)}",
    )


def _weigh(asked: Question, way: Satisfied, fact: Fact, found: _Found) -> None:
    reason = _unusable(asked, way, fact)
    if reason:
        found.unused.append(not_used(fact, reason))
        return
    assert fact.day is not None
    result = read_result(fact, way)
    if result == "abnormal":
        if not _closed(asked, way, fact):
            found.open.append((fact, way))
        else:
            found.unused.append(not_used(fact, "not normal, followed up since"))
    elif result == "inadequate":
        found.unused.append(not_used(fact, "inadequate: it does not count"))
    elif result == "unreadable":
        found.unread.append(fact)
    else:
        until = date.max if way.months == 0 else add_months(fact.day, _months(asked, way))
        if until > found.until or found.best is None:
            found.best, found.until, found.label = fact, until, way.label


def _unusable(asked: Question, way: Satisfied, fact: Fact) -> str:
    if fact.unusable:
        return fact.unusable
    if fact.day is None:
        return "no date"
    if fact.day > asked.as_of:
        return "dated in the future"
    born = asked.person.born
    if born and fact.day < born:
        return "dated before birth"
    if way.min_age is not None and born and age_on(born, fact.day) < way.min_age:
        return f"before age {way.min_age}"
    return ""


def read_result(fact: Fact, way: Satisfied) -> str:
    """normal, abnormal, inadequate or unreadable. Only ways that name abnormal words look at the result."""
    if not way.abnormal:
        return "normal"
    words = fact.words.lower()
    if _INADEQUATE.search(words):
        return "inadequate"
    if any(re.search(rf"\b{re.escape(word)}\b", _NEGATIVE.sub(" ", words)) for word in way.abnormal):
        return "abnormal"
    if fact.kind != "observation" or _NEGATIVE.search(words):
        return "normal"
    return "unreadable"


def _closed(asked: Question, way: Satisfied, fact: Fact) -> bool:
    if not way.follow_up:
        return False
    later = (
        f
        for f in asked.known("procedure", "report", "observation")
        if f.day and fact.day and f.day >= fact.day
    )
    return any(f.ref != fact.ref and asked.pack.holds(way.follow_up, f.codes) for f in later)


def _months(asked: Question, way: Satisfied) -> int:
    rule, born = asked.rule, asked.person.born
    if (
        rule.young_adult_months
        and rule.young_adult_until
        and born
        and age_on(born, asked.as_of) < rule.young_adult_until
    ):
        return rule.young_adult_months
    return way.months


def _turns(asked: Question) -> date | None:
    """The birthday on which the interval becomes another one."""
    if asked.rule.young_adult_until is None or asked.person.born is None:
        return None
    return birthday(asked.person.born, asked.rule.young_adult_until)


def _would_satisfy(asked: Question) -> str:
    ways = []
    for way in asked.rule.satisfied_by:
        months = _months(asked, way)
        every = (
            "once"
            if months == 0
            else f"counts {months // 12} year{'s' if months > 12 else ''}"
            if months % 12 == 0
            else f"counts {months} months"
        )
        ways.append(f"{way.label} ({every})")
    return "; ".join(ways)
