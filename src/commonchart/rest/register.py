"""Dynamic client registration: JSON in, a client that waits out. RFC 7591, sections 2 and 3. Off unless the site says otherwise.

It is the page for developers in another form: the same checks, the same proof of the e-mail address (the first of `contacts`),
the same approval. A `client_secret` is never in the answer: the developer gets it, once, when the app is approved. Nothing that the
client says of its software is believed: a software statement is refused rather than passed over in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.requests import ClientDisconnect, Request

from commonchart.access.developers import registrations
from commonchart.access.developers.registrations import Wanted
from commonchart.access.oauth.apps import Audience, Kind, NewApp, tidy
from commonchart.access.oauth.denied import Denied
from commonchart.fhir import json
from commonchart.fhir.outcome import Invalid, Refused, Throttled
from commonchart.settings import client_address

MAX_BODY = 64 * 1024
METHODS: dict[str, Kind] = {"none": "public", "client_secret_basic": "secret", "private_key_jwt": "key"}
GRANTS = frozenset({"authorization_code", "refresh_token", "client_credentials"})
AUDIENCES = frozenset({"patient", "clinician", "both"})
NAMES = {
    "name": "client_name", "about": "client_about", "kind": "token_endpoint_auth_method", "launch_url": "initiate_login_uri",
    "scopes": "scope", "jwks_url": "jwks_uri", "terms_url": "tos_uri", "policy_url": "policy_uri", "email": "contacts",
    "developer": "contact_name",
}  # fmt: skip
"""What the fields of ours are called in the protocol; those not named are called alike."""


async def answer(request: Request) -> dict[str, Any]:
    """Register a client: its metadata as registered, with its client_id. Raises Denied, Throttled."""
    state = request.app.state
    said = await _said(request)
    wanted = _wanted(said)
    peer = request.client.host if request.client else ""
    where = client_address(state.settings, peer, request.headers.get("x-forwarded-for", ""))
    now, tenant = state.clock(), state.settings.tenant
    try:
        id, letter = await registrations.register(state.database, tenant, wanted, where, now, "protocol")
    except Invalid as refusal:
        raise _refused(refusal) from None
    if letter is None:
        raise Throttled("Too much was registered with this address: wait a day", seconds=86_400)
    return {"client_id": id, "client_id_issued_at": int(now.timestamp()), **_registered(wanted)}


async def _said(request: Request) -> Mapping[str, Any]:
    """The metadata. Raises Denied for what is no JSON object of a size that anybody sends."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Denied("invalid_client_metadata", "Send JSON: application/json")
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise Denied("invalid_client_metadata", "The metadata are too large")
    except ClientDisconnect:
        raise Denied("invalid_client_metadata", "The metadata broke off") from None
    try:
        found = json.decode(body)
    except Refused:
        raise Denied("invalid_client_metadata", "This is no JSON object") from None
    if not isinstance(found, dict):
        raise Denied("invalid_client_metadata", "This is no JSON object")
    return found


def _wanted(said: Mapping[str, Any]) -> Wanted:
    """The registration that the metadata ask for. Raises Denied."""
    if "software_statement" in said:
        raise Denied("invalid_software_statement", "software_statement is not supported: register without it")
    grants = _texts(said, "grant_types") or ("authorization_code",)
    if not GRANTS.issuperset(grants):
        raise Denied("invalid_client_metadata", f"grant_types are among {', '.join(sorted(GRANTS))}")
    backend = "client_credentials" in grants
    if backend and "authorization_code" in grants:
        raise Denied(
            "invalid_client_metadata", "A client has authorization_code or client_credentials, not both"
        )
    _responses(said, backend)
    app = NewApp(
        name=_text(said, "client_name"), about=_text(said, "client_about"), kind=_kind(said), audience=_audience(said, backend),
        redirect_uris=_texts(said, "redirect_uris"), launch_url=_text(said, "initiate_login_uri"), scopes=_text(said, "scope"),
        jwks=_keys(said), jwks_url=_text(said, "jwks_uri"), terms_url=_text(said, "tos_uri"), policy_url=_text(said, "policy_uri"),
    )  # fmt: skip
    contacts = _texts(said, "contacts")
    organization = _text(said, "organization") or _host(_text(said, "client_uri"))
    name = _text(said, "contact_name") or organization
    return Wanted(email=contacts[0] if contacts else "", name=name, organization=organization, app=app)


