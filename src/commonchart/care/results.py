"""What a result says under a rule: normal, abnormal, inadequate, or unreadable, which is never taken for normal."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from commonchart.care.accuracy import Measured, measured
from commonchart.care.evidence import Fact
from commonchart.care.schema import Pack, Satisfied

_NEGATIVE = re.compile(
    r"\b(not detected|undetected|non-?reactive|not reactive|negative|no (?:abnormality|malignancy|evidence)[\w ]*|nilm|normal|never \w+)\b",
    re.I,
)
_INADEQUATE = re.compile(
    r"\b(inadequate|unsatisfactory|incomplete|failed|insufficient|invalid|indeterminate|not performed)\b",
    re.I,
)
_BAD_FLAGS = frozenset({"A", "AA", "H", "HH", "L", "LL", "HU", "LU", "POS", "DET", "R", "RR"})
_GOOD_FLAGS = frozenset({"N", "NEG", "ND", "NR"})


def inadequate(fact: Fact) -> bool:
    """Whether it was tried and did not succeed."""
    return bool(fact.words and _INADEQUATE.search(fact.words))


def read_result(pack: Pack, fact: Fact, way: Satisfied) -> str:
    """normal, abnormal, inadequate or unreadable. Only ways that say what is abnormal look at the result."""
    if not way.reads_results:
        return "normal"
    if inadequate(fact):
        return "inadequate"
    said = fact.answers | fact.codes
    if way.abnormal_codes and pack.holds(way.abnormal_codes, said):
        return "abnormal"
    if way.normal_codes and pack.holds(way.normal_codes, said):
        return "normal"
    if way.analyte and (fact.value is not None or not way.abnormal):
        return _by_number(pack, fact, way)
    return _by_words(fact, way)


def _by_number(pack: Pack, fact: Fact, way: Satisfied) -> str:
    analyte = pack.analytes[way.analyte]
    if not pack.holds(analyte.codes, fact.codes):
        return "normal" if fact.kind != "observation" else _elsewhere(fact)
    inside = within(measured(analyte, fact), way.at_least, way.below)
    return "unreadable" if inside is None else "normal" if inside else "abnormal"


def _elsewhere(fact: Fact) -> str:
    """A result of another instrument than the one with limits: by its flags, else unreadable."""
    if fact.flags & _BAD_FLAGS:
        return "abnormal"
    return "normal" if fact.flags & _GOOD_FLAGS else "unreadable"


def within(
    one: Measured, at_least: Decimal | None, below: Decimal | None, at_most: Decimal | None = None
) -> bool | None:
    """Whether a value is inside its limits; None when it cannot be read, or a comparator (">5") leaves it open."""
    if one.value is None:
        return None
    answers = []
    if below is not None:
        answers.append(under(one, below))
    if at_most is not None:
        answers.append(under(one, at_most, included=True))
    if at_least is not None:
        low = under(one, at_least)
        answers.append(None if low is None else not low)
    if False in answers:
        return False
    return None if None in answers else True


def under(one: Measured, limit: Decimal, *, included: bool = False) -> bool | None:
    """Whether the true value is below a limit (or on it, if that is included); None where a comparator leaves it open."""
    value = one.value
    if value is None:
        return None
    strict = one.fact.comparator in ("<", ">") or one.fact.value is None
    if one.at_least:
        return False if value > limit or (value == limit and (strict or not included)) else None
    if one.at_most:
        return True if value < limit or (value == limit and (strict or included)) else None
    return value <= limit if included else value < limit


@lru_cache(2048)
def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(word)}\b")


def _by_words(fact: Fact, way: Satisfied) -> str:
    words = fact.words.lower()
    plain = _NEGATIVE.sub(" ", words)
    if fact.flags & _BAD_FLAGS or any(_word(word).search(plain) for word in way.abnormal):
        return "abnormal"
    if fact.kind != "observation" or fact.flags & _GOOD_FLAGS or _NEGATIVE.search(words):
        return "normal"
    return "unreadable"


def negative(words: str) -> str:
    """The words without those that say that nothing was found: another text only where some do."""
    return _NEGATIVE.sub(" ", words)
