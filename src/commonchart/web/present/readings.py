"""Observations as readings: the value exactly as sent, its flag, its range, and how each is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.web.present import codes, values
from commonchart.web.present.tables import Fact, entered_in_error

BP, SYSTOLIC, DIASTOLIC = "85354-9", "8480-6", "8462-4"
_BP_CODES = {BP, "55284-4", "96607-7"}
# HL7 v3 ObservationInterpretation -> our marks: shape and letter, never colour alone.
_MEANING = {
    "HH": ("HH", "critically high"), "LL": ("LL", "critically low"), "AA": ("AA", "critically abnormal"),
    "HU": ("HH", "significantly high"), "LU": ("LL", "significantly low"),
    "H": ("H", "high"), "L": ("L", "low"), "A": ("A", "abnormal"), "HX": ("H", "above the upper threshold"),
    "LX": ("L", "below the lower threshold"), ">": ("H", "off scale high"), "<": ("L", "off scale low"),
    "POS": ("A", "positive"), "DET": ("A", "detected"), "R": ("A", "resistant"), "IND": ("A", "indeterminate"),
}  # fmt: skip
_SIGNS = {"H": "▲", "HH": "▲▲", "L": "▼", "LL": "▼▼", "A": "◆", "AA": "◆◆"}
_RANK = {"": 0, "A": 1, "L": 2, "H": 3, "AA": 4, "LL": 5, "HH": 6}


class Flag(Struct, frozen=True):
    """How a value stands: `mark` is H, L, HH, LL, A, AA or empty; `computed` when we compared it with the range ourselves."""

    mark: str = ""
    words: str = ""
    computed: bool = False

    @property
    def sign(self) -> str:
        """The shape that goes with the letter."""
        return _SIGNS.get(self.mark, "")

    @property
    def letter(self) -> str:
        """The letter beside the shape."""
        return self.mark[:1]

    @property
    def tone(self) -> str:
        """The CSS class: `cr` for critical, `hi` for abnormal."""
        return "cr" if len(self.mark) == 2 else "hi" if self.mark else ""

    @property
    def spoken(self) -> str:
        """What a screen reader says after the value."""
        return f"{self.words}, outside the range, computed here" if self.computed else self.words


class Reading(Struct, frozen=True):
    """One measured thing at one moment. `number` is None for anything that is not a plain quantity.

    `day` is the day as it was written, `at` the FHIR dateTime.
    """

    fact: Fact
    key: str
    name: str
    text: str
    unit: str = ""
    number: Decimal | None = None
    second: Decimal | None = None
    flag: Flag = Flag()
    range: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    day: str = ""
    at: str = ""
    status: str = ""
    struck: str = ""
    category: str = ""

    @property
    def brief(self) -> str:
        """The text for a narrow cell: long machine-made fractions are cut and marked with an ellipsis."""
        return (
            "/".join(values.short(part) for part in self.text.split("/"))
            if self.number is not None
            else self.text
        )


def readings(facts: Iterable[Fact]) -> list[Reading]:
    """Every Observation as one reading, a panel's own components as one each; blood pressure as a pair."""
    return [reading for fact in facts if fact.rtype == "Observation" for reading in read(fact)]


def read(fact: Fact) -> list[Reading]:
    """The readings of one Observation."""
    body = fact.body
    codings = {code.code for code in codes.codings(body.get("code"))}
    if codings & _BP_CODES and body.get("component"):
        pair = _pressure(fact)
        if pair:
            return [pair]
    found = (
        [_reading(fact, body, codes.key(body.get("code")), codes.concept(body.get("code")))]
        if _has_value(body)
        else []
    )
    for part in body.get("component") or ():
        name = f"{codes.concept(body.get('code'))}: {codes.concept(part.get('code'))}"
        found.append(
            _reading(fact, part, f"{codes.key(body.get('code'))}>{codes.key(part.get('code'))}", name)
        )
    if not found and not body.get("hasMember"):
        found.append(_reading(fact, body, codes.key(body.get("code")), codes.concept(body.get("code"))))
    return found


def _has_value(body: Mapping[str, Any]) -> bool:
    return bool(values.choice(body, "value")[0]) or "dataAbsentReason" in body


def _reading(fact: Fact, part: Mapping[str, Any], key: str, name: str) -> Reading:
    kind, value = values.choice(part, "value")
    quantity = value if kind == "Quantity" and value.get("value") is not None else {}
    number = Decimal(str(quantity["value"])) if quantity else None
    low, high, text = _range(part)
    low, high = (low, high) if _same_unit(quantity, part) else (None, None)
    made = Reading(
        fact,
        key,
        name,
        f"{values.comparator(quantity)}{values.number(quantity['value'])}"
        if quantity
        else _other(part, kind, value),
        values.unit(quantity),
        number,
        flag=_flag(part, number, str(quantity.get("comparator", "")), low, high),
        range=text,
        low=low,
        high=high,
    )
    return replace(made, **_when(fact.body))


