"""Who is asking, through which client, for which organisation, for what purpose."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Role = Literal["clinician", "front-desk", "administrator", "patient", "system"]


class Actor(Struct, frozen=True):
    """The one asking. `user` is an app_user id or a service name; `patient` is set for the role patient only.

    Through an app, `app` is the id of what the person allowed it: then no more than `scopes` is allowed, and none means
    nothing; `context` is the patient that its `patient/` scopes are about.
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
    app: str = ""
    context: str | None = None
