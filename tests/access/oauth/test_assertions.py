"""G1: what is wrong with a client assertion, one thing at a time; and the property that only the right key proves anything."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from commonchart.access.oauth.assertions import chosen, header_of, keys_of, proven
from commonchart.access.oauth.denied import UnknownClient
from commonchart.fhir.outcome import Invalid
from tests.conftest import Clock
from tests.smart import assertion, ec_key, public, rsa_key

URL = "http://test/oauth/token"
RSA, EC, OTHER = rsa_key(), ec_key(), rsa_key()
ANY = RSAKey.import_key(RSA.as_pem(private=True), {"kid": "k1"})
CLOCK = Clock()
NOW = int(CLOCK().timestamp())


def judged(text: str, *keys: Any, client: str = "app") -> str:
    """The jti that was proven. Raises UnknownClient."""
    header = header_of(text)
    key = chosen(keys_of(public(*keys).encode()), header)
    if key is None:
        raise UnknownClient
    return proven(text, key, client, URL, CLOCK()).jti


def raw(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


CLAIMS = {"iss": "app", "sub": "app", "aud": URL, "exp": NOW + 200, "jti": "j"}


@pytest.mark.parametrize("key", [RSA, EC])
def test_a_right_one_proves_its_client(key: Any) -> None:
    assert judged(assertion("app", key, CLOCK, jti="j1"), RSA, EC) == "j1"
    assert judged(assertion("app", key, CLOCK, jti="j2", aud=[URL], iat=NOW, nbf=NOW), RSA, EC) == "j2"


@pytest.mark.parametrize(
    "claims",
    [{"iss": "other"}, {"sub": "other"}, {"iss": None}, {"sub": None}, {"aud": None}, {"aud": "http://other/oauth/token"}, {"aud": [URL, "http://other"]},
     {"aud": "http://test/oauth/token/"}, {"exp": None}, {"exp": NOW}, {"exp": NOW - 1}, {"exp": NOW + 301}, {"exp": str(NOW + 100)}, {"exp": True}, {"exp": 1e300},
     {"nbf": NOW + 60}, {"iat": NOW + 60}, {"nbf": "soon"}, {"jti": None}, {"jti": ""}, {"jti": 5}, {"jti": "x" * 256}, {"jti": "a\0b"}],
)  # fmt: skip
def test_each_claim_is_held(claims: dict[str, Any]) -> None:
    with pytest.raises(UnknownClient):
        judged(assertion("app", RSA, CLOCK, **claims), RSA)


@pytest.mark.parametrize(
    "header",
    [{"typ": None}, {"typ": "at+jwt"}, {"typ": "JOSE"}, {"kid": None}, {"kid": ""}, {"kid": "k2"}, {"kid": "../../etc/passwd"}, {"kid": "k1' OR '1'='1"},
     {"kid": "https://evil.example/keys"}, {"jwk": {"kty": "oct", "k": "AA"}}, {"x5u": "https://evil.example/c"}, {"x5c": ["AA"]}, {"crit": ["exp"]},
     {"zip": "DEF"}, {"b64": False}],
)  # fmt: skip
def test_the_header_chooses_nothing(header: dict[str, Any]) -> None:
    signed = {"alg": "RS384", "kid": "k1", "typ": "JWT", **header}
    signed = {name: value for name, value in signed.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=["RS384"], strict_check_header=False)
    try:
        text = jws.serialize_compact(signed, json.dumps(CLAIMS), RSA, algorithms=["RS384"], registry=registry)
    except Exception:  # the library refuses to make it: then by hand
        text = raw(signed, CLAIMS, b"x" * 256)
    with pytest.raises(UnknownClient):
        judged(text, RSA)


def test_no_other_algorithm_and_no_other_key() -> None:
    head, body, _ = raw({"alg": "HS256", "kid": "k1", "typ": "JWT"}, CLAIMS).split(".")
    mac = hmac.digest(RSA.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    p256 = ECKey.generate_key("P-256", {"kid": "e1", "use": "sig"})
    tries = [
        forged, raw({"alg": "none", "kid": "k1", "typ": "JWT"}, CLAIMS), raw({"alg": "RS384", "kid": "k1", "typ": "JWT"}, CLAIMS),
        assertion("app", OTHER, CLOCK), assertion("app", ANY, CLOCK, alg="RS256"), assertion("app", p256, CLOCK, alg="ES256"),
        raw({"alg": "ES384", "kid": "e1", "typ": "JWT"}, CLAIMS, b"\0" * 96), assertion("app", RSA, CLOCK) + ".x.y", "a.b.c", "", "x" * 9000, "\u00e9.b.c",
        json.dumps({"payload": "x", "signatures": []}), assertion("app", RSA, CLOCK)[:-8] + "AAAAAAAA",
    ]  # fmt: skip
    for text in tries:
        with pytest.raises(UnknownClient):
            judged(text, RSA, EC)
    with pytest.raises(UnknownClient):
        judged(assertion("app", RSA, CLOCK), RSA, OTHER)  # two keys of one kid
    with pytest.raises(UnknownClient):
        judged(assertion("app", RSA, CLOCK), RSA, client="other")


def test_a_key_set_is_read_with_care() -> None:
    for text in (
        "",
        "[]",
        "{}",
        '{"keys": 5}',
        '{"keys": []}',
        '{"keys": [{"kty": "RSA"}]}',
        "[" * 100_000,
        json.dumps({"keys": [{}] * 51}),
    ):
        with pytest.raises(Invalid):
            keys_of(text.encode())
    with pytest.raises(Invalid, match="private"):
        keys_of(json.dumps({"keys": [RSA.as_dict(private=True)]}).encode())
    encrypting = {**RSA.as_dict(private=False), "use": "enc"}
    unnamed = {**EC.as_dict(private=False), "kid": ""}
    with pytest.raises(Invalid):
        keys_of(json.dumps({"keys": [encrypting, unnamed]}).encode())
    assert [key.alg for key in keys_of(public(RSA, EC).encode())] == ["RS384", "ES384"]
