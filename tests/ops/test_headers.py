"""No answer of any door leaves without its security headers: pages, API, files, downloads, refusals, what is not there."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from tests.hostile import doors
from tests.hostile.conftest import filled

STRICT = (
    "x-content-type-options",
    "content-security-policy",
    "x-frame-options",
    "referrer-policy",
    "cache-control",
)
PUBLIC = ("/static/", "/.well-known/", "/oauth/jwks.json", "/oauth/style.json", "/fhir/.well-known/")
"""What anybody may keep: it holds nothing of anybody."""


@pytest.fixture
def application(tmp_path: Path) -> Starlette:
    return doors.application(tmp_path)


def asked(application: Starlette) -> list[tuple[str, str]]:
    """Every route by its own methods and by wrong ones, every FHIR address, and what nobody answers."""
    routes = [opening.split(" ") for opening in doors.of_application(application)]
    fhir = [opening.split(" ") for opening in doors.of_fhir()]
    out = [(method, path) for method, path in routes if method != "WEBSOCKET"]
    out += [(method, path) for _, path in routes for method in ("HEAD", "DELETE", "OPTIONS", "TRACE")]
    out += [
        ("GET" if method.startswith("$") else method, path.replace("/T", "/Patient")) for method, path in fhir
    ]
    return [
        *out,
        ("GET", "/nothing"),
        ("GET", "/patients/"),
        ("GET", "/.git/config"),
        ("GET", "/me/"),
        ("POST", "/fhir/"),
    ]


async def test_every_answer_has_its_headers(application: Starlette) -> None:
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    wrong = []
    async with httpx.AsyncClient(transport=transport, base_url="https://test") as client:
        for method, path in asked(application):
            answer = await client.request(method, filled(path))
            said = answer.headers
            missing = [name for name in (*STRICT, "strict-transport-security") if name not in said]
            kept = "no-store" not in said.get("cache-control", "") and not path.startswith(PUBLIC)
            policy = said.get("content-security-policy", "")
            open_ = (
                "frame-ancestors 'none'" not in policy
                or "default-src 'none'" not in policy
                or "unsafe" in policy
            )
            if missing or kept or open_ or said.get("x-frame-options") != "DENY":
                wrong.append((method, path, answer.status_code, missing, kept, open_))
    assert wrong == []


async def test_a_scheme_that_is_not_https_promises_none(application: Starlette) -> None:
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("/health/live", "/fhir/metadata", "/nothing", "/sign-in"):
            assert "strict-transport-security" not in (await client.get(path)).headers


async def test_no_answer_names_the_host_that_was_claimed(application: Starlette) -> None:
    """C1: a redirect, a link or a page that a cache keeps never leads to where the request pretends to be."""
    application.state.settings = _at(application, "https://chart.example")
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    wrong = []
    async with httpx.AsyncClient(transport=transport, base_url="https://evil.example") as client:
        for method, path in asked(application):
            answer = await client.request(method, filled(path), headers={"x-forwarded-host": "evil.example"})
            if "evil.example" in answer.text + str(answer.headers):
                wrong.append((method, path))
    assert wrong == []


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(application: Starlette) -> None:
    """Every `set_cookie` of the program says HttpOnly, SameSite and, over TLS, Secure."""
    import ast

    said = [
        (path, {keyword.arg for keyword in node.keywords})
        for path, tree in doors.modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "set_cookie"
    ]
    assert said
    assert [path for path, named in said if not {"httponly", "samesite", "secure"} <= named] == []


def _at(application: Starlette, address: str) -> object:
    from msgspec.structs import replace

    return replace(application.state.settings, base_url=address)
