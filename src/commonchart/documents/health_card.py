"""SMART Health Cards: doses that were given, signed so that anybody can check who said so and that nothing was changed.

SMART Health Cards Framework 1.4 and its vaccination implementation guide: minimal resources without ids, texts and
displays, ES256 over raw-deflated JSON, `shc:/` and digits in a QR code of at most version 22.
"""

from __future__ import annotations

import json as plain_json
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey
from msgspec import Struct

MAX_SINGLE = 1195
# the header `zip` is the framework's own, which the library does not know
_REGISTRY = jws.JWSRegistry(strict_check_header=False)
CVX = "http://hl7.org/fhir/sid/cvx"
TYPES = ("https://smarthealth.cards#health-card", "https://smarthealth.cards#immunization")

Resource = dict[str, Any]


class Issuer(Struct, frozen=True):
    """Who signs: the address without a slash at its end, and the private key."""

    url: str
    key: ECKey


def new_key() -> dict[str, Any]:
    """A new private key (JWK, P-256) with the id that verifiers look for: its RFC 7638 thumbprint."""
    made = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True, auto_kid=True)
    return dict(made.as_dict(private=True))


def published(keys: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The JWK set for `/.well-known/jwks.json`: public parts only."""
    wanted = ("kty", "kid", "use", "alg", "crv", "x", "y")
    return {"keys": [{name: key[name] for name in wanted} for key in keys]}


def cards(patient: Resource, doses: Sequence[Resource], issuer: Issuer, now: datetime) -> list[str]:
    """JWSs that together hold all doses with a CVX code, each short enough for one QR code and complete in itself."""
    usable = [dose for dose in doses if _cvx(dose) and dose.get("status") == "completed" and _day(dose)]
    out: list[str] = []
    start = 0
    while start < len(usable):
        taken, card = _fitting(patient, usable[start:], issuer, now)
        out.append(card)
        start += taken
    return out


def _fitting(patient: Resource, doses: Sequence[Resource], issuer: Issuer, now: datetime) -> tuple[int, str]:
    """How many of the first doses fit into one code (at least one), and their card: by halving."""
    low, high = 1, len(doses)
    best = _signed(bundle(patient, doses[:1]), issuer, now)
    while low < high:
        middle = (low + high + 1) // 2
        made = _signed(bundle(patient, doses[:middle]), issuer, now)
        if len(made) <= MAX_SINGLE:
            low, best = middle, made
        else:
            high = middle - 1
    return low, best


def numeric(card: str) -> str:
    """A card as a QR code carries it: each character as two digits, its code less 45."""
    return "shc:/" + "".join(f"{ord(char) - 45:02}" for char in card)


def bundle(patient: Resource, doses: Sequence[Resource]) -> Resource:
    """The smallest Bundle that says who was given what and when."""
    who: Resource = {"resourceType": "Patient", "name": [_name(patient)]}
    if patient.get("birthDate"):
        who["birthDate"] = patient["birthDate"]
    resources = [who, *(_dose(dose) for dose in doses)]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"resource:{n}", "resource": one} for n, one in enumerate(resources)],
    }


def _name(patient: Resource) -> Resource:
    names = patient.get("name") or [{}]
    name = next((one for one in names if one.get("use") == "official"), names[0])
    kept = {part: name[part] for part in ("family", "given", "suffix") if name.get(part)}
    return kept or {"text": str(name.get("text") or "Name not recorded")}


def _dose(dose: Resource) -> Resource:
    out: Resource = {
        "resourceType": "Immunization",
        "status": "completed",
        "vaccineCode": {"coding": [{"system": CVX, "code": _cvx(dose)}]},
        "patient": {"reference": "resource:0"},
        "occurrenceDateTime": _day(dose),
    }
    if dose.get("lotNumber"):
        out["lotNumber"] = dose["lotNumber"]
    return out


def _cvx(dose: Resource) -> str:
    codings = (dose.get("vaccineCode") or {}).get("coding") or []
    return next((c["code"] for c in codings if c.get("system") == CVX and c.get("code")), "")


def _day(dose: Resource) -> str:
    return str(dose.get("occurrenceDateTime", ""))[:10]


def _signed(content: Resource, issuer: Issuer, now: datetime) -> str:
    subject = {"fhirVersion": "4.0.1", "fhirBundle": content}
    payload = {
        "iss": issuer.url,
        "nbf": int(now.timestamp()),
        "vc": {"type": list(TYPES), "credentialSubject": subject},
    }
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = squeeze.compress(_minified(payload)) + squeeze.flush()
    header = {"zip": "DEF", "alg": "ES256", "kid": issuer.key.kid}
    return jws.serialize_compact(header, body, issuer.key, registry=_REGISTRY)


def _minified(value: Any) -> bytes:
    return plain_json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
