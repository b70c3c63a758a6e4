"""The pack in the box is whole and honest; a broken one is refused by file and entry."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from commonchart.care.medications.pack import BUILT_IN, PACKS, built_in, read
from commonchart.fhir.outcome import Invalid


def test_onc_fifteen_and_the_pairs_of_the_corrections_interrupt() -> None:
    pairs = {rule.id: rule for rule in built_in().rules["pair"]}
    assert sum(name.startswith("onc-") for name in pairs) == 15
    interrupting = {name for name, rule in pairs.items() if rule.tier == "interrupt"}
    assert interrupting - {name for name in pairs if name.startswith("onc-")} == {
        "nitrate-pde5", "allopurinol-thiopurine", "methotrexate-trimethoprim", "colchicine-3a4-pgp",
        "linezolid-serotonergic", "opioid-benzodiazepine", "simvastatin-contraindicated",
    }  # fmt: skip
    assert all(pairs[name].review == "reviewed" for name in interrupting)


def test_every_rule_says_why_and_from_where() -> None:
    for rule in built_in().every():
        assert rule.why
        assert rule.source
        assert rule.review in ("reviewed", "needed")


def test_what_comes_from_memory_says_so() -> None:
    for rule in built_in().every():
        if "memory" in rule.source and "but for" not in rule.source:
            assert rule.review == "needed", rule.id


def test_forty_drugs_have_a_limit_of_dose() -> None:
    assert len({rule.drug for rule in built_in().rules["dose"]}) >= 40


def test_no_identifier_means_two_ingredients() -> None:
    codes = [one.rxcui for one in built_in().ingredients.values() if one.rxcui]
    assert len(codes) == len(set(codes)) > 250
    assert all(code.isdigit() for code in codes)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("interactions.toml", 'a = "nitrates"', 'a = "nitrats"', "nitrate-pde5 names the unknown nitrats"),
        ("interactions.toml", 'tier = "interrupt"', 'tier = "loud"', "interactions.toml"),
        ("interactions.toml", 'id = "nitrate-pde5"', 'id = "onc-1-amphetamine-maoi"', "is used twice"),
        ("groups.toml", '"tranylcypromine"', '"tranylcypromin"', "unknown ingredient tranylcypromin"),
        ("ingredients.toml", 'rxcui = "161"', 'rxcui = "5640"', "RXCUI 5640 is used twice"),
        ("doses.toml", "daily = 4000", "dayly = 4000", "doses.toml"),
        ("allergens.toml", 'group = "penicillins"', 'group = "x"', "unknown group x"),
        ("pack.toml", "id =", "id ==", "pack.toml cannot be read"),
    ],
)
def test_a_broken_pack_is_refused(tmp_path: Path, file: str, old: str, new: str, said: str) -> None:
    folder = tmp_path / "pack"
    shutil.copytree(PACKS / BUILT_IN, folder)
    body = (folder / file).read_text()
    assert old in body
    (folder / file).write_text(body.replace(old, new, 1))
    with pytest.raises(Invalid) as refused:
        read(folder)
    assert said in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"pack\.toml cannot be read"):
        read(tmp_path)
