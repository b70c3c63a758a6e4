"""Roles and what an account holds, in the words of the pages."""

from __future__ import annotations

from commonchart.access.people.leaving import Ends

ROLES = {
    "clinician": "Clinician", "nurse": "Nurse", "front-desk": "Front desk", "billing": "Billing", "lab": "Laboratory",
    "quality": "Quality", "administrator": "Administrator", "privacy-officer": "Privacy officer", "patient": "Patient",
    "proxy": "Acts for a patient", "system": "Program",
}  # fmt: skip
_ENDS = (
    ("sessions", "open session", "open sessions"),
    ("tokens", "API token", "API tokens"),
    ("apps", "app they allowed something", "apps they allowed something"),
    ("launches", "app that is being opened from a chart", "apps that are being opened from a chart"),
    ("invitations", "invitation or reset they made or wait for", "invitations or resets they made or wait for"),
    ("subscriptions", "subscription made by them or an app of theirs", "subscriptions made by them or an app of theirs"),
    ("exports", "export that is running", "exports that are running"),
    ("shares", "link by which they share their record", "links by which they share their record"),
    ("emergencies", "emergency access", "emergency accesses"),
    ("covers", "cover for a colleague", "covers for colleagues"),
)  # fmt: skip
_STAYS = (
    ("drafts", "draft of theirs", "drafts of theirs"),
    ("results", "open result addressed to them", "open results addressed to them"),
)


def counted(ends: Ends) -> list[str]:
    """What ends, in words; what there is none of is left out."""
    return _told(ends, _ENDS)


def staying(ends: Ends) -> list[str]:
    """What stays and needs somebody else."""
    return _told(ends, _STAYS)


def _told(ends: Ends, names: tuple[tuple[str, str, str], ...]) -> list[str]:
    out = []
    for name, one, many in names:
        n = getattr(ends, name)
        if n:
            out.append(f"{n:,} {one if n == 1 else many}")
    return out
