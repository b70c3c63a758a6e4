"""Whatever the form lets through is a valid Consent that the engine understands, and means what was ticked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from commonchart.access.consent import Asking, Row, decided, read
from commonchart.care.labels import mask
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.validate import validate
from commonchart.web.forms import consents
from commonchart.web.forms.consents import Known
from commonchart.web.forms.fields import Context, Values, parse_fields
from commonchart.web.present import consents as present

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
KNOWN = Known(
    [("birch", "Birch"), ("alder", "Alder")],
    [("dr", "Dr. Birch")],
    [("pal", "Pal")],
    [("DocumentReference/d", "Paper")],
    "alder",
)
FIELDS = consents.fields(KNOWN)
WHERE = Context("ada", NOW, "Desk", organization="alder")
PLAIN = {
    "decision": "permit", "whom": "organization", "organization": "birch", "what": "all", "purpose": "treat", "how": "paper", "given": "2026-11-01",
    "paper": "folder",
}  # fmt: skip


def values(**sent: str) -> Values:
    return parse_fields(FIELDS, PLAIN | sent, WHERE)


@st.composite
def typed(draw: st.DrawFn) -> Values:
    sent: dict[str, str] = {"given": "2026-11-01"}
    for field in FIELDS:
        if field.kind == "tick":
            sent[field.name] = "yes" if draw(st.integers(0, 12)) == 7 else ""
        elif field.options:
            sent[field.name] = draw(st.sampled_from([one.value for one in field.options]))
        elif field.name == "until":
            sent[field.name] = draw(st.sampled_from(["", "2027", "2027-03-01"]))
    if sent["what"] == "parts":
        sent["part-results"] = "yes"
    if sent["what"] == "protected":
        sent["label-hiv"] = "yes"
    return parse_fields(FIELDS, sent, WHERE)


def refused(given_: Values) -> set[str]:
    """The fields that do not go with the others."""
    try:
        consents.checked(given_, KNOWN)
    except Invalid as refusal:
        return {issue.at for issue in refusal.issues}
    return set()


@settings(max_examples=60, deadline=None)
@given(typed())
def test_what_is_let_through_is_understood_and_said(given_: Values) -> None:
    wrong = refused(given_)
    assert wrong <= {field.name for field in FIELDS}
    assume(not wrong)
    made = validate(consents.built(given_, WHERE)).resource
    found = read(made)
    assert found.problem == ""
    assert found.rules
    assert {rule.permit for rule in found.rules} == {given_["decision"] == "permit"}
    (said,) = present.said(made, {"Organization/birch": "Birch"})
    assert said.permit is (given_["decision"] == "permit")
    assert "somebody who is not named" not in said.sentence


def told(made: dict[str, Any], row: Row, names: tuple[str, ...], purpose: str = "TREAT") -> bool | None:
    asking = Asking(names, (purpose,), NOW, related=True, blocked=mask("part2", "psychotherapy"))
    return decided(read(made).rules, asking, row)


def test_it_decides_as_it_was_ticked() -> None:
    plain, sud = Row("Condition", "c", "alder"), Row("Condition", "s", "alder", labels=mask("part2"))
    birch, cedar = ("Organization/birch", "role:nurse"), ("Organization/cedar", "role:nurse")
    made = consents.built(values(), WHERE)
    assert (told(made, plain, birch), told(made, sud, birch), told(made, plain, cedar)) == (True, None, None)
    assert told(made, plain, birch, "HRESCH") is None
    made = consents.built(values(part2="yes"), WHERE)
    assert (told(made, plain, birch), told(made, sud, birch), told(made, sud, cedar)) == (True, True, None)
    made = consents.built(values(decision="deny", what="protected", **{"label-part2": "yes"}), WHERE)
    assert (told(made, plain, birch), told(made, sud, birch)) == (None, False)
    made = consents.built(values(whom="role", role="nurse"), WHERE)
    assert told(made, plain, birch) is True
    assert told(made, plain, ("Organization/birch", "role:clinician")) is None
    assert told(made, plain, cedar) is None
    made = consents.built(values(what="parts", **{"part-results": "yes"}), WHERE)
    assert (told(made, plain, birch), told(made, Row("Observation", "o", "alder"), birch)) == (None, True)
    made = consents.built(values(decision="deny", whom="app", app="pal", purpose="any"), WHERE)
    assert (told(made, plain, (*birch, "app:pal")), told(made, plain, birch)) == (False, None)
