"""All benchmarks of README.md, one after the other: `make bench`. Words after it choose some: `run.py sections ceiling`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent.parent / "shared"
PYTHON = (sys.executable,)
WITH_ORJSON = (
    shutil.which("uv") or "uv",
    "run",
    "--frozen",
    "--with",
    "orjson",
    "--with",
    "psycopg-pool",
    "python",
)

# name: how it is run, whether it needs the shared folder beside the repository
BENCHMARKS: dict[str, tuple[tuple[str, ...], bool]] = {
    "validate": ((*PYTHON, str(HERE / "bench_validate.py")), False),
    "assess": ((*PYTHON, str(HERE / "bench_assess.py")), False),
    "load": ((*PYTHON, str(HERE / "load_synthea.py")), True),
    "roundtrip": ((*PYTHON, str(HERE / "roundtrip.py")), True),
    "ceiling": ((*WITH_ORJSON, str(HERE / "ceiling.py")), True),
    "sections": ((*PYTHON, str(HERE / "sections.py"), "--scale", "2000"), False),
}


def main() -> int:
    chosen = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"no benchmark {unknown[0]}: there are {', '.join(BENCHMARKS)}")
    failed = 0
    for name in chosen:
        command, shared = BENCHMARKS[name]
        print(f"\n==== {name}", flush=True)
        if not Path(command[-1] if command[-1].endswith(".py") else command[1]).exists():
            print("not here")
        elif shared and not SHARED.exists():
            print(f"left out: {SHARED} is not here")
        else:
            failed += subprocess.run(command, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
