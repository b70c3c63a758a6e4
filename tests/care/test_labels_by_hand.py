"""Labels put and lifted by hand, of one resource: what is lifted is lifted for these codes, and only where stored."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care import labels_by_hand
from commonchart.care.labels import SYSTEMS, labels, labels_of, mask
from commonchart.care.labels_by_hand import carrying, kept, lifting, lifts, put, taken_off

CODES = ["F10.20", "F11.20", "B20", "R75", "Z30.09", "T74.1", "I10", "E11.9"]
bodies = st.lists(st.sampled_from(CODES), max_size=4).map(
    lambda codes: {"resourceType": "Condition", "code": {"coding": [{"system": SYSTEMS["icd10"], "code": one} for one in codes]}}
)  # fmt: skip
names = st.sampled_from(sorted(labels()))


def test_every_label_can_be_written_and_is_read_as_itself() -> None:
    assert set(labels_by_hand.WRITTEN) == set(labels())
    for name in labels():
        assert labels_of(put({"resourceType": "Condition"}, name)) == mask(name)


@settings(max_examples=60, deadline=None)
@given(bodies, names, names)
def test_putting_and_lifting_take_each_other_back_and_touch_no_other_label(
    body: dict[str, Any], name: str, other: str
) -> None:
    before = labels_of(body)
    marked = put(body, name)
    assert kept(marked) == before | mask(name)
    lifted = taken_off(marked, name)
    assert kept(lifted) == before & ~mask(name)
    assert kept(put(lifted, name)) == before | mask(name)
    if other != name:
        assert kept(taken_off(lifted, other)) == before & ~mask(name) & ~mask(other)
    assert carrying(lifted, name) == carrying(body, name)  # the codes stay what they are


@settings(max_examples=60, deadline=None)
@given(bodies, names, st.sampled_from(CODES))
def test_another_code_labels_it_again(body: dict[str, Any], name: str, code: str) -> None:
    lifted = taken_off(body, name)
    more = {**lifted, "note": [{"coding": {"system": SYSTEMS["icd10"], "code": code}}]}
    new = {(SYSTEMS["icd10"], code)} - carrying(body, name)
    assert kept(more) == kept(lifted) | (labels_of({"code": [{"system": s, "code": c} for s, c in new]}))


def test_whoever_sends_it_lifts_nothing() -> None:
    sent = lifting({"code": {"coding": [{"system": SYSTEMS["icd10"], "code": "B20"}]}}, {"hiv": frozenset({(SYSTEMS["icd10"], "B20")})})  # fmt: skip
    assert kept(sent) == 0
    assert labels_of(sent) == mask("hiv")
    assert lifts(lifting(sent, {})) == {}
    assert "extension" not in (lifting(sent, {}).get("meta") or {})
