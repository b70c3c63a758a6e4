"""What a new version does to an item: a signature never outlives what it was given for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from commonchart.care.inbox.judge import Judged, Line
from commonchart.care.inbox.standing import Stands, State, after, begun, changes

ONE = Line("Observation/k", "", "Potassium", "4.2", "mmol/L", kind="normal", status="final")
WHOLE = Judged("Potassium", "normal", (ONE,), "final")
PART = replace(WHOLE, status="preliminary", partial="preliminary")
ERROR = replace(
    WHOLE, status="entered-in-error", gone="entered in error", lines=(replace(ONE, gone="entered in error"),)
)


def other(value: str, whole: Judged = WHOLE, **more: object) -> Judged:
    return replace(whole, lines=(replace(ONE, value=value),), **more)


def test_the_final_of_a_partial_that_was_seen_is_open_again_even_if_it_says_the_same() -> None:
    assert after(Stands("seen"), PART, WHOLE) == Stands("open", "final now")
    assert after(Stands("seen"), PART, replace(PART, status="registered")).state == "open"


def test_a_signed_one_stays_signed_only_while_it_says_the_same() -> None:
    assert after(Stands("signed"), WHOLE, replace(WHOLE, title="Kalium")).state == "signed"
    found = after(Stands("signed"), WHOLE, other("6.4", corrected=True, status="corrected"))
    assert (found.state, found.corrected) == ("open", "corrected after it was signed")
    assert found.changed == ("Potassium: 4.2 mmol/L is now 6.4 mmol/L",)
    assert after(Stands("signed"), WHOLE, other("6.4")).corrected == "changed after it was signed"
    assert (
        after(Stands("signed"), WHOLE, replace(WHOLE, corrected=True)).state == "open"
    )  # corrected, though alike
    assert after(Stands("signed"), WHOLE, PART).state == "open"  # final, and then not


def test_withdrawn_is_work_only_for_whoever_acted_on_it() -> None:
    assert begun(ERROR).state == "gone"
    assert after(Stands("open"), None, ERROR).state == "gone"
    found = after(Stands("signed"), WHOLE, ERROR)
    assert (found.state, found.changed) == ("open", ("Potassium: 4.2 mmol/L is entered in error",))
    assert after(found, ERROR, ERROR).state == "open"
    assert after(Stands("signed"), ERROR, ERROR).state == "signed"
    assert after(Stands("gone"), None, WHOLE).state == "open"


def test_changes_in_words() -> None:
    sodium = Line("Observation/na", "", "Sodium", "139", "mmol/L")
    assert changes((ONE,), (ONE, sodium)) == ("Sodium: 139 mmol/L is new",)
    assert changes((ONE, sodium), (ONE,)) == ("Sodium: 139 mmol/L is not in the report any more",)
    assert changes((ONE,), (replace(ONE, range="3.0–5.0"),)) == ("Potassium: 4.2 mmol/L is now 4.2 mmol/L",)
    assert changes((ONE,), (replace(ONE, quarantined="dated in the future"),)) == (
        "Potassium: 4.2 mmol/L is dated in the future",
    )


versions = st.sampled_from(
    [WHOLE, PART, ERROR, other("6.4"), other("5.0", corrected=True), other("4.2", PART)]
)
states = st.sampled_from(["open", "seen", "signed", "gone"])


@given(versions, versions, states)
def test_nothing_new_is_ever_hidden_behind_an_old_signature(
    signed: Judged, new: Judged, state: State
) -> None:
    found = after(Stands(state), signed, new)
    if found.state in ("signed", "seen") and not new.gone:
        assert not changes(signed.lines, new.lines)
        assert not new.partial or signed.partial
