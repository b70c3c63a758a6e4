"""Text as it is compared: without case and accents, one space between words."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """Case-folded, accents stripped, spaces collapsed: "  José  O'Brien" -> "jose o'brien"."""
    return " ".join(fold_once(text).split())


def fold_once(text: str) -> str:
    """Case-folded, accents stripped, spaces as they are: for long texts that are not met again."""
    if text.isascii():
        return text.lower()
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in spread if not unicodedata.combining(char))
