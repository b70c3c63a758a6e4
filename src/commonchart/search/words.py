"""The words of a resource, as `_text` and `_content` find them, and of what is asked for."""

from __future__ import annotations

import html
import re
from typing import Any

from commonchart.fhir.outcome import Malformed
from commonchart.search.fold import fold_once

MAX_READ = 50_000
MAX_WORDS = 2000
MAX_LETTERS = 60
NARRATIVE = "~"

_WORD = re.compile(r"[^\W_]+")
_TAG = re.compile(r"<[^>]*>")
# what says where, not what
_NOT_TEXT = frozenset(
    {
        "reference",
        "system",
        "url",
        "id",
        "resourceType",
        "div",
        "data",
        "meta",
        "profile",
        "fullUrl",
        "valueUri",
        "valueUrl",
        "hash",
    }
)


def words_of(text: str) -> list[str]:
    """The words of a text: letters and digits, without case and accents."""
    return [word[:MAX_LETTERS] for word in _WORD.findall(fold_once(text[:MAX_READ]))]


def kept(resource: dict[str, Any]) -> str:
    """Every word of a resource once, joined by spaces; the words of its narrative also with `~` before them."""
    narrative = resource.get("text")
    div = narrative.get("div") if isinstance(narrative, dict) else None
    told = words_of(html.unescape(_TAG.sub(" ", div[:MAX_READ]))) if isinstance(div, str) else []
    found = dict.fromkeys(told)
    found.update(dict.fromkeys(words_of(" ".join(_texts(resource)))))
    found.update(dict.fromkeys(NARRATIVE + word for word in told))
    return " ".join(list(found)[:MAX_WORDS])


def _texts(resource: dict[str, Any]) -> list[str]:
    out: list[str] = []
    waiting = [resource]
    length = 0
    while waiting and length < MAX_READ:
        for name, value in waiting.pop().items():
            kind = type(value)
            if name in _NOT_TEXT:
                continue
            if kind is str:
                length += len(value)
                out.append(value)
            elif kind is dict:
                waiting.append(value)
            elif kind is list:
                out += [one for one in value if type(one) is str]
                waiting += [one for one in value if type(one) is dict]
    return out


def wanted(text: str, name: str) -> str:
    """All the words of a query as a tsquery; a word that ends in `*` is a beginning. Raises Malformed without a word."""
    mark = NARRATIVE if name == "_text" else ""
    parts = []
    for piece in text.split():
        found = words_of(piece)
        parts += [f"'{mark}{word}'" for word in found]
        if found and piece.endswith("*"):
            parts[-1] += ":*"
    if not parts:
        raise Malformed(f"{name} needs a word to look for", at=name)
    return " & ".join(parts)


def beginning(text: str) -> str:
    """The words of a text whose last one may go on, as a tsquery; "" when it has none."""
    found = words_of(text)
    return " & ".join([*(f"'{word}'" for word in found[:-1]), *(f"'{word}':*" for word in found[-1:])])
