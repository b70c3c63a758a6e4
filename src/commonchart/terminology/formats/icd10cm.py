"""ICD-10-CM: CMS's order file, or the tabular list in XML (with the list of codes that spells out seventh characters)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from commonchart.fhir.outcome import Malformed, NotFound
from commonchart.fhir.xml import Element, parsed
from commonchart.terminology.formats.files import Files
from commonchart.terminology.systems import CodeSystem, Concept
from commonchart.terminology.value_sets import ICD10CM

NAME = "ICD-10-CM"


def found(files: Files) -> bool:
    """Whether these are the files of ICD-10-CM."""
    return _order_file(files) is not None or _tabular(files) is not None


def in_the_box() -> Path:
    """The folder of the files that come with the package simple-icd-10-cm. Raises NotFound."""
    spec = find_spec("simple_icd_10_cm")
    if spec is None or spec.origin is None:
        raise NotFound("The package simple-icd-10-cm is not installed")
    return Path(spec.origin).parent / "data"


def read(files: Files) -> CodeSystem:
    """The release. Raises Malformed naming file and line."""
    order, tabular = _order_file(files), _tabular(files)
    if order is not None:
        year = re.search(r"20\d\d", order)
        return CodeSystem(ICD10CM, year[0] if year else "", NAME, list(_ordered(files, order)))
    if tabular is None:
        raise Malformed("ICD-10-CM comes as an order file or as the tabular list in XML")
    return _from_tabular(files, tabular)


def _order_file(files: Files) -> str | None:
    return files.find("icd10cm_order", ".txt") or files.find("icd10cm-order", ".txt")


def _tabular(files: Files) -> str | None:
    return next((n for n in files.names if "tabular" in n.lower() and n.endswith(".xml")), None)


def dotted(code: str) -> str:
    """E119 -> E11.9."""
    return code if len(code) <= 3 else f"{code[:3]}.{code[3:]}"


def _ordered(files: Files, name: str) -> Iterator[Concept]:
    known: set[str] = set()
    for number, line in files.lines(name):
        if not line.strip():
            continue
        code, header, long_name = line[6:13].strip(), line[14:15], line[77:].strip() or line[16:76].strip()
        if not re.fullmatch(r"[A-Z][0-9][0-9A-Z]{1,5}", code) or header not in ("0", "1") or not long_name:
            raise Malformed(f"{name}, line {number}: not a line of the order file")
        known.add(code)
        above = next((code[:size] for size in range(len(code) - 1, 2, -1) if code[:size] in known), None)
        billable = "true" if header == "1" else "false"
        yield Concept(dotted(code), long_name, (dotted(above),) if above else (), (("billable", billable),))


def _from_tabular(files: Files, name: str) -> CodeSystem:
    data = files.read(name)
    root = parsed(data, name)
    concepts: dict[str, Concept] = {}
    seventh: dict[str, dict[str, str]] = {}
    for chapter in root.iter("chapter"):
        top = f"chapter-{_said(chapter, 'name')}"
        concepts[top] = Concept(top, _said(chapter, "desc"), (), (("kind", "chapter"),))
        for section in chapter.findall("section"):
            block = section.get("id", "")
            above = top
            if block and block != _said(section.find("diag"), "name"):
                concepts[block] = Concept(block, _said(section, "desc"), (top,), (("kind", "block"),))
                above = block
            for diagnosis in section.findall("diag"):
                _diagnosis(diagnosis, above, concepts, seventh, {})
    spelled = files.find("code-list", ".txt")
    for _, line in files.lines(spelled) if spelled else ():
        _seventh(dotted(line.strip().replace(".", "")), concepts, seventh)
    year = root.findtext("version") or ""
    return CodeSystem(ICD10CM, year, NAME, list(concepts.values()))


def _said(element: Element | None, name: str) -> str:
    return "" if element is None else " ".join((element.findtext(name) or "").split())


def _diagnosis(
    element: Element,
    above: str,
    concepts: dict[str, Concept],
    seventh: dict[str, dict[str, str]],
    inherited: dict[str, str],
) -> None:
    code = _said(element, "name")
    own = {
        one.get("char", ""): " ".join((one.text or "").split())
        for one in element.findall("sevenChrDef/extension")
    }
    extensions = own or inherited
    concepts[code] = Concept(code, _said(element, "desc"), (above,))
    if extensions:
        seventh[code] = extensions
    for inner in element.findall("diag"):
        _diagnosis(inner, code, concepts, seventh, extensions)


def _seventh(code: str, concepts: dict[str, Concept], seventh: dict[str, dict[str, str]]) -> None:
    """Spell a code with a seventh character: S00.00XA is S00.00 with what A means there."""
    if code in concepts or not re.fullmatch(r"[A-Z]\d[0-9A-Z]\.[0-9A-Z]{4}", code):
        return
    stem = code[:-1]
    while stem not in concepts and stem.endswith("X"):
        stem = stem[:-1].rstrip(".")
    if stem in concepts and code[-1] in seventh.get(stem, {}):
        text = f"{concepts[stem].display}, {seventh[stem][code[-1]]}"
        concepts[code] = Concept(code, text, (stem,))
