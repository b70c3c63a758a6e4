"""Templates: checked when they are kept, filled whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from commonchart.care.outreach import wording
from commonchart.care.outreach.reach import CHANNELS
from commonchart.care.outreach.wording import LEVELS, MAX_SMS, Wording
from commonchart.fhir.outcome import Invalid

LETTER = Wording(
    "reminder", "letter", "en", "plain", "", "Dear {given}, call {phone}.", "Dear {given}: {checks}"
)
VALUES = {
    "given": "Ada",
    "phone": "555 0100",
    "practice": "Alder",
    "date": "18-Nov-2026",
    "name": "Ada H",
    "clinician": "",
}


@pytest.mark.parametrize("one", wording.built_in(), ids=lambda one: f"{one.channel}-{one.language}")
def test_those_in_the_box_pass_their_own_check(one: Wording) -> None:
    wording.check(one)
    assert "phone" in wording.places(one.general)


def test_every_channel_has_words_in_english_and_spanish() -> None:
    assert {(one.channel, one.language) for one in wording.built_in()} == {
        (c, x) for c in CHANNELS for x in ("en", "es")
    }


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"general": "Dear {surname}"}, "general", "no placeholder {surname}"),
        ({"general": "You are due for {checks}"}, "general", "others may read this text"),
        ({"general": "Your clinician is {clinician}"}, "general", "others may read this text"),
        ({"general": "Dear {given"}, "general", "stands alone"),
        ({"general": " "}, "general", "Enter the general text"),
        ({"detail": "Please come in."}, "detail", "needs {checks}"),
        ({"channel": "sms"}, "detail", "Only letters and portal messages"),
        ({"channel": "sms", "detail": "", "general": "x" * (MAX_SMS + 1)}, "general", "characters or fewer"),
        ({"channel": "email", "detail": ""}, "subject", "Enter the subject"),
        ({"subject": "a\nBcc: x@y.example"}, "subject", "one line"),
        ({"language": "English"}, "language", "two or three letters"),
        ({"channel": "pigeon"}, "channel", "Choose a channel"),
        ({"general": "Immediate pharmacological intervention necessitates comprehensive evaluation {given}."}, "general", "reads like school grade"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_template_stands_at_its_field(
    change: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(Invalid) as refused:
        wording.check(replace(LETTER, **change))
    assert any(issue.at == field and words in issue.message for issue in refused.value.issues)


def test_a_template_is_filled_whole_or_not_at_all() -> None:
    filled = wording.fill(LETTER, VALUES, ["Screening mammogram", "Colon cancer screening"])
    assert filled.text == "Dear Ada: - Screening mammogram\n- Colon cancer screening"
    assert wording.fill(LETTER, VALUES, []).text == "Dear Ada, call 555 0100."
    with pytest.raises(Invalid, match=r"no value for \{phone\}"):
        wording.fill(LETTER, VALUES | {"phone": " "}, [])


def test_language_comes_before_level_and_the_default_after_both() -> None:
    held = [replace(LETTER, language=x, level=level) for x in ("en", "es") for level in LEVELS]

    def chosen(language: str, level: str) -> tuple[str, str]:
        one = wording.choose(held, "letter", language, level)
        assert one is not None
        return one.language, one.level

    assert chosen("es", "standard") == ("es", "standard")
    assert chosen("es", "") == ("es", "plain")
    assert chosen("vi", "standard") == ("en", "standard")
    assert wording.choose(held[:1], "sms", "en", "") is None


@given(
    st.dictionaries(st.sampled_from(["given", "phone"]), st.text(min_size=1).filter(str.strip), min_size=2)
)
def test_what_looks_like_a_placeholder_in_a_value_stays_as_it_is(values: dict[str, str]) -> None:
    filled = wording.fill(LETTER, {**VALUES, **values}, [])
    assert filled.text == f"Dear {values['given']}, call {values['phone']}."


def test_the_reading_grade_rises_with_long_words_and_sentences() -> None:
    easy, hard = (
        wording.reading_grade("The cat sat. The dog ran."),
        wording.reading_grade(
            "Individuals demonstrating elevated cardiovascular susceptibility should immediately communicate with administration"
        ),
    )
    assert easy is not None
    assert hard is not None
    assert easy < 3 < 12 < hard
    assert wording.reading_grade("123") is None
