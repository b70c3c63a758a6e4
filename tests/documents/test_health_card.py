"""SMART Health Cards: minimal, signed, and checked here by undoing each step with another implementation."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey

from commonchart.documents import health_card
from commonchart.documents.vaccine_card import qr

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
KEY = health_card.new_key()
ISSUER = health_card.Issuer("https://chart.example", ECKey.import_key(KEY))
OTTO = {
    "resourceType": "Patient",
    "id": "otto",
    "name": [{"family": "Pebblewick", "given": ["Otto"]}],
    "birthDate": "2022-07-02",
    "address": [{"city": "Somewhere"}],
}


def dose(cvx: str, day: str, **more: Any) -> dict[str, Any]:
    coding = {"system": health_card.CVX, "code": cvx, "display": "some vaccine"}
    return {
        "resourceType": "Immunization", "id": "x", "status": "completed", "occurrenceDateTime": day,
        "vaccineCode": {"coding": [coding]}, "patient": {"reference": "Patient/otto"}, "note": [{"text": "private"}],
    } | more  # fmt: skip


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def opened(card: str) -> dict[str, Any]:
    """The payload, after the signature was checked with the published key only."""
    [public] = health_card.published([KEY])["keys"]
    header, body, signature = card.split(".")
    x, y = (int.from_bytes(unpadded(public[name])) for name in "xy")
    raw = unpadded(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    verifier = EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    verifier.verify(der, f"{header}.{body}".encode(), ECDSA(SHA256()))
    assert json.loads(unpadded(header)) == {"zip": "DEF", "alg": "ES256", "kid": public["kid"]}
    return dict(json.loads(zlib.decompress(unpadded(body), -15)))


def test_a_card_says_who_was_given_what_and_no_more() -> None:
    [card] = health_card.cards(OTTO, [dose("03", "2023-12-12T09:00:00Z", lotNumber="A1")], ISSUER, NOW)
    payload = opened(card)
    assert payload["iss"] == "https://chart.example"
    assert payload["nbf"] == int(NOW.timestamp())
    entries = payload["vc"]["credentialSubject"]["fhirBundle"]["entry"]
    assert [entry["fullUrl"] for entry in entries] == ["resource:0", "resource:1"]
    assert entries[0]["resource"] == {
        "resourceType": "Patient",
        "name": [{"family": "Pebblewick", "given": ["Otto"]}],
        "birthDate": "2022-07-02",
    }
    assert entries[1]["resource"] == {
        "resourceType": "Immunization",
        "status": "completed",
        "vaccineCode": {"coding": [{"system": health_card.CVX, "code": "03"}]},
        "patient": {"reference": "resource:0"},
        "occurrenceDateTime": "2023-12-12",
        "lotNumber": "A1",
    }


def test_a_changed_card_is_found_out() -> None:
    [card] = health_card.cards(OTTO, [dose("03", "2023-12-12")], ISSUER, NOW)
    header, body, signature = card.split(".")
    other = "A" if body[20] != "A" else "B"
    with pytest.raises(InvalidSignature):
        opened(f"{header}.{body[:20]}{other}{body[21:]}.{signature}")


def test_many_doses_make_several_codes_that_lose_none() -> None:
    doses = [
        dose(f"{n:02}", f"20{n % 25:02}-0{n % 9 + 1}-1{n % 9}", lotNumber=f"LOT{n * 7919}")
        for n in range(1, 60)
    ]
    found = health_card.cards(OTTO, doses, ISSUER, NOW)
    assert len(found) > 1
    assert all(len(card) <= health_card.MAX_SINGLE for card in found)
    entries = [e for card in found for e in opened(card)["vc"]["credentialSubject"]["fhirBundle"]["entry"]]
    codes = [
        e["resource"]["vaccineCode"]["coding"][0]["code"] for e in entries if "vaccineCode" in e["resource"]
    ]
    assert codes == [f"{n:02}" for n in range(1, 60)]


@pytest.mark.parametrize(
    "left_out",
    [dose("03", "2023-12-12", status="not-done"), dose("03", "2023-12-12", status="entered-in-error"), dose("03", ""),
     dose("", "2023-12-12")],
    ids=["not done", "in error", "no date", "no code"],
)  # fmt: skip
def test_what_was_not_given_or_has_no_code_or_date_is_not_certified(left_out: dict[str, Any]) -> None:
    assert health_card.cards(OTTO, [left_out], ISSUER, NOW) == []


def test_the_published_keys_hold_no_private_part() -> None:
    assert set(health_card.published([KEY])["keys"][0]) == {"kty", "kid", "use", "alg", "crv", "x", "y"}
    assert KEY["kid"] == ECKey.import_key(KEY).thumbprint()


def test_a_code_is_digits_after_its_scheme_and_no_larger_than_version_22() -> None:
    [card] = health_card.cards(OTTO, [dose("03", "2023-12-12")], ISSUER, NOW)
    text = health_card.numeric(card)
    digits = text.removeprefix("shc:/")
    assert "".join(chr(int(digits[n : n + 2]) + 45) for n in range(0, len(digits), 2)) == card
    assert qr(text).startswith("<svg")
    longest = "shc:/" + "56" * health_card.MAX_SINGLE
    assert f'viewBox="0 0 {4 * (17 + 4 * 22 + 8)} ' in qr(longest)
