"""Ingredients by code and by name; what is not recognised is kept."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.medications.naming import allergen_class, by_name, drug
from commonchart.care.medications.pack import built_in

PACK = built_in()


@pytest.mark.parametrize(
    ("text", "ingredients", "unknown"),
    [
        (
            "Acetaminophen 325 MG / oxyCODONE Hydrochloride 5 MG Oral Tablet",
            ("acetaminophen", "oxycodone"),
            (),
        ),
        ("Penicillin V Potassium 500 MG Oral Tablet", ("penicillin v",), ()),
        ("Losartan potassium 50 mg", ("losartan",), ()),
        ("amoxicillin-clavulanate 875 mg", ("amoxicillin", "clavulanate"), ()),
        ("Bactrim DS", ("sulfamethoxazole", "trimethoprim"), ()),
        ("hydrocodone", ("hydrocodone",), ()),
        ("24 HR Metformin hydrochloride 500 MG Extended-Release Oral Tablet", ("metformin",), ()),
        ("lisinopril-foobarol", ("lisinopril",), ("foobarol",)),
        ("Warfarin 5 MG / Quuxicine 2 MG", ("warfarin",), ("Quuxicine 2 MG",)),
        ("blue pill", (), ("blue pill",)),
    ],
)
def test_names(text, ingredients, unknown) -> None:
    assert by_name(PACK, text) == (ingredients, unknown)


def test_a_code_without_a_text() -> None:
    assert drug(PACK, ["11289"], [], {}).ingredients == ("warfarin",)
    assert drug(PACK, ["855332"], [], {"855332": ("11289",)}).ingredients == ("warfarin",)


def test_a_part_of_a_product_that_the_pack_does_not_know_is_kept() -> None:
    found = drug(PACK, ["1"], ["Some product"], {"1": ("11289", "99999")})
    assert (found.ingredients, found.unknown) == (("warfarin",), ("RxNorm ingredient 99999",))
    assert drug(PACK, ["11289"], ["Warfarin 5 MG / Quuxicine 2 MG"], {}).unknown == ("Quuxicine 2 MG",)


def test_nothing_recognised_is_one_unknown() -> None:
    found = drug(PACK, ["999"], ["blue pill"], {})
    assert (found.ingredients, found.unknown) == ((), ("blue pill",))


def test_code_and_text_that_disagree_are_both_kept_and_said() -> None:
    found = drug(PACK, ["11289"], ["Metformin 500 mg"], {})
    assert found.ingredients == ("warfarin", "metformin")
    assert "the code means warfarin, the text says metformin" in found.conflict


def test_strengths() -> None:
    found = drug(PACK, [], ["Acetaminophen 300 MG / HYDROcodone Bitartrate 5 MG [Vicodin]"], {}).strengths
    assert found == {"acetaminophen": (Decimal(300), "mg", ""), "hydrocodone": (Decimal(5), "mg", "")}
    assert drug(PACK, [], ["Amoxicillin 250 MG/5 ML Oral Suspension"], {}).strengths["amoxicillin"] == (
        Decimal(50),
        "mg",
        "ml",
    )


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("Penicillin", "penicillins"), ("Allergy to penicillin", "penicillins"), ("PCN", "penicillins"),
        ("Sulfa drugs", "sulfonamide-antibiotics"), ("NSAIDs", "nsaids"), ("cats", ""),
    ],
)  # fmt: skip
def test_classes_of_allergens(text, group) -> None:
    assert allergen_class(PACK, text) == group


@settings(deadline=None)
@given(st.text(max_size=600))
def test_no_text_is_silently_nothing(text: str) -> None:
    found = drug(PACK, [], [text], {})
    assert found.ingredients or found.unknown


@settings(deadline=None)
@given(st.sampled_from(sorted(PACK.ingredients)), st.from_regex(r"zq[a-z]{4,12}", fullmatch=True))
def test_half_of_a_combination_is_not_the_whole(name: str, made_up: str) -> None:
    for text in (f"{name} 5 MG / {made_up} 2 MG Oral Tablet", f"{name}-{made_up}", f"{made_up} and {name}"):
        assert any(made_up in part for part in by_name(PACK, text)[1]), text


@settings(deadline=None)
@given(
    st.sampled_from(sorted(PACK.ingredients)),
    st.sampled_from(["{} 10 MG Oral Tablet", "{}", "[{}]", "take {} daily"]),
)
def test_every_ingredient_is_found_by_its_own_name(name: str, form: str) -> None:
    assert name in by_name(PACK, form.format(name.upper()))[0]
