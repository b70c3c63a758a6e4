"""Rules that a test satisfies for some time: the latest end of any of them counts, and results count, not only dates.

The same for schedules by age (visits of a child): there, evidence counts until the first slot that it is too early for.
"""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from commonchart.care.calendar import add_months, after, age_on, birthday, days_after, span_words
from commonchart.care.evidence import Fact
from commonchart.care.explain import shown_day
from commonchart.care.plans import interval
from commonchart.care.results import inadequate, read_result
from commonchart.care.schema import Satisfied
from commonchart.care.verdict import Question, Unused, Verdict, not_used


class _Found(Struct):
    """What the evidence of a rule comes to."""

    best: Fact | None = None
    until: date = date.min
    label: str = ""
    within: str = ""
    span: str = ""
    open: list[tuple[Fact, Satisfied]] = []
    unread: list[Fact] = []
    unused: list[Unused] = []


def screened(asked: Question) -> Verdict:
    """Up to date by the test that lasts longest; an open follow-up, an unreadable result or nothing otherwise."""
    own = interval(asked)
    found = _Found(span=own[0] if own else "", open=[], unread=[], unused=[])
    for way in asked.rule.satisfied_by:
        for fact in asked.chart.by_set.get(way.codes, ()):
            if fact.kind in way.kinds and not fact.part_of:
                _weigh(asked, way, fact, found)
    if found.open:
        return _follow_up(asked, found)
    unread = _unread(asked, found)
    if unread is not None:
        return unread
    if asked.rule.interval_by_clinician and own is None:
        return _ask_interval(asked, found)
    return _timed(asked, found, own[1] if own else None)


def _unread(asked: Question, found: _Found) -> Verdict | None:
    newest = max((f.day for f in found.unread if f.day), default=date.min)
    if not found.unread or (found.best is not None and newest <= (found.best.day or date.min)):
        return None
    fact = found.unread[0]
    return Verdict(
        "cannot-tell", f"The last result, on {shown_day(fact)}, cannot be read.", used=(fact,), unused=tuple(found.unused[:6]),
        question=f"Ask the result of: {fact.text or asked.rule.title}", satisfied_by=_would_satisfy(asked, found),
        next_change_on=asked.later(), asks=("read-result",),
    )  # fmt: skip


def _ask_interval(asked: Question, found: _Found) -> Verdict:
    last = f"The last {found.label.lower()} was on {shown_day(found.best)}. " if found.best else ""
    return Verdict(
        "cannot-tell", f"{last}No interval is set for this patient.", used=(found.best,) if found.best else (),
        unused=tuple(found.unused[:6]), question=asked.rule.question or "Set the interval for this patient",
        satisfied_by=_would_satisfy(asked, found), next_change_on=asked.later(), asks=("set-interval",),
    )  # fmt: skip


def _timed(asked: Question, found: _Found, own: Fact | None) -> Verdict:
    unused, would, best = tuple(found.unused[:6]), _would_satisfy(asked, found), found.best
    chosen = (
        f" Every {span_words(found.span)} for this patient: {own.declined or 'no reason recorded'}."
        if own
        else ""
    )
    if best is not None and found.until > asked.as_of:
        good = " counts for good." if found.until == date.max and not asked.rule.slots else "."
        because = f"{found.label} on {shown_day(best)}{good}{chosen}"
        used = (best, own) if own else (best,)
        return asked.done(
            found.until,
            because,
            _turns(asked),
            used=used,
            unused=unused,
            satisfied_by=would,
            within=found.within,
        )
    if best is not None:
        because = f"The last {found.label.lower()} was on {shown_day(best)}; it counted until {found.until:%d-%b-%Y}.{chosen}"
        return asked.waiting(found.until, because, used=(best,), unused=unused, satisfied_by=would)
    because = "None is recorded that counts." if found.unused else "None is recorded."
    return asked.waiting(_since(asked), because, unused=unused, satisfied_by=would)


def _since(asked: Question) -> date | None:
    """From when it has been due, without any evidence: the slot of this age, the week of pregnancy, or the age it begins."""
    born, rule = asked.person.born, asked.rule
    if rule.slots and born:
        days = [after(born, slot.at) for slot in rule.slots]
        asked.turn(*days)
        return max((day for day in days if day <= asked.as_of), default=asked.window[0])
    if rule.applies.pregnancy in ("pregnant", "either", "postpartum"):
        return _week(asked, rule.applies.from_week or 0) or asked.chart.pregnancy.ended
    return asked.window[0]


def _week(asked: Question, week: int) -> date | None:
    now = asked.chart.pregnancy
    return now.week_day(week) if now.dated or not week else now.start


def _follow_up(asked: Question, found: _Found) -> Verdict:
    fact, way = max(found.open, key=lambda pair: pair[0].day or date.min)
    label = way.follow_up_label or "follow-up"
    return asked.waiting(
        fact.day, f"{way.label} on {shown_day(fact)} was not normal, and no {label} is recorded since.", grace=way.follow_up_days,
        used=(fact,), unused=tuple(found.unused[:6]), satisfied_by=f"{label.capitalize()} after {shown_day(fact)}",
        within="out", follow_up=True,
    )  # fmt: skip


