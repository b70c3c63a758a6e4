"""The words of a reminder: templates with checked placeholders, per channel, language and reading level.

A wording has a general text, which may go anywhere, and for letters and portal messages a text that names what is due.
The general one has no placeholder that could say anything clinical.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

from msgspec import Struct

from commonchart.care.outreach.decide import SEALED
from commonchart.care.outreach.reach import CHANNELS
from commonchart.fhir.outcome import Invalid, Issue

LEVELS = ("plain", "standard")
GENERAL = frozenset({"given", "practice", "phone", "date"})
NAMED = GENERAL | {"name", "clinician", "checks"}
PLAIN_GRADE = 6.0
MAX_TEXT = 4000
MAX_SMS = 320
_PLACE = re.compile(r"\{([^{}]*)\}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


class Wording(Struct, frozen=True):
    """One template. `detail` "" where the channel takes only the general text; `level` is plain or standard."""

    name: str
    channel: str
    language: str
    level: str
    subject: str
    general: str
    detail: str = ""
    built_in: bool = False


class Words(Struct, frozen=True):
    """What is sent to one person."""

    subject: str
    text: str
    language: str


@cache
def built_in() -> tuple[Wording, ...]:
    """The wordings in the box."""
    text = files("commonchart.care.outreach").joinpath("wordings.toml").read_text("utf-8")
    return tuple(
        Wording(one.get("name", "reminder"), one["channel"], one["language"], one["level"], one.get("subject", ""), one["general"].strip(),
                one.get("detail", "").strip(), True)
        for one in tomllib.loads(text)["wording"]
    )  # fmt: skip


def places(text: str) -> list[str]:
    """The names of the placeholders of a text, in order."""
    return _PLACE.findall(text)


def check(wording: Wording) -> None:
    """Raises Invalid with an issue per field: an unknown placeholder, one that is not allowed there, a text too long."""
    issues = [*_shape(wording), *_placeholders(wording), *_length(wording), *_plain(wording)]
    if issues:
        raise Invalid(issues=issues)


def _shape(one: Wording) -> Iterable[Issue]:
    if not re.fullmatch(r"[a-z0-9][a-z0-9 -]{0,39}", one.name):
        yield Issue("invalid", "The name has up to 40 small letters, digits, spaces and hyphens", "name")
    if one.channel not in CHANNELS:
        yield Issue("invalid", "Choose a channel", "channel")
    if not _LANGUAGE.fullmatch(one.language):
        yield Issue("invalid", "The language is a code of two or three letters, such as en or es", "language")
    if one.level not in LEVELS:
        yield Issue("invalid", "Choose a reading level", "level")
    if not one.general.strip():
        yield Issue("required", "Enter the general text", "general")
    if one.channel == "email" and not one.subject.strip():
        yield Issue("required", "Enter the subject of the e-mail", "subject")
    for field, text in (("general", one.general), ("detail", one.detail)):
        if any(ord(char) < 32 and char != "\n" for char in text):
            yield Issue("invalid", "The text holds a control character: type it again", field)
    if "\n" in one.subject or "\r" in one.subject:
        yield Issue("invalid", "The subject is one line", "subject")


def _placeholders(one: Wording) -> Iterable[Issue]:
    for field, text, allowed in (
        ("subject", one.subject, GENERAL), ("general", one.general, GENERAL), ("detail", one.detail, NAMED),
    ):  # fmt: skip
        for name in dict.fromkeys(places(text)):
            if name not in NAMED:
                yield Issue("invalid", f"There is no placeholder {{{name}}}: use {_listed(allowed)}", field)
            elif name not in allowed:
                yield Issue("invalid", f"{{{name}}} may not stand here: others may read this text", field)
        if _PLACE.sub("", text).count("{") or _PLACE.sub("", text).count("}"):
            yield Issue("invalid", "A { or } stands alone: write placeholders as {given}", field)
    if one.detail and one.channel not in SEALED:
        yield Issue("invalid", "Only letters and portal messages may name what is due", "detail")
    if one.detail and "checks" not in places(one.detail):
        yield Issue("invalid", "The text that names what is due needs {checks}", "detail")


def _length(one: Wording) -> Iterable[Issue]:
    most = MAX_SMS if one.channel == "sms" else MAX_TEXT
    for field, text in (("general", one.general), ("detail", one.detail)):
        if len(text) > most:
            yield Issue("too-long", f"The text must be {most} characters or fewer", field)
    if len(one.subject) > 120:
        yield Issue("too-long", "The subject must be 120 characters or fewer", "subject")


def _plain(one: Wording) -> Iterable[Issue]:
    if one.level != "plain" or one.language != "en":
        return
    for field, text in (("general", one.general), ("detail", one.detail)):
        grade = reading_grade(text)
        if grade is not None and grade > PLAIN_GRADE:
            words = f"This reads like school grade {grade:.0f}; plain is at most {PLAIN_GRADE:.0f}: use shorter words and sentences"
            yield Issue("invalid", words, field)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


def choose(
    wordings: Iterable[Wording], channel: str, language: str, level: str, default: str = "en"
) -> Wording | None:
    """The wording that fits somebody best: their language before their level, the site's language where theirs is missing."""
    fitting = [one for one in wordings if one.channel == channel and one.language in (language, default)]
    wanted = level or "plain"
    fitting.sort(key=lambda one: (one.language != language, one.level != wanted, one.level))
    return fitting[0] if fitting else None


def fill(wording: Wording, values: Mapping[str, str], details: Iterable[str]) -> Words:
    """The words for one person. `details` are the titles that may be named; without any, the general text is used.

    Raises Invalid naming every placeholder that has no value.
    """
    titles = list(details)
    text = wording.detail if titles and wording.detail else wording.general
    given = {**values, "checks": "\n".join(f"- {title}" for title in titles)}
    missing = [
        name for name in dict.fromkeys(places(wording.subject + text)) if not given.get(name, "").strip()
    ]
    if missing:
        raise Invalid(
            issues=[Issue("required", f"There is no value for {{{name}}}", name) for name in missing]
        )
    return Words(_filled(wording.subject, given), _filled(text, given), wording.language)


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Values are set as they are: what looks like a placeholder in one is not filled again."""
    return _PLACE.sub(lambda found: values[found.group(1)], text)


def reading_grade(text: str) -> float | None:
    """The school grade that an English text reads like (Flesch-Kincaid; Kincaid et al. 1975), None for no words."""
    bare = _PLACE.sub("it", text)
    words = re.findall(r"[A-Za-z']+", bare)
    if not words:
        return None
    sentences = max(1, len(re.findall(r"[.!?:]+(?:\s|$)|\n\s*\n", bare)))
    return 0.39 * len(words) / sentences + 11.8 * sum(map(_syllables, words)) / len(words) - 15.59


def _syllables(word: str) -> int:
    bare = re.sub(r"(?:es|ed|e)$", "", word.lower()) or word.lower()
    return max(1, len(re.findall(r"[aeiouy]+", bare)))
