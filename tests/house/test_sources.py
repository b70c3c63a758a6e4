"""What no line of the program does, whoever writes it: values in SQL, secrets compared with ==, keys in the repository.

The rules that semgrep holds as well are in packaging/semgrep/ (`make scan`); these need no tool and are part of `make check`.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.hostile import doors

SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE \w|DELETE FROM|WHERE|ORDER BY|JOIN|LIMIT)\b")
ASKED = re.compile(
    r"\b(request|query_params|path_params|headers|cookies|sent|form|fields|values|params|asked|call|body|text_of)\b(?!\.(predicate|sql|where))[.\[(]"
)
# a name made here, never of what was asked
WRITTEN = {
    ("access/digest.py", "approvals.NEEDED"): "constants of the module",
    ("search/contained.py", "m[1]"): "a piece of a statement of ours, found by a pattern",
    ("record/audit_months.py", "month"): "the name of a month",
    ("record/audit_months.py", "following(month)"): "the name of a month",
}
SECRET = re.compile(r"(secret|token|password|signature|digest|verifier|passcode|csrf|hmac|mac|sha256)$", re.I)
KEYS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[abps]-[A-Za-z0-9-]{20,}|"
    rb"\bsk-[A-Za-z0-9]{32,}|\bAIza[0-9A-Za-z_-]{35}\b|eyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"
)


def interpolated() -> Iterator[tuple[str, str, str]]:
    """(module, expression, what stands before it) of everything that is written into a statement."""
    for path, tree in doors.modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.JoinedStr):
                continue
            words = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
            before = ""
            for part in node.values if SQL.search(words) else ():
                if isinstance(part, ast.FormattedValue):
                    yield path, ast.unparse(part.value), before
                before = str(part.value) if isinstance(part, ast.Constant) else ""


def test_role_and_organisation_are_those_of_a_place_of_work() -> None:
    """What `app_user` says of them is as old as migration 0028: a statement that asks it finds nobody, or somebody who has left."""
    words = [
        (path, node.value)
        for path, tree in doors.modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert any("FROM membership m" in text for _, text in words)
    wrong = [(path, text) for path, text in words if re.search(r"\bu\.(role|org)\b", text)]
    bare = re.compile(r"SELECT (?:(?!FROM).)*(?<![.\w])(role|org)\b(?:(?!FROM).)* FROM app_user\b", re.S)
    wrong += [(path, text) for path, text in words if bare.search(text)]
    assert wrong == []


def test_no_value_is_written_into_a_statement() -> None:
    """F1: what stands between quotes, and what comes of a request, goes to PostgreSQL as an argument."""
    found = list(interpolated())
    assert len(found) > 150
    wrong = [
        (path, expression)
        for path, expression, before in found
        if (path, expression) not in WRITTEN
        and not re.fullmatch(r"[A-Z][A-Z_]*\[[^]]+\]", expression)  # one of a fixed table
        and (before.endswith("'") or ASKED.search(expression))
    ]
    assert wrong == []


def test_secrets_are_compared_in_constant_time() -> None:
    """G17: `==` and `!=` tell by their time how much of a guess was right."""
    wrong = []
    for path, tree in doors.modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                sides = [node.left, *node.comparators]
                named = [ast.unparse(s) for s in sides if isinstance(s, ast.Name | ast.Attribute)]
                literal = any(isinstance(s, ast.Constant) for s in sides)
                if not literal and any(SECRET.search(name) for name in named):
                    wrong.append((path, ast.unparse(node)))
    assert [one for one in wrong if one not in OF_CONTENT] == []
    assert [one for one in OF_CONTENT if one not in wrong] == []


OF_CONTENT = [  # digests of what anybody who asks is shown: they keep nobody out
    ("access/medications/gate.py", "named == digest"),
    ("record/code_systems.py", "found[1] == digest"),
    ("record/packages.py", "await _digest(conn, tenant, package) == digest"),
    ("web/clinician/immunizations.py", "sent.get('alerts_seen') == stop.digest"),
    ("web/clinician/stopping.py", "sent.get('alerts_seen') == looked.digest"),
]


def test_no_secret_is_in_the_repository() -> None:
    """J7: no key, token or password of anybody, in any file that is kept."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=doors.ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("this is no git repository")
    wrong = []
    for name in listed.stdout.decode().split("\0"):
        path = doors.ROOT / name
        if name and path.is_file() and KEYS.search(path.read_bytes()):
            wrong.append(name)
    assert wrong == []


def test_templates_escape_everything() -> None:
    """F3: autoescape is on everywhere, nothing is marked safe, and no page runs or styles anything of its own."""
    wrong = []
    for path in (doors.SRC / "web/templates").rglob("*"):
        text = path.read_text() if path.is_file() else ""
        if re.search(
            r"\|\s*safe\b|autoescape\s+false|<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|javascript:",
            text,
        ):
            wrong.append(str(path.relative_to(doors.SRC)))
    assert wrong == []
    marked = [path for path, tree in doors.modules() if "Markup(" in ast.unparse(tree)]
    assert marked == MARKUP


MARKUP: list[str] = []
