"""What calculators can be given from a chart: the newest value of each measurement, and what the record says for certain.

A result that is in quarantine is not used, and named. What no entry says is missing: that a problem is not on the list does not
mean that it is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date
from typing import Any

from msgspec import Struct

from commonchart.care.calculators import quantities as q
from commonchart.care.calculators.quantities import Quantity
from commonchart.care.calculators.sheet import Given
from commonchart.care.evidence import Evidence, Fact
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.schema import Pack

NUMBERS: dict[str, Quantity] = {
    "weight": q.WEIGHT, "height": q.HEIGHT, "creatinine": q.CREATININE, "egfr": q.EGFR, "total cholesterol": q.CHOLESTEROL,
    "hdl": q.HDL, "systolic": q.SYSTOLIC, "bilirubin": q.BILIRUBIN, "sodium": q.SODIUM, "albumin": q.ALBUMIN, "inr": q.INR,
    "ast": q.AST, "alt": q.ALT, "platelets": q.PLATELETS,
}  # fmt: skip
TRUTHS = (
    "heart failure", "hypertension", "diabetes", "stroke", "vascular disease", "ascvd", "blood pressure treated", "smoker",
    "statin", "dialysis",
)  # fmt: skip
_HDL = frozenset({"2085-9", "14646-4"})
_CONDITIONS = {
    "heart failure": "heart-failure",
    "hypertension": "hypertension",
    "diabetes": "diabetes",
    "ascvd": "ascvd",
}
# ICD-10-CM: ischaemic stroke, TIA, arterial embolism, history of either; infarction, aortic and peripheral disease
_STROKE = ("I63", "G45", "I74", "Z8673")
_VASCULAR = ("I21", "I22", "I252", "I70", "I739")


class Inputs(Struct, frozen=True):
    """What is known by name. `passed` are newer results of a name that are in quarantine and were not used."""

    numbers: dict[str, Given]
    truths: dict[str, Given]
    sex: Given | None
    born: date | None
    problems: tuple[str, ...] = ()
    passed: dict[str, str] = {}


def inputs(
    patient: dict[str, Any],
    resources: Iterable[dict[str, Any]],
    pack: Pack,
    as_of: date,
    doubted: Collection[str] = (),
) -> Inputs:
    """The inputs of one person on a day; `doubted` are references of results in quarantine."""
    who = person(patient, as_of)
    known = evidence(resources)
    numbers: dict[str, Given] = {}
    passed: dict[str, str] = {}
    for name in NUMBERS:
        for fact in _of(known, name, pack, as_of):
            if fact.ref in doubted:
                passed.setdefault(name, fact.ref)
                continue
            numbers[name] = Given(fact.value, fact.unit, fact.day, fact.ref, fact.comparator)  # type: ignore[arg-type]
            break
    problems = [f"birth date {who.born_problem}"] if who.born_problem else []
    problems += [who.sex_problem] if who.sex_problem else []
    sex = Given(who.sex, ref=f"Patient/{who.id}") if who.sex else None
    return Inputs(numbers, _truths(known, pack, as_of), sex, who.born, tuple(problems), passed)


def _of(known: Evidence, name: str, pack: Pack, as_of: date) -> Iterator[Fact]:
    """Numbers of this name that stand, newest first."""
    analyte = pack.analytes.get(name.replace(" ", "-"))
    for fact in known.of("observation"):
        usable = not fact.unusable and fact.value is not None and fact.day is not None and fact.day <= as_of
        mine = pack.holds(analyte.codes, fact.codes) if analyte else any(c in _HDL for _, c in fact.codes)
        if usable and mine:
            yield fact


def _truths(known: Evidence, pack: Pack, as_of: date) -> dict[str, Given]:
    active = [
        one for one in known.of("condition", "medication")
        if not one.unusable and one.active_on(as_of) and (one.day is None or one.day <= as_of)
    ]  # fmt: skip
    out: dict[str, Given] = {}
    for name, held in _CONDITIONS.items():
        _note(out, name, (one for one in active if one.kind == "condition" and pack.holds(held, one.codes)))
    _note(out, "stroke", (one for one in active if _icd(one, _STROKE)))
    _note(out, "vascular disease", (one for one in active if _icd(one, _VASCULAR)))
    _note(
        out, "statin", (one for one in active if one.kind == "medication" and pack.holds("statin", one.codes))
    )
    if "hypertension" in out:
        lowering = ("raas-blocker", "thiazide")
        _note(out, "blood pressure treated", (
            one for one in active if one.kind == "medication" and any(pack.holds(held, one.codes) for held in lowering)
        ))  # fmt: skip
    return out | _smoking(known, pack, as_of)


def _note(out: dict[str, Given], name: str, facts: Iterable[Fact]) -> None:
    for fact in facts:
        out[name] = Given(True, "", fact.day, fact.ref)
        return


def _icd(fact: Fact, prefixes: tuple[str, ...]) -> bool:
    return any(
        system == "icd10" and code.replace(".", "").upper().startswith(prefixes)
        for system, code in fact.codes
    )


def _smoking(known: Evidence, pack: Pack, as_of: date) -> dict[str, Given]:
    """The newest word on smoking, where its answer is a known one."""
    for fact in known.of("observation"):
        if fact.unusable or fact.day is None or fact.day > as_of or not fact.answers:
            continue
        for held, smokes in (("uses-tobacco", True), ("never-smoker", False), ("former-smoker", False)):
            if held in pack.sets and pack.holds(held, fact.answers):
                return {"smoker": Given(smokes, "", fact.day, fact.ref)}
    return {}
