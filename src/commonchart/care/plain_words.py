"""What common tests are for, in plain words, from a pack with a review state; no words are better than wrong ones."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

PACK = Path(__file__).parent / "packs" / "plain-2026"
LOINC = "http://loinc.org"


class Words(Struct, frozen=True):
    """What a test is called, what it shows and why it is looked at. `review` is needed or reviewed."""

    name: str
    what: str
    why: str
    loinc: tuple[str, ...]
    review: str = "needed"


@cache
def _by_code() -> Mapping[str, Words]:
    review = tomllib.loads((PACK / "pack.toml").read_text("utf-8"))["review"]
    read = tomllib.loads((PACK / "results.toml").read_text("utf-8"))
    held = [msgspec.convert({"review": review} | one, Words) for one in read.values()]
    return {code: words for words in held for code in words.loinc}


def of(codings: Iterable[tuple[str, str]]) -> Words | None:
    """The words for the first (system, code) that has any."""
    return next(
        (found for system, code in codings if system == LOINC and (found := _by_code().get(code))), None
    )
