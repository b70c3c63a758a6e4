"""Scopes in words: what they let an app do is said, and everything that can be granted has words."""

from __future__ import annotations

import pytest
from hypothesis import given

from commonchart.access import scopes
from commonchart.web.present.scopes import choices, fixed, in_words
from tests.access.test_scopes import CATEGORY, a_scope


@pytest.mark.parametrize(
    ("text", "words", "writes"),
    [("patient/Observation.rs", "See results, vital signs and other measurements of this patient", False),
     ("patient/Condition.cruds", "See, add, change and delete problems and diagnoses of this patient", True),
     ("user/*.write", "Add, change and delete everything in the record of everybody whose record you may open", True),
     ("system/VisionPrescription.r", "See vision prescription entries of everybody", False),
     (f"patient/Observation.rs?category={CATEGORY}|vital-signs,{CATEGORY}|laboratory",
      "See results, vital signs and other measurements (only laboratory or vital signs) of this patient", False),
     ("offline_access", "Keep this access when you are not here, for up to 180 days", False)],
)  # fmt: skip
def test_words(text: str, words: str, writes: bool) -> None:
    said = in_words(text)
    assert said is not None
    assert (said.words, said.writes) == (words, writes)


@given(a_scope())
def test_every_scope_has_words_and_says_when_it_writes(one: scopes.Scope) -> None:
    said = in_words(one.text)
    assert said is not None
    assert said.writes == bool(set("cud") & set(one.letters))


def test_what_is_chosen_and_what_goes_with_it() -> None:
    texts = ("launch", "openid", "offline_access", "launch/patient", "patient/Patient.rs")
    assert [one.text for one in choices(texts)] == ["patient/Patient.rs", "openid", "offline_access"]
    assert fixed(texts) == ["launch", "launch/patient"]
