"""What a SMART app has to know before it can ask. https://hl7.org/fhir/smart-app-launch/conformance.html."""

from __future__ import annotations

from typing import Any

import msgspec

from commonchart.access import scopes
from commonchart.access.oauth.assertions import ALGORITHMS

HEADERS = {"content-type": "application/json", "cache-control": "public, max-age=300"}
CAPABILITIES = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)
GRANTS = ["authorization_code", "refresh_token", "client_credentials"]
METHODS = ["client_secret_basic", "private_key_jwt", "none"]
# no more than examples: every type and every letter may be asked for
SUPPORTED = [
    *sorted(scopes.SPECIAL - {"launch/encounter"}),
    "patient/*.rs",
    "patient/*.cruds",
    "user/*.rs",
    "user/*.cruds",
    "system/*.rs",
]


def configuration(address: str, settings: Any) -> bytes:
    """`.well-known/smart-configuration` of the server at this address."""
    signs = bool(getattr(settings, "token_keys", ()))
    out: dict[str, Any] = {
        "authorization_endpoint": f"{address}/oauth/authorize",
        "token_endpoint": f"{address}/oauth/token",
        "introspection_endpoint": f"{address}/oauth/introspect",
        "revocation_endpoint": f"{address}/oauth/revoke",
        "management_endpoint": f"{address}/connected-apps",
        "grant_types_supported": GRANTS,
        "response_types_supported": ["code"],
        "scopes_supported": SUPPORTED,
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "capabilities": [*CAPABILITIES, *(["sso-openid-connect"] if signs else [])],
    }
    out |= _registration(address, settings)
    if signs:
        out |= {"issuer": address, "jwks_uri": f"{address}/oauth/jwks.json"}
    return msgspec.json.encode(out)


def _registration(address: str, settings: Any) -> dict[str, str]:
    """Where clients register themselves (RFC 7591), on a site that lets them."""
    on = getattr(settings, "dynamic_registration", "off") == "on"
    return {"registration_endpoint": f"{address}/oauth/register"} if on else {}


def openid_configuration(address: str, settings: Any) -> bytes:
    """`.well-known/openid-configuration` (OpenID Connect Discovery 1.0)."""
    return msgspec.json.encode(
        _registration(address, settings)
        | {
            "issuer": address,
            "authorization_endpoint": f"{address}/oauth/authorize",
            "token_endpoint": f"{address}/oauth/token",
            "jwks_uri": f"{address}/oauth/jwks.json",
            "introspection_endpoint": f"{address}/oauth/introspect",
            "revocation_endpoint": f"{address}/oauth/revoke",
            "response_types_supported": ["code"],
            "grant_types_supported": GRANTS,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": METHODS,
            "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": SUPPORTED,
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser", "name"],
        }
    )
