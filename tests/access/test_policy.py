"""The policy is data, and what it does not say is denied."""

from __future__ import annotations

from typing import get_args

from commonchart.access.actors import Role
from commonchart.access.policy import ACTIONS, READ, allowed, matrix, visible
from tests.actors import administrator, clinician, front_desk, patient_of


def test_roles_at_a_glance() -> None:
    table = matrix()
    assert set(table) == set(get_args(Role))
    assert table["nurse"]["MedicationRequest"] == ACTIONS
    assert table["lab"]["MedicationRequest"] == frozenset()
    assert table["billing"]["Observation"] == READ
    assert table["quality"]["Condition"] == READ
    assert table["proxy"] == table["patient"]
    assert table["privacy-officer"]["Consent"] == READ | {"create", "update"}
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
