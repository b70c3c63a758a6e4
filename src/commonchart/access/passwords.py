"""Passwords: argon2id, slow on purpose and so off the event loop.

Length is the only rule of composition (NIST SP 800-63B 5.1.1.2); what guessers try first is refused: a site's list of
breached passwords, names, and a few patterns of our own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from commonchart.access.people import breached
from commonchart.fhir.outcome import Invalid

SHORTEST = 12
LONGEST = 200  # far more than the 64 that must be possible

_LOOKALIKES = str.maketrans("013457@$!", "oleastasi")
COMMON = frozenset(
    [
        "password",
        "passwort",
        "passw0rd",
        "letmein",
        "letmeinn",
        "welcome",
        "welcomes",
        "iloveyou",
        "sunshine",
        "princess",
        "football",
        "baseball",
        "superman",
        "dragon",
        "monkey",
        "master",
        "shadow",
        "michael",
        "jennifer",
        "trustno",
        "changeme",
        "default",
        "administrator",
        "hospital",
        "doctor",
        "doctors",
        "medicine",
        "patient",
        "patients",
        "nurse",
        "nurses",
        "clinic",
        "clinician",
        "practice",
        "commonchart",
        "secret",
        "secrets",
        "qwerty",
        "qwertyui",
        "asdfghjk",
        "login",
        "logmein",
        "summer",
        "winter",
        "spring",
        "autumn",
        "january",
        "february",
        "october",
        "november",
        "december",
        "monday",
        "tuesday",
        "friday",
        "healthcare",
    ]
)
"""Written by hand: what people take in a practice before they think."""

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's second argon2id setting
_NOBODY = _hasher.hash("the password of nobody")


def checked(password: str, shortest: int = SHORTEST) -> str:
    """The password if it may be used. Raises Invalid."""
    if not shortest <= len(password) <= LONGEST:
        raise Invalid(f"A password has {shortest} to {LONGEST} characters", at="password")
    return password


def judged(password: str, about: Iterable[str], breached_list: Path | None = None) -> str:
    """The password if it is not among the first that a guesser tries; `about`: login, name, site. Raises Invalid, saying why."""
    checked(password)
    word = re.sub(r"[^a-z]+$", "", password.lower()).translate(_LOOKALIKES)
    if password.lower() in COMMON or word in COMMON or _of_one_pattern(password.lower()):
        raise Invalid("This password is among the first that a guesser tries: choose another", at="password")
    if any(_same(password, name) for name in about):
        raise Invalid("A password must not be a name: yours, the user name or the site's", at="password")
    if breached_list is not None and breached.holds(breached_list, password):
        raise Invalid("This password is known from a breach elsewhere: choose another", at="password")
    return password


def strength(password: str) -> str:
    """How well a password that may be used resists guessing, in words: by its length, since it is on no list.

    Below `SHORTEST` it says what is missing. The same bounds are in `static/js/strength.js`.
    """
    if len(password) < SHORTEST:
        return f"Too short: {len(password)} of {SHORTEST} characters"
    return next(words for least, words in STRENGTHS if len(password) >= least)


STRENGTHS = ((20, "Very good: long"), (15, "Good"), (SHORTEST, "Enough: longer is better"))


def _same(password: str, name: str) -> bool:
    """Whether the password is this name or one of its words, with or without digits and signs around."""
    bare = re.sub(r"[\W\d_]+", "", password.lower())
    names = {re.sub(r"[\W\d_]+", "", part) for part in (name.lower(), *re.split(r"[\s.@_-]+", name.lower()))}
    return bool(bare) and bare in names


def _of_one_pattern(password: str) -> bool:
    """One or two characters repeated, or a run along the keyboard or the alphabet, also backwards."""
    rows = (
        "abcdefghijklmnopqrstuvwxyz",
        "01234567890123456789",
        "qwertyuiopasdfghjklzxcvbnm",
        "1q2w3e4r5t6y7u8i9o0p",
    )
    return len(set(password)) <= 2 or any(password in row or password[::-1] in row for row in rows)


async def hashed(password: str, *, shortest: int = SHORTEST) -> str:
    """The argon2id hash of a password that passed `checked`; `shortest` for what is less than one, as a passcode."""
    return await asyncio.to_thread(_hasher.hash, checked(password, shortest))


async def matches(stored: str | None, password: str) -> bool:
    """Whether this is the password. Takes as long for an unknown user (None) as for a wrong password."""
    return await asyncio.to_thread(_verify, stored or _NOBODY, password[:LONGEST]) and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
