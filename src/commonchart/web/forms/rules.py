"""The form of a rule: the fields that a clinician changes, read from an edition and written back into its tables.

What the form does not show stays as it is; the whole text is there for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import Struct

from commonchart.care.editions import Edition, body_of, edition_of
from commonchart.care.rule_words import OUTREACH
from commonchart.care.schema import Monitor, Pack
from commonchart.fhir.outcome import Invalid, Issue

LIMITS = (
    ("at_least", "Target from"), ("below", "Target below"), ("at_most", "Target up to"),
    ("alert_below", "Alert below"), ("alert_from", "Alert from"), ("alert_above", "Alert above"),
)  # fmt: skip
SPAN = "a length of time such as 3d, 2w, 18m or 11y"
SETS = "names of code sets, separated by commas"


class Field(Struct, frozen=True):
    """One field of the form. `kind` is text, long, number, decimal, list or choice; `path` is where it lies in the tables."""

    name: str
    label: str
    kind: str
    path: tuple[str | int, ...]
    value: str = ""
    hint: str = ""
    unit: str = ""
    required: bool = False
    options: tuple[tuple[str, str], ...] = ()


class Group(Struct, frozen=True):
    """Fields that belong together."""

    title: str
    fields: tuple[Field, ...]


def form(edition: Edition, pack: Pack) -> list[Group]:
    """The form filled with an edition; `pack` names the analytes."""
    groups = [
        Group("In words", tuple(_words(edition))),
        Group("Who it is for", tuple(_who(edition))),
        Group("What satisfies it", tuple(_ways(edition))),
        Group("What is measured", tuple(_monitor(edition, pack))),
        Group("When it is due", tuple(_windows(edition))),
        Group("Who says so", tuple(_authority(edition))),
    ]
    return [group for group in groups if group.fields]


def _field(edition: Edition, label: str, kind: str, *path: str | int, **more: Any) -> Field:
    value = _shown(_at(edition.rule, path))
    return Field("-".join(str(part) for part in path), label, kind, path, value, **more)


def _at(value: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        if value is None:
            return None
        if isinstance(part, int):
            value = value[part] if part < len(value) else None
        else:
            value = getattr(value, part)
    return value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _words(edition: Edition) -> Iterator[Field]:
    yield _field(edition, "Title", "text", "title", required=True, hint="What clinicians read.")
    yield _field(edition, "In plain words", "text", "plain", required=True, hint="What the patient reads.")
    yield _field(
        edition,
        "The rule in a sentence",
        "long",
        "states",
        required=True,
        hint="It does not follow by itself: change it with the rule.",
    )
    yield _field(edition, "What to ask when it cannot be told", "text", "question")
    yield _field(
        edition,
        "In messages to patients",
        "choice",
        "outreach",
        required=True,
        options=tuple(OUTREACH.items()),
    )


def _who(edition: Edition) -> Iterator[Field]:
    yield _field(edition, "From the age of", "number", "applies", "min_age", unit="years", hint="Included.")
    yield _field(edition, "To the age of", "number", "applies", "max_age", unit="years", hint="Included.")
    yield _field(edition, "Or from", "text", "applies", "from_age", hint=f"For children: {SPAN}.")
    yield _field(edition, "Or until", "text", "applies", "to_age", hint="Not included.")
    sexes = (("female", "female"), ("male", "male"))
    yield _field(edition, "Sex", "choice", "applies", "sex", options=sexes)
    yield _field(edition, "With any of these conditions", "list", "applies", "conditions", hint=SETS)
    yield _field(edition, "Taking any of these drugs", "list", "applies", "drugs", hint=SETS)
    yield _field(edition, "Not for people with any of", "list", "excluded_by", hint=SETS)


def _ways(edition: Edition) -> Iterator[Field]:
    for n, way in enumerate(edition.rule.satisfied_by):
        if way.full_months is not None:
            yield _field(
                edition,
                f"{way.label} counts for",
                "number",
                "satisfied_by",
                n,
                "full_months",
                unit="whole calendar months",
                required=True,
            )
        elif way.lasts:
            yield _field(
                edition,
                f"{way.label} counts for",
                "text",
                "satisfied_by",
                n,
                "lasts",
                hint=SPAN,
                required=True,
            )
        elif way.months is not None:
            yield _field(
                edition,
                f"{way.label} counts for",
                "number",
                "satisfied_by",
                n,
                "months",
                unit="months",
                hint="0: for good.",
                required=True,
            )


def _monitor(edition: Edition, pack: Pack) -> Iterator[Field]:
    monitor = edition.rule.monitor
    if monitor is None:
        return
    yield from _intervals(edition, monitor)
    analytes = pack.analytes | edition.analytes if isinstance(pack.analytes, dict) else edition.analytes
    for n, name in enumerate(monitor.analytes):
        known = analytes.get(name)
        label, unit = (known.label, known.unit) if known else (name, "")
        for limit, words in LIMITS:
            yield _field(edition, f"{label}: {words.lower()}", "decimal", "monitor", limit, n, unit=unit)


def _intervals(edition: Edition, monitor: Monitor) -> Iterator[Field]:
    if monitor.every_in:
        yield _field(
            edition,
            "Measured again, in the target, after",
            "text",
            "monitor",
            "every_in",
            hint=SPAN,
            required=True,
        )
        yield _field(edition, "Measured again, outside it, after", "text", "monitor", "every_out", hint=SPAN)
    else:
        yield _field(
            edition,
            "Measured again, in the target, after",
            "number",
            "monitor",
            "months_in",
            unit="months",
            required=True,
        )
        yield _field(
            edition, "Measured again, outside it, after", "number", "monitor", "months_out", unit="months"
        )


def _windows(edition: Edition) -> Iterator[Field]:
    yield _field(edition, "Due soon from", "number", "soon_days", unit="days before", required=True)
    yield _field(edition, "Overdue from", "number", "grace_days", unit="days after", required=True)


def _authority(edition: Edition) -> Iterator[Field]:
    yield _field(edition, "Authority", "text", "authority", required=True)
    yield _field(edition, "Grade", "text", "grade")
    yield _field(edition, "Source", "text", "source", required=True, hint="Document and year.")
    yield _field(edition, "Date of the source", "text", "date", hint="Such as 2026-11-18.")


def labels(edition: Edition, pack: Pack) -> dict[str, str]:
    """The form's words for fields, by the path that `care.editions.differences` gives them."""
    out = {f"monitor.{limit}": words for limit, words in LIMITS}
    for group in form(edition, pack):
        for one in group.fields:
            if not isinstance(one.path[-1], int):
                out.setdefault(_difference_path(one.path), one.label)
    return out


