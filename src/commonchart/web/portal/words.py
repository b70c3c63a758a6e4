"""The texts of the portal in the reader's language: English is written where it stands, others are looked up here.

A sentence without a translation stays English and is marked as English, so that it is read aloud as such.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = {"en": "English", "es": "Español"}


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """Translations by the English sentence."""
    path = Path(__file__).parent / "texts" / f"{language}.toml"
    return tomllib.loads(path.read_text("utf-8"))["texts"] if path.exists() else {}


class Words:
    """`words("Good morning, {name}", name=...)` in one language."""

    def __init__(self, language: str = "en") -> None:
        self.language = language if language in LANGUAGES else "en"

    def __call__(self, text: str, **given: Any) -> str:
        """The sentence in this language, with what was given in its braces."""
        said = catalogue(self.language).get(text, text)
        return said.format(**given) if given else said