def _weigh(asked: Question, way: Satisfied, fact: Fact, found: _Found) -> None:
    reason = _unusable(asked, way, fact)
    if reason:
        found.unused.append(not_used(fact, reason))
        return
    result = read_result(asked.pack, fact, way)
    if result == "abnormal":
        _weigh_abnormal(asked, way, fact, found)
    elif result == "inadequate":
        found.unused.append(not_used(fact, "inadequate: it does not count"))
    elif result == "unreadable":
        found.unread.append(fact)
    else:
        _count(asked, way, fact, found)


def _weigh_abnormal(asked: Question, way: Satisfied, fact: Fact, found: _Found) -> None:
    if not _closed(asked, way, fact):
        found.open.append((fact, way))
    elif way.closed_counts:
        _count(asked, way, fact, found, "out")
    else:
        found.unused.append(not_used(fact, "not normal, followed up since"))


def _count(asked: Question, way: Satisfied, fact: Fact, found: _Found, inside: str = "") -> None:
    until = _until(asked, way, fact, found.span)
    if until > found.until or found.best is None:
        found.best, found.until, found.label = fact, until, way.label
        found.within = inside or ("in" if way.analyte and fact.value is not None else "")


def _until(asked: Question, way: Satisfied, fact: Fact, span: str) -> date:
    assert fact.day is not None
    if asked.rule.slots:
        return _slot_after(asked, fact.day)
    if way.while_taken:
        asked.turn(fact.ended)
        return date.max
    if way.full_months is not None:
        return add_months(fact.day.replace(day=1), way.full_months + 1)
    if way.in_pregnancy and not way.lasts:
        return date.max
    lasts = span or _span(asked, way)
    return date.max if lasts in ("0m", "0d") else after(fact.day, lasts)


def _slot_after(asked: Question, day: date) -> date:
    """The first slot that something done on this day is too early for; the end of the rule's ages after the last."""
    born = asked.person.born
    assert born is not None
    for slot in asked.rule.slots:
        at = after(born, slot.at)
        if day < days_after(at, -slot.early_days):
            return at
    return date.max


def _unusable(asked: Question, way: Satisfied, fact: Fact) -> str:
    reason = asked.chart.unusable(fact)
    if reason:
        return reason
    if fact.day is None:
        return "no date"
    if fact.absent and not way.reads_results:
        return "no result"
    if way.while_taken and not fact.active_on(asked.as_of):
        return "no longer taken"
    return _too_early(asked, way, fact.day)


def _too_early(asked: Question, way: Satisfied, day: date) -> str:
    born, now = asked.person.born, asked.chart.pregnancy
    if born and day < born:
        return "dated before birth"
    if way.min_age is not None and born and age_on(born, day) < way.min_age:
        return f"before age {way.min_age}"
    if (
        asked.rule.slots
        and born
        and day < days_after(after(born, asked.rule.slots[0].at), -asked.rule.slots[0].early_days)
    ):
        return "before the first age it is for"
    if way.in_pregnancy and now.start and day < (_week(asked, way.from_week or 0) or now.start):
        return "before this pregnancy" if not way.from_week else f"before {way.from_week} weeks"
    return ""


_CLOSING = ("procedure", "report", "observation", "medication", "visit", "condition")


def _closed(asked: Question, way: Satisfied, fact: Fact) -> bool:
    if not way.follow_up:
        return False
    kinds = (*_CLOSING, "order") if way.follow_up_by_order else _CLOSING
    return any(_closes(asked, way, fact, later) for later in asked.held(way.follow_up, *kinds))


def _closes(asked: Question, way: Satisfied, fact: Fact, later: Fact) -> bool:
    if later.ref == fact.ref or later.day is None or fact.day is None or inadequate(later):
        return False
    return later.day >= fact.day


def _span(asked: Question, way: Satisfied) -> str:
    rule, born = asked.rule, asked.person.born
    if (
        rule.young_adult_months
        and rule.young_adult_until
        and born
        and age_on(born, asked.as_of) < rule.young_adult_until
    ):
        return f"{rule.young_adult_months}m"
    return way.span


def _turns(asked: Question) -> date | None:
    """The birthday on which the interval becomes another one."""
    if asked.rule.young_adult_until is None or asked.person.born is None:
        return None
    return birthday(asked.person.born, asked.rule.young_adult_until)


def _would_satisfy(asked: Question, found: _Found) -> str:
    ways = (f"{way.label} ({_counts(asked, way, found.span)})" for way in asked.rule.satisfied_by)
    return "; ".join(dict.fromkeys(ways))


def _counts(asked: Question, way: Satisfied, span: str) -> str:
    if asked.rule.slots:
        return "for its age"
    if way.while_taken:
        return "while it is taken"
    if way.full_months:
        return f"counts until {way.full_months} whole months have passed"
    if way.in_pregnancy and not way.lasts:
        return "in this pregnancy"
    words = span_words(span or _span(asked, way))
    return "once" if words == "for good" else f"counts {words}"