def _other(part: Mapping[str, Any], kind: str, value: Any) -> str:
    if kind:
        return values.words(kind, value)
    reason = codes.concept(part.get("dataAbsentReason"), "")
    return f"not recorded: {codes.plain(reason)}" if reason else codes.NOT_RECORDED


def _pressure(fact: Fact) -> Reading | None:
    parts = {
        code.code: _reading(fact, part, "", "")
        for part in fact.body["component"]
        for code in codes.codings(part.get("code"))
    }
    top, bottom = parts.get(SYSTOLIC), parts.get(DIASTOLIC)
    if not top or not bottom:
        return None
    made = Reading(
        fact,
        codes.key(fact.body.get("code")),
        "Blood pressure",
        f"{top.text}/{bottom.text}",
        top.unit or bottom.unit,
        top.number,
        bottom.number,
        flag=_worst(top.flag, bottom.flag, _flag(fact.body, None, "", None, None)),
        range=f"{top.range} / {bottom.range}" if top.range and bottom.range else top.range or bottom.range,
    )
    return replace(made, **_when(fact.body))


def _worst(*flags: Flag) -> Flag:
    return max(flags, key=lambda flag: _RANK[flag.mark])


def _at(body: Mapping[str, Any]) -> str:
    return str(
        body.get("effectiveDateTime")
        or body.get("effectiveInstant")
        or (body.get("effectivePeriod") or {}).get("start")
        or ""
    )


def day(body: Mapping[str, Any]) -> str:
    """The day of an Observation as it was written."""
    return _at(body)[:10]


def _when(body: Mapping[str, Any]) -> dict[str, str]:
    status = str(body.get("status") or "")
    category = next((code.code for one in body.get("category") or () for code in codes.codings(one)), "")
    said = "" if status in ("final", "entered-in-error", "") else codes.plain(status)
    return {
        "day": day(body),
        "at": _at(body),
        "status": said,
        "struck": entered_in_error(dict(body)),
        "category": category,
    }


def _range(part: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None, str]:
    """Low, high and words of the reference range; numbers only when exactly one range applies to everybody."""
    ranges = part.get("referenceRange") or ()
    normal = [one for one in ranges if codes.said(one.get("type")) in ("", "normal")]
    plain = [one for one in normal if not one.get("appliesTo") and not one.get("age")]
    text = "; ".join(word for one in ranges if (word := _range_words(one)))
    if len(plain) != 1:
        return None, None, text
    low, high = (plain[0].get("low") or {}).get("value"), (plain[0].get("high") or {}).get("value")
    return (
        (None if low is None else Decimal(str(low))),
        (None if high is None else Decimal(str(high))),
        _range_words(plain[0]),
    )


def _range_words(one: Mapping[str, Any]) -> str:
    low, high = (one.get("low") or {}).get("value"), (one.get("high") or {}).get("value")
    if low is None and high is None:
        return str(one.get("text") or "")
    if low is not None and high is not None:
        return f"{values.number(low)}–{values.number(high)}"
    return f"≥ {values.number(low)}" if low is not None else f"≤ {values.number(high)}"


def _same_unit(quantity: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    """A range in another unit is shown but never compared."""
    units = {
        str(end.get("code") or end.get("unit"))
        for one in part.get("referenceRange") or ()
        for end in (one.get("low") or {}, one.get("high") or {})
        if end.get("code") or end.get("unit")
    }
    mine = {str(quantity.get(name)) for name in ("code", "unit") if quantity.get(name)}
    return not units or not mine or units <= mine


def _flag(
    part: Mapping[str, Any],
    number: Decimal | None,
    comparator: str,
    low: Decimal | None,
    high: Decimal | None,
) -> Flag:
    said = [code.code for one in part.get("interpretation") or () for code in codes.codings(one)]
    if said:
        return _worst(*(Flag(*_MEANING[code]) if code in _MEANING else Flag() for code in said))
    if number is None:
        return Flag()
    if (
        high is not None
        and comparator not in ("<", "<=")
        and (number > high or (number == high and comparator == ">"))
    ):
        return Flag("H", "high", computed=True)
    if (
        low is not None
        and comparator not in (">", ">=")
        and (number < low or (number == low and comparator == "<"))
    ):
        return Flag("L", "low", computed=True)
    return Flag()
