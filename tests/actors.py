"""Who asks, in tests."""

from __future__ import annotations

from commonchart.access.actors import Actor


def clinician(user: str = "doc", org: str = "alder") -> Actor:
    return Actor(1, user, "Doc", "clinician", org, "test", network=False)


def front_desk() -> Actor:
    return Actor(1, "desk", "Desk", "front-desk", "alder", "test", network=False)


def administrator() -> Actor:
    return Actor(1, "root", "Root", "administrator", "alder", "test", network=False)


def patient_of(id: str) -> Actor:
    return Actor(1, f"user-{id}", "Patient", "patient", "", "test", patient=id, network=False)
