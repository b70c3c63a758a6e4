"""What was asked and not answered: "I do not know" and "I would rather not say" are kept, and not asked again at once.

The rule still cannot tell: what nobody knows is never taken for no. Asked again after six months where it was not known, and
after a year where somebody would not say.
"""

from __future__ import annotations

from msgspec.structs import replace

from commonchart.care.calendar import add_months
from commonchart.care.evidence import Fact
from commonchart.care.explain import shown_day
from commonchart.care.verdict import Question, Told, Verdict

AGAIN_MONTHS = {"asked-unknown": 6, "asked-declined": 12}
WORDS = {"asked-unknown": "not known", "asked-declined": "would rather not say"}


def told(asked: Question, verdict: Verdict) -> Verdict:
    """The verdict, with what was asked lately about it and not answered."""
    if verdict.status != "cannot-tell" or not verdict.asks:
        return verdict
    found = tuple(one for name in verdict.asks if (one := _unanswered(asked, name)) is not None)
    if not found:
        return verdict
    asked.turn(*(one.again for one in found))
    said = "; ".join(dict.fromkeys(f"{WORDS[one.fact.unsaid]} on {shown_day(one.fact)}" for one in found))
    return replace(
        verdict, told=found, because=f"{verdict.because} Asked: {said}.", used=(*verdict.used, *(one.fact for one in found)),
    )  # fmt: skip


def _unanswered(asked: Question, name: str) -> Told | None:
    fact = _newest(asked, name)
    if fact is None or not fact.unsaid or fact.day is None:
        return None
    again = add_months(fact.day, AGAIN_MONTHS[fact.unsaid])
    return Told(name, fact, again) if asked.as_of < again else None


def _newest(asked: Question, name: str) -> Fact | None:
    return next((f for f in asked.chart.replies.get(name, ()) if not asked.chart.unusable(f)), None)
