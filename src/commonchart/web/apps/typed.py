"""An app as somebody types it, on the form of an administrator or of a developer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.datastructures import FormData

from commonchart.access.oauth.apps import NewApp
from commonchart.fhir.outcome import Invalid, Issue

FIELDS = (
    "name", "about", "kind", "audience", "redirect_uris", "launch_url", "scopes", "jwks_url", "jwks", "terms_url", "policy_url",
)  # fmt: skip
LABELS = {
    "about": "What it does", "redirect_uris": "Redirect addresses", "launch_url": "Launch address", "scopes": "Scopes",
    "jwks_url": "Address of its public keys", "jwks": "Public keys (JWK set)", "terms_url": "Terms of use",
    "policy_url": "Privacy policy",
}  # fmt: skip
LONGEST = 20_000
KINDS = [
    ("public", "By nothing: it runs in a browser or on a phone (PKCE protects it)"),
    ("secret", "By a secret that it keeps on its server"),
    ("key", "By signing with its own key (best)"),
]
AUDIENCES = [
    ("clinician", "Clinicians and other staff"),
    ("patient", "Patients"),
    ("both", "Both"),
    ("backend", "Nobody: it is a program that works by itself"),
]
DEFAULTS = {"kind": "public", "audience": "clinician"}


def read(sent: FormData, names: Iterable[str] = FIELDS) -> dict[str, str]:
    """The fields that were sent, without NUL, which PostgreSQL does not keep."""
    found = {name: sent.get(name, "") for name in names}
    return {name: value.replace("\0", "") for name, value in found.items() if isinstance(value, str)}


def app(typed: Mapping[str, str]) -> NewApp:
    """The app. Raises Invalid for a field that is longer than anybody types."""
    long = [name for name, value in typed.items() if len(value) > LONGEST]
    if long:
        raise Invalid(
            issues=[Issue("too-long", "This is longer than an app is registered with", n) for n in long]
        )
    rest = {name: text for name, text in typed.items() if name in FIELDS and name not in ("redirect_uris", "scopes")}  # fmt: skip
    return NewApp(
        **(dict.fromkeys(("name",), "") | rest),  # type: ignore[arg-type]
        redirect_uris=tuple(typed.get("redirect_uris", "").split()),
        scopes=" ".join(typed.get("scopes", "").split()),
    )


def of_app(new: NewApp) -> dict[str, str]:
    """The fields as a form shows them again."""
    lines = "\n".join(new.redirect_uris)
    return {name: getattr(new, name) for name in FIELDS} | {"redirect_uris": lines}


def issues_of(refusal: Invalid) -> list[tuple[str, str]]:
    """What is wrong, as a page lists it."""
    return [(issue.at, issue.message) for issue in refusal.issues]


def errors_of(issues: list[tuple[str, str]]) -> dict[str, str]:
    """The first of them at each field."""
    return {at: message for at, message in reversed(issues) if at}