def _difference_path(path: tuple[str | int, ...]) -> str:
    """`satisfied_by 1.months` for the first way."""
    joined = ""
    for part in path:
        joined += f" {part + 1}" if isinstance(part, int) else f".{part}" if joined else part
    return joined


# ---- back ------------------------------------------------------------------------------------------------------


def typed(groups: Iterable[Group], sent: Mapping[str, str]) -> list[Group]:
    """The form with what was typed."""
    return [
        Group(
            group.title,
            tuple(Field(**_as_dict(one) | {"value": sent.get(one.name, one.value)}) for one in group.fields),
        )
        for group in groups
    ]


def _as_dict(one: Field) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def applied(edition: Edition, groups: Iterable[Group], sent: Mapping[str, str]) -> Edition:
    """The edition with what was typed. Raises Invalid with issues at the names of fields."""
    body = body_of(edition)
    issues: list[Issue] = []
    fields = [one for group in groups for one in group.fields]
    for one in fields:
        try:
            _put(body, one.path, _parsed(one, sent.get(one.name, one.value).strip()))
        except ValueError as wrong:
            issues.append(Issue("value", f"{edition.rule.id}: {one.label}: {wrong}", one.name))
    issues += _tidied(body, edition)
    if issues:
        raise Invalid(issues=issues)
    try:
        return edition_of(body)
    except Invalid as refusal:
        raise Invalid(issues=at_fields(refusal, fields)) from None


def at_fields(refusal: Invalid, fields: Iterable[Field]) -> list[Issue]:
    """The issues of a refusal at the names of the form's fields, "" where the form has none."""
    names = [one.name for one in fields]
    return [Issue(one.code, one.message, _name(one.at, names)) for one in refusal.issues]


def _name(at: str, names: list[str]) -> str:
    parts = at.split(".")
    whole = "-".join(parts)
    near = [name for name in names if name.split("-")[0] == parts[0] and parts[-1] in name.split("-")]
    return whole if whole in names else near[0] if near and parts[0] else ""


def _parsed(one: Field, text: str) -> Any:
    """What was typed as the tables hold it, None for nothing. Raises ValueError in words."""
    if one.required and not text:
        raise ValueError("is missing")
    if not text:
        return None
    if one.kind == "number":
        if not (text.isascii() and text.lstrip("-").isdigit() and len(text) < 7):
            raise ValueError(f"a whole number, not {text[:20]}")
        return int(text)
    if one.kind == "decimal":
        return _decimal(text)
    if one.kind == "list":
        return [part.strip() for part in text.split(",") if part.strip()]
    if one.kind == "choice" and text not in dict(one.options):
        raise ValueError("choose one of the list")
    return text


def _decimal(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or len(text) > 12 or "e" in text.lower():
        raise ValueError(f"a number such as 7.0, not {text[:20]}")
    return found


def _put(body: dict[str, Any], path: tuple[str | int, ...], value: Any) -> None:
    """Set a value where it lies, making tables on the way; None takes it out (within a list of limits it stays for `_tidied`)."""
    if isinstance(path[-1], int):
        limits = body.setdefault(str(path[0]), {}).setdefault(path[1], [])
        limits.extend([None] * (path[-1] + 1 - len(limits)))
        limits[path[-1]] = value
        return
    where: Any = body
    for part in path[:-1]:
        if isinstance(part, str) and part not in where and value is None:
            return
        where = where.setdefault(part, {}) if isinstance(part, str) else where[part]
    if value is None:
        where.pop(path[-1], None)
    else:
        where[path[-1]] = value


def _tidied(body: dict[str, Any], edition: Edition) -> Iterator[Issue]:
    """Limits stand for every analyte or for none."""
    monitor = body.get("monitor", {})
    for limit, words in LIMITS:
        given = monitor.get(limit, [])
        if all(one is None for one in given):
            monitor.pop(limit, None)
        elif any(one is None for one in given):
            n = given.index(None)
            message = (
                f"{edition.rule.id}: {words.lower()}: say a limit for each of what is measured, or for none"
            )
            yield Issue("value", message, f"monitor-{limit}-{n}")
