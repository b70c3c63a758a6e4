"""What can be done for a rule and recorded as done: per way that satisfies it, the type of resource and the code that counts.

A result has to be written so that the rule reads it as it was meant: `written` builds it, and `read_back` says how the rule takes it.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from commonchart.care.evidence import SYSTEMS
from commonchart.care.facts import evidence
from commonchart.care.results import read_result
from commonchart.care.schema import CodeSet, Pack, Rule, Satisfied

As = Literal["Observation", "Procedure", "MedicationRequest"]
Outcome = Literal["", "normal", "abnormal", "unknown"]
_URLS = {short: url for url, short in reversed(SYSTEMS.items())}
_OBSERVED, _DONE = ("loinc", "question", "sct"), ("sct", "hcpcs", "cpt", "cdt", "icd10pcs")
_PRESSURE = ("systolic", "diastolic")


class Measure(Struct, frozen=True):
    """One number to be entered: its analyte, words, unit (UCUM), and the code of its Observation."""

    analyte: str
    label: str
    unit: str
    system: str
    code: str


class Act(Struct, frozen=True):
    """One thing that can be done. `measures` are the numbers it gives, `reads_results`: what came out matters."""

    key: str
    label: str
    type: As
    system: str
    code: str
    reads_results: bool = False
    measures: tuple[Measure, ...] = ()
    panel: bool = False
    answers: tuple[tuple[str, str], ...] = ()


# SNOMED CT identifiers of US Core's smoking status, in our words.
ANSWERS: dict[str, tuple[tuple[str, str], ...]] = {
    "tobacco-asked": (
        ("266919005", "Never smoked"), ("8517006", "Used to smoke"), ("449868002", "Smokes every day"),
        ("428041000124106", "Smokes on some days"),
    ),
}  # fmt: skip


def acts(rule: Rule, pack: Pack) -> tuple[Act, ...]:
    """Everything that can be recorded or ordered for a rule, in the order of its ways; the same thing once."""
    if rule.monitor:
        return (_measurement(rule, pack),)
    found = [one for n, way in enumerate(rule.satisfied_by) if (one := _act(str(n), way, pack)) is not None]
    kept: dict[str, Act] = {}
    for one in found:
        kept.setdefault(one.label, one)
    return tuple(kept.values())


def _measurement(rule: Rule, pack: Pack) -> Act:
    assert rule.monitor
    names = rule.monitor.analytes
    measures = tuple(_measure(name, pack) for name in names)
    first = measures[0]
    if names == _PRESSURE:
        return Act("0", rule.title, "Observation", _URLS["loinc"], "85354-9", False, measures, True)
    return Act("0", rule.title, "Observation", first.system, first.code, False, measures)


def _measure(name: str, pack: Pack) -> Measure:
    analyte = pack.analytes[name]
    system, code = _code(pack.sets[analyte.codes], _OBSERVED) or ("", "")
    return Measure(name, analyte.label, analyte.unit, system, code)


def _act(key: str, way: Satisfied, pack: Pack) -> Act | None:
    held = pack.sets[way.codes]
    if way.kinds == ("medication",):
        return Act(key, way.label, "MedicationRequest", *(_code(held, ("rxnorm",)) or ("", "")))
    measures = _numbers(way, pack)
    if measures and measures[0].code:
        return Act(
            key, way.label, "Observation", measures[0].system, measures[0].code, way.reads_results, measures
        )
    observed = _code(held, ("loinc", "question")) if "observation" in way.kinds else None
    if observed:
        answers = ANSWERS.get(way.codes, ())
        return Act(key, way.label, "Observation", *observed, way.reads_results, answers=answers)
    done = _code(held, _DONE) if "procedure" in way.kinds else None
    return Act(key, way.label, "Procedure", *done, way.reads_results) if done else None


def _numbers(way: Satisfied, pack: Pack) -> tuple[Measure, ...]:
    """The number that a way is judged by, or that its codes stand for, if its code is one that the way counts."""
    if "observation" not in way.kinds:
        return ()
    names = [way.analyte] if way.analyte else pack.analytes_of.get(way.codes, [])[:1]
    for name in names:
        one = _measure(name, pack)
        short = SYSTEMS.get(one.system, "")
        if one.code and pack.holds(way.codes, frozenset({(short, one.code)})):
            return (one,)
    return ()


def _code(held: CodeSet, systems: tuple[str, ...]) -> tuple[str, str] | None:
    return next(((_URLS[one], getattr(held, one)[0]) for one in systems if getattr(held, one)), None)


def way_of(rule: Rule, act: Act) -> Satisfied | None:
    """The way of the rule that an act satisfies; None for a measurement that is watched."""
    return rule.satisfied_by[int(act.key)] if rule.satisfied_by else None


def read_back(rule: Rule, act: Act, pack: Pack, resource: dict[str, Any]) -> str:
    """How the rule reads what is to be recorded: normal, abnormal, inadequate or unreadable; "" where it does not look."""
    way = way_of(rule, act)
    if way is None or not way.reads_results:
        return ""
    facts = evidence([resource | {"id": "new"}]).facts
    return read_result(pack, facts[0], way)
