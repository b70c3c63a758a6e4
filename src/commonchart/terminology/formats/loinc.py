"""LOINC: the table, the hierarchy of parts and the answer lists, from the release's zip or folder."""

from __future__ import annotations

import re

from commonchart.fhir.outcome import Malformed
from commonchart.terminology.formats.files import Files
from commonchart.terminology.systems import CodeSystem, Concept, Designation
from commonchart.terminology.value_sets import LOINC

PROPERTIES = (
    "COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS", "CLASSTYPE", "STATUS", "ORDER_OBS",
)  # fmt: skip
NOTICE = (
    "This material contains content from LOINC (http://loinc.org), copyright Regenstrief Institute, Inc. and the LOINC "
    "Committee, available at no cost under the license at http://loinc.org/license."
)


def found(files: Files) -> bool:
    """Whether these are LOINC's files."""
    return files.find("loinc.csv") is not None


def read(files: Files) -> CodeSystem:
    """The release. Raises Malformed naming file and line."""
    name = files.find("loinc.csv")
    if name is None:
        raise Malformed("A LOINC release has a Loinc.csv")
    parents, parts = _hierarchy(files)
    concepts, last = [], ""
    for number, row in files.table(name, "LOINC_NUM", "LONG_COMMON_NAME", "STATUS", quoted=True):
        code = row["LOINC_NUM"]
        if not re.fullmatch(r"\d{1,8}-\d", code):
            raise Malformed(f"{name}, line {number}: LOINC_NUM is not a LOINC code")
        last = max(last, row.get("VersionLastChanged", ""), key=_order)
        concepts.append(_concept(code, row, tuple(parents.get(code, ()))))
    known = {concept.code for concept in concepts}
    concepts += [
        Concept(code, text, tuple(parents.get(code, ()))) for code, text in parts.items() if code not in known
    ]
    return CodeSystem(LOINC, _version(files, last), "LOINC", [*concepts, *_answers(files)], copyright=NOTICE)


def _concept(code: str, row: dict[str, str], parents: tuple[str, ...]) -> Concept:
    properties = tuple((name, row[name]) for name in PROPERTIES if row.get(name))
    names = (row.get("SHORTNAME", ""), row.get("DisplayName", ""), row.get("CONSUMER_NAME", ""))
    related = (text.strip() for text in row.get("RELATEDNAMES2", "").split(";"))
    others = tuple(Designation(text, "en-US") for text in dict.fromkeys((*names, *related)) if text)
    return Concept(code, row["LONG_COMMON_NAME"], parents, properties, others, row["STATUS"] == "DEPRECATED")


def _hierarchy(files: Files) -> tuple[dict[str, list[str]], dict[str, str]]:
    name = files.find("componenthierarchybysystem.csv") or files.find("multiaxialhierarchy.csv")
    parents: dict[str, list[str]] = {}
    parts: dict[str, str] = {}
    if name is not None:
        for _, row in files.table(name, "IMMEDIATE_PARENT", "CODE", "CODE_TEXT", quoted=True):
            if row["IMMEDIATE_PARENT"]:
                parents.setdefault(row["CODE"], []).append(row["IMMEDIATE_PARENT"])
            if row["CODE"].startswith("LP"):
                parts[row["CODE"]] = row["CODE_TEXT"]
    return {code: list(dict.fromkeys(above)) for code, above in parents.items()}, parts


def _answers(files: Files) -> list[Concept]:
    name = files.find("answerlist.csv")
    answers: dict[str, tuple[str, list[str]]] = {}
    if name is not None:
        for _, row in files.table(name, "AnswerListId", "AnswerStringId", "DisplayText", quoted=True):
            if row["AnswerStringId"]:
                lists = answers.setdefault(row["AnswerStringId"], (row["DisplayText"], []))[1]
                lists.append(row["AnswerListId"])
    return [
        Concept(code, text, (), tuple(("LIST", one) for one in dict.fromkeys(lists)))
        for code, (text, lists) in answers.items()
    ]


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _version(files: Files, last: str) -> str:
    said = re.search(r"loinc[-_]?v?(\d+\.\d+)", files.path.name, re.IGNORECASE)
    return said[1] if said else last
