from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commonchart.care.immunizations import overlay
from commonchart.care.immunizations.difference import differences
from commonchart.care.immunizations.pack import (
    BUILT_IN,
    PACKS,
    available,
    checked,
    files,
    found,
    load,
    read,
    write,
)
from commonchart.fhir.outcome import Invalid, NotFound

MEASLES = "antigens/measles.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKS / BUILT_IN, tmp_path / "pack"))


def edit(folder: Path, name: str, change: Callable[[Any], object]) -> None:
    path = folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def first(content: Any, dose: int = 0) -> Any:
    return content["series"][0]["doses"][dose]


def test_the_pack_in_the_box_is_whole() -> None:
    assert BUILT_IN in available()
    schedule = load()
    assert len(schedule.antigens) == 30
    assert sum(len(antigen.series) for antigen in read(PACKS / BUILT_IN).antigens.values()) == 143
    assert schedule.said == "CDC 4.64 (2025-11)"


def test_what_is_written_reads_the_same_and_is_never_written_over(tmp_path: Path) -> None:
    pack = read(PACKS / BUILT_IN)
    write(pack, tmp_path / BUILT_IN)
    again = read(tmp_path / BUILT_IN)
    assert again == pack
    assert files(again) == files(pack)
    with pytest.raises(Invalid, match="never written over"):
        write(pack, tmp_path / BUILT_IN)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (MEASLES, lambda c: first(c, 1)["gap"][0].update(abs="9 weeks"), "broken interval"),
        (MEASLES, lambda c: first(c, 1)["gap"][0].update(min="2d"), "broken interval"),
        (MEASLES, lambda c: first(c, 1)["gap"][0].update(since="dose:2"), "no dose before this one"),
        (MEASLES, lambda c: first(c, 1)["gap"][0].update(since="yesterday"), "none of prev"),
        (MEASLES, lambda c: first(c)["age"][0].update(min="1x"), "is no offset"),
        (MEASLES, lambda c: first(c)["age"][0].update(max="1d"), "ascending order"),
        (MEASLES, lambda c: first(c).update(prefer="v99"), "no vaccine list 'v99'"),
        (MEASLES, lambda c: first(c).update(never=["777"]), "unknown vaccine"),
        (MEASLES, lambda c: first(c).update(colour="red"), "unknown field `colour`"),
        (MEASLES, lambda c: first(c).update(season=["2026-02-30", ""]), "is no date"),
        (MEASLES, lambda c: first(c).update(season=["2026-05-01", "2026-01-01"]), "is after"),
        (MEASLES, lambda c: c["series"][0].update(equivalent=["9"]), "no series group 9"),
        (MEASLES, lambda c: c["series"][0].update(kind="odd"), "Invalid enum value"),
        (MEASLES, lambda c: c["series"][0].update(doses=[]), "at least one dose"),
        (MEASLES, lambda c: c["series"][1].update(needs=[]), "at least one indication"),
        (MEASLES, lambda c: c["series"][1].update(needs=[["999", "", ""]]), "unknown observation '999'"),
        (MEASLES, lambda c: c.update(antigen="Rubeola"), "unknown antigen 'Measles'"),
        (MEASLES, lambda c: c.update(group="Polio"), "no group of schedule.json"),
        ("schedule.json", lambda c: c["cvx"]["03"]["antigens"].append(["Rubeola", "", ""]), "unknown antigen 'Rubeola'"),
        ("schedule.json", lambda c: c["conflicts"][0].update(window=["1d", "", "28d"]), "an interval is missing"),
        ("schedule.json", lambda c: c.pop("groups"), "groups"),
        ("pack.json", lambda c: c.pop("authority"), "authority"),
    ],
)  # fmt: skip
def test_a_broken_pack_is_refused_by_file_and_rule(
    folder: Path, name: str, change: Callable[[Any], object], said: str
) -> None:
    edit(folder, name, change)
    with pytest.raises(Invalid, match=said) as refused:
        read(folder)
    assert all(issue.at for issue in refused.value.issues)


def test_a_missing_or_unreadable_file(folder: Path, tmp_path: Path) -> None:
    (folder / MEASLES).write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match="measles"):
        read(folder)
    (folder / "schedule.json").unlink()
    with pytest.raises(Invalid, match="is missing"):
        read(folder)
    with pytest.raises(NotFound):
        read(tmp_path)
    with pytest.raises(NotFound):
        load("aap-2027")
    assert found(str(PACKS / BUILT_IN)).name == BUILT_IN


def test_the_clinical_difference_is_readable(folder: Path) -> None:
    before = read(folder)
    edit(folder, MEASLES, lambda c: first(c)["age"][0].update(min="13m", abs="13m-4d", rec="13m"))
    edit(folder, MEASLES, lambda c: c["series"].pop(1))
    edit(folder, MEASLES, lambda c: c["vaccines"]["v1"].pop(0))
    lines = [one.line for one in differences(before, read(folder))]
    assert "Measles: Measles 2-dose series: dose 1: minimum age: 12 months becomes 13 months" in lines
    assert any("Measles risk 1-dose series: series removed" in line for line in lines)
    assert any("vaccines" in line for line in lines)
    assert differences(before, before) == []


def test_an_overlay_changes_only_what_it_expects_to_find(folder: Path) -> None:
    base = read(PACKS / BUILT_IN)
    at = ("Measles", "series", "Measles 2-dose series", "doses", 0, "age", 0, "rec")
    change = overlay.Change(at, "12m", "15m", "a test", "2026-01-01")
    laid = checked(overlay.applied(base, overlay.Overlay("late", "local", BUILT_IN, (change,))))
    assert laid.name == "cdc-4.64+late"
    assert [one.what for one in differences(base, laid)] == ["recommended age"]
    for wrong, said in (
        (overlay.Change(at, "11m", "15m", "", ""), "expects '11m'"),
        (
            overlay.Change(("Measles", "series", "None such", "name"), "", "x", "", ""),
            "there is no 'None such'",
        ),
        (overlay.Change((*at, "deeper"), None, "x", "", ""), "cannot be set"),
    ):
        with pytest.raises(Invalid, match=said):
            overlay.applied(base, overlay.Overlay("late", "local", BUILT_IN, (wrong,)))
    with pytest.raises(Invalid, match="is for the pack"):
        overlay.applied(base, overlay.Overlay("late", "local", "aap-2026", (change,)))


def test_the_errata_in_the_box_are_cited_and_make_a_sound_pack() -> None:
    errata = overlay.read(PACKS / BUILT_IN / "errata.json")
    assert errata.kind == "errata"
    assert all(change.cite and change.dated for change in errata.changes)
    laid = checked(overlay.applied(read(PACKS / BUILT_IN), errata))
    assert len(differences(read(PACKS / BUILT_IN), laid)) == len(errata.changes)
