"""A due item defends itself: what was used and what not, the rule and who stands behind it, what would satisfy it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commonchart.care.evidence import Fact
from commonchart.care.schema import Pack, Rule

if TYPE_CHECKING:
    from commonchart.care.verdict import Told, Verdict


def _of_rule(rule: Rule, pack: Pack) -> tuple[dict[str, Any], str]:
    """What is the same in every explanation of a rule, and its exclusions in words; the pack remembers it."""
    if rule.id not in pack.explained:
        pack.explained[rule.id] = _fixed(rule, pack)
    return pack.explained[rule.id]


def _fixed(rule: Rule, pack: Pack) -> tuple[dict[str, Any], str]:
    sets = [*pack.everywhere, *rule.excluded_by, *(name for one in rule.hand_over for name in one.codes)]
    names = [name.replace("-", " ") for name in sets]
    names += [one.label.lower() for one in rule.excluded_together]
    fixed = {
        "states": rule.states,
        "plain": rule.plain,
        "authority": f"{rule.authority}{f', grade {rule.grade}' if rule.grade else ''}",
        "source": rule.source,
        "date": rule.date,
        "review": rule.review,
        "outreach": rule.outreach,
        "pack_hash": (pack.boxed or pack.hash)[:16],
    }
    if rule.id in pack.site:
        fixed["site"] = rule.version
    return fixed, ", ".join(names)


def describe(rule: Rule, pack: Pack, verdict: Verdict) -> dict[str, Any]:
    """The explanation as plain data, for the due table and every face that shows it. Not to be changed by who gets it."""
    fixed, names = _of_rule(rule, pack)
    return {
        **fixed,
        "because": verdict.because,
        "used": [_shown(fact) for fact in verdict.used],
        "unused": [_shown(one.fact) | {"reason": one.reason} for one in verdict.unused],
        "satisfied_by": verdict.satisfied_by,
        "exclusions": names if verdict.status == "excluded" else f"{names}: none found",
        "question": verdict.question or (rule.question if verdict.status == "cannot-tell" else ""),
        **{name: value for name in _EXTRAS if (value := getattr(verdict, name))},
        **({"asks": list(verdict.asks)} if verdict.asks else {}),
        **({"told": [_told(one) for one in verdict.told]} if verdict.told else {}),
    }


_EXTRAS = ("within", "note", "follow_up")


def _told(one: Told) -> dict[str, str]:
    fact = one.fact
    return {
        "question": one.question,
        "answer": fact.unsaid,
        "when": fact.shown,
        "link": fact.ref,
        "again": one.again.isoformat(),
    }


def _shown(fact: Fact) -> dict[str, str]:
    value = f" {fact.comparator}{fact.value} {fact.unit}".rstrip() if fact.value is not None else ""
    words = f": {fact.words}" if fact.words else ""
    return {"words": f"{fact.text or 'No name'}{value}{words}", "when": fact.shown, "link": fact.ref}


def shown_day(fact: Fact) -> str:
    """The date of a fact with the precision it was written in: 05-Mar-2024, Mar-2024 or 2024."""
    text = fact.shown[:10]
    if fact.day is None:
        return "an unknown date"
    return fact.day.strftime({4: "%Y", 7: "%b-%Y"}.get(len(text), "%d-%b-%Y"))
