"""Keys and hashes the stored rows are found by: 64-bit, signed, stable for ever (they are on disk)."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


def hash64(text: str) -> int:
    """A stable signed 64-bit hash of `text` (blake2b-64, big endian)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def patient_key(patient: str) -> int:
    """The shard key `pk` of everything about the patient with this id."""
    return hash64(f"Patient/{patient}")


def resource_key(rtype: str, id: str) -> int:
    """The shard key `pk` of a resource that is about no single patient (for a Patient: its own `patient_key`)."""
    return hash64(f"{rtype}/{id}")


@lru_cache(maxsize=16384)
def token(param: str, value: str) -> int:
    """The hashed search token of `value` ("system|code", "code", "|code", "system|", "Type/id", "") under a parameter."""
    return hash64(f"{param}\x1f{value}")
