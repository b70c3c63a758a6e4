"""SMART Health Links: the link that carries its key, and files sealed with it. Pure.

https://docs.smarthealthit.org/smart-health-links/spec: the payload is minified JSON in base64url after `shlink:/`; files are
compact JWE (`dir`, A256GCM, deflated) with the same key for as long as the link lives.
"""

from __future__ import annotations

import json as plain_json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.jwk import OctKey

LONGEST_URL, LONGEST_LABEL = 128, 80
FHIR = "application/fhir+json"
_ALGORITHMS = ["dir", "A256GCM", "DEF"]


def key_of(token: str, salt: bytes) -> bytes:
    """The key of a link (32 bytes), from its token: who keeps only a hash of the token does not keep the key either."""
    return HKDF(SHA256(), 32, salt, b"commonchart health link").derive(token.encode())


def link(url: str, key: bytes, expires: datetime, label: str, *, passcode: bool) -> str:
    """The `shlink:/` address; long-term, since what it shows is the record as it is when it is opened. Raises ValueError."""
    if len(url) > LONGEST_URL:
        raise ValueError("the address of the manifest is longer than a health link may carry")
    payload = {
        "url": url,
        "key": _text(key),
        "exp": int(expires.timestamp()),
        "flag": "LP" if passcode else "L",
        "label": label[:LONGEST_LABEL],
        "v": 1,
    }
    return "shlink:/" + _text(plain_json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode())


def payload_of(address: str) -> dict[str, Any]:
    """What a `shlink:/` address carries, with or without the address of a viewer before it. Raises ValueError."""
    _, found, text = address.rpartition("shlink:/")
    if not found:
        raise ValueError("this is no health link")
    made: dict[str, Any] = plain_json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return made


def sealed(content: bytes, key: bytes, kind: str = FHIR) -> str:
    """A file as compact JWE; a new initialisation vector each time."""
    header = {"alg": "dir", "enc": "A256GCM", "cty": kind, "zip": "DEF"}
    return jwe.encrypt_compact(header, content, OctKey.import_key(key), algorithms=_ALGORITHMS)


def opened(file: str, key: bytes) -> bytes:
    """What is in a sealed file. Raises joserfc.errors.JoseError with another key, or when it was changed."""
    found = jwe.decrypt_compact(file, OctKey.import_key(key), algorithms=_ALGORITHMS)
    return found.plaintext or b""


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
