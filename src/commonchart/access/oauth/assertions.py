"""Client assertions: a JWT by which a client proves who it is. SMART App Launch 2.2, client-confidential-asymmetric.

Everything that the header says about keys is ignored or refused: the key is one that was registered, and the algorithm is
the one that goes with it (hostile list, G1).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from msgspec import Struct

from commonchart.access.oauth.denied import UnknownClient
from commonchart.fhir.outcome import Invalid

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384")
LIVES = timedelta(minutes=5)
MAX_KEYS = 50
MAX_BYTES = 8192
KNOWN_HEADERS = frozenset({"alg", "kid", "typ", "jku"})

_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS))


class Key(Struct, frozen=True):
    """One public key, and the only algorithm it is used with."""

    kid: str
    alg: str
    key: Any


class Proof(Struct, frozen=True):
    """What an assertion proves: this client, by a `jti` that is of no use again until it expires."""

    client: str
    jti: str
    expires: datetime


def keys_of(text: bytes) -> list[Key]:
    """The usable keys of a JWK set, others left out. Raises Invalid for what is no set, or holds a private key."""
    try:
        found = json.loads(text)["keys"]
        entries = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Invalid("This is no JWK set: an object with a list named keys") from None
    if len(entries) > MAX_KEYS:
        raise Invalid(f"A JWK set has at most {MAX_KEYS} keys")
    if any(name in one for one in entries for name in ("d", "p", "q", "k")):
        raise Invalid("A JWK set holds public keys only; this one holds a private key, which is burnt now")
    made = [key for key in map(_key, entries) if key is not None]
    if not made:
        raise Invalid(
            "There is no key for RS384 (2048 bits or more) or ES384 (P-384) with a kid in this JWK set"
        )
    return made


def _key(entry: dict[str, Any]) -> Key | None:
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= 200 or entry.get("use", "sig") != "sig":
        return None
    wanted: dict[str, Any] = {
        name: entry[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in entry
    }
    try:
        if entry.get("kty") == "RSA" and entry.get("alg", "RS384") == "RS384":
            rsa = RSAKey.import_key(wanted)
            return Key(kid, "RS384", rsa) if 2048 <= rsa.raw_value.key_size <= 8192 else None
        if entry.get("kty") == "EC" and entry.get("crv") == "P-384" and entry.get("alg", "ES384") == "ES384":
            return Key(kid, "ES384", ECKey.import_key(wanted))
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None


def header_of(assertion: str) -> dict[str, Any]:
    """The header, not believed yet. Raises UnknownClient for one that is no compact JWS, or says more than it may."""
    if len(assertion) > MAX_BYTES or not assertion.isascii() or assertion.count(".") != 2:
        raise UnknownClient()
    try:
        header = dict(jws.extract_compact(assertion.encode(), registry=_REGISTRY).headers())
    except (JoseError, ValueError, TypeError, RecursionError):
        raise UnknownClient() from None
    texts = all(isinstance(value, str) for value in header.values())
    if not texts or set(header) - KNOWN_HEADERS or header.get("typ") != "JWT" or not header.get("kid"):
        raise UnknownClient(
            "The header of a client assertion has alg, kid and typ JWT, and at most jku besides"
        )
    if header.get("alg") not in ALGORITHMS:
        raise UnknownClient(f"A client assertion is signed by {' or '.join(ALGORITHMS)}")
    return header


def issuer_of(assertion: str) -> str:
    """Who it says it is from, not believed yet. Raises UnknownClient."""
    header_of(assertion)
    try:
        found = json.loads(jws.extract_compact(assertion.encode(), registry=_REGISTRY).payload)
    except (JoseError, ValueError, RecursionError):
        raise UnknownClient() from None
    client = found.get("iss") if isinstance(found, dict) else None
    if not isinstance(client, str) or not client.isprintable():
        raise UnknownClient()
    return client


def chosen(keys: Sequence[Key], header: dict[str, Any]) -> Key | None:
    """The one key with this kid for this algorithm; None for none. Raises UnknownClient for several."""
    fitting = [one for one in keys if one.kid == header["kid"] and one.alg == header["alg"]]
    if len(fitting) > 1:
        raise UnknownClient("Several keys have this kid")
    return fitting[0] if fitting else None


def proven(assertion: str, key: Key, client: str, audience: str, now: datetime) -> Proof:
    """What the assertion proves, its signature and claims checked. Raises UnknownClient."""
    try:
        made = jws.deserialize_compact(assertion.encode(), key.key, algorithms=[key.alg], registry=_REGISTRY)
        claims = json.loads(made.payload)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise UnknownClient() from None
    if not isinstance(claims, dict) or claims.get("iss") != client or claims.get("sub") != client:
        raise UnknownClient()
    named = claims.get("aud")
    if named != audience and named != [audience]:
        raise UnknownClient(f"aud is {audience}")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= 255 or not jti.isprintable():
        raise UnknownClient("A client assertion has a jti of its own")
    return Proof(client, jti, _expires(claims, now))


def _expires(claims: dict[str, Any], now: datetime) -> datetime:
    """When it ends. Raises UnknownClient unless it holds now, and ends within five minutes."""
    seconds = now.timestamp()
    ends, begins, made = (_moment(claims.get(name)) for name in ("exp", "nbf", "iat"))
    if ends is None or not seconds < ends <= seconds + LIVES.total_seconds():
        raise UnknownClient("exp lies ahead, by five minutes at most")
    if any(
        name in claims and (at is None or at > seconds + 5) for name, at in (("nbf", begins), ("iat", made))
    ):
        raise UnknownClient("The client assertion does not hold yet")
    return now + timedelta(seconds=ends - seconds)


def _moment(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        return None
    return float(value)
