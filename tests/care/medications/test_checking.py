"""The whole answer: coverage, what is withheld, and speed."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.medications.answers import Checked
from commonchart.care.medications.checking import review
from commonchart.care.medications.inputs import Withheld
from commonchart.care.medications.pack import built_in
from tests.care.medications.records import (
    NKA,
    TODAY,
    allergy,
    creatinine,
    med,
    of,
    ordered,
    patient,
    pregnant,
    reviewed,
    rules,
    weight,
)

PACK = built_in()


def test_what_was_covered() -> None:
    found = reviewed(med("lisinopril"), med("metformin"), med("blue pill"), NKA)
    assert (
        found.covered
        == "Checked 2 of 3 medications and 0 allergies (no known allergies) against pack medications-2026 2026.1"
    )
    assert 'NOT CHECKED: no code for "blue pill"' in found.lines
    assert found.pack_hash == PACK.hash


def test_half_a_combination_is_not_counted_as_checked() -> None:
    found = ordered(med("Warfarin 5 MG / Quuxicine 2 MG"))
    assert "0 of 1 medication" in found.covered
    assert any("Quuxicine" in line for line in found.lines)


def test_an_ended_medicine_is_looked_at_but_not_counted() -> None:
    found = ordered(med("sertraline"), med("phenelzine", status="stopped", authoredOn="2026-11-10"))
    assert "1 medication " in found.covered
    assert "onc-4-ssri-maoi" in rules(found)


def test_nothing_to_check_is_said_too() -> None:
    assert reviewed(NKA).covered.startswith("Checked 0 medications and 0 allergies (no known allergies)")


def test_a_code_and_a_text_that_disagree_interrupt_nothing_but_are_first_asked() -> None:
    wrong = med("Metformin 500 mg")
    wrong["medicationCodeableConcept"]["coding"] = [
        {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "11289"}
    ]
    found = rules(reviewed(wrong, med("fluconazole")))
    assert "Which medicine?" in found["code-and-name"].title
    assert "warfarin-raised" in found  # both are checked


def test_the_interrupting_come_first() -> None:
    tiers = [
        one.tier
        for one in reviewed(
            med("nitroglycerin"), med("sildenafil"), med("warfarin"), med("fluconazole")
        ).alerts
    ]
    assert tiers == sorted(tiers, key=lambda tier: tier != "interrupt")


def test_what_must_not_be_given_is_left_out_and_said() -> None:
    found = reviewed(med("sildenafil"), med("nitroglycerin", doNotPerform=True))
    assert not rules(found, "interaction")
    assert "Left out: nitroglycerin: must not be given: no medicine that is taken" in found.notes
    assert "Left out: codeine: entered in error" in reviewed(med("codeine", status="entered-in-error")).notes


# ---- withheld ---------------------------------------------------------------------------------------------------


def _words(found: Checked) -> str:
    return " ".join(
        [*found.lines, *(f"{a.rule} {a.title} {a.why} {a.source} {a.facts}" for a in found.alerts)]
    ).lower()


def test_a_restricted_entry_is_told_without_its_name() -> None:
    secret = med("phenelzine")
    found = ordered(med("sertraline"), withheld=Withheld(of(secret), hint=True))
    restricted = next(one for one in found.alerts if one.kind == "restricted")
    assert restricted.tier == "interrupt"
    assert restricted.title == "Conflicts with a restricted entry: call or break glass"
    for word in ("phenelzine", "maoi", "mao", "onc", "serotonin", secret["id"]):
        assert word not in _words(found).replace("monoamine", "")


def test_a_restricted_fact_or_allergy_is_told_the_same_way() -> None:
    woman = patient("1996-05-10", "female")
    for hidden in (pregnant(), allergy("lisinopril")):
        found = ordered(med("lisinopril"), who=woman, withheld=Withheld(of(hidden, who=woman), hint=True))
        assert [one.kind for one in found.alerts] == ["restricted"]
        assert "allergy to" not in _words(found)


def test_the_hint_is_the_same_whatever_is_hidden() -> None:
    """No name, class, number, severity or reference: of conflicts that stop an order, every field of every hint is equal."""
    secrets = [
        [med("phenelzine")], [med("tranylcypromine"), med("phenelzine")], [allergy("sertraline")],
        [allergy("sertraline"), med("phenelzine"), med("linezolid")],
    ]  # fmt: skip
    told = []
    for hidden in secrets:
        found = ordered(med("sertraline", id="ordered"), withheld=Withheld(of(*hidden), hint=True))
        told.append([one for one in found.alerts if one.kind == "restricted"])
    assert [len(one) for one in told] == [1, 1, 1, 1]
    assert len({repr(one) for one in told}) == 1
    (one,) = told[0]
    assert (one.rule, one.why, one.source, one.review) == ("restricted", one.title, "", "")
    assert [fact.ref for fact in one.facts] == ["MedicationRequest/ordered"]


def test_without_a_conflict_a_restricted_entry_is_not_told() -> None:
    with_secret = ordered(med("loratadine"), withheld=Withheld(of(med("phenelzine")), hint=True))
    assert _words(with_secret) == _words(ordered(med("loratadine")))


def test_where_even_that_is_forbidden_conflict_and_none_look_the_same() -> None:
    order = med("sertraline")
    conflict = ordered(order, withheld=Withheld(of(med("phenelzine")), hint=False))
    harmless = ordered(order, withheld=Withheld(of(med("loratadine")), hint=False))
    assert "NOT CHECKED: part of this record is withheld" in conflict.lines
    assert not rules(conflict, "restricted")
    assert _words(conflict) == _words(harmless)


def test_what_the_program_cannot_see_either_is_not_checked() -> None:
    assert (
        "NOT CHECKED: part of this record is withheld"
        in ordered(med("sertraline"), withheld=Withheld(None, hint=True)).lines
    )


# ---- the whole --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(sorted(PACK.ingredients)), max_size=8), st.sampled_from(["", "male", "female"])
)
def test_nothing_unreviewed_interrupts(names, sex) -> None:
    found = reviewed(*map(med, names), who=patient("1990-01-01", sex))
    assert all(one.review == "reviewed" for one in found.interrupting)
    assert f"{len(names)} medication" in found.covered


def test_thirty_medicines_in_five_milliseconds() -> None:
    names = sorted(PACK.ingredients)[::12][:30]
    assert len(names) == 30
    record = of(*map(med, names), creatinine(1.2), weight(80), allergy("penicillin"), allergy("ibuprofen"))
    review(record, PACK, TODAY)
    best = min(_timed(record) for _ in range(20))
    assert best < 0.005, f"{best * 1000:.2f} ms"


def _timed(record) -> float:
    start = time.perf_counter()
    review(record, PACK, TODAY)
    return time.perf_counter() - start
