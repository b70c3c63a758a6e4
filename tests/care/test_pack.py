"""The pack in the box is whole, and a broken one is refused by file and field."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from commonchart.care.rules import BUILT_IN, PACKS, built_in, read
from commonchart.fhir.outcome import Invalid

ISSUE = {
    "breast", "cervical-21", "cervical-30", "colorectal", "blood-pressure-screen", "diabetes-screen", "hiv-screen",
    "hepatitis-c-screen", "tobacco", "depression-adult", "depression-teen", "a1c", "egfr", "uacr", "ldl", "blood-pressure",
}  # fmt: skip


def test_the_pack_holds_what_was_asked_for() -> None:
    assert {rule.id for rule in built_in().rules} >= ISSUE


def test_every_rule_names_authority_source_version_and_review() -> None:
    for rule in built_in().rules:
        assert rule.authority
        assert rule.source
        assert rule.version
        assert rule.states
        assert rule.plain


def test_rows_from_memory_are_marked_for_review() -> None:
    """Monitoring rows and intervals that the source does not set (m in the tables) wait for a clinician."""
    needed = {rule.id for rule in built_in().rules if rule.review == "needed"}
    assert needed >= {
        "a1c",
        "egfr",
        "uacr",
        "ldl",
        "blood-pressure",
        "blood-pressure-screen",
        "diabetes-screen",
    }


def test_sensitive_rules_never_reach_a_letter() -> None:
    never = {rule.id for rule in built_in().rules if rule.outreach == "never"}
    assert never >= {"hiv-screen", "depression-adult", "depression-teen"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKS / BUILT_IN, tmp_path / "pack"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('sex = "female"', 'sex = "woman"', "sex"),
        ("months = 24", "months = -1", "months"),
        ("max_age = 74", "max_age = 30", "min_age"),
        ('codes = "mammogram"', 'codes = "mammograms"', "unknown code set"),
        ("soon_days = 60", "soonish = 60", "soonish"),
        ('id = "breast"', 'id = "chest"', "file name"),
        ("[applies]", "[applies", "cannot be read"),
    ],
)
def test_a_broken_rule_is_refused_by_file_and_field(copy: Path, old: str, new: str, words: str) -> None:
    file = copy / "rules" / "breast.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(Invalid) as refused:
        read(copy)
    assert "breast.toml" in str(refused.value)
    assert words in str(refused.value)


def test_a_changed_rule_is_another_pack(copy: Path) -> None:
    before = read(copy).hash
    file = copy / "rules" / "breast.toml"
    file.write_text(file.read_text().replace("months = 24", "months = 12"))
    assert read(copy).hash != before == built_in().hash