def _responses(said: Mapping[str, Any], backend: bool) -> None:
    given = _texts(said, "response_types")
    if given and (backend or given != ("code",)):
        raise Denied("invalid_client_metadata", "response_types is code, and for client_credentials none")


def _kind(said: Mapping[str, Any]) -> Kind:
    method = _text(said, "token_endpoint_auth_method") or "client_secret_basic"
    if method not in METHODS:
        raise Denied("invalid_client_metadata", f"token_endpoint_auth_method is one of {', '.join(METHODS)}")
    return METHODS[method]


def _audience(said: Mapping[str, Any], backend: bool) -> Audience:
    given = _text(said, "audience") or "both"
    if given not in AUDIENCES:
        raise Denied("invalid_client_metadata", f"audience is one of {', '.join(sorted(AUDIENCES))}")
    return "backend" if backend else given  # type: ignore[return-value]


def _keys(said: Mapping[str, Any]) -> str:
    keys = said.get("jwks")
    if keys is None:
        return ""
    if not isinstance(keys, dict):
        raise Denied("invalid_client_metadata", "jwks is a JWK set")
    return json.encode(keys).decode()


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name) or ""
    if not isinstance(value, str) or "\0" in value or len(value) > 20_000:
        raise Denied("invalid_client_metadata", f"{name} is a text")
    return value.strip()


def _texts(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = said.get(name) or []
    if not isinstance(value, list) or len(value) > 50 or not all(isinstance(one, str) for one in value):
        raise Denied("invalid_client_metadata", f"{name} is a list of texts")
    return tuple(_text({name: one}, name) for one in value)


def _host(uri: str) -> str:
    """The host of a page about the client, without its dots: a name of an organisation is no address."""
    try:
        host = urlsplit(uri).hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.").replace(".", " ")


def _refused(refusal: Invalid) -> Denied:
    """The refusal in the words of the protocol, by the first thing that is wrong. Section 3.2.2."""
    issue = refusal.issues[0]
    addresses = all(one.at == "redirect_uris" for one in refusal.issues)
    code = "invalid_redirect_uri" if addresses else "invalid_client_metadata"
    return Denied(code, f"{NAMES.get(issue.at, issue.at)}: {issue.message}")


def _registered(wanted: Wanted) -> dict[str, Any]:
    """The metadata as they are registered (section 3.2.1); what is not kept is not in it."""
    app = wanted.app
    backend = app.audience == "backend"
    method = next(name for name, kind in METHODS.items() if kind == app.kind)
    out: dict[str, Any] = {
        "client_name": app.name, "client_about": app.about, "organization": wanted.organization, "contact_name": wanted.name,
        "contacts": [registrations.address(wanted.email)], "token_endpoint_auth_method": method, "scope": tidy(app.scopes),
        "grant_types": ["client_credentials"] if backend else ["authorization_code", "refresh_token"],
        "response_types": [] if backend else ["code"], "redirect_uris": list(app.redirect_uris),
        "initiate_login_uri": app.launch_url, "jwks_uri": app.jwks_url, "tos_uri": app.terms_url, "policy_uri": app.policy_url,
        "registration_state": "waiting", "registration_note": NOTE,
    }  # fmt: skip
    if app.jwks:
        out["jwks"] = msgspec.json.decode(app.jwks)
    if not backend:
        out["audience"] = app.audience
    return {name: value for name, value in out.items() if value not in ("", [])} | {"response_types": out["response_types"]}  # fmt: skip


NOTE = (
    "A link went to the first of contacts: open it to confirm. Then an administrator approves the client, and its secret, if it "
    "has one, is shown once at the page that the link leads to. Until then every request of it is refused."
)
