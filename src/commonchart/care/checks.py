"""What the types of a rule pack cannot say: names that exist, ages and intervals that are possible, nothing in a circle."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from commonchart.care.calendar import after, is_span
from commonchart.care.schema import Monitor, Pack, Risk, Rule, Satisfied, Sign
from commonchart.fhir.outcome import Invalid

ORGANS = ("breasts", "cervix", "ovaries", "uterus", "prostate", "testes")
_CENTURY = 120 * 12
_DECADE = 3653


def check(pack: Pack, files: Mapping[str, str]) -> None:
    """Raises Invalid with every problem of the first bad rule, by its file, or of the pack's risks and analytes."""
    wrong = shared_problems(pack)
    wrong += [
        f"excluded_everywhere names the unknown code set {n}" for n in pack.everywhere if n not in pack.sets
    ]
    if wrong:
        raise Invalid("; ".join(wrong), at="risks.toml")
    for rule in pack.rules:
        _rule(pack, rule, files[rule.id])
    for circle in circles(pack):
        file = files[circle[0]]
        raise Invalid(f"{file}: hand_over goes in a circle: {' -> '.join(circle)}", at=file)


def _rule(pack: Pack, rule: Rule, file: str) -> None:
    found = problems(pack, rule)
    if f"{rule.id}.toml" != file:
        found.append(f"id {rule.id} and file name must agree")
    if found:
        raise Invalid(f"{file}: " + "; ".join(found), at=file)


def problems(pack: Pack, rule: Rule) -> list[str]:
    """Everything that is wrong with a rule of the pack, each naming its field."""
    found = [*_names(pack, rule), *_ages(rule), *_spans(rule), *_numbers(rule)]
    if sum((rule.monitor is not None, bool(rule.satisfied_by))) != 1:
        found.append("has either satisfied_by or monitor")
    return found


def shared_problems(pack: Pack) -> list[str]:
    """Everything that is wrong with the pack's risks, code sets and analytes."""
    return [*_risks(pack), *_analytes(pack)]


def circles(pack: Pack) -> list[list[str]]:
    """The rules that hand over to each other in a circle, each as the way round."""
    return _cycles({rule.id: _successors(rule) for rule in pack.rules})


def _names(pack: Pack, rule: Rule) -> Iterator[str]:
    applies, ways = rule.applies, rule.satisfied_by
    named: list[tuple[str, str, Iterable[str], object]] = [
        ("excluded_by", "code set", rule.excluded_by, pack.sets),
        ("applies.conditions", "code set", applies.conditions, pack.sets),
        ("applies.drugs", "code set", applies.drugs, pack.sets),
        ("applies.after", "code set", applies.after, pack.sets),
        (
            "excluded_together.all",
            "code set",
            [n for one in rule.excluded_together for n in one.all],
            pack.sets,
        ),
        ("hand_over.codes", "code set", [n for one in rule.hand_over for n in one.codes], pack.sets),
        *(
            (f"satisfied_by.{field}", "code set", [getattr(way, field) for way in ways], pack.sets)
            for field in ("codes", "follow_up", "abnormal_codes", "normal_codes")
        ),
        ("satisfied_by.analyte", "analyte", [way.analyte for way in ways], pack.analytes),
        ("monitor.analytes", "analyte", rule.monitor.analytes if rule.monitor else (), pack.analytes),
        ("applies.risks", "risk", applies.risks, pack.risks),
        ("excluded_by_risks", "risk", rule.excluded_by_risks, pack.risks),
        (
            "excluded_together.risks",
            "risk",
            [n for one in rule.excluded_together for n in one.risks],
            pack.risks,
        ),
        ("hand_over.to", "rule", _successors(rule), pack.by_id),
    ]
    for field, what, names, known in named:
        yield from (f"{field} {text}" for text in _unknown(what, names, known))
    if not all(one.all or one.risks for one in rule.excluded_together):
        yield "excluded_together names code sets or risks"
    if applies.organ and applies.organ not in ORGANS:
        yield f"applies.organ is one of {', '.join(ORGANS)}, not {applies.organ}"
    if applies.bmi_from is not None and "bmi" not in pack.analytes:
        yield "applies.bmi_from needs the analyte bmi"


def _unknown(what: str, names: Iterable[str], known: object) -> Iterator[str]:
    return (f"names the unknown {what} {name}" for name in names if name and name not in known)  # type: ignore[operator]


def _ages(rule: Rule) -> Iterator[str]:
    ages = rule.applies
    if ages.min_age is not None and ages.max_age is not None and ages.min_age > ages.max_age:
        yield "applies.min_age is above applies.max_age"
    for name in ("min_age", "max_age"):
        age = getattr(ages, name)
        if age is not None and not 0 <= age <= 130:
            yield f"applies.{name} is from 0 to 130"
    if (ages.min_age is not None and ages.from_age) or (ages.max_age is not None and ages.to_age):
        yield "applies has either min_age or from_age, and either max_age or to_age"
    start = date(2000, 1, 1)
    if (
        is_span(ages.from_age)
        and is_span(ages.to_age)
        and after(start, ages.from_age) >= after(start, ages.to_age)
    ):
        yield "applies.from_age is not before applies.to_age"
    if ages.from_week is not None and ages.to_week is not None and ages.from_week > ages.to_week:
        yield "applies.from_week is above applies.to_week"


