"""What may stand where a person decides whom to trust: no sign that is not seen, and no name that looks like another.

Sources: Unicode TR 36 (security considerations) and TR 39 (confusables), of which a small table of facts is kept here: the
letters of other scripts that look like Latin ones in the fonts of a page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 100
SEEN = frozenset("LMNPS")
"""The classes of characters that leave ink on the page; of the others only the plain blank may be written."""
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5\ufe0e\ufe0f")
"""Letters, marks and signs that leave none all the same."""
MARKS = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3}")
ADDRESS = re.compile(r"://|@|\bwww\.|\w\.[^\W\d_]{2,}", re.I)
_ALIKE = {
    "l": "1iıіїӏιɩ|ł", "o": "0оοօσøө", "a": "аαɑ", "e": "еєε", "c": "сϲς", "p": "рρ", "x": "хχ", "y": "уγүý", "s": "ѕ5", "j": "јϳ",
    "h": "һհнη", "d": "ԁđ", "q": "ԛ", "w": "ԝωա", "b": "вьβ", "k": "кκ", "m": "м", "t": "тτ", "n": "пոη", "r": "гʀ", "u": "υսц", "v": "νѵ",
    "g": "ɡց", "z": "ʐ",
}  # fmt: skip
_AS_LATIN = str.maketrans({other: latin for latin, others in _ALIKE.items() for other in others})


def unseen(text: str) -> bool:
    """Whether something in it is not seen, or turns the writing round: control, format and bidirectional characters."""
    return bool(MARKS.search(text)) or any(
        one != " " and (one in BLANK or unicodedata.category(one)[0] not in SEEN) for one in text
    )


def wrong(name: str) -> str:
    """What is wrong with a name that people read before they allow something, "" for nothing."""
    if not 0 < len(name.strip()) <= LONGEST:
        return f"has 1 to {LONGEST} characters"
    if unseen(name):
        return "has no characters that cannot be seen or that turn the writing round"
    if ADDRESS.search(unicodedata.normalize("NFKC", name)):
        return "is no address: leave out www, @ and what follows a dot"
    if not any(one.isalnum() for one in name):
        return "has letters"
    if len(_scripts(name)) > 1:
        return "is written with the letters of one alphabet"
    return ""


def _scripts(name: str) -> set[str]:
    """The alphabets that are easily taken for one another."""
    found = {unicodedata.name(one, "").partition(" ")[0] for one in name if one.isalpha()}
    return found & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"}


def folded(name: str) -> str:
    """What two names have in common that look alike: without case, accents, blanks and signs (NFKC, casefold, confusables)."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    bare = "".join(
        one for one in unicodedata.normalize("NFD", text) if not unicodedata.category(one).startswith("M")
    )
    kept = "".join(one for one in bare.translate(_AS_LATIN) if one.isalnum())
    return kept.replace("rn", "m").replace("vv", "w").replace("cl", "d")


def alike(name: str, others: Iterable[str]) -> bool:
    """Whether somebody could take it for one of the others."""
    return folded(name) in {folded(one) for one in others}


def speaks_for(name: str, *sites: str) -> bool:
    """Whether it holds the whole name of the site, so that people could take it for the practice's own."""
    words = [folded(word) for word in re.split(r"[\W_]+", name) if word]
    for site in sites:
        own = [folded(word) for word in re.split(r"[\W_]+", site) if word]
        if own and (folded(site) == folded(name) or _within(own, words)):
            return True
    return False


def _within(own: list[str], words: list[str]) -> bool:
    return any(words[at : at + len(own)] == own for at in range(len(words) - len(own) + 1))
