"""A rule in plain words: who it is for, what satisfies it and for how long, its windows, exclusions and needed data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from msgspec import Struct

from commonchart.care.calendar import span_words
from commonchart.care.schema import Applies, Change, Monitor, Pack, Rule, Satisfied

_PREGNANCY = {
    "pregnant": "in a pregnancy",
    "postpartum": "after a birth",
    "either": "in a pregnancy or after a birth",
    "not": "not pregnant",
}
OUTREACH = {
    "never": "never mentioned in a message",
    "generic": "a message may say that a check is due, not which",
    "detail": "a sealed message may name it",
}


class RuleWords(Struct, frozen=True):
    """A rule as sentences, by what a reader asks."""

    who: tuple[str, ...]
    satisfied: tuple[str, ...]
    windows: tuple[str, ...]
    excluded: tuple[str, ...]
    needs: tuple[str, ...]


def words(rule: Rule, pack: Pack) -> RuleWords:
    """The whole rule in words."""
    return RuleWords(
        tuple(_who(rule.applies, pack)) or ("everybody",),
        tuple(_satisfied(rule, pack)),
        tuple(_windows(rule)),
        tuple(_excluded(rule, pack)),
        tuple(_needs(rule, pack)),
    )


def _names(names: Sequence[str]) -> str:
    return " or ".join(name.replace("-", " ") for name in names)


def _who(applies: Applies, pack: Pack) -> Iterator[str]:
    age = _age(applies)
    if age:
        yield age
    if applies.organ:
        yield f"who have {applies.organ} (by the organ inventory, else by sex)"
    elif applies.sex:
        yield f"of {applies.sex} sex"
    if applies.conditions:
        yield f"with {_names(applies.conditions)}"
    if applies.after:
        yield f"ever with {_names(applies.after)}"
    if applies.drugs:
        taken = f" for {span_words(applies.drug_for)}" if applies.drug_for else ""
        yield f"who take {_names(applies.drugs)}{taken}"
    for name in applies.risks:
        yield f"for whom this is so: {pack.risks[name].label}"
    if applies.pregnancy:
        yield _PREGNANCY[applies.pregnancy] + _weeks(applies)
    if applies.bmi_from is not None:
        asian = f" ({applies.bmi_from_asian} in people of Asian origin)" if applies.bmi_from_asian else ""
        yield f"with a BMI from {applies.bmi_from}{asian}"


def _age(applies: Applies) -> str:
    if applies.min_age is not None and applies.max_age is not None:
        return f"aged {applies.min_age} to {applies.max_age} (both included)"
    low = (
        f"{applies.min_age} years"
        if applies.min_age is not None
        else span_words(applies.from_age)
        if applies.from_age
        else ""
    )
    if applies.max_age is not None:
        high = f"up to and including the age of {applies.max_age}"
    else:
        high = f"until the age of {span_words(applies.to_age)}" if applies.to_age else ""
    return " ".join(part for part in (f"from the age of {low}" if low else "", high) if part)


def _weeks(applies: Applies) -> str:
    if applies.from_week is not None and applies.to_week is not None:
        return f", weeks {applies.from_week} to {applies.to_week}"
    if applies.from_week is not None:
        return f", from week {applies.from_week}"
    return f", until week {applies.to_week}" if applies.to_week is not None else ""


# ---- what satisfies --------------------------------------------------------------------------------------------


def _satisfied(rule: Rule, pack: Pack) -> Iterator[str]:
    if rule.slots:
        early = max(slot.early_days for slot in rule.slots)
        counts = f", counted from {early} days before" if early else ""
        yield f"one at each of these ages: {', '.join(span_words(slot.at) if slot.at != '0d' else 'birth' for slot in rule.slots)}{counts}"
    yield from dict.fromkeys(
        f"{way.label}: {_lasting(way)}{_results(way, pack)}" for way in rule.satisfied_by
    )
    if rule.monitor:
        yield from _monitored(rule.monitor, pack)
    if rule.interval_by_clinician:
        yield "only as often as a clinician has set for the patient"
    if rule.young_adult_months is not None:
        yield f"until the age of {rule.young_adult_until}: every {span_words(f'{rule.young_adult_months}m')}"


def _lasting(way: Satisfied) -> str:
    if way.while_taken:
        return "as long as it is taken"
    if way.in_pregnancy:
        return "once in this pregnancy" + (f", from week {way.from_week}" if way.from_week else "")
    if way.full_months:
        return f"counts for {way.full_months} whole calendar months"
    counts = span_words(way.span)
    first = f", if done from the age of {way.min_age}" if way.min_age is not None else ""
    return f"counts {counts if counts == 'for good' else f'for {counts}'}{first}"


def _results(way: Satisfied, pack: Pack) -> str:
    if not way.reads_results:
        return ""
    label = pack.analytes[way.analyte].label if way.analyte else ""
    limits = _range(way.at_least, way.below, None, pack.analytes[way.analyte].unit) if way.analyte else ""
    said = f"; only {label} {limits} is normal" if label else "; a result that is not normal does not count"
    if way.follow_up:
        within = f" within {way.follow_up_days} days" if way.follow_up_days else ""
        said += (
            f"; one that is not normal needs {way.follow_up_label or way.follow_up.replace('-', ' ')}{within}"
        )
    return said


def _range(low: Decimal | None, below: Decimal | None, most: Decimal | None, unit: str) -> str:
    parts = [
        f"from {low}" if low is not None else "",
        f"below {below}" if below is not None else "",
        f"up to {most}" if most is not None else "",
    ]
    return f"{' '.join(part for part in parts if part)} {unit}".strip()


def _at(limits: Sequence[Decimal], n: int) -> Decimal | None:
    return limits[n] if n < len(limits) else None


def _monitored(monitor: Monitor, pack: Pack) -> Iterator[str]:
    for n, name in enumerate(monitor.analytes):
        analyte = pack.analytes[name]
        low, below, most = (_at(limits, n) for limits in (monitor.at_least, monitor.below, monitor.at_most))
        target = "" if low is below is most is None else f", target {_range(low, below, most, analyte.unit)}"
        yield f"{analyte.label} measured{target}{_alerts(monitor, n, analyte.unit)}"
    if monitor.inside == monitor.outside:
        yield f"every {_every(monitor.inside)}"
    else:
        yield f"every {_every(monitor.inside)} while in the target, every {_every(monitor.outside)} outside it"
    for phase in monitor.phases:
        yield f"in the first {span_words(phase.until)} of the drug: every {_every(phase.every)}"
    if monitor.alert_change:
        yield f"alert when it changes by {_change(monitor.alert_change)}"


def _every(span: str) -> str:
    said = span_words(span)
    return said.removeprefix("1 ")


def _alerts(monitor: Monitor, n: int, unit: str) -> str:
    below, reached, above = (
        _at(limits, n) for limits in (monitor.alert_below, monitor.alert_from, monitor.alert_above)
    )
    parts = [
        f"below {below}" if below is not None else "",
        f"from {reached}" if reached is not None else "",
        f"above {above}" if above is not None else "",
    ]
    said = " or ".join(part for part in parts if part)
    return f", alert {said} {unit}" if said else ""


def _change(change: Change) -> str:
    size = f"{change.percent} %" if change.percent is not None else f"{change.by}"
    way = {"any": "", "rise": " upwards", "fall": " downwards"}[change.way]
    return f"{size}{way} within {change.days} days"


# ---- windows, exclusions, data ---------------------------------------------------------------------------------


def _windows(rule: Rule) -> Iterator[str]:
    yield f"due soon: from {rule.soon_days} days before the day"
    yield f"overdue: from {rule.grace_days} days after the day"


def _excluded(rule: Rule, pack: Pack) -> Iterator[str]:
    for name in (*rule.excluded_by, *pack.everywhere):
        yield name.replace("-", " ")
    for name in rule.excluded_by_risks:
        yield pack.risks[name].label
    for one in rule.excluded_together:
        age = (
            f" (from the age of {one.min_age})"
            if one.min_age is not None and str(one.min_age) not in one.label
            else ""
        )
        yield f"{one.label}{age}{_to(one.to, pack)}"
    for handed in rule.hand_over:
        yield f"{_names(handed.codes)}{_to(handed.to, pack)}"


def _to(rule: str, pack: Pack) -> str:
    known = pack.by_id.get(rule)
    return f": then {known.title if known else rule} applies instead" if rule else ""


def _needs(rule: Rule, pack: Pack) -> Iterator[str]:
    applies = rule.applies
    if applies.min_age is not None or applies.max_age is not None or applies.from_age or applies.to_age:
        yield "date of birth"
    if applies.sex or applies.organ:
        yield "sex, or the organ inventory"
    for name in dict.fromkeys((*applies.risks, *rule.excluded_by_risks)):
        yield f"{pack.risks[name].label}: {pack.risks[name].question}"
    if rule.question:
        yield rule.question
