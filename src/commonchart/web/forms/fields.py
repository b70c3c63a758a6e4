"""Fields, and how what was typed becomes values: every error names its field and its rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from msgspec import Struct

from commonchart.fhir.outcome import Invalid, Issue
from commonchart.web.present.dates import FIRST, LAST, order
from commonchart.web.present.zone import UTC_CLOCKS, Zone

Kind = Literal["text", "long", "date", "moment", "number", "choice", "tick"]
Values = dict[str, str]

MONTHS = {
    name: n
    for n, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_WORDED = re.compile(r"^(?:(\d{1,2})[- ])?([A-Za-z]{3,9})[- ](\d{4})$")
_PARTIAL = re.compile(r"^\d{4}(-\d{2}(-\d{2})?)?$")


class Option(Struct, frozen=True):
    """One choice: what is stored and what is read."""

    value: str
    label: str


class Field(Struct, frozen=True):
    """One question. `group` fields stand together under one legend; `low`/`high` bound a number; `unit` is UCUM."""

    name: str
    label: str
    kind: Kind = "text"
    required: bool = False
    hint: str = ""
    group: str = ""
    options: tuple[Option, ...] = ()
    default: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    unit: str = ""
    max_length: int = 400
    pattern: str = ""
    pattern_hint: str = ""
    future: bool = False
    autocomplete: str = ""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The options as (value, label)."""
        return [(option.value, option.label) for option in self.options]


class Context(Struct, frozen=True):
    """Whom the form is about, who fills it, and when: the only place a form learns the time from.

    `now` is on the clocks of the site, whose `zone` typed times are of: its day is the site's, and so is its offset as a text.
    """

    patient: str
    now: datetime
    author: str = ""
    practitioner: str | None = None
    organization: str | None = None
    encounter: str | None = None
    zone: Zone = UTC_CLOCKS

    @property
    def at_once(self) -> str:
        """The day from which something holds that holds at once: today, or the day in UTC where that is still the one before.

        Rules count in days of UTC (`care.evidence.moment_day`): what began on a later one would wait for it.
        """
        return min(self.now.date(), self.now.astimezone(UTC).date()).isoformat()


class Form(Struct, frozen=True):
    """One form: its fields, how values become resources, and how a resource fills it again.

    `build(values, context, base)` gives the resources to store; `base` is the resource being corrected, whose
    elements that the form does not show are kept. `read(resource)` gives the values of an existing one.
    """

    key: str
    title: str
    rtype: str
    section: str
    noun: str
    fields: tuple[Field, ...]
    build: Callable[[Values, Context, dict[str, Any] | None], list[dict[str, Any]]]
    read: Callable[[dict[str, Any]], Values]
    check: Callable[[Values, Context], Sequence[Issue]] = lambda values, context: ()
    intro: str = ""


def options(*pairs: str) -> tuple[Option, ...]:
    """Options from "value=label" texts."""
    return tuple(Option(*pair.split("=", 1)) for pair in pairs)


def blank(form: Form, context: Context) -> Values:
    """The values of an empty form: defaults, and today where a moment is asked for."""
    now = context.now
    today = {"@today": now.date().isoformat(), "@now": now.strftime("%Y-%m-%dT%H:%M")}
    return {field.name: today.get(field.default, field.default) for field in form.fields}


def parse(form: Form, sent: Mapping[str, str], context: Context, stored: Mapping[str, str] = {}) -> Values:
    """The values of a sent form, each checked and in FHIR's spelling. Raises Invalid with an issue per bad field.

    `stored` are the values of the resource that is corrected: a time that was left as it was shown stays what it was, to
    the second, and on the right side of an hour that the clocks show twice.
    """
    values = parse_fields(form.fields, sent, context)
    for field in form.fields:
        was = stored.get(field.name, "")
        if (
            field.kind == "moment"
            and was
            and sent.get(field.name, "").strip() == local_moment(was, context.zone)
        ):
            values[field.name] = was
    issues = list(form.check(values, context))
    if issues:
        raise Invalid(issues=issues)
    return values


def parse_fields(fields: Sequence[Field], sent: Mapping[str, str], context: Context) -> Values:
    """The values of these fields, each checked by itself. Raises Invalid with an issue per bad field."""
    values: Values = {}
    issues: list[Issue] = []
    for field in fields:
        raw = (sent.get(field.name) or "").strip()
        try:
            values[field.name] = _value(field, raw, context)
        except Invalid as bad:
            issues += bad.issues
    if issues:
        raise Invalid(issues=issues)
    return values


def problem(field: str, message: str) -> Issue:
    """An issue at a field of a form."""
    return Issue("invalid", message, field)


