"""What must be read again, at rest: AES-256-GCM, the id of the key in front, so that keys are changed one after another.

The keys are made of the installation's secrets (HKDF, RFC 5869): 32 bytes each, the newest first. The newest seals, all of
them open. What is sealed is bound to where it lies, and opens nowhere else (NIST SP 800-38D).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from commonchart.fhir.outcome import Invalid

SIZE, ID, NONCE = 32, 4, 12
MARK = "sealed:"
LOST = "What is kept sealed cannot be read with the secrets of this installation"


def ring(secret: bytes) -> list[bytes]:
    """The secrets in a text of secrets, the newest first; one of another length is one secret."""
    if len(secret) <= SIZE or len(secret) % SIZE:
        return [secret]
    return [secret[at : at + SIZE] for at in range(0, len(secret), SIZE)]


@lru_cache(256)
def key(secret: bytes, use: bytes) -> bytes:
    """The key for one use, made of one secret."""
    return HKDF(SHA256(), SIZE, salt=None, info=b"commonchart " + use).derive(secret)


def id_of(secret: bytes) -> bytes:
    """What names one secret in front of what it sealed, and tells nothing about it."""
    return key(secret, b"id")[:ID]


def seal(secret: bytes, use: bytes, text: str, about: str) -> bytes:
    """The text sealed by the newest secret: the key's id, the nonce, and what only `about` opens."""
    newest, nonce = ring(secret)[0], secrets.token_bytes(NONCE)
    return id_of(newest) + nonce + AESGCM(key(newest, use)).encrypt(nonce, text.encode(), about.encode())


def opened(secret: bytes, use: bytes, sealed: bytes, about: str) -> str:
    """What was sealed. Raises Invalid when its secret is not among these, or it was changed or moved."""
    id, nonce, rest = sealed[:ID], sealed[ID : ID + NONCE], sealed[ID + NONCE :]
    for one in ring(secret):
        if id_of(one) == id:
            try:
                return AESGCM(key(one, use)).decrypt(nonce, rest, about.encode()).decode()
            except (InvalidTag, ValueError):
                break
    raise Invalid(LOST)


def of_newest(secret: bytes, sealed: bytes) -> bool:
    """Whether the newest secret sealed it."""
    return sealed[:ID] == id_of(ring(secret)[0])


class Keys:
    """The secrets in a file, read again when it changes: a server goes on over a change of keys. For columns of text."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, bytes] | None = None

    @property
    def secret(self) -> bytes:
        """The secrets, the newest first. Raises Invalid when the file cannot be read."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if self._read is None or self._read[0] != stamp:
                self._read = stamp, bytes.fromhex(self._path.read_text("ascii"))
        except (OSError, ValueError):
            raise Invalid(LOST) from None
        return self._read[1]

    def seal(self, use: str, text: str, about: str) -> str:
        """The text as it is kept; nothing, and what is sealed already, as it is."""
        if not text or text.startswith(MARK):
            return text
        return MARK + base64.urlsafe_b64encode(seal(self.secret, use.encode(), text, about)).decode()

    def open(self, use: str, kept: str, about: str) -> str:
        """The text that was kept; one that an earlier program kept in the clear as it is. Raises Invalid."""
        if not kept.startswith(MARK):
            return kept
        return opened(self.secret, use.encode(), _bytes(kept), about)

    def anew(self, use: str, kept: str, about: str) -> str:
        """The same text sealed by the newest secret, the very same when it is. Raises Invalid."""
        if kept.startswith(MARK) and of_newest(self.secret, _bytes(kept)):
            return kept
        return self.seal(use, self.open(use, kept, about), about)


def _bytes(kept: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(kept.removeprefix(MARK))
    except (binascii.Error, ValueError):
        raise Invalid(LOST) from None
