"""One value in words, and where it stands by the laboratory's own flag and range."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from commonchart.care.accuracy import Measured
from commonchart.care.evidence import Fact, words_of
from commonchart.care.results import negative, under

Kind = Literal["critical", "abnormal", "cannot-tell", "normal"]
Standing = tuple[str, Kind, str, str]
"""mark, kind, why, the range in words"""

# HL7 v3 ObservationInterpretation -> shape and letter; two letters are critical
MARKS = {
    "HH": "HH", "LL": "LL", "AA": "AA", "HU": "HH", "LU": "LL", "H": "H", "L": "L", "A": "A", "HX": "H", "LX": "L", ">": "H",
    "<": "L", "POS": "A", "DET": "A", "R": "A", "RR": "A", "W": "A", "EXP": "A", "WR": "A",
}  # fmt: skip
_WEIGHT = ("", "A", "L", "H", "AA", "LL", "HH")
_GOOD = frozenset({"N", "NEG", "ND", "NR", "S"})
_UNSURE = frozenset({"IND", "I", "E", "IE", "QCF", "TOX", "CAR", "NS"})
_POSITIVE = re.compile(
    r"\b(positive|detected|reactive|abnormal|malignan\w*|carcinoma|dysplasia|growth of|present|high[- ]grade|critical)\b",
    re.I,
)
_INADEQUATE = re.compile(
    r"\b(inadequate|unsatisfactory|insufficient|hemoly[sz]ed|invalid|indeterminate|equivocal|not performed)\b",
    re.I,
)


def shown(part: Mapping[str, Any]) -> str:
    """The value as it was sent, "" where there is none."""
    quantity = part.get("valueQuantity") or {}
    if quantity.get("value") is not None:
        return f"{quantity.get('comparator', '')}{_number(quantity['value'])}"
    for name in ("valueString", "valueDateTime", "valueTime", "valueInteger"):
        if part.get(name) not in (None, ""):
            return str(part[name])
    if isinstance(part.get("valueBoolean"), bool):
        return "yes" if part["valueBoolean"] else "no"
    for name in ("valueRange", "valueRatio"):
        if part.get(name):
            return _two(part[name])
    return words_of(part.get("valueCodeableConcept")) or (
        "a recording" if part.get("valueSampledData") else ""
    )


def _number(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _two(value: Mapping[str, Any]) -> str:
    first, second = (
        (value.get("low"), value.get("high"))
        if "low" in value or "high" in value
        else (value.get("numerator"), value.get("denominator"))
    )
    sign = "–" if "low" in value or "high" in value else " : "
    return sign.join(_number((one or {}).get("value", "?")) for one in (first, second))


def standing(part: Mapping[str, Any], fact: Fact) -> Standing:
    """How a value stands by what was sent with it. Without anything to go by: cannot tell."""
    low, high, limits, comparable = _range(part)
    flag = max((MARKS.get(code, "") for code in fact.flags), key=_WEIGHT.index, default="")
    by_range = _by_range(fact, low, high) if comparable else None
    if flag:
        return flag, "abnormal", "flagged by the laboratory", limits
    if by_range in ("H", "L"):
        doubt = ", although it was sent as normal" if fact.flags & _GOOD else ""
        return by_range, "abnormal", f"outside the range that was sent{doubt}", limits
    if fact.flags & _UNSURE:
        return "", "cannot-tell", "sent as indeterminate", limits
    if fact.flags & _GOOD:
        return "", "normal", "flagged as normal by the laboratory", limits
    if by_range == "in":
        return "", "normal", "within the range that was sent", limits
    return _without_help(part, fact, limits, comparable)


def _without_help(part: Mapping[str, Any], fact: Fact, limits: str, comparable: bool) -> Standing:
    if fact.value is not None:
        why = (
            "neither a flag nor a range was sent"
            if not limits
            else "the range that was sent does not decide it"
        )
        return "", "cannot-tell", why if comparable else "the range is in another unit", limits
    words = shown(part)
    if _INADEQUATE.search(words):
        return "", "cannot-tell", "the test did not succeed", limits
    plain = negative(words)
    if _POSITIVE.search(plain):
        return "A", "abnormal", "by its words", limits
    if plain != words:
        return "", "normal", "by its words", limits
    return "", "cannot-tell", "words that only a person can read", limits


def _by_range(fact: Fact, low: Decimal | None, high: Decimal | None) -> str | None:
    """H, L, in, or None where there is no range or a comparator leaves it open."""
    if fact.value is None or (low is None and high is None):
        return None
    one = Measured(fact, fact.value, "", fact.comparator.startswith(">"), fact.comparator.startswith("<"))
    beyond = None if high is None else under(one, high, included=True)
    short = None if low is None else under(one, low)
    if beyond is False:
        return "H"
    if short is True:
        return "L"
    return "in" if (high is None or beyond) and (low is None or short is False) else None


def _range(part: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None, str, bool]:
    """low, high, the words, and whether it is in the unit of the value. Of several ranges none decides."""
    ranges = part.get("referenceRange") or ()
    text = "; ".join(filter(None, map(_words, ranges)))
    plain = [one for one in ranges if not one.get("appliesTo") and not one.get("age")]
    if len(ranges) != 1 or not plain:
        return None, None, text, True
    low, high = (_value(plain[0].get(end)) for end in ("low", "high"))
    return low, high, text, _same_unit(part, plain[0])


def _value(quantity: Any) -> Decimal | None:
    value = (quantity or {}).get("value")
    return None if value is None else Decimal(str(value))


def _same_unit(part: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """A range without a unit is in that of the value."""
    quantity = part.get("valueQuantity") or {}
    mine = {str(quantity[name]) for name in ("code", "unit") if quantity.get(name)}
    ends = [end for end in (one.get("low"), one.get("high")) if end]
    return all(not _units(end) or not mine or _units(end) & mine for end in ends)


def _units(end: Mapping[str, Any]) -> set[str]:
    return {str(end[name]) for name in ("code", "unit") if end.get(name)}


def _words(one: Mapping[str, Any]) -> str:
    low, high = _value(one.get("low")), _value(one.get("high"))
    if low is not None and high is not None:
        return f"{low:f}–{high:f}"
    if low is not None:
        return f"≥ {low:f}"
    return f"≤ {high:f}" if high is not None else str(one.get("text") or "")
