"""Who is asking, through which client, for which organisation, for what purpose."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Role = Literal["clinician", "front-desk", "administrator", "patient", "system"]


class Actor(Struct, frozen=True):
    """The one asking. `user` is an app_user id or a service name; `patient` is set for the role patient only."""

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
