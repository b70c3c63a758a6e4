"""TLS: a development certificate that a client can check, 1.2 and up, and HSTS on every answer."""

from __future__ import annotations

import ssl
import warnings
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from commonchart import app as wiring
from commonchart.cli.serve import tls_of
from commonchart.fhir.outcome import Invalid
from commonchart.ops import certificates
from commonchart.record.database import Database
from commonchart.settings import Settings
from tests.conftest import Clock
from tests.live import free_port, served
from tests.smart import TOKEN_KEY


def test_https_from_1_2_on_with_a_certificate_that_can_be_checked(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    cert, key = certificates.development(tmp_path, datetime.now(UTC))
    assert key.stat().st_mode & 0o777 == 0o600
    port = free_port()
    settings = Settings(tmp_path, port=port, tls_cert=str(cert), tls_key=str(key), token_keys=(TOKEN_KEY,))
    assert settings.address == f"https://127.0.0.1:{port}"
    app = wiring.build(settings, Database.opened_later(database_url), clock)
    with served(app, port, **tls_of(settings)) as address:
        context = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(verify=context) as client:
            for path in (
                "/fhir/metadata",
                "/sign-in",
                "/.well-known/openid-configuration",
                "/oauth/jwks.json",
            ):
                answer = client.get(f"{address}{path}")
                assert answer.status_code == 200, path
                assert answer.headers["strict-transport-security"].startswith("max-age="), path
            said = client.get(f"{address}/fhir/.well-known/smart-configuration").json()
            assert said["token_endpoint"] == f"{address}/oauth/token"
            client.cookies.clear()
            assert "secure" in client.get(f"{address}/sign-in").headers["set-cookie"].lower()
        for version, works in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
            assert _speaks(address, version) is works


def _speaks(address: str, version: ssl.TLSVersion) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    try:
        return httpx.get(f"{address}/health", verify=context).status_code == 200
    except httpx.TransportError:
        return False


def test_a_key_that_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    cert, _ = certificates.development(tmp_path, datetime.now(UTC))
    with pytest.raises(Invalid, match="TLS"):
        tls_of(Settings(tmp_path, tls_cert=str(cert), tls_key=str(cert)))
