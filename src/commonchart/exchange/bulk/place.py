"""Where the files of exports and imports lie."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class Place(Struct, frozen=True):
    """Where files lie, and what our own signed addresses are told by."""

    data_dir: Path
    secret: bytes = b""
    base_url: str = ""

    def folder(self, kind: str, run: str) -> Path:
        """The folder of a run, which only we may read."""
        return self.data_dir / f"{kind}s" / run

    def made(self, kind: str, run: str) -> Path:
        """The same, there."""
        folder = self.folder(kind, run)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
