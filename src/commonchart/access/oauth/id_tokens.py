"""ID tokens (OpenID Connect Core 1.0, RS256) and the keys they are signed by: the first signs, all are published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from msgspec import Struct

from commonchart.fhir.outcome import Invalid

LIVES = timedelta(hours=1)
BITS = 3072


class Signer(Struct, frozen=True):
    """Who signs: the issuer's address without a slash at its end, and the private key (JWK)."""

    issuer: str
    key: Mapping[str, Any]

    def signed(self, claims: Mapping[str, Any], audience: str, now: datetime) -> str:
        """A token for this client."""
        moment = int(now.timestamp())
        whole = {
            **claims, "iss": self.issuer, "aud": audience, "iat": moment,
            "exp": moment + int(LIVES.total_seconds()),
        }  # fmt: skip
        key = RSAKey.import_key(dict(self.key))
        return jwt.encode({"alg": "RS256", "kid": self.key["kid"]}, whole, key, algorithms=["RS256"])


def new_key() -> dict[str, Any]:
    """A new private key (JWK)."""
    made = RSAKey.generate_key(BITS, {"use": "sig", "alg": "RS256"}, private=True, auto_kid=True)
    return dict(made.as_dict(private=True))


def published(keys: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The JWK set: public parts only. Raises Invalid for a key that is none of these."""
    out = []
    for key in keys:
        try:
            RSAKey.import_key(dict(key))
            out.append({name: key[name] for name in ("kty", "kid", "use", "alg", "n", "e")})
        except (JoseError, ValueError, TypeError, KeyError):
            raise Invalid(
                "A key for id tokens is an RSA key (JWK) with a kid, use sig and alg RS256"
            ) from None
    return {"keys": out}
