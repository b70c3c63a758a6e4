"""What must be read again, at rest: AES-256-GCM with a key made from the installation's secret (RFC 5869, NIST SP 800-38D)."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from commonchart.fhir.outcome import Invalid

NONCE = 12


def _key(secret: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"commonchart " + use).derive(secret)


def seal(secret: bytes, text: str, about: str) -> bytes:
    """The text, encrypted and bound to `about` (an id): moved to another row it cannot be opened."""
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(_key(secret, b"factors")).encrypt(nonce, text.encode(), about.encode())


def opened(secret: bytes, sealed: bytes, about: str) -> str:
    """What was sealed. Raises Invalid when the secret of the installation is another one, or the row was changed."""
    try:
        return (
            AESGCM(_key(secret, b"factors")).decrypt(sealed[:NONCE], sealed[NONCE:], about.encode()).decode()
        )
    except InvalidTag:
        raise Invalid("The second factor cannot be read with the secret of this installation") from None


def keyed(secret: bytes, text: str, use: str) -> bytes:
    """A keyed hash of something random and short, useless without the installation's secret."""
    return hmac.digest(_key(secret, use.encode()), text.encode(), sha256)
