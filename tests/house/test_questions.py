"""Every search feature and operation that the server declares is asked by the oracle (tests/access/test_oracle.py), or says why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.access.questions import NO_PATIENT, OTHERWISE, QUESTIONS, REFUSED, declared, told

ROOT = Path(__file__).parents[2]
UNASKED = """

The server declares these, and the oracle does not ask them:
    {}
Put addresses that use each into QUESTIONS of tests/access/questions.py, so that it is compared with the naive decision for
random policies, consents and data; or name there what else shows that it tells nothing of what is hidden.
"""
NAMED = QUESTIONS.keys() | OTHERWISE.keys() | NO_PATIENT.keys() | REFUSED.keys()


def test_every_declared_feature_is_asked() -> None:
    missing = sorted(declared() - NAMED)
    assert not missing, UNASKED.format("\n    ".join(missing))


def test_every_feature_of_the_reference_page_is_asked() -> None:
    spelled = " ".join((*NAMED, *(text for asked in QUESTIONS.values() for text in asked)))
    missing = sorted(word for word in told() if word not in spelled)
    assert not missing, UNASKED.format("\n    ".join(missing))


def test_nothing_is_named_twice_or_asked_without_an_address() -> None:
    for one, other in (
        (QUESTIONS, OTHERWISE),
        (QUESTIONS, NO_PATIENT),
        (QUESTIONS, REFUSED),
        (OTHERWISE, NO_PATIENT),
    ):
        assert not one.keys() & other.keys()
    assert all(QUESTIONS.values())


@pytest.mark.parametrize("shown", sorted(set(OTHERWISE.values())))
def test_what_shows_it_otherwise_is_there(shown: str) -> None:
    path, _, name = shown.partition("::")
    assert re.search(rf"def {name}\w*\(" if name else "def test_", (ROOT / path).read_text()), shown
