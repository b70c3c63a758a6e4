"""Who is asking, through which client, for which organisation, for what purpose."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from commonchart.search.visible import Limit

Role = Literal[
    "clinician", "nurse", "front-desk", "billing", "lab", "quality", "administrator", "privacy-officer", "patient",
    "proxy", "system",
]  # fmt: skip
FOR_A_PATIENT = frozenset({"patient", "proxy"})


class Actor(Struct, frozen=True):
    """The one asking. `user` is an app_user id or a service name; `patient` is whose record it is for a patient or proxy.

    `network`: whether the site shares between organisations; None, not looked up, is decided as if it did. `refused`:
    some patient's consent shuts this very person out. `limits`: what an app was given (SMART scopes); None: no app.
    """

    tenant: int
    user: str
    name: str
    role: Role
    org: str
    client: str
    purpose: str = "TREAT"
    patient: str | None = None
    practitioner: str | None = None
    scopes: frozenset[str] = frozenset()
    network: bool | None = None
    refused: bool = False
    limits: tuple[Limit, ...] | None = None
