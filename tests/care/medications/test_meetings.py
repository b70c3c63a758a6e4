"""Interactions, duplicates and companions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.medications.pack import built_in
from tests.care.medications.records import med, ordered, reviewed, rules

PACK = built_in()


@pytest.mark.parametrize(
    ("one", "other", "rule"),
    [
        ("methylphenidate", "phenelzine", "onc-1-amphetamine-maoi"),
        ("atazanavir", "omeprazole", "onc-2-atazanavir-ppi"),
        ("febuxostat", "azathioprine", "onc-3-febuxostat-thiopurine"),
        ("fluoxetine", "tranylcypromine", "onc-4-ssri-maoi"),
        ("irinotecan", "ketoconazole", "onc-5-irinotecan-3a4"),
        ("meperidine", "selegiline", "onc-6-opioid-maoi"),
        ("amitriptyline", "isocarboxazid", "onc-7-tca-maoi"),
        ("sotalol", "haloperidol", "onc-8-qt-qt"),
        ("ramelteon", "fluvoxamine", "onc-9-ramelteon-1a2"),
        ("rifampin", "darunavir", "onc-10-inducer-protease"),
        ("simvastatin", "clarithromycin", "onc-11-statin-3a4"),
        ("ergotamine", "ritonavir", "onc-12-ergot-3a4"),
        ("tizanidine", "ciprofloxacin", "onc-13-tizanidine-1a2"),
        ("tranylcypromine", "procarbazine", "onc-14-tranylcypromine-procarbazine"),
        ("sumatriptan", "phenelzine", "onc-15-triptan-maoi"),
        ("nitroglycerin", "sildenafil", "nitrate-pde5"),
        ("allopurinol", "mercaptopurine", "allopurinol-thiopurine"),
        ("methotrexate", "Bactrim", "methotrexate-trimethoprim"),
        ("colchicine", "clarithromycin", "colchicine-3a4-pgp"),
        ("linezolid", "sertraline", "linezolid-serotonergic"),
        ("oxycodone", "lorazepam", "opioid-benzodiazepine"),
        ("simvastatin", "gemfibrozil", "simvastatin-contraindicated"),
    ],
)
def test_the_pairs_that_interrupt_either_way_round(one, other, rule) -> None:
    for order, taken in ((one, other), (other, one)):
        found = rules(ordered(med(order), med(taken)))[rule]
        assert (found.tier, found.review) == ("interrupt", "reviewed")
        assert len(found.facts) == 2


def test_a_membership_from_memory_does_not_interrupt() -> None:
    found = rules(ordered(med("venlafaxine"), med("phenelzine")))["onc-4-ssri-maoi"]
    assert (found.tier, found.review) == ("passive", "not reviewed")
    approved = ordered(med("venlafaxine"), med("phenelzine"), approved=frozenset({"onc-4-ssri-maoi"}))
    assert rules(approved)["onc-4-ssri-maoi"].tier == "interrupt"


def test_the_second_tier_is_passive_and_says_so() -> None:
    found = rules(ordered(med("warfarin"), med("fluconazole")))["warfarin-raised"]
    assert (found.tier, found.review) == ("passive", "not reviewed")


def test_opioid_and_benzodiazepine_interrupt_at_a_new_start_only() -> None:
    assert rules(reviewed(med("oxycodone"), med("lorazepam")))["opioid-benzodiazepine"].tier == "passive"


def test_an_order_is_asked_about_itself_only() -> None:
    found = ordered(med("lisinopril"), med("nitroglycerin"), med("sildenafil"))
    assert "nitrate-pde5" not in rules(found)


def test_the_parts_of_one_product_do_not_meet() -> None:
    assert not rules(reviewed(med("Paxlovid")), "interaction")


def test_an_ended_maoi_counts_for_two_weeks() -> None:
    def ended(day: str) -> dict:
        return med(
            "phenelzine",
            status="stopped",
            dosageInstruction=[{"timing": {"repeat": {"boundsPeriod": {"end": day}}}}],
        )

    assert "onc-4-ssri-maoi" in rules(ordered(med("sertraline"), ended("2026-11-15")))
    assert "onc-4-ssri-maoi" not in rules(ordered(med("sertraline"), ended("2026-11-01")))
    assert "nitrate-pde5" not in rules(
        ordered(med("sildenafil"), med("nitroglycerin", status="stopped", authoredOn="2026-11-20"))
    )


def test_duplicates_by_ingredient_and_by_class() -> None:
    assert "same-ingredient" in rules(ordered(med("Tylenol"), med("Percocet")))
    found = rules(ordered(med("omeprazole"), med("pantoprazole")))
    assert found["two-ppi"].title == "Two of one class: omeprazole, pantoprazole"
    assert "two-ppi" not in rules(ordered(med("omeprazole"), med("famotidine")))


def test_a_dispense_or_statement_of_an_order_is_no_duplicate() -> None:
    order = med("warfarin 5 mg")
    ref = f"MedicationRequest/{order['id']}"
    supply = med("warfarin 5 mg", rtype="MedicationDispense", status="completed", whenHandedOver="2026-11-20")
    said = med("warfarin", rtype="MedicationStatement", basedOn=[{"reference": ref}])
    assert not rules(reviewed(order, supply, said), "duplicate")
    assert rules(reviewed(order, med("warfarin", rtype="MedicationStatement")), "duplicate")


def test_an_order_that_replaces_another_is_no_duplicate() -> None:
    old = med("warfarin")
    new = med("warfarin", priorPrescription={"reference": f"MedicationRequest/{old['id']}"})
    assert not rules(ordered(new, old), "duplicate")


def test_a_fentanyl_patch_wants_an_opioid_before_it() -> None:
    patch = med("fentanyl 25 ug/h transdermal patch")
    assert rules(ordered(patch))["fentanyl-patch-naive"].review == "not reviewed"
    assert "fentanyl-patch-naive" not in rules(ordered(patch, med("morphine")))


_NAMES = st.sampled_from(sorted(PACK.ingredients))


@settings(deadline=None)
@given(st.lists(_NAMES, min_size=2, max_size=6, unique=True), st.randoms())
def test_the_order_of_the_list_does_not_matter(names, random) -> None:
    meds = [med(name) for name in names]
    first = {(a.rule, a.title, a.tier) for a in reviewed(*meds).alerts}
    random.shuffle(meds)
    assert {(a.rule, a.title, a.tier) for a in reviewed(*meds).alerts} == first


@settings(deadline=None)
@given(st.lists(_NAMES, min_size=1, max_size=5, unique=True), _NAMES)
def test_one_more_medicine_never_hides_an_alert(names, more) -> None:
    meds = [med(name) for name in names]
    before = {(a.rule, a.title) for a in reviewed(*meds).alerts if a.kind == "interaction"}
    after = {(a.rule, a.title) for a in reviewed(*meds, med(more)).alerts}
    assert before <= after


@settings(deadline=None)
@given(_NAMES, _NAMES)
def test_every_alert_of_an_order_is_in_the_review_with_it(one, other) -> None:
    taken, order = med(other), med(one)
    here = {a.rule for a in ordered(order, taken).alerts if a.kind == "interaction"}
    whole = {a.rule for a in reviewed(order, taken).alerts if a.kind == "interaction"}
    assert here == whole


def test_the_last_day_still_counts() -> None:
    last = med(
        "nitroglycerin", status="completed", rtype="MedicationAdministration", effectiveDateTime="2026-11-25"
    )
    before = med(
        "nitroglycerin", status="completed", rtype="MedicationAdministration", effectiveDateTime="2026-11-24"
    )
    assert "nitrate-pde5" in rules(ordered(med("sildenafil"), last))
    assert "nitrate-pde5" not in rules(ordered(med("sildenafil"), before))


def test_a_cream_is_no_duplicate_of_a_tablet() -> None:
    assert not rules(
        ordered(med("hydrocortisone 1 % topical cream"), med("hydrocortisone 10 mg tablet")), "duplicate"
    )
