"""Any FHIR value in words, numbers exactly as recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from commonchart.web.present import codes, dates

Names = Mapping[str, str]
COMPARATORS = {"<": "<", "<=": "≤", ">": ">", ">=": "≥", "ad": "at least "}
_UNITS = {
    "{beats}/min": "/min",
    "{Beats}/min": "/min",
    "Cel": "°C",
    "[degF]": "°F",
    "mm[Hg]": "mmHg",
    "{score}": "",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²",
    "1": "",
}


def choice(resource: Mapping[str, Any], stem: str) -> tuple[str, Any]:
    """The one present `stem[x]` as (type name, value); ("", None) when absent. `stem="value"` finds `valueQuantity`."""
    for name, value in resource.items():
        kind = name[len(stem) :]
        if name.startswith(stem) and kind[:1].isupper():
            return kind, value
    return "", None


def chosen(resource: Mapping[str, Any], stem: str, names: Names | None = None) -> str:
    """The present `stem[x]` in words, empty when absent."""
    kind, value = choice(resource, stem)
    return words(kind, value, names) if kind else ""


def words(kind: str, value: Any, names: Names | None = None) -> str:
    """A value of the named FHIR type in words."""
    if kind == "Reference":
        return reference(value, names or {})
    if kind == "Boolean":
        return "yes" if value else "no"
    render = _BY_KIND.get(kind)
    return render(value) if render else _plain(value)


def number(value: Any) -> str:
    """A number exactly as recorded: `1.10` stays `1.10`; a true minus sign; thousands are not grouped."""
    plain = isinstance(value, Decimal) and (not value or -30 < value.adjusted() < 30)
    text = f"{value:f}" if plain else str(value)
    return f"−{text[1:]}" if text.startswith("-") else text


def short(text: str) -> str:
    """A number that a machine computed to many places, cut (never rounded) and marked so: `117.25414917` as `117.25…`."""
    whole, point, fraction = text.partition(".")
    if len(fraction) <= 4 or not fraction.isdigit():
        return text
    zeros = len(fraction) - len(fraction.lstrip("0")) if whole.lstrip("−") == "0" else 0
    return f"{whole}{point}{fraction[: max(2, zeros + 2)]}…"


def unit(quantity: Mapping[str, Any]) -> str:
    """The unit as written, tidied where UCUM brackets would be read aloud."""
    return tidy(str(quantity.get("unit") or quantity.get("code") or ""))


def tidy(unit: str) -> str:
    """A unit as it is read: `mL/min/1.73 m²`, not the UCUM braces."""
    return _UNITS.get(unit, unit)


def quantity(value: Mapping[str, Any] | None) -> str:
    """`8.4 %`, `< 5 mg/dL`; `not recorded` for a Quantity without a number."""
    value = value or {}
    if value.get("value") is None:
        return codes.NOT_RECORDED
    return f"{comparator(value)}{number(value['value'])} {unit(value)}".strip()


def comparator(value: Mapping[str, Any]) -> str:
    """`< ` and its kin, empty without one."""
    sign = COMPARATORS.get(str(value.get("comparator", "")), "")
    return f"{sign} " if sign else ""


def span(value: Mapping[str, Any] | None) -> str:
    """A Range: `3.5–5.0 mmol/L`, `≥ 60`, `≤ 1.2`; empty when neither end has a number."""
    value = value or {}
    low, high = value.get("low") or {}, value.get("high") or {}
    lo, hi = low.get("value"), high.get("value")
    text = unit(low) or unit(high)
    if lo is not None and hi is not None:
        return f"{number(lo)}–{number(hi)} {text}".strip()
    if lo is not None:
        return f"≥ {number(lo)} {text}".strip()
    return f"≤ {number(hi)} {text}".strip() if hi is not None else ""


def reference(value: Mapping[str, Any] | None, names: Names) -> str:
    """Whom or what a Reference names: its display, else the name looked up, else its identifier, else that it is unknown."""
    value = value or {}
    if value.get("display"):
        return str(value["display"])
    target = str(value.get("reference") or "")
    if target in names:
        return names[target]
    identifier = (value.get("identifier") or {}).get("value")
    if identifier:
        return str(identifier)
    if target and not target.startswith("#") and "/" in target:
        return f"{target.rsplit('/', 2)[-2]} not in this record"
    return codes.NOT_RECORDED


def money(value: Mapping[str, Any]) -> str:
    """`125.00 USD`."""
    return (
        f"{number(value['value'])} {value.get('currency', '')}".strip()
        if value.get("value") is not None
        else codes.NOT_RECORDED
    )


def ratio(value: Mapping[str, Any]) -> str:
    """`1 : 128`, or `5 mg per 1 mL` where there are units."""
    top, bottom = value.get("numerator") or {}, value.get("denominator") or {}
    between = " per " if unit(top) or unit(bottom) else " : "
    return f"{quantity(top)}{between}{quantity(bottom)}"


def telecom(value: Mapping[str, Any]) -> str:
    """`555 0142 (home phone)`."""
    kind = " ".join(part for part in (value.get("use"), value.get("system")) if part)
    return (
        f"{value.get('value', codes.NOT_RECORDED)} ({kind})"
        if kind
        else str(value.get("value", codes.NOT_RECORDED))
    )


def address(value: Mapping[str, Any]) -> str:
    """One line: street, city, state and code, country."""
    if value.get("text"):
        return str(value["text"])
    place = " ".join(str(value[part]) for part in ("state", "postalCode") if value.get(part))
    parts = [*map(str, value.get("line") or ()), value.get("city"), place, value.get("country")]
    return ", ".join(str(part) for part in parts if part) or codes.NOT_RECORDED


def name(value: Mapping[str, Any]) -> str:
    """A HumanName as spoken: prefix, given, family, suffix."""
    if value.get("text"):
        return str(value["text"])
    parts = [
        *(value.get("prefix") or ()),
        *(value.get("given") or ()),
        value.get("family"),
        *(value.get("suffix") or ()),
    ]
    return " ".join(str(part) for part in parts if part) or codes.NOT_RECORDED


def _timing(value: Mapping[str, Any]) -> str:
    return (
        codes.concept(value.get("code"), "")
        or ", ".join(dates.moment(event) for event in value.get("event") or ())
        or "as timed"
    )


def _plain(value: Any) -> str:
    if isinstance(value, Decimal | int):
        return number(value)
    return value if isinstance(value, str) else codes.NOT_RECORDED


_BY_KIND: dict[str, Callable[[Any], str]] = {
    "DateTime": dates.moment,
    "Date": dates.day,
    "Instant": dates.moment,
    "Period": dates.period,
    "Quantity": quantity,
    "SimpleQuantity": quantity,
    "Age": quantity,
    "Duration": quantity,
    "Count": quantity,
    "Distance": quantity,
    "Money": money,
    "Range": span,
    "Ratio": ratio,
    "CodeableConcept": codes.concept,
    "Coding": lambda value: codes.concept({"coding": [value]}),
    "Timing": _timing,
    "HumanName": name,
    "Address": address,
    "ContactPoint": telecom,
    "Identifier": lambda value: str(value.get("value") or codes.NOT_RECORDED),
    "Attachment": lambda value: str(value.get("title") or value.get("contentType") or "attachment"),
    "SampledData": lambda value: "sampled data, see the record",
}