def _spans(rule: Rule) -> Iterator[str]:
    named = [
        ("applies.from_age", rule.applies.from_age),
        ("applies.to_age", rule.applies.to_age),
        ("applies.drug_for", rule.applies.drug_for),
    ]
    named += [("satisfied_by.lasts", way.lasts) for way in rule.satisfied_by]
    named += [("slots.at", slot.at) for slot in rule.slots]
    if rule.monitor:
        named += [("monitor.every_in", rule.monitor.every_in), ("monitor.every_out", rule.monitor.every_out)]
        named += [
            (f"monitor.phases.{n}", getattr(p, n)) for p in rule.monitor.phases for n in ("until", "every")
        ]
    for name, text in named:
        if text and not is_span(text):
            yield f"{name} is a length of time such as 3d, 2w, 18m or 11y, not {text}"


def _numbers(rule: Rule) -> Iterator[str]:
    for way in rule.satisfied_by:
        yield from _way(way)
    if rule.monitor:
        yield from _monitor(rule.monitor)
    if rule.soon_days < 0 or rule.grace_days < 0:
        yield "soon_days and grace_days are not negative"
    if rule.soon_days > _DECADE or rule.grace_days > _DECADE:
        yield f"soon_days and grace_days are at most {_DECADE}"
    days = [after(date(2000, 1, 1), slot.at) for slot in rule.slots if is_span(slot.at)]
    if any(a >= b for a, b in itertools.pairwise(days)):
        yield "slots.at go up from one to the next"


def _way(way: Satisfied) -> Iterator[str]:
    if way.months is not None and way.lasts:
        yield f"satisfied_by {way.codes} has either months or lasts"
    if way.months is None and not (way.lasts or way.while_taken or way.full_months or way.in_pregnancy):
        yield f"satisfied_by {way.codes} says nowhere how long it counts: months, lasts, full_months, while_taken or in_pregnancy"
    if way.months is not None and not 0 <= way.months <= _CENTURY:
        yield f"satisfied_by.months is from 0 to {_CENTURY}"
    if way.full_months is not None and not 0 < way.full_months <= _CENTURY:
        yield f"satisfied_by.full_months is from 1 to {_CENTURY}"
    if way.at_least is not None and way.below is not None and way.at_least >= way.below:
        yield "satisfied_by.at_least is not under below"
    if (way.at_least is not None or way.below is not None) != bool(way.analyte):
        yield "satisfied_by has limits (at_least, below) together with the analyte that they are about"
    if way.while_taken and "medication" not in way.kinds:
        yield 'satisfied_by.while_taken is for kinds = ["medication"]'


def _monitor(rule: Monitor) -> Iterator[str]:
    inside, outside = rule.months_in, rule.months_out
    if inside is not None and outside is not None and not 0 < outside <= inside <= 120:
        yield "monitor.months_out is from 1 to months_in, and months_in at most 120"
    if inside == 0 or any(is_span(text) and int(text[:-1]) == 0 for text in (rule.every_in, rule.every_out)):
        yield "monitor.months_in, every_in and every_out are longer than nothing"
    if (inside is None) == (not rule.every_in):
        yield "monitor has either months_in or every_in"
    for name in ("below", "at_most", "at_least", "alert_below", "alert_from", "alert_above"):
        limits = getattr(rule, name)
        if limits and len(limits) != len(rule.analytes):
            yield f"monitor.{name} has one limit per analyte"
    for low, high in zip(rule.at_least, rule.below or rule.at_most, strict=False):
        if low >= high:
            yield "monitor.at_least is under the upper limit"
    if rule.alert_change and (rule.alert_change.by is None) == (rule.alert_change.percent is None):
        yield "monitor.alert_change has either by or percent"


# ---- risks and circles -----------------------------------------------------------------------------------------


def _risks(pack: Pack) -> Iterator[str]:
    for name, risk in pack.risks.items():
        signs = [*risk.yes, *risk.no]
        yield from (f"risks.toml: {name} {text}" for text in _signs(pack, risk, signs))
    yield from (
        f"risks.toml: {' -> '.join(c)} is a circle"
        for c in _cycles({n: [*r.any, *r.all] for n, r in pack.risks.items()})
    )


def _signs(pack: Pack, risk: Risk, signs: list[Sign]) -> Iterator[str]:
    yield from _unknown("code set", [n for s in signs for n in (s.codes, s.answers)], pack.sets)
    yield from _unknown("risk", [*risk.any, *risk.all], pack.risks)
    for sign in signs:
        if sign.within and not is_span(sign.within):
            yield f"has within = {sign.within}, which is no length of time"
    if ((risk.any or risk.all) and signs) or (risk.any and risk.all):
        yield "is made either of signs, or of any, or of all"


def _analytes(pack: Pack) -> Iterator[str]:
    for name, held in pack.sets.items():
        for other in _unknown("code set", [*held.with_site, *held.with_site.values()], pack.sets):
            yield f"codes.toml: {name} {other}"
    for name, analyte in pack.analytes.items():
        if analyte.codes not in pack.sets:
            yield f"analytes.toml: {name} names the unknown code set {analyte.codes}"
        for other in _unknown("analyte", analyte.ratio, pack.analytes):
            yield f"analytes.toml: {name} {other}"
        if analyte.ratio and len(analyte.ratio) != 2:
            yield f"analytes.toml: {name} has a ratio of two analytes"
        if analyte.low >= analyte.high:
            yield f"analytes.toml: {name} has low not under high"
        for change in analyte.deltas:
            if (change.by is None) == (change.percent is None):
                yield f"analytes.toml: {name} has a change with either by or percent"


def _successors(rule: Rule) -> list[str]:
    handed = [one.to for one in rule.hand_over]
    return handed + [one.to for one in rule.excluded_together if one.to]


def _cycles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    done: set[str] = set()
    found: list[list[str]] = []

    def walk(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
            return
        if node in done:
            return
        for following in edges.get(node, ()):
            walk(following, [*path, node])
        done.add(node)

    for start in edges:
        walk(start, [])
    return found
