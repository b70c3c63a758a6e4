"""Second factors at rest: sealed (`record.sealed`) where they must be read again, a keyed hash where they are only compared."""

from __future__ import annotations

import hmac
from hashlib import sha256

from commonchart.fhir.outcome import Invalid
from commonchart.record import sealed

USE = b"factors"


def seal(secret: bytes, text: str, about: str) -> bytes:
    """The text, encrypted and bound to `about` (an id): moved to another row it cannot be opened."""
    return sealed.seal(secret, USE, text, about)


def opened(secret: bytes, kept: bytes, about: str) -> str:
    """What was sealed. Raises Invalid when the secret of the installation is another one, or the row was changed."""
    try:
        return sealed.opened(secret, USE, kept, about)
    except Invalid:
        raise Invalid("The second factor cannot be read with the secret of this installation") from None


def keyed(secret: bytes, text: str, use: str) -> bytes:
    """A keyed hash of something random and short, useless without the installation's secret; by the newest secret."""
    return _hash(sealed.ring(secret)[0], text, use)


def marked(secret: bytes, text: str, use: str) -> list[bytes]:
    """The keyed hash by each secret, the newest first, each with the id of its secret in front."""
    return [sealed.id_of(one) + _hash(one, text, use) for one in sealed.ring(secret)]


def _hash(secret: bytes, text: str, use: str) -> bytes:
    return hmac.digest(sealed.key(secret, use.encode()), text.encode(), sha256)
