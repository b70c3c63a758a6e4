"""The words of a text as they are searched: without case, accents and punctuation; a query matches their beginnings."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

SHORT = 3
MAX_WORDS = 8
MAX_WORD = 40
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> set[str]:
    """The searchable words of a text."""
    return {word[:MAX_WORD] for word in _WORD.findall(folded(text))}


@lru_cache(maxsize=8192)
def folded(text: str) -> str:
    """Case and accents taken away: "Sjögren's" -> "sjogren's"."""
    lower = text.casefold()
    if lower.isascii():
        return lower
    spread = unicodedata.normalize("NFKD", lower)
    return "".join(char for char in spread if not unicodedata.combining(char))


def asked(text: str) -> list[str]:
    """The beginnings that a typed text asks for, each of which must be found; at most `MAX_WORDS`."""
    found = list(dict.fromkeys(word[:MAX_WORD] for word in _WORD.findall(folded(text))))
    return found[:MAX_WORDS]


def beginnings(word: str) -> list[str]:
    """The short beginnings of a word that get an entry of their own, written with a star: `di*`."""
    return [f"{word[:size]}*" for size in range(1, min(len(word), SHORT) + 1)]


def matches(wanted: list[str], *texts: str) -> bool:
    """Whether every beginning is found among the words of the texts."""
    held = set().union(*(words(text) for text in texts))
    return all(any(word.startswith(beginning) for word in held) for beginning in wanted)
