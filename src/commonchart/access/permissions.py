"""The policy as a table that people read: made of `policy` itself by asking it, so that it cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from commonchart.access import emergency, labelling, persons, policy, rules, trail
from commonchart.access.actors import FOR_A_PATIENT, Actor
from commonchart.access.people import links
from commonchart.access.portal import holds
from commonchart.care.labels import labels, mask

# what a group is called after one of its types; a group that policy makes anew is called by its first type until it stands here
TITLES = {
    "Patient": "Patients and visits", "Organization": "Organisations, people and places", "Appointment": "Appointments and family",
    "Coverage": "Insurance and accounts", "Claim": "Bills and claims", "Observation": "Results and orders",
    "DiagnosticReport": "Reports, specimens and images", "Condition": "Diagnoses, procedures and vaccinations",
    "Consent": "Consents", "Communication": "Messages and sources", "Task": "Tasks",
    "AllergyIntolerance": "Medications, allergies, notes and all the rest",
}  # fmt: skip
ELSEWHERE = policy.OURS
"""Types that another decision stands before: who reads the audit trail is said by `rights`."""
ROLES = tuple(role for role in policy.GRANTS if role != "system")


class Group(Struct, frozen=True):
    """Types for which every role may do the same; `allowed` by role."""

    title: str
    types: tuple[str, ...]
    allowed: dict[str, frozenset[str]]


class Labelled(Struct, frozen=True):
    """One sensitive label: who does not see it at home, whether it crosses without a consent, whether break-glass opens it."""

    name: str
    title: str
    review: str
    hidden: frozenset[str]
    crosses: bool
    opens: bool


class Right(Struct, frozen=True):
    """Something beside reading and writing, and the roles that may do it."""

    words: str
    roles: frozenset[str]


def groups(roles: Iterable[str] = ROLES) -> list[Group]:
    """Every resource type but the audit trail once, with those for which policy says the same, those that most may read first."""
    matrix, shown = policy.matrix(), tuple(roles)
    found: dict[tuple[frozenset[str], ...], list[str]] = {}
    for rtype in matrix[shown[0]].keys() - ELSEWHERE:
        found.setdefault(tuple(matrix[role][rtype] for role in shown), []).append(rtype)
    out = [
        Group(_title(types), tuple(sorted(types)), dict(zip(shown, key, strict=True)))
        for key, types in found.items()
    ]
    return sorted(out, key=lambda one: (-sum(len(held) for held in one.allowed.values()), one.title))


def _title(types: list[str]) -> str:
    return next((TITLES[rtype] for rtype in types if rtype in TITLES), min(types))


def labelled(roles: Iterable[str] = ROLES) -> list[Labelled]:
    """Every label with who sees it."""
    shown = tuple(roles)
    out = []
    for name, label in labels().items():
        hidden = frozenset(role for role in shown if policy.visible(_somebody(role)).hidden & mask(name))
        out.append(
            Labelled(
                name, label.title, label.review, hidden, name not in policy.BLOCKED_BETWEEN,
                name not in policy.NEVER_IN_EMERGENCY,
            )
        )  # fmt: skip
    return out


def _somebody(role: str) -> Actor:
    own = "p" if role in FOR_A_PATIENT else None
    return Actor(0, "u", "", role, "o", "", network=False, patient=own)  # type: ignore[arg-type]


def rights() -> tuple[Right, ...]:
    """What some roles may do beside reading and writing."""
    staff = frozenset(role for role in ROLES if role not in FOR_A_PATIENT)
    return (
        Right("See what other organisations share by treatment relationship or consent", policy.SHARED_WITH),
        Right("Open a record in an emergency (break-glass)", emergency.ROLES),
        Right("Read the audit trail, review break-glass", trail.REVIEWERS),
        Right("Mark an entry as sensitive", labelling.PUTTERS),
        Right("Lift a sensitive label, or put one back", labelling.LIFTERS),
        Right("Look after accounts, apps, exports and subscriptions", links.ADMINISTRATORS),
        Right("Decide which rules of care are used", frozenset(rules.DECIDING) & set(ROLES)),
        Right("Say that two records are of one person, or are not", persons.DECIDING),
        Right("Delay a result on its way to the patient, or release it", holds.ROLES),
        Right("See only one's own record, or that of whom one acts for", FOR_A_PATIENT),
        Right("See sensitive facts that one wrote oneself, whatever their label", staff),
    )
