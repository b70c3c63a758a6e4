"""Results in quarantine as they are shown: what stands against them, how long, and what they would be in another unit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from commonchart.care.accuracy import series
from commonchart.care.doubts import tried
from commonchart.care.facts import evidence
from commonchart.care.quarantine import jumps
from commonchart.care.schema import Pack
from commonchart.web.present import readings, values
from commonchart.web.present.tables import Fact

KINDS = {
    "identity": "Perhaps another patient's", "jump": "Changed too much", "specimen": "Same specimen as a doubted one",
    "implausible": "Nobody can have it", "unit": "Unit missing or unknown", "time": "Wrong time",
}  # fmt: skip
DECISIONS = {
    "released": "Released: believed as it is", "rejected": "Rejected: stays out", "corrected": "Corrected",
    "asked": "Asked whose it is", "undone": "Decision undone",
}  # fmt: skip
_SOME = 12


class Try(Struct, frozen=True):
    """What a number would be in one unit."""

    unit: str
    value: str
    plausible: bool


def age(since: datetime, now: datetime) -> str:
    """How long something has waited: "3 h", "2 days"."""
    minutes = max(int((now - since).total_seconds() // 60), 0)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h"
    return f"{hours // 24} days"


def value(fact: Fact, pack: Pack | None = None, analyte: str = "") -> readings.Reading | None:
    """The reading of a result: of its part that measures the analyte, where it has several."""
    found = readings.read(fact) if fact.rtype == "Observation" else []
    if len(found) > 1 and pack is not None and analyte in pack.analytes:
        codes = {f"http://loinc.org|{code}" for code in pack.sets[pack.analytes[analyte].codes].loinc}
        found = [one for one in found if one.key.split(">")[-1] in codes] or found
    return found[0] if found else None


def tries(pack: Pack, analyte: str, number: Decimal | None) -> list[Try]:
    """The number in every unit that its analyte is known in."""
    if number is None or analyte not in pack.analytes:
        return []
    one = pack.analytes[analyte]
    return [
        Try(
            try_.unit or "no unit",
            f"{values.short(values.number(try_.value))} {one.unit}".strip(),
            try_.plausible,
        )
        for try_ in tried(one, number)
    ][:_SOME]


def remarks(pack: Pack, facts: Iterable[Fact]) -> dict[str, list[str]]:
    """By "Type/id": changes that are greater than the analyte allows, and results that two sources report."""
    bodies = [one.body for one in facts if one.rtype == "Observation"]
    found = evidence(bodies).facts
    held = {name for fact in found for name in pack.sets_of(fact.codes)}
    out: dict[str, list[str]] = {}
    for name in (name for codes in sorted(held) for name in pack.analytes_of.get(codes, ())):
        measured = series(pack, name, found)
        for jump in jumps(pack.analytes[name], measured):
            out.setdefault(jump.later.ref, []).append(jump.reason)
        for one in measured:
            for ref in one.also:
                out.setdefault(one.fact.ref, []).append("reported by two sources: counted once")
                out.setdefault(ref, []).append("the same result from another source: not counted again")
    return {ref: list(dict.fromkeys(said)) for ref, said in out.items()}
