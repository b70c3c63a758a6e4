"""Passwords: argon2id, slow on purpose and so off the event loop. Length is the only rule of composition."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from commonchart.fhir.outcome import Invalid

SHORTEST = 8
LONGEST = 200

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's second argon2id setting
_NOBODY = _hasher.hash("the password of nobody")


def checked(password: str) -> str:
    """The password if it may be used. Raises Invalid."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid(f"A password has {SHORTEST} to {LONGEST} characters", at="password")
    return password


async def hashed(password: str) -> str:
    """The argon2id hash of a password that passed `checked`."""
    return await asyncio.to_thread(_hasher.hash, checked(password))


async def matches(stored: str | None, password: str) -> bool:
    """Whether this is the password. Takes as long for an unknown user (None) as for a wrong password."""
    return await asyncio.to_thread(_verify, stored or _NOBODY, password[:LONGEST]) and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
