"""The policy is data, and what it does not say is denied."""

from __future__ import annotations

from commonchart.access.policy import ACTIONS, allowed, matrix, visible
from tests.actors import administrator, clinician, front_desk, patient_of


def test_roles_at_a_glance() -> None:
    table = matrix()
    assert set(table) == {"clinician", "administrator", "system", "front-desk", "patient"}
    assert table["front-desk"]["Observation"] == frozenset()
    assert table["front-desk"]["Patient"] == {"read", "search", "history", "create", "update"}
    assert table["patient"]["Observation"] == {"read", "search", "history"}
    assert table["clinician"]["Condition"] == ACTIONS


def test_nobody_writes_the_audit_trail() -> None:
    for actor in (clinician(), administrator(), front_desk(), patient_of("p")):
        assert not any(allowed(actor, action, "AuditEvent") for action in ("create", "update", "delete"))


def test_an_unknown_action_or_type_is_denied() -> None:
    assert not allowed(clinician(), "export", "Patient")
    assert not allowed(front_desk(), "read", "Shoe")


def test_what_may_be_seen_is_never_empty_by_accident() -> None:
    assert visible(patient_of("ada")).patients == {"ada"}
    assert not visible(patient_of("ada")).everything
    assert visible(front_desk()).types is not None
    assert "Observation" not in (visible(front_desk()).types or ())
