"""What was decided or ordered for one patient about a rule: who, why, until when, and whether it still holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Literal

from msgspec import Struct

from commonchart.care.calendar import add_months, is_span, span_words
from commonchart.care.evidence import RULE_SYSTEM, Fact
from commonchart.care.facts import evidence
from commonchart.care.schema import Pack
from commonchart.web.present import dates
from commonchart.web.present.tables import Fact as Stored

Kind = Literal["defer", "decline", "aside", "interval", "target", "order", "plan"]
NOUNS: dict[str, str] = {
    "defer": "Deferred", "decline": "Not wanted", "aside": "Set aside", "interval": "Own interval", "target": "Own target",
    "order": "Ordered", "plan": "Planned",
}  # fmt: skip
_ENDED = {
    "revoked": "taken back", "cancelled": "taken back", "completed": "done", "rejected": "rejected", "entered-in-error": "entered in error",
    "proposed": "only proposed", "draft": "a draft", "on-hold": "on hold",
}  # fmt: skip


class Decision(Struct, frozen=True):
    """One decision. `holds`: it is at work today; else `ended` says why not. `vid` guards changes against another's."""

    kind: Kind
    rules: tuple[str, ...]
    ref: str
    vid: int
    words: str
    why: str
    who: str
    said_by: str
    on: str
    holds: bool
    ended: str

    @property
    def noun(self) -> str:
        """What it is, in a word or two."""
        return NOUNS[self.kind]


def decisions(found: Iterable[Stored], pack: Pack, today: date) -> list[Decision]:
    """Every decision about a rule among a patient's ServiceRequests and Goals: those that hold first, then the newest."""
    made = [one for fact in found if (one := _decision(fact, pack, today)) is not None]
    return sorted(made, key=lambda one: not one.holds)


def by_rule(found: Iterable[Decision]) -> dict[str, list[Decision]]:
    """The decisions under each rule that they are about."""
    out: dict[str, list[Decision]] = {}
    for one in found:
        for rule in one.rules:
            out.setdefault(rule, []).append(one)
    return out


def _decision(stored: Stored, pack: Pack, today: date) -> Decision | None:
    body = stored.body
    if body.get("resourceType") == "Goal":
        return _target(stored, pack)
    ordered = [
        uri.removeprefix(f"{RULE_SYSTEM}/") for uri in body.get("instantiatesUri") or () if uri.startswith(f"{RULE_SYSTEM}/")
    ]  # fmt: skip
    if ordered:
        return _order(stored, tuple(ordered))
    fact = next(iter(evidence([body]).of("plan")), None)
    return _plan(stored, fact, today) if fact else None


def _plan(stored: Stored, fact: Fact, today: date) -> Decision:
    rules = tuple(code for system, code in fact.codes if system == "rule")
    kind = _kind(fact)
    until = fact.ended or (add_months(fact.day, 12) if fact.day and fact.truth is False else None)
    status = str(stored.body.get("status", ""))
    over = until is not None and today >= until
    ended = _ENDED.get(status, "") if status not in ("active", "completed") else "run out" if over else ""
    return _made(
        stored, kind, rules, _words(kind, fact, until), fact.declined or _why(stored.body), fact.by, ended
    )


def _kind(fact: Fact) -> Kind:
    if fact.truth:
        return "interval" if is_span(fact.span) else "plan"
    return "aside" if fact.aside else "decline" if fact.refused else "defer"


def _words(kind: Kind, fact: Fact, until: date | None) -> str:
    end = dates.of_date(until) if until else ""
    if kind == "interval":
        return f"every {span_words(fact.span)}" + (f", until {end}" if end else ", without an end")
    said = {"defer": "until", "decline": "ask again on", "aside": "look again on"}.get(kind, "until")
    return f"{said} {end}" if end else ""


def _target(stored: Stored, pack: Pack) -> Decision | None:
    codes = {code for fact in evidence([stored.body]).of("goal") for code in fact.codes}
    names = pack.sets_of(frozenset(codes))
    rules = tuple(
        rule.id
        for rule in pack.rules
        if rule.monitor and any(pack.analytes[name].codes in names for name in rule.monitor.analytes)
    )
    if not rules:
        return None
    status = str(stored.body.get("lifecycleStatus", ""))
    live = status in ("planned", "accepted", "active", "on-hold")
    words = str((stored.body.get("description") or {}).get("text", ""))
    who = _name(stored.body.get("expressedBy"))
    return _made(
        stored, "target", rules, words, _why(stored.body), who, "" if live else _ENDED.get(status, status)
    )


def _order(stored: Stored, rules: tuple[str, ...]) -> Decision:
    body, status = stored.body, str(stored.body.get("status", ""))
    what = str((body.get("code") or {}).get("text", ""))
    by = dates.day(str(body.get("occurrenceDateTime", ""))[:10])
    to = next((str(one.get("display", "")) for one in body.get("performer") or ()), "")
    words = what + (f", to {to}" if to else "") + (f", wanted by {by}" if by else "")
    ended = "" if status == "active" else _ENDED.get(status, status)
    return _made(stored, "order", rules, words, _why(body), _name(body.get("requester")), ended)


def _made(
    stored: Stored, kind: Kind, rules: tuple[str, ...], words: str, why: str, who: str, ended: str
) -> Decision:
    body = stored.body
    on = str(body.get("authoredOn") or body.get("statusDate") or body.get("startDate") or "")[:10]
    said = str((body.get("note") or [{}])[0].get("authorString", "")) if kind == "decline" else ""
    return Decision(
        kind, rules, stored.key, stored.vid, words, why, who or "not recorded", said, dates.day(on), not ended, ended,
    )  # fmt: skip


def _why(body: Mapping[str, Any]) -> str:
    reasons = [str(one.get("text", "")) for one in body.get("reasonCode") or ()]
    notes = [str(one.get("text", "")) for one in body.get("note") or ()]
    return next(filter(None, (*reasons, *notes)), "no reason recorded")


def _name(reference: Any) -> str:
    return str((reference or {}).get("display") or (reference or {}).get("reference") or "")
