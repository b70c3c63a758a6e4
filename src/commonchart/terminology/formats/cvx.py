"""CVX, vaccines administered: CDC's file with bars, or its XML."""

from __future__ import annotations

from commonchart.fhir.outcome import Malformed
from commonchart.fhir.xml import parsed
from commonchart.terminology.formats.files import Files
from commonchart.terminology.systems import CodeSystem, Concept, Designation
from commonchart.terminology.value_sets import CVX


def found(files: Files) -> bool:
    """Whether this is CDC's file."""
    return _name(files) is not None


def _name(files: Files) -> str | None:
    return next((n for n in files.names if "cvx" in n.lower() and n.lower().endswith((".txt", ".xml"))), None)


def read(files: Files) -> CodeSystem:
    """The table. Raises Malformed naming file and line."""
    name = _name(files) or files.names[0]
    rows = _xml(files, name) if name.lower().endswith(".xml") else _bars(files, name)
    updated = max((row[4] for row in rows), default="", key=_ymd)
    return CodeSystem(CVX, _ymd(updated), "CVX", [_concept(*row[:4]) for row in rows])


def _bars(files: Files, name: str) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for number, row in files.piped(name, 5):
        if not row[0].isdecimal():
            if number == 1:
                continue
            raise Malformed(f"{name}, line {number}: the CVX code is not a number")
        rows.append((row[0], row[1], row[2], row[4], row[6] if len(row) > 6 else ""))
    return rows


def _xml(files: Files, name: str) -> list[tuple[str, str, str, str, str]]:
    data = files.read(name)
    root = parsed(data, name)
    rows = []
    for number, one in enumerate(root.iter("CVXInfo"), 1):
        texts = {child.tag.lower(): (child.text or "").strip() for child in one}
        values = [child.text or "" for child in one.findall("Value")]
        code = texts.get("cvxcode", "") or (values[2].strip() if len(values) > 2 else "")
        if not code.isdecimal():
            raise Malformed(f"{name}, entry {number}: the CVX code is not a number")
        full = texts.get("fullvaccinename") or texts.get("description", "")
        rows.append(
            (
                code,
                texts.get("shortdescription", ""),
                full,
                texts.get("status", ""),
                texts.get("lastupdated", ""),
            )
        )
    return rows


def _concept(code: str, short: str, full: str, status: str) -> Concept:
    others = (Designation(full),) if full and full != short else ()
    return Concept(
        code.zfill(2),
        short or full,
        (),
        (("status", status),) if status else (),
        others,
        status == "Inactive",
    )


def _ymd(text: str) -> str:
    month, _, rest = text.partition("/")
    day, _, year = rest.partition("/")
    return f"{year}{month:0>2}{day:0>2}" if year else text
