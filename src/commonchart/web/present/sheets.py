"""Tables for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def plain(text: str) -> str:
    """Nothing that a spreadsheet would take for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def sheet(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV file with a heading row; nothing in it is a formula."""
    out = io.StringIO()
    made = csv.writer(out)
    made.writerow(columns)
    made.writerows([plain("" if cell is None else str(cell)) for cell in row] for row in rows)
    return out.getvalue()
