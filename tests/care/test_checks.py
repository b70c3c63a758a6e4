"""A pack that cannot be right is refused by file and field, and nothing of it is used."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest

from commonchart.care.rules import BUILT_IN, PACKS, built_in, read, with_codes
from commonchart.fhir.outcome import Invalid
from tests.shared import shared_data


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKS / BUILT_IN, tmp_path / "pack"))


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("rules/colorectal.toml", 'to = "colorectal-surveillance"', 'to = "nowhere"', "unknown rule nowhere"),
        ("rules/lung.toml", 'risks = ["lung-risk"]', 'risks = ["luck"]', "unknown risk luck"),
        ("rules/inr.toml", 'analytes = ["inr"]', 'analytes = ["inch"]', "unknown analyte inch"),
        ("rules/inr.toml", 'every_in = "84d"', 'every_in = "often"', "monitor.every_in"),
        ("rules/inr.toml", 'at_most = ["3.0"]', 'at_most = ["1.0"]', "at_least is under"),
        ("rules/inr.toml", 'at_most = ["3.0"]', 'at_most = ["3.0", "4.0"]', "one limit per analyte"),
        ("rules/fluoride.toml", 'to_age = "5y"', 'to_age = "3m"', "from_age is not before"),
        ("rules/glucose-pregnancy.toml", "from_week = 24", 'to_week = 12\nfrom_week = 24', "from_week is above"),
        ("rules/bmi.toml", "below = 25", "below = 18", "at_least is not under below"),
        ("rules/bmi.toml", 'analyte = "bmi"', "", "together with the analyte"),
        ("rules/cervical-30.toml", 'organ = "cervix"', 'organ = "neck"', "organ is one of"),
        ("rules/well-child.toml", 'at = "3d"', 'at = "3y"', "slots.at go up"),
        ("rules/statin-primary.toml", 'kinds = ["medication"]', "", "while_taken"),
        ("rules/egfr.toml", 'percent = 30', "percent = 30, by = 2", "either by or percent"),
        ("codes.toml", "[hypertension]\nicd10", "[hypertension]\nicd11", "icd11"),
        ("risks.toml", "all = [\"pack-years-20\"", "all = [\"lung-risk\"", "circle"),
        ("analytes.toml", 'codes = "a1c"', 'codes = "a1d"', "unknown code set a1d"),
        ("pack.toml", 'version = "2026.2"', "", "no version"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused(copy: Path, file: str, old: str, new: str, words: str) -> None:
    path = copy / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(Invalid) as refused:
        read(copy)
    assert words in str(refused.value)


def test_rules_that_hand_over_in_a_circle_are_refused(copy: Path) -> None:
    path = copy / "rules" / "colorectal-surveillance.toml"
    path.write_text(path.read_text() + '\n[[hand_over]]\ncodes = ["adenoma"]\nto = "colorectal"\n')
    with pytest.raises(Invalid, match="circle"):
        read(copy)


def test_every_row_of_the_tables_is_a_rule_and_what_came_from_memory_says_so() -> None:
    rules = built_in().rules
    covered = {row for rule in rules for row in rule.rows}
    for table in ("preventive", "monitoring"):
        path = shared_data("..", "specs", f"{table}_rules.csv")
        with path.open() as lines:
            for row in csv.DictReader(lines):
                assert row["id"] in covered, row["id"]
                memory = re.search(r"\bm\b", row["status"]) or "?" in "".join(map(str, row.values()))
                if memory:
                    assert {r.review for r in rules if row["id"] in r.rows} == {"needed"}, row["id"]


def test_every_rule_names_its_rows() -> None:
    assert [rule.id for rule in built_in().rules if not rule.rows] == []


NEVER = re.compile(
    r"hiv|prep|syphilis|chlamydia|gonorrhoea|sti-|depression|anxiety|phq|gad|suicide|violence|alcohol|drug-use|opioid|hepatitis|cd4|maternal"
)


def test_nothing_confidential_reaches_a_letter() -> None:
    for rule in built_in().rules:
        if NEVER.search(re.sub(r"statin|aspirin", "", rule.id)):
            assert rule.outreach == "never", rule.id


def test_more_codes_make_another_pack() -> None:
    pack = with_codes(built_in(), {"mammogram": {"loinc": ("x-1",)}})
    assert pack.holds("mammogram", frozenset({("loinc", "x-1")}))
    assert pack.holds("mammogram", frozenset({("loinc", "24606-6")}))
    assert not built_in().holds("mammogram", frozenset({("loinc", "x-1")}))
    assert pack.hash != built_in().hash


def test_screening_codes_are_listed_never_a_range() -> None:
    pack = built_in()
    for code, held in (("44388", True), ("44395", False), ("45393", True), ("45397", False), ("45398", True)):
        assert pack.holds("colonoscopy", frozenset({("cpt", code)})) is held
    assert not pack.holds("antibody-screen", frozenset({("loinc", "883-9")}))
    assert pack.holds("antibody-screen", frozenset({("loinc", "890-4")}))
    assert not pack.holds("glucose-screen", frozenset({("loinc", "2345-7")}))