def ends_before(values: Values, end: str = "end", start: str = "start", named: str = "start") -> list[Issue]:
    """An issue at the field `end` when it lies before the field `start`, as far as both are known: none for 2014 after 2014-05."""
    if values[start] and values[end] and earlier(values[end], values[start]):
        return [problem(end, f"The end must not be before the {named}")]
    return []


def earlier(one: str, other: str) -> bool:
    """Whether a FHIR dateTime lies before another, as far as both are known; times with an offset by their moments."""
    if "T" in one and "T" in other:
        return order(one) < order(other)
    return one < other[: len(one)]


def _value(field: Field, raw: str, context: Context) -> str:
    if not raw:
        if field.required:
            verb = "Choose" if field.kind == "choice" else "Enter"
            raise Invalid(f"{verb} {_noun(field)}", at=field.name, code="required")
        return ""
    if len(raw) > field.max_length:
        raise Invalid(
            f"{field.label} must be {field.max_length} characters or fewer", at=field.name, code="too-long"
        )
    return _KINDS[field.kind](field, raw, context)


def _noun(field: Field) -> str:
    label = field.label if field.label[:2].isupper() else field.label[0].lower() + field.label[1:]
    return label if label.startswith(("the ", "a ")) else f"the {label}"


def _text(field: Field, raw: str, context: Context) -> str:
    if any(ord(char) < 32 and char not in "\t\n\r" for char in raw):
        raise Invalid(f"{field.label} holds a control character: type it again", at=field.name)
    if field.pattern and not re.fullmatch(field.pattern, raw):
        raise Invalid(f"{field.label} must look like {field.pattern_hint}", at=field.name)
    return raw.replace("\r\n", "\n")


def _number(field: Field, raw: str, context: Context) -> str:
    try:
        value = Decimal(raw.replace(",", ".")) if re.fullmatch(r"-?\d{1,9}([.,]\d{1,6})?", raw) else None
    except InvalidOperation:
        value = None
    if value is None:
        raise Invalid(f"{field.label} must be a number, for example 72 or 36.6", at=field.name)
    if (field.low is not None and value < field.low) or (field.high is not None and value > field.high):
        raise Invalid(
            f"{field.label} must be between {field.low} and {field.high} {field.unit}".rstrip(), at=field.name
        )
    return str(value)


def _choice(field: Field, raw: str, context: Context) -> str:
    if raw not in {option.value for option in field.options}:
        raise Invalid(f"{field.label}: choose one from the list", at=field.name)
    return raw


def _date(field: Field, raw: str, context: Context) -> str:
    value = fhir_date(raw)
    if value is None:
        raise Invalid(
            f"{field.label} must be a date such as 2021-05-12, 12-May-2021, 2021-05 or 2021", at=field.name
        )
    today = context.now.date().isoformat()
    if not field.future and value > today[: len(value)]:
        raise Invalid(f"{field.label} must not be in the future", at=field.name)
    return value


def _moment(field: Field, raw: str, context: Context) -> str:
    day = fhir_date(raw)
    if day is not None:
        return _date(field, raw, context)
    try:
        wall = datetime.strptime(raw[:16], "%Y-%m-%dT%H:%M")
    except ValueError:
        raise Invalid(
            f"{field.label} must be a date, or a date and time such as 2026-11-18T10:40", at=field.name
        ) from None
    local = context.zone.typed(wall, field.label, field.name)
    if not field.future and local > context.now:
        raise Invalid(f"{field.label} must not be in the future", at=field.name)
    return context.zone.iso(local)


def _tick(field: Field, raw: str, context: Context) -> str:
    return "yes" if raw in ("yes", "on", "true", "1") else ""


_KINDS: dict[str, Callable[[Field, str, Context], str]] = {
    "text": _text,
    "long": _text,
    "date": _date,
    "moment": _moment,
    "number": _number,
    "choice": _choice,
    "tick": _tick,
}


def fhir_date(text: str) -> str | None:
    """A FHIR date (precision kept) from 2021, 2021-05, 2021-05-12, 12-May-2021 or May 2021; None if it is none."""
    text = text.strip()
    worded = _WORDED.match(text)
    if worded:
        day, month, year = worded.groups()
        number = MONTHS.get(month[:3].lower())
        if number is None:
            return None
        text = f"{year}-{number:02}" + (f"-{int(day):02}" if day else "")
    if not _PARTIAL.match(text):
        return None
    try:
        date.fromisoformat((text + "-01-01")[:10])
    except ValueError:
        return None
    return text if str(FIRST.year) <= text[:4] <= str(LAST.year) else None


def local_moment(text: str, zone: Zone) -> str:
    """A stored dateTime as the control shows it: local wall time to the minute, or the partial date as it is."""
    if "T" not in text:
        return text
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return zone.local(moment).strftime("%Y-%m-%dT%H:%M")
    except OverflowError:  # the end of the calendar, as some systems write "for ever"
        return text[:16]
