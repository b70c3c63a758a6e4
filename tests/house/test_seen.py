"""No statement reads patient data past the policy: every FROM and JOIN of such a table is under `visible` in its function.

The functions that do not ask are named here, with the reason. A new one fails until somebody says why it may.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src/commonchart"
READS = re.compile(r"\b(?:FROM|JOIN)\s+(resource|history|due)\b(?:\s+(?:AS\s+)?([a-z]\w*))?", re.I)
# search rows are read by the whole key of a row that is seen
ROWS = re.compile(
    r"\bFROM\s+((?:string|quantity|date|uri|composite|identifier|text|contained)_row)\b\s*(\w*)", re.I
)
ASKS = re.compile(
    r"\.(?:predicate|due|about)\(\s*[\"'](\w+)[\"']\s*[,)]|conditions\(|\bwhere\b|_where\(|_panel\("
)
STORE = "the store itself; its callers put the predicate behind it (READ, READ_MANY, VREAD, history)"
WORKER = "the program's own work on every record; nobody is shown what it reads"

# module: function ("" for the module's constants) -> why it may read without asking
MAY: dict[str, dict[str, str]] = {
    "record/store.py": {"": STORE, "history": "takes the predicate as an argument"},
    "record/due.py": {
        "": "writes",
        "of_patient": "takes the predicate as an argument",
        "changing": WORKER,
        "resources": WORKER,
        "origins": WORKER,
        "telling": WORKER,
        "referenced_medications": "Medications that an order in sight names: about nobody",
    },
    "record/panel.py": {"": "the FROM of counts: the worker's own, or with `panels.scope` as the WHERE"},
    "jobs/inbox.py": {"": WORKER, "_earlier": WORKER},
    "jobs/medications.py": {"_taking": WORKER, "_ordered": WORKER},
    "access/panels.py": {"": "names of members that `scope` admits"},
    "access/quarantine.py": {"": "the FROM of statements whose WHERE is `_where`"},
    "access/inbox/reading.py": {"": "the FROM of statements whose WHERE is `_where`"},
    "record/reindex.py": dict.fromkeys(("ask", "count", "batch", "superseded"), WORKER),
    "record/terminology.py": {
        "stored": "value sets and code systems: about nobody",
    },
    "access/exports.py": {
        "": "whose consents have changed; a reader learns of it only that a file may not be given out"
    },
    "access/due.py": {
        "": "the FROM of statements whose WHERE is `_members` and `_items`",
        "_found": "the FROM of statements whose WHERE is `_members` and `_items`",
    },
    "access/lookup.py": {
        "": "the emergency look-up: exact matches, counted and audited, of whom only the banner is shown",
        "found_before": "whom the same person found by it minutes ago",
    },
    "access/label_following.py": dict.fromkeys(
        ("_referring", "_fell_before"),
        "to raise or lift labels in the transaction of the act; shown to nobody",
    ),
    "access/labelled.py": {
        "stored": "only the labels, to raise those of what is written",
        "_attaching": "the ids of documents that show a file which is written, to raise its labels",
    },
    "access/portal/requests.py": {
        "of_patient": "the requests of a patient whom the reader sees: Task is in no compartment"
    },
    "access/records.py": {
        "_empty": "whether a Patient that the writer may delete has anything in it; says only that"
    },
    "search/contained.py": {"_branches": "the rows are those of `conditions`", "_view": "asks"},
    "search/patients.py": {"": "(pk, id) of a row that is seen", "_parts": "(pk, id) of a row that is seen"},
}


def functions() -> Iterator[tuple[str, str, str]]:
    """(module, innermost function or "", source of its strings and calls) of everything that reads patient data."""
    for path in sorted(SRC.rglob("*.py")):
        text = path.read_text()
        if not (READS.search(text) or ROWS.search(text)):
            continue
        tree = ast.parse(text)
        name = str(path.relative_to(SRC))
        inside: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
                yield name, node.name, ast.get_source_segment(text, node) or ""
        rest = [line for n, line in enumerate(text.splitlines(), 1) if n not in inside]
        yield name, "", "\n".join(rest)


def without_asking() -> list[tuple[str, str]]:
    out = []
    for module, function, source in functions():
        literals = re.sub(r'"""[\s\S]*?"""', "", source)
        literals = "\n".join(
            line for line in literals.splitlines() if not line.lstrip().startswith(("#", "from ", "import "))
        )
        found = [*READS.finditer(literals), *ROWS.finditer(literals)]
        if found and not ASKS.search(literals):
            out.append((module, function))
    return out


def test_nothing_reads_patient_data_without_asking() -> None:
    unexplained = [(m, f) for m, f in without_asking() if f not in MAY.get(m, {})]
    assert unexplained == []


def test_what_is_excused_is_still_there() -> None:
    known = {(module, function) for module, function, _ in functions()}
    assert [(m, f) for m, held in MAY.items() for f in held if (m, f) not in known] == []


def test_each_alias_that_is_read_is_the_one_that_is_asked() -> None:
    """Where a function asks by alias, every alias it reads patient tables under is among them."""
    wrong = []
    for module, function, source in functions():
        literals = re.sub(r'"""[\s\S]*?"""', "", source)
        asked = set(re.findall(r"\.(?:predicate|due|about)\(\s*[\"'](\w+)[\"']\s*[,)]", literals))
        if not asked or function in MAY.get(module, {}):
            continue
        for match in READS.finditer(literals):
            if (
                match[2]
                and match[2].lower() not in asked | {"where", "on"}
                and not re.search(r"\bwhere\b|_where\(", literals)
            ):
                wrong.append((module, function, match[0]))
    assert wrong == []
