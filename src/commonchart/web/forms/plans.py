"""Forms for what a clinician decides about one rule for one patient (docs/decisions/0017): put off, refused, not for this
patient, another interval, another target. Every decision has a reason, and all but interval and target an end, so that nothing
is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from commonchart.care.acts import Measure
from commonchart.care.calendar import add_months
from commonchart.care.evidence import DECISION_SYSTEM, NOT_FOR_THEM, RULE_SYSTEM
from commonchart.care.schema import Rule
from commonchart.fhir.outcome import Issue
from commonchart.web.forms.fhir import (
    TERM,
    UCUM,
    author,
    code_of,
    concept,
    encountered,
    first,
    merged,
    note,
    note_text,
    number_text,
    subject,
)
from commonchart.web.forms.fields import Context, Field, Form, Option, Values, options, problem

ACT_REASON = f"{TERM}v3-ActReason"
_WHY = Field("why", "Reason", "long", required=True, max_length=1000)
_NOTE = Field("note", "Note", "long", max_length=2000)
SAID_BY = options(
    "patient=The patient", "parent=A parent or guardian", "proxy=Somebody who decides for the patient", "other=Somebody else",
)  # fmt: skip
UNITS = options("wk=weeks", "mo=months", "a=years")
LONGEST_MONTHS = {"defer": 24, "decline": 60, "aside": 120}
_DEFAULT_MONTHS = {"defer": 3, "decline": 12, "aside": 60}


def _until(label: str, hint: str) -> Field:
    return Field("until", label, "date", required=True, future=True, hint=hint)


def _check_until(kind: str, values: Values, context: Context) -> list[Issue]:
    """An end that is a whole day after today, and not so far off that it is forgotten."""
    day, today = values["until"], context.now.date()
    last = add_months(today, LONGEST_MONTHS[kind])
    if len(day) != 10 or date.fromisoformat(day) <= today:
        return [problem("until", "Enter a day after today, such as 2027-03-01")]
    if date.fromisoformat(day) > last:
        return [problem("until", f"At most {LONGEST_MONTHS[kind] // 12} years ahead, until {last:%d-%b-%Y}")]
    return []


def until_default(kind: str, today: date) -> str:
    """The end that a form proposes."""
    return add_months(today, _DEFAULT_MONTHS[kind]).isoformat() if kind in _DEFAULT_MONTHS else ""


def _planned(
    rule: Rule, context: Context, base: dict[str, Any] | None, change: dict[str, Any]
) -> list[dict[str, Any]]:
    """A plan about a rule: whoever writes or changes it stands behind it from now on."""
    start = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "plan",
        "subject": subject(context),
    }
    always = {
        "code": concept(rule.title, (RULE_SYSTEM, rule.id)),
        "authoredOn": context.now.isoformat(timespec="seconds"),
        "requester": author(context),
        "encounter": (base or {}).get("encounter") or encountered(context),
    }
    return [merged(base, start, always | change)]


def _reason(values: Values, *codings: tuple[str, str]) -> list[dict[str, Any]]:
    return [concept(values["why"], *codings)]


def _period(values: Values, context: Context) -> dict[str, Any]:
    return {"start": context.at_once, "end": values["until"]}


def _why_of(resource: dict[str, Any]) -> str:
    return str(first(resource.get("reasonCode")).get("text", ""))


def _read_held(resource: dict[str, Any]) -> Values:
    said = str(first(resource.get("note")).get("authorString", ""))
    who = next((one.value for one in SAID_BY if one.label == said), "other")
    return {
        "until": str((resource.get("occurrencePeriod") or {}).get("end", ""))[:10],
        "why": _why_of(resource),
        "who": who,
        "note": note_text(resource),
    }


def defer(rule: Rule) -> Form:
    """Put off until a day: it becomes due again then."""
    return Form(
        key="defer", title=f"Defer: {rule.title}", rtype="ServiceRequest", section="due", noun="deferrals",
        fields=(_until("Day until which it waits", "It is due again from that day on."), _WHY),
        build=lambda values, context, base: _planned(rule, context, base, {
            "doNotPerform": True, "occurrencePeriod": _period(values, context), "reasonCode": _reason(values),
        }),
        read=_read_held, check=lambda values, context: _check_until("defer", values, context),
    )  # fmt: skip


def decline(rule: Rule) -> Form:
    """Refused: who said so, why, and when to ask again."""
    return Form(
        key="decline", title=f"Not wanted: {rule.title}", rtype="ServiceRequest", section="due", noun="refusals",
        fields=(
            Field("who", "Person who said so", "choice", required=True, default="patient", options=SAID_BY), _WHY,
            _until("Ask again on", "A refusal is not for ever: it is asked again from that day on."), _NOTE,
        ),
        build=lambda values, context, base: _planned(rule, context, base, {
            "doNotPerform": True, "occurrencePeriod": _period(values, context),
            "reasonCode": _reason(values, (ACT_REASON, "PATOBJ")), "note": [_said(values, context)],
        }),
        read=_read_held, check=lambda values, context: _check_until("decline", values, context),
    )  # fmt: skip


def _said(values: Values, context: Context) -> dict[str, Any]:
    who = next(one.label for one in SAID_BY if one.value == values["who"])
    return {
        "authorString": who, "time": context.now.isoformat(timespec="seconds"), "text": values["note"] or values["why"],
    }  # fmt: skip


def aside(rule: Rule) -> Form:
    """Not for this patient, although the rule says it is: why, and when to look again."""
    return Form(
        key="aside", title=f"Not for this patient: {rule.title}", rtype="ServiceRequest", section="due", noun="decisions",
        fields=(_WHY, _until("Look again on", "Health and guidelines change: it is asked again from that day on.")),
        build=lambda values, context, base: _planned(rule, context, base, {
            "doNotPerform": True, "occurrencePeriod": _period(values, context),
            "reasonCode": _reason(values, (DECISION_SYSTEM, NOT_FOR_THEM)),
        }),
        read=_read_held, check=lambda values, context: _check_until("aside", values, context),
        intro="For what a rule cannot know. If a finding explains it, record the finding instead: it works for every rule.",
    )  # fmt: skip


_WHOLE = r"[1-9]\d{0,2}"


def interval(rule: Rule) -> Form:
    """How often it is done for this patient, as in surveillance after a polyp."""
    return Form(
        key="interval", title=f"Own interval: {rule.title}", rtype="ServiceRequest", section="due", noun="intervals",
        fields=(
            Field("every", "Every", required=True, pattern=_WHOLE, pattern_hint="a whole number such as 3", max_length=3),
            Field("unit", "Unit of time", "choice", required=True, default="mo", options=UNITS),
            Field("why", "Reason", "long", required=True, max_length=1000, hint="For example: two adenomas in 2025"),
            Field("until", "Until", "date", future=True, hint="Empty: without an end. Afterwards the rule's own interval counts again."),
        ),
        build=lambda values, context, base: _planned(rule, context, base, {
            "occurrenceTiming": _timing(values, context), "reasonCode": _reason(values),
        }),
        read=_read_interval, check=_check_interval,
    )  # fmt: skip


def _timing(values: Values, context: Context) -> dict[str, Any]:
    bounds = {"start": context.at_once} | ({"end": values["until"]} if values["until"] else {})
    every = {"frequency": 1, "period": int(values["every"]), "periodUnit": values["unit"]}
    return {"repeat": {"boundsPeriod": bounds} | every}


def _read_interval(resource: dict[str, Any]) -> Values:
    repeat = (resource.get("occurrenceTiming") or {}).get("repeat") or {}
    return {
        "every": number_text(repeat.get("period")),
        "unit": str(repeat.get("periodUnit", "mo")),
        "why": _why_of(resource),
        "until": str((repeat.get("boundsPeriod") or {}).get("end", ""))[:10],
    }


def _check_interval(values: Values, context: Context) -> list[Issue]:
    until = values["until"]
    if until and (len(until) != 10 or date.fromisoformat(until) <= context.now.date()):
        return [problem("until", "Enter a day after today, such as 2031-03-01, or leave it empty")]
    if int(values["every"]) * {"wk": 7, "mo": 30, "a": 365}[values["unit"]] > 15 * 366:
        return [
            problem(
                "every", "At most 15 years: for longer, put it off or say that it is not for this patient"
            )
        ]
    return []


# ---- a patient's own target ------------------------------------------------------------------------------------


def target(rule: Rule, measures: Sequence[Measure]) -> Form:
    """The patient's own target for what a rule measures: goes before the rule's own."""
    fields: list[Field] = []
    for one in measures:
        unit = f", {one.unit}"
        fields += [
            Field(f"from-{one.analyte}", f"{one.label} from{unit}", "number", group=one.label, low=Decimal(0), high=Decimal(100_000)),
            Field(f"below-{one.analyte}", f"{one.label} below{unit}", "number", group=one.label, low=Decimal(0), high=Decimal(100_000)),
        ]  # fmt: skip
    return Form(
        key="target", title=f"Own target: {rule.title}", rtype="Goal", section="due", noun="targets", fields=(*fields, _WHY),
        build=lambda values, context, base: [_goal(rule, measures, values, context, base)],
        read=lambda resource: _read_goal(resource, measures),
        check=lambda values, context: _check_target(measures, values),
    )  # fmt: skip


def _check_target(measures: Sequence[Measure], values: Values) -> list[Issue]:
    out = []
    if not any(values[f"{end}-{one.analyte}"] for one in measures for end in ("from", "below")):
        out.append(problem(f"below-{measures[0].analyte}", "Enter at least one limit"))
    for one in measures:
        low, high = values[f"from-{one.analyte}"], values[f"below-{one.analyte}"]
        if low and high and Decimal(low) >= Decimal(high):
            out.append(problem(f"below-{one.analyte}", "The upper limit must be above the lower one"))
    return out


def _goal(
    rule: Rule, measures: Sequence[Measure], values: Values, context: Context, base: dict[str, Any] | None
) -> dict[str, Any]:
    start = {"resourceType": "Goal", "lifecycleStatus": "active", "subject": subject(context)}
    targets = [made for one in measures for made in _limits(one, values)]
    words = ", ".join(f"{one.label} {said}" for one in measures if (said := _limit_words(one, values)))
    day = context.at_once
    change = {
        "description": {"text": words}, "startDate": (base or {}).get("startDate") or day, "statusDate": day,
        "expressedBy": author(context), "target": targets,
        "note": [{"time": context.now.isoformat(timespec="seconds"), "text": values["why"]} | _author_string(context)],
    }  # fmt: skip
    return merged(base, start, change)


def _author_string(context: Context) -> dict[str, Any]:
    return {"authorString": context.author} if context.author else {}


def _limit_words(one: Measure, values: Values) -> str:
    low, high = values[f"from-{one.analyte}"], values[f"below-{one.analyte}"]
    parts = [f"from {low}" if low else "", f"below {high}" if high else ""]
    return f"{' '.join(filter(None, parts))} {one.unit}" if low or high else ""


def _limits(one: Measure, values: Values) -> list[dict[str, Any]]:
    """One target, or two ends as a range. A range of FHIR includes both ends: its upper one is what was typed."""
    low, high = values[f"from-{one.analyte}"], values[f"below-{one.analyte}"]
    measure = {"measure": concept(one.label, (one.system, one.code))}

    def of(text: str, comparator: str = "") -> dict[str, Any]:
        out = {"value": Decimal(text), "unit": one.unit, "system": UCUM, "code": one.unit}
        return out | ({"comparator": comparator} if comparator else {})

    if low and high:
        return [measure | {"detailRange": {"low": of(low), "high": of(high)}}]
    if low or high:
        return [measure | {"detailQuantity": of(low, ">=") if low else of(high, "<")}]
    return []


def _read_goal(resource: dict[str, Any], measures: Sequence[Measure]) -> Values:
    out = {f"{end}-{one.analyte}": "" for one in measures for end in ("from", "below")}
    for one in measures:
        for held in resource.get("target", []):
            if code_of(held.get("measure"), one.system) == one.code:
                low, high = _ends(held)
                out |= {f"from-{one.analyte}": low, f"below-{one.analyte}": high}
    return out | {"why": note_text(resource)}


def _ends(held: dict[str, Any]) -> tuple[str, str]:
    span, only = held.get("detailRange") or {}, held.get("detailQuantity") or {}
    if span:
        low, high = (number_text((span.get(end) or {}).get("value")) for end in ("low", "high"))
        return low, high
    text = number_text(only.get("value"))
    return (text, "") if str(only.get("comparator", "")).startswith(">") else ("", text)


# ---- an order --------------------------------------------------------------------------------------------------

PRIORITIES = options("routine=Routine", "urgent=Urgent", "asap=As soon as possible")


def order(
    rule: Rule, choices: Sequence[tuple[Option, str, str]], reason: str, because: Sequence[str]
) -> Form:
    """An order of what would satisfy the rule. `choices` are (option, system, code), `because` references of findings behind it."""
    codes = {option.value: (option.label, system, code) for option, system, code in choices}
    first_one = choices[0][0].value
    return Form(
        key="order", title=f"Order: {rule.title}", rtype="ServiceRequest", section="due", noun="orders",
        fields=(
            Field("what", "Test or procedure", "choice", required=True, default=first_one, options=tuple(one for one, _, _ in choices)),
            Field("priority", "Priority", "choice", required=True, default="routine", options=PRIORITIES),
            Field("when", "Wanted by", "date", future=True),
            Field("to", "To whom", max_length=200, hint="A laboratory, a department, a colleague"),
            Field("why", "Reason", "long", required=True, max_length=1000, default=reason), _NOTE,
        ),
        build=lambda values, context, base: [_ordered(rule, codes[values["what"]], because, values, context, base)],
        read=lambda resource: _read_order(resource, codes),
    )  # fmt: skip


def _ordered(
    rule: Rule, what: tuple[str, str, str], because: Sequence[str], values: Values, context: Context, base: dict[str, Any] | None
) -> dict[str, Any]:  # fmt: skip
    label, system, code = what
    start = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": subject(context),
    }
    made = merged(base, start, {
        "code": concept(label, (system, code)), "instantiatesUri": [f"{RULE_SYSTEM}/{rule.id}"],
        "priority": values["priority"], "occurrenceDateTime": values["when"],
        "authoredOn": (base or {}).get("authoredOn") or context.now.isoformat(timespec="seconds"), "requester": author(context),
        "encounter": (base or {}).get("encounter") or encountered(context),
        "performer": [{"display": values["to"]}] if values["to"] else [],
        "reasonCode": _reason(values), "note": note(values["note"], context, (base or {}).get("note")),
    })  # fmt: skip
    if base is None and because:
        made["reasonReference"] = [{"reference": ref} for ref in because]
    return made


def _read_order(resource: dict[str, Any], codes: dict[str, tuple[str, str, str]]) -> Values:
    code = resource.get("code")
    what = next((key for key, (_, system, c) in codes.items() if code_of(code, system) == c), "")
    return {
        "what": what,
        "priority": str(resource.get("priority", "routine")),
        "when": str(resource.get("occurrenceDateTime", ""))[:10],
        "to": str(first(resource.get("performer")).get("display", "")),
        "why": _why_of(resource),
        "note": note_text(resource),
    }
