"""Build hook: a wheel or source distribution carries the FHIR table and the browser files; neither is committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
BUILT = {
    "packaging/definitions.py": "src/commonchart/fhir/tables/r4.bin",
    "packaging/codes.py": "src/commonchart/fhir/tables/codes.bin",
    "packaging/assets.py": "src/commonchart/web/static/vendor",
}


class BuiltFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Make what is missing before packing; an editable install leaves that to `make setup`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run the makers whose result is not there yet (in an unpacked source distribution it is)."""
        if version == "editable":
            return
        for script, made in BUILT.items():
            if not (ROOT / made).exists():
                subprocess.run([sys.executable, ROOT / script], check=True)
