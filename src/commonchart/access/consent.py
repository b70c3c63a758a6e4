"""FHIR Consent as rules, and what they say of one row: pure. https://hl7.org/fhir/R4/consent.html.

Each provision becomes one rule that carries what all those above it ask as well. The deepest rule that fits decides, and
one that denies wins a tie. What cannot be read denies everything beyond the organisation that recorded it, and says why:
whoever treats the patient is never locked out of their own records. `search.visible` says the same in SQL; a property
test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.labels import security_mask
from commonchart.fhir import dates
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid
from commonchart.record.keys import token
from commonchart.search.index import patient_of

EVER = (dates.MIN, dates.MAX)
UNREADABLE_DEPTH = 1000
# purposes that count as one of the wider ones a provision names (v3-PurposeOfUse)
WIDER = {"ETREAT": ("TREAT",), "BTG": ("ETREAT", "TREAT"), "COC": ("TREAT",), "CAREMGT": ("TREAT", "COC")}
SEEING = frozenset({"access", "use", "disclose"})
ACTIONS = SEEING | {"collect", "correct"}
_KEY = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}")
NAMED = frozenset({"Organization", "Practitioner", "Patient", "RelatedPerson", "Device"})
# who is no resource here is named by an identifier (a logical reference): a role of ours, or an app by its client id
ROLES = "http://commonchart.org/NamingSystem/role"
APPS = "http://commonchart.org/NamingSystem/app"
LOGICAL = {ROLES: "role", APPS: "app"}
SCOPES: dict[str, tuple[str, ...] | None] = {
    "patient-privacy": (),
    "research": ("HRESCH",),
    "treatment": None,
    "adr": None,
}


class Rule(Struct, frozen=True):
    """One provision with all above it; None asks nothing. In `actors` and `purposes` one of each list must fit."""

    depth: int
    permit: bool
    starts: datetime = EVER[0]
    ends: datetime = EVER[1]
    actors: tuple[tuple[str, ...], ...] | None = None
    keepers: tuple[str, ...] | None = None
    purposes: tuple[tuple[str, ...], ...] | None = None
    rtypes: tuple[str, ...] | None = None
    labels: tuple[int, ...] | None = None
    opens: int = 0
    codes: tuple[str, ...] | None = None
    hashes: tuple[int, ...] | None = None
    data: tuple[str, ...] | None = None
    data_period: tuple[datetime, datetime] | None = None

    @property
    def people(self) -> list[str]:
        """The practitioners whom the innermost list of actors names."""
        return [one for one in (self.actors or ((),))[-1] if one.startswith("Practitioner/")]


class Read(Struct, frozen=True):
    """What a Consent says: of whom, its rules, and why it could not be read ("" if it could)."""

    patient: str
    rules: tuple[Rule, ...]
    problem: str = ""


class Row(Struct, frozen=True):
    """What a decision looks at of one version."""

    rtype: str
    id: str
    org: str
    labels: int = 0
    code: int | None = None
    body: str = ""
    date_lo: datetime | None = None
    date_hi: datetime | None = None


def read(consent: dict[str, Any]) -> Read:
    """The rules of a Consent. One that is not active has none; one that cannot be read denies."""
    patient = patient_of("Consent", consent) or ""
    if consent.get("status") != "active":
        return Read(patient, ())
    try:
        return Read(patient, tuple(_rules(consent)))
    except Invalid as problem:
        return Read(patient, (Rule(UNREADABLE_DEPTH, False),), str(problem))


def _rules(consent: dict[str, Any]) -> list[Rule]:
    purposes = _purposes_of_scope(consent)
    if purposes is None:
        return []
    _unmodified(consent)
    root = consent.get("provision") or {}
    chain = Rule(1, False, purposes=(purposes,) if purposes else None)
    narrowed = _narrowed(chain, root)
    if narrowed is None:
        return []
    base = _base(consent, root)
    found = [] if base is None else [_told(narrowed, base)]
    found += [rule for child in root.get("provision") or () for rule in _nested(narrowed, child)]
    if not found and not root.get("provision"):
        raise Invalid("it says neither what is permitted nor what is denied", at="Consent.provision")
    return found


def _unmodified(part: Any, at: str = "Consent") -> None:
    """Raises Invalid for a modifier extension or rules of its own anywhere in it: they may turn what it says around."""
    if isinstance(part, list):
        for one in part:
            _unmodified(one, at)
    elif isinstance(part, dict):
        if "modifierExtension" in part or "implicitRules" in part:
            raise Invalid("it has a modifier that is not known here", at=at)
        for name, one in part.items():
            if name != "contained":
                _unmodified(one, f"{at}.{name}")


def _purposes_of_scope(consent: dict[str, Any]) -> tuple[str, ...] | None:
    """The purposes that a scope is about, () for any; None where it is not about who may see."""
    codes = _codes((consent.get("scope") or {}).get("coding") or ())
    known = [code for code in SCOPES if code in codes]  # of several, the one that is about the most
    if not known:
        raise Invalid("its scope is not known here", at="Consent.scope")
    return SCOPES[known[0]]


def _base(consent: dict[str, Any], root: dict[str, Any]) -> bool | None:
    """Whether the whole of it permits: by its policy rule and its outermost provision; None where neither says."""
    codes = _codes((consent.get("policyRule") or {}).get("coding") or ())
    said = [code == "OPTIN" for code in codes if code in ("OPTIN", "OPTOUT")]
    if root.get("type"):
        said.append(root["type"] == "permit")
    return all(said) if said else None


def _told(rule: Rule, permit: bool) -> Rule:
    """Only what permits opens anything."""
    return replace(rule, permit=permit, opens=rule.opens if permit else 0)


def _nested(above: Rule, provision: dict[str, Any]) -> list[Rule]:
    if provision.get("type") not in ("permit", "deny"):
        raise Invalid(
            "a provision inside another says neither permit nor deny", at="Consent.provision.provision"
        )
    narrowed = _narrowed(replace(above, depth=above.depth + 1), provision)
    if narrowed is None:
        return []
    inner = [rule for child in provision.get("provision") or () for rule in _nested(narrowed, child)]
    return [_told(narrowed, provision["type"] == "permit"), *inner]


def _narrowed(above: Rule, provision: dict[str, Any]) -> Rule | None:
    """What a provision asks beside those above it; None where it is not about seeing."""
    if provision.get("action") and not _actions(provision["action"]) & SEEING:
        return None
    rule = _who(above, provision.get("actor") or ())
    if provision.get("period"):
        lo, hi = dates.period_bounds(provision["period"])
        rule = replace(rule, starts=max(rule.starts, lo), ends=min(rule.ends, hi))
    if provision.get("purpose"):
        purposes = tuple(_each_code(provision["purpose"], "purpose"))
        rule = replace(rule, purposes=(*(rule.purposes or ()), purposes))
    return _what(rule, provision)


def _actions(concepts: Sequence[dict[str, Any]]) -> set[str]:
    """The codes of the actions that are meant. Raises Invalid for one that is not known."""
    named = [set(_codes(one.get("coding") or ())) & ACTIONS for one in concepts]
    if not all(named):
        raise Invalid("it names an action that is not known here", at="Consent.provision.action")
    return set().union(*named)


def _who(above: Rule, actors: Sequence[dict[str, Any]]) -> Rule:
    """Actors who hold the data (custodians) say whose records are meant; all others, who is asking."""
    keepers = [_reference(one) for one in actors if _custodian(one)]
    asking = tuple(_reference(one) for one in actors if not _custodian(one))
    rule = above
    if keepers:
        if not all(one.startswith("Organization/") for one in keepers):
            raise Invalid("it names a custodian that is no organisation", at="Consent.provision.actor")
        orgs = tuple(one.removeprefix("Organization/") for one in keepers)
        rule = replace(rule, keepers=_both(rule.keepers, orgs))
    return replace(rule, actors=(*(rule.actors or ()), asking)) if asking else rule


def _custodian(actor: dict[str, Any]) -> bool:
    return "CST" in _codes((actor.get("role") or {}).get("coding") or ())


def _reference(actor: dict[str, Any]) -> str:
    held = actor.get("reference") or {}
    named = held.get("identifier") or {}
    if "reference" not in held and named.get("system") in LOGICAL and named.get("value"):
        text = f"{LOGICAL[named['system']]}:{named['value']}"
        if "|" not in text:
            return text
    text = str(held.get("reference", ""))
    if text.count("/") != 1 or text.split("/")[0] not in NAMED or "|" in text:
        raise Invalid("it names somebody who cannot be told here", at="Consent.provision.actor")
    return text


def _what(rule: Rule, provision: dict[str, Any]) -> Rule:
    if provision.get("class"):
        rule = replace(rule, rtypes=_both(rule.rtypes, _types(provision["class"])))
    if provision.get("securityLabel"):
        mask = _labels(provision["securityLabel"])
        rule = replace(rule, labels=(*(rule.labels or ()), mask), opens=rule.opens | mask)
    if provision.get("code"):
        rule = _coded(rule, provision["code"])
    if provision.get("data"):
        rule = replace(rule, data=_both(rule.data, _instances(provision["data"])))
    if provision.get("dataPeriod"):
        lo, hi = dates.period_bounds(provision["dataPeriod"])
        held = rule.data_period or EVER
        rule = replace(rule, data_period=(max(lo, held[0]), min(hi, held[1])))
    return rule


def _types(classes: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    codes = tuple(_each_code(classes, "class"))
    if not set(codes) <= r4().resource_types:
        raise Invalid("it names a class that is not a type of resource", at="Consent.provision.class")
    return codes


def _labels(labels: Sequence[dict[str, Any]]) -> int:
    mask = 0
    for one in labels:
        held = security_mask([one])
        if not held:
            raise Invalid(
                "it names a security label that is not known here", at="Consent.provision.securityLabel"
            )
        mask |= held
    return mask


def _coded(rule: Rule, concepts: Sequence[dict[str, Any]]) -> Rule:
    told = [[one for one in concept.get("coding") or () if one.get("code")] for concept in concepts]
    codings = [one for each in told for one in each]
    if rule.codes is not None or not all(told):
        raise Invalid("its codes cannot be told", at="Consent.provision.code")
    return replace(
        rule,
        codes=tuple(str(one["code"]) for one in codings),
        hashes=tuple(token("code", f"{one.get('system') or ''}|{one['code']}") for one in codings),
    )


def _instances(data: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    if any(one.get("meaning") != "instance" for one in data):
        raise Invalid("it means more than single resources", at="Consent.provision.data.meaning")
    keys = tuple(str((one.get("reference") or {}).get("reference", "")) for one in data)
    if not all(map(_KEY.fullmatch, keys)):
        raise Invalid("it names data that cannot be told here", at="Consent.provision.data.reference")
    return keys


def _both(above: tuple[str, ...] | None, own: tuple[str, ...]) -> tuple[str, ...]:
    return own if above is None else tuple(one for one in own if one in above)


def _codes(codings: Iterable[dict[str, Any]]) -> list[str]:
    return [str(one["code"]) for one in codings if one.get("code")]


def _each_code(codings: Sequence[dict[str, Any]], name: str) -> list[str]:
    """The code of each. Raises Invalid where one has none: a part that is left out would change what is meant."""
    codes = _codes(codings)
    if len(codes) != len(codings):
        raise Invalid(f"its {name} has no code", at=f"Consent.provision.{name}")
    return codes


# ---- deciding --------------------------------------------------------------------------------------------------


class Asking(Struct, frozen=True):
    """Who asks, when: the names a provision may know them by, for what, and whether they treat the patient."""

    names: tuple[str, ...]
    purposes: tuple[str, ...]
    now: datetime
    related: bool
    blocked: int


def purposes_of(purpose: str) -> tuple[str, ...]:
    """A purpose of use with the wider ones it is part of."""
    return (purpose, *WIDER.get(purpose, ()))


def decided(rules: Iterable[Rule], asking: Asking, row: Row) -> bool | None:
    """What the consents of a patient say of one version of another organisation; None where they say nothing."""
    fitting = [rule for rule in rules if fits(rule, asking, row)]
    if not fitting:
        return None
    deepest = max(rule.depth for rule in fitting)
    return all(rule.permit for rule in fitting if rule.depth == deepest)


def fits(rule: Rule, asking: Asking, row: Row) -> bool:
    """Whether a rule is about this actor and this row; one that permits, whether it can open it."""
    return (
        rule.starts <= asking.now < rule.ends
        and _of_each(rule.actors, asking.names)
        and _of_each(rule.purposes, asking.purposes)
        and _about(rule, row)
        and (not rule.permit or _can_open(rule, asking, row))
    )


def _of_each(lists: tuple[tuple[str, ...], ...] | None, names: Sequence[str]) -> bool:
    return all(any(name in held for name in names) for held in lists or ())


def _about(rule: Rule, row: Row) -> bool:
    return (
        (rule.rtypes is None or row.rtype in rule.rtypes)
        and (rule.keepers is None or row.org in rule.keepers)
        and (rule.data is None or f"{row.rtype}/{row.id}" in rule.data)
        and all(row.labels & mask for mask in rule.labels or ())
        and _has_code(rule, row)
        and _in_period(rule, row)
    )


def _has_code(rule: Rule, row: Row) -> bool:
    if rule.codes is None:
        return True
    if rule.permit:
        return row.code in (rule.hashes or ())
    return any(f'"code":"{code}"' in row.body for code in rule.codes)


def _in_period(rule: Rule, row: Row) -> bool:
    """Denied is whatever may reach into the period, also by a date that is not exact; permitted what lies within it."""
    if rule.data_period is None:
        return True
    if row.date_lo is None or row.date_hi is None:
        return not rule.permit
    begins, ends = rule.data_period
    if rule.permit:
        return begins <= row.date_lo and row.date_hi <= ends
    return row.date_lo < ends and row.date_hi > begins


def _can_open(rule: Rule, asking: Asking, row: Row) -> bool:
    named = rule.actors is not None or asking.related
    return named and not row.labels & asking.blocked & ~rule.opens
