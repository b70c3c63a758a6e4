"""XML from outside: what it could make the program fetch, read or repeat is refused, in every encoding (hostile list, E5)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from commonchart.fhir.outcome import Malformed
from commonchart.fhir.xml import parsed
from commonchart.terminology.formats import cvx, icd10cm
from commonchart.terminology.formats.files import Files

BOMB = (
    "<!DOCTYPE a [<!ENTITY l0 'lol'>"
    + "".join(f"<!ENTITY l{n + 1} '{f'&l{n};' * 10}'>" for n in range(9))
    + "]><a>&l9;</a>"
)
DECLARED = (
    "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x.dtd'><a/>",
    "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><a>&x;</a>",
    "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:1/x'> %x;]><a/>",
    BOMB,
)


@pytest.mark.parametrize("text", DECLARED)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_document_type_is_refused_in_every_encoding(text: str, encoding: str) -> None:
    began = time.monotonic()
    with pytest.raises(Malformed):
        parsed(text.encode(encoding), "file.xml")
    assert time.monotonic() - began < 1


def test_what_asks_to_be_fetched_is_only_text(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    text = (
        f'<?xml-stylesheet href="file://{secret}"?><a xmlns:xi="http://www.w3.org/2001/XInclude" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://127.0.0.1:1/ {secret}">'
        f'<xi:include href="file://{secret}" parse="text"/></a>'
    )
    root = parsed(text.encode(), "file.xml")
    assert "canary" not in "".join(root.itertext())
    assert len(root) == 1


def test_every_file_of_codes_is_read_so(tmp_path: Path) -> None:
    for name, reader in (("icd10cm_tabular_2026.xml", icd10cm), ("cvx.xml", cvx)):
        path = tmp_path / name
        path.write_bytes(
            "<!DOCTYPE a [<!ENTITY x 'y'>]><ICD10CM.tabular><CVXInfo/></ICD10CM.tabular>".encode("utf-16")
        )
        with pytest.raises(Malformed, match="document type"):
            reader.read(Files(path))


@pytest.mark.parametrize("data", [b"", b"<a>", b"\x00", b"<a/><b/>", b"<a" + b"><a" * 1000])
def test_what_is_no_xml_is_refused_with_its_line(data: bytes) -> None:
    with pytest.raises(Malformed, match=r"file\.xml is no XML: line \d+"):
        parsed(data, "file.xml")
