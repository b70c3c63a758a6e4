"""FHIRPath per evaluation, compiled: ours, fhirpathpy and npm fhirpath.js on the same expressions and input in one run.

    uv run --with fhirpathpy python benchmarks/bench_fhirpath.py [--rounds 5]

CPU time of one process, the best round. fhirpath.js is fetched by npm into a temporary directory; what is absent is said.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "name": [
        {"use": "official", "family": "King", "given": ["Ada", "Augusta"]},
        {"use": "maiden", "family": "Byron", "given": ["Ada"]},
    ],
    "telecom": [
        {"system": "phone", "use": "home", "value": "1"},
        {"system": "email", "value": "a@example.org"},
    ],
    "contact": [{"name": {"family": "Byron"}}],
}
EXPRESSIONS = {
    "path": "Patient.name.given",
    "where": "Patient.name.where(use = 'official').given.first()",
    "invariant": "Patient.contact.all(name.exists() or telecom.exists() or address.exists() or organization.exists())",
    "logic": "Patient.telecom.all(value.empty() or system.exists())",
}
SCRIPT = """
const fp = require('fhirpath'), r4 = require('fhirpath/fhir-context/r4');
const [patient, expressions, rounds] = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const out = {};
for (const [name, text] of Object.entries(expressions)) {
  const run = fp.compile(text, r4);
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const begin = process.cpuUsage();
    for (let i = 0; i < 5000; i++) run(patient);
    const used = process.cpuUsage(begin);
    best = Math.min(best, (used.user + used.system) / 5000);
  }
  out[name] = best;
}
console.log(JSON.stringify(out));
"""


def timed(run: Callable[[], Any], rounds: int, times: int = 2_000) -> float:
    """Microseconds of CPU per call, best round."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        for _ in range(times):
            run()
        best = min(best, (time.process_time() - begin) / times * 1e6)
    return best


def ours(rounds: int) -> dict[str, float]:
    from commonchart.fhir.path.engine import compile

    out = {}
    for name, expression in EXPRESSIONS.items():
        run = compile(expression)
        out[name] = timed(lambda run=run: run(PATIENT), rounds, 20_000)
    return out


def python(rounds: int) -> dict[str, float]:
    try:
        import fhirpathpy
        from fhirpathpy.models import models
    except ImportError:
        print("fhirpathpy is not here: uv run --with fhirpathpy")
        return {}
    out = {}
    for name, expression in EXPRESSIONS.items():
        run = fhirpathpy.compile(expression, models["r4"])
        out[name] = timed(lambda run=run: run(PATIENT), rounds, 200)
    return out


def javascript(rounds: int) -> dict[str, float]:
    if shutil.which("npm") is None:
        print("npm is not here")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        install = ["npm", "install", "--silent", "--no-fund", "--no-audit", "fhirpath"]
        if subprocess.run(install, cwd=folder, timeout=300, check=False).returncode:
            print("npm could not fetch fhirpath")
            return {}
        script = Path(folder) / "bench.js"
        script.write_text(SCRIPT)
        given = json.dumps([PATIENT, EXPRESSIONS, rounds])
        done = subprocess.run(
            ["node", script], input=given, capture_output=True, text=True, cwd=folder, check=True
        )
        return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found = {"commonchart": ours(rounds), "fhirpathpy": python(rounds), "fhirpath.js": javascript(rounds)}
    for name in EXPRESSIONS:
        mine = found["commonchart"][name]
        shown = [
            f"{who} {times[name]:.2f} us ({times[name] / mine:.1f}x)" for who, times in found.items() if times
        ]
        print(f"{name}: {', '.join(shown)}")


if __name__ == "__main__":
    main()
