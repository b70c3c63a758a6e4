"""Regular expressions of filters: as Python's, in linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.outcome import Malformed, TooCostly
from commonchart.terminology.regex import compiled

atoms = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", "\\d", "(?:ab|b)", "(a|)", "\\."])
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join).map("({})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}", "{2}"])).map(lambda p: f"({p[0]}){p[1]}"),
    ),
    max_leaves=6,
)


@given(patterns, st.text("ab1.", max_size=8))
def test_the_same_texts_match(pattern: str, text: str) -> None:
    assert compiled(pattern)(text) is (re.fullmatch(pattern, text) is not None)


def test_no_pattern_hangs() -> None:
    began = time.process_time()
    assert not compiled("(a*)*(a*)*b")("a" * 5000)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("pattern", ["(a", "a)", "[a", "a**", "\\1", "(?=a)", "{1}", "a{2,1}"])
def test_what_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(Malformed):
        compiled(pattern)


@pytest.mark.parametrize("pattern", ["a" * 501, "(a{90}){90}", "(" * 30 + "a" + ")" * 30])
def test_what_is_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(TooCostly):
        compiled(pattern)
