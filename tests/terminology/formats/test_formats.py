"""Each published format, from small files made here: what is read, and what a bad row says."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from commonchart.fhir.outcome import Malformed, Refused, TooLarge
from commonchart.terminology.formats.detect import LeftOut, contents
from commonchart.terminology.systems import CodeSystem, index


def only(path: Path | None, format_: str = "") -> CodeSystem:
    (found,) = contents(path, format_)
    assert isinstance(found, CodeSystem)
    return found


def tabbed(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row.replace(" ", "\t").replace("_", " ") + "\n" for row in rows))


@pytest.fixture
def snomed(tmp_path: Path) -> Path:
    base = tmp_path / "Snapshot/Terminology"
    tabbed(base / "sct2_Concept_Snapshot_INT_20260101.txt", "id active", "1 1", "2 1", "3 0")
    tabbed(
        base / "sct2_Description_Snapshot-en_INT_20260101.txt", "id active conceptId languageCode typeId term",
        "11 1 1 en 900000000000003001 Made_root_(root)", "12 1 1 en 900000000000013009 Made_root", "13 1 2 en 900000000000013009 Made_leaf",
    )  # fmt: skip
    tabbed(
        base / "sct2_Relationship_Snapshot_INT_20260101.txt",
        "sourceId destinationId typeId active",
        "2 1 116680003 1",
        "1 2 116680003 0",
    )
    tabbed(
        tmp_path / "Snapshot/Refset/der2_cRefset_LanguageSnapshot-en_INT_20260101.txt",
        "referencedComponentId acceptabilityId active",
        "12 900000000000548007 1",
    )
    tabbed(
        tmp_path / "Snapshot/Refset/der2_Refset_SimpleSnapshot_INT_20260101.txt",
        "refsetId referencedComponentId active",
        "77 2 1",
    )
    return tmp_path


def test_snomed(snomed: Path) -> None:
    found = only(snomed)
    assert found.version == "http://snomed.info/sct/900000000000207008/version/20260101"
    assert [(c.code, c.display, c.parents, c.inactive) for c in found.concepts] == [
        ("1", "Made root", (), False), ("2", "Made leaf", ("1",), False), ("3", "", (), True),
    ]  # fmt: skip
    assert found.concepts[1].properties == (("refset", "77"),)


def test_a_row_that_is_cut_off_names_file_and_line(snomed: Path) -> None:
    path = snomed / "Snapshot/Terminology/sct2_Relationship_Snapshot_INT_20260101.txt"
    path.write_text(path.read_text() + "2\t1\n")
    with pytest.raises(Malformed, match=r"Relationship_Snapshot_INT_20260101.txt, line 4: 2 fields"):
        only(snomed)


def loinc_files(folder: Path) -> dict[str, str]:
    return {
        "LoincTable/Loinc.csv": '"LOINC_NUM","COMPONENT","SYSTEM","CLASS","STATUS","SHORTNAME","LONG_COMMON_NAME","VersionLastChanged"\n'
        '"99990-1","Made, up","Ser","CHEM","ACTIVE","Made","Made up thing, in serum","2.70"\n'
        '"99991-9","Other","Ser","CHEM","DEPRECATED","","Other thing","2.9"\n',
        "AccessoryFiles/ComponentHierarchyBySystem.csv": '"PATH_TO_ROOT","SEQUENCE","IMMEDIATE_PARENT","CODE","CODE_TEXT"\n"",1,"","LP1-1","Root"\n"LP1-1",1,"LP1-1","99990-1","x"\n',
        "AccessoryFiles/AnswerList.csv": '"AnswerListId","AnswerListName","AnswerStringId","DisplayText"\n"LL1-1","L","LA1-1","Yes"\n"LL1-1","L","","open"\n',
    }


def test_loinc_from_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "Loinc_2.99.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in loinc_files(tmp_path).items():
            archive.writestr(name, text)
    found = only(path)
    assert found.version == "2.99"
    by_code = {c.code: c for c in found.concepts}
    assert by_code["99990-1"].parents == ("LP1-1",)
    assert ("COMPONENT", "Made, up") in by_code["99990-1"].properties
    assert by_code["99991-9"].inactive
    assert by_code["LA1-1"].properties == (("LIST", "LL1-1"),)


def test_rxnorm(tmp_path: Path) -> None:
    def row(code: str, kind: str, text: str, source: str = "RXNORM") -> str:
        return "|".join([code, "ENG", *[""] * 9, source, kind, code, text, "", "N", ""]) + "\n"

    (tmp_path / "RXNCONSO.RRF").write_text(
        row("1", "IN", "made drug")
        + row("2", "SY", "alias")
        + row("2", "SCD", "made drug 5 MG")
        + row("9", "PT", "other", "MMSL")
    )
    (tmp_path / "RXNREL.RRF").write_text(
        "1||CUI|RO|2||CUI|has_ingredient|||RXNORM||||||\n1||CUI|RN|2||CUI|isa|||RXNORM||||||\n"
    )
    found = only(tmp_path)
    assert [(c.code, c.display, c.parents) for c in found.concepts] == [
        ("1", "made drug", ()),
        ("2", "made drug 5 MG", ("1",)),
    ]
    assert found.concepts[1].properties == (("TTY", "SCD"), ("has_ingredient", "1"))


def test_icd_10_cm_order_file(tmp_path: Path) -> None:
    line = "{:05} {:7} {} {:60} {}\n".format
    (tmp_path / "icd10cm_order_2026.txt").write_text(
        line(1, "Z99", 0, "Made", "Made up") + line(2, "Z991", 1, "Made more", "Made up more")
    )
    found = only(tmp_path)
    assert [(c.code, c.display, c.parents) for c in found.concepts] == [
        ("Z99", "Made up", ()),
        ("Z99.1", "Made up more", ("Z99",)),
    ]
    assert found.version == "2026"


def test_icd_10_cm_in_the_box() -> None:
    made = index(only(None, "icd10cm"))
    assert made.size > 90_000
    assert made.left_out == []
    diabetes, deep = made.number["E11"], made.number["S00.00XA"]
    assert any(start <= made.number["E11.9"] < end for start, end in made.hierarchy.below[diabetes])
    assert made.concepts[deep].display.endswith("initial encounter")


def test_cvx(tmp_path: Path) -> None:
    (tmp_path / "cvx.txt").write_text("998 |made|made vaccine, long| |Inactive|False|2020/01/02\n")
    (concept,) = only(tmp_path).concepts
    assert (concept.code, concept.display, concept.inactive) == ("998", "made", True)


def test_fhir_resources_say_what_is_left_out(tmp_path: Path) -> None:
    good = {
        "resourceType": "CodeSystem",
        "url": "http://x",
        "content": "complete",
        "concept": [{"code": "a"}],
    }
    for name, body in {
        "a.json": good,
        "b.json": good | {"content": "not-present"},
        "c.json": {"resourceType": "ValueSet"},
    }.items():
        (tmp_path / name).write_text(json.dumps(body))
    (tmp_path / "d.json").write_text("{")
    found = list(contents(tmp_path))
    assert [type(one) for one in found] == [CodeSystem, LeftOut, LeftOut, LeftOut]
    assert "d.json" in str(found[3])


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "loinc.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Loinc.csv", b"0" * 20_000_000)
    with pytest.raises(TooLarge):
        only(tmp_path / "loinc.zip")


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE a [<!ENTITY b 'c'>]><CVXCodes/>", "<CVXCodes>", "<a><CVXInfo/></a>"]
)
def test_bad_xml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cvx.xml").write_text(text)
    with pytest.raises(Malformed, match=r"cvx\.xml"):
        only(tmp_path)


@pytest.mark.parametrize("name", ["x.bin", "x.zip", "cvx.txt", "Loinc.csv", "a.tgz"])
def test_noise_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00\xff\x1f\x8b" * 100)
    with pytest.raises(Refused):
        only(tmp_path / name)
