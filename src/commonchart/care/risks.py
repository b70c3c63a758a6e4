"""Whether a risk holds for a person: yes, no, or not known, with the facts that say so.

The newest sign decides. An answer to our own question is a sign like any other. What nobody has asked is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal

from msgspec import Struct

from commonchart.care.accuracy import measured
from commonchart.care.calendar import after
from commonchart.care.evidence import Fact
from commonchart.care.schema import Risk, Sign
from commonchart.care.verdict import Question


class Held(Struct, frozen=True):
    """The answer: `value` None where it is not known, then `asks` names what to ask."""

    value: bool | None
    fact: Fact | None = None
    asks: tuple[str, ...] = ()


def held(asked: Question, name: str) -> Held:
    """Whether the risk of this name holds."""
    risk = asked.pack.risks[name]
    if risk.any or risk.all:
        return _together(asked, risk)
    said = [*_replies(asked, name), *_signs(asked, risk.yes, True), *_signs(asked, risk.no, False)]
    if not said:
        return Held(False) if risk.otherwise == "no" else Held(None, asks=(name,))
    _, value, fact = max(said, key=lambda one: (one[0], one[1]))
    return Held(value, fact)


def _together(asked: Question, risk: Risk) -> Held:
    found = [held(asked, name) for name in (risk.any or risk.all)]
    deciding = bool(risk.any)
    first = next((one for one in found if one.value is deciding), None)
    if first is not None:
        return first
    unknown = tuple(name for one in found for name in one.asks)
    if unknown:
        return Held(None, asks=unknown)
    return Held(not deciding, next((one.fact for one in found if one.fact), None))


_Said = tuple[date, bool, Fact]


def _replies(asked: Question, name: str) -> Iterator[_Said]:
    for fact in asked.chart.replies.get(name, ()):
        if fact.truth is not None and not asked.chart.unusable(fact):
            yield fact.day or date.min, fact.truth, fact


def _signs(asked: Question, signs: Iterable[Sign], side: bool) -> Iterator[_Said]:
    for sign in signs:
        said = () if sign.answers or sign.at_least is not None else asked.chart.answers.get(sign.codes, ())
        for fact in (*asked.held(sign.codes), *(f for f in said if not asked.chart.unusable(f))):
            value = _read(asked, sign, fact, side)
            if value is not None and _current(asked, sign, fact):
                yield fact.day or date.min, value, fact


def _current(asked: Question, sign: Sign, fact: Fact) -> bool:
    if sign.active and not fact.active_on(asked.as_of):
        return False
    if sign.active:
        asked.turn(fact.ended)
    if not sign.within:
        return True
    until = after(fact.day, sign.within) if fact.day else date.min
    asked.turn(until)
    return asked.as_of < until


def _read(asked: Question, sign: Sign, fact: Fact, side: bool) -> bool | None:
    """What a fact says under a sign, None if nothing: its number, its coded answer, or that it is there at all."""
    if sign.at_least is not None:
        value = _number(asked, sign, fact)
        if value is None:
            return None
        return side if value >= sign.at_least else not side
    if sign.answers:
        return side if asked.pack.holds(sign.answers, fact.answers) else None
    if fact.kind == "observation" and fact.truth is not None:
        return side if fact.truth else not side
    return side


def _number(asked: Question, sign: Sign, fact: Fact) -> Decimal | None:
    for name in asked.pack.analytes_of.get(sign.codes, ()):
        return measured(asked.pack.analytes[name], fact).value
    return fact.value
