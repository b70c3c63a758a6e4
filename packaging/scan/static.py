"""`make scan`: bandit, and semgrep by our own rules, over src. Fails on any finding that is not explained here.

Both come from throw-away environments (`uv tool run`), and nothing is asked of a registry of rules. Before it is believed
that semgrep finds nothing, each rule has to find what it is for in a sample.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BANDIT = ["uv", "tool", "run", "--from", "bandit==1.9.4", "bandit"]
SEMGREP = ["uv", "tool", "run", "--from", "semgrep==1.185.0", "semgrep"]
EXPLAINED = {
    "B608": "statements are put together from constants and from fragments with places for arguments: tests/house/test_sources.py",
    "B311": "the demonstration is made with a seed, so that it is the same each time",
    "B101": "what the types cannot say; never a check of what comes from outside",
    "B105": "names of files, kinds and settings",
    "B603": "PostgreSQL's own programs, by a list of arguments and never by a shell",
    "B404": "the same",
    "B110": "what may fail at the end of a process",
}
# rule of bandit -> files in which it was looked at
LOOKED_AT = {
    "B104": {"src/commonchart/cli/serve.py": "compares a host with 0.0.0.0, to ask this machine instead"},
    "B323": {"src/commonchart/cli/serve.py": "asks this very server whether it answers, by its own certificate"},
    "B610": {"src/commonchart/fhir/validate.py": "a set of names called extra: no Django"},
    "B108": {"src/commonchart/record/postgres/folder.py": "where a socket may lie when the path is too long: a folder of mode 0700 is made in it"},
}  # fmt: skip
# a rule of ours -> (where, what it has to find)
SAMPLES = {
    "sql-made-of-a-request": ("web/x.py", "async def f(conn, request):\n    name = request.query_params['n']\n    await conn.execute('SELECT ' + name)\n"),
    "value-in-quotes-in-sql": ("web/x.py", "def f(name):\n    return f\"SELECT 1 FROM t WHERE name = '{name}'\"\n"),
    "database-opened-elsewhere": ("web/x.py", "async def f():\n    return await Database.open('x')\n"),
    "call-out-past-the-guard": ("access/x.py", "import httpx\n\nasync def f():\n    return httpx.AsyncClient()\n"),
    "xml-parser-elsewhere": ("exchange/x.py", "from lxml import etree\n\ndef f(data):\n    return etree.fromstring(data)\n"),
    "patient-data-in-a-log": ("access/x.py", "def f(log, one):\n    log.info('stored', family=one)\n"),
    "formatted-log-message": ("access/x.py", "def f(log, one):\n    log.info(f'stored {one}')\n"),
    "time-read-in-clinical-code": ("care/x.py", "from datetime import date\n\ndef f():\n    return date.today()\n"),
    "cookie-within-reach": ("web/x.py", "def f(response):\n    response.set_cookie('a', 'b', httponly=True)\n"),
    "runs-what-it-is-given": ("web/x.py", "def f(text):\n    return eval(text)\n"),
    "not-escaped-in-a-page": ("web/templates/x.html", "<p>{{ name|safe }}</p>\n"),
    "markup-made-by-hand": ("web/x.py", "def f(text):\n    return Markup(text)\n"),
}  # fmt: skip


def bandit() -> list[str]:
    """What bandit finds and nobody has explained."""
    run = subprocess.run([*BANDIT, "-q", "-r", "src", "-f", "json"], cwd=ROOT, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(run.stdout)["results"]
    print("bandit:", dict(Counter(one["test_id"] for one in found)))
    return [
        f"{one['test_id']} {one['filename']}:{one['line_number']} {one['issue_text']}"
        for one in found
        if one["test_id"] not in EXPLAINED and one["filename"] not in LOOKED_AT.get(one["test_id"], {})
    ]


def semgrep(folder: Path) -> list[dict[str, Any]]:
    """What our rules find under a folder."""
    options = ["scan", "--config", "packaging/semgrep", "--metrics=off", "--disable-version-check", "--no-git-ignore", "--json", "--quiet", "src"]  # fmt: skip
    run = subprocess.run([*SEMGREP, *options], cwd=folder, capture_output=True, text=True)
    if run.returncode not in (0, 1):
        raise SystemExit(f"semgrep failed:\n{run.stderr[-2000:]}")
    results: list[dict[str, Any]] = json.loads(run.stdout)["results"]
    return results


def blind() -> list[str]:
    """Rules that do not find their sample."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "packaging/semgrep", folder / "packaging/semgrep")
        for n, (where, text) in enumerate(SAMPLES.values()):
            path = folder / "src/commonchart" / where.replace("x.", f"x{n}.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        met = {one["check_id"].rsplit(".", 1)[-1] for one in semgrep(folder)}
    return sorted(set(SAMPLES) - met)


def main() -> None:
    """Both; says what is wrong, and fails if anything is."""
    wrong = [f"rule finds nothing: {rule}" for rule in blind()]
    wrong += [f"{one['check_id']} {one['path']}:{one['start']['line']}" for one in semgrep(ROOT)]
    wrong += bandit()
    print("\n".join(wrong) or f"semgrep: {len(SAMPLES)} rules, nothing found")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
