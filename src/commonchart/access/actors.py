"""Who is asking, through which client, for which organisation, for what purpose."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Role = Literal[
    "clinician", "nurse", "front-desk", "billing", "lab", "quality", "administrator", "privacy-officer", "patient",
    "proxy", "system",
]  # fmt: skip
FOR_A_PATIENT = frozenset({"patient", "proxy"})
# what these roles look for, where nothing else is said (v3-PurposeOfUse); all others for treatment
PURPOSES = {
    "patient": "PATRQT", "proxy": "PATRQT", "administrator": "HOPERAT", "privacy-officer": "HOPERAT", "quality": "HOPERAT", "billing": "HPAYMT",
}  # fmt: skip
TREATMENT = "TREAT"


class Actor(Struct, frozen=True):
    """The one asking. `user` is an app_user id or a service name; `patient` is whose record it is for a patient or proxy.

    `network`: whether the site shares between organisations; None, not looked up, is decided as if it did. `refused`:
    some patient's consent shuts this very person out. Through an app, `app` is the id of what the person allowed it: then
    no more than `scopes` is allowed, and none means nothing; `context` is the patient that its `patient/` scopes are about.
    `membership`: by which row of whom they work for `role` and `org` are so, "" for the program itself.
    """

    tenant: int
    user: str
    name: str
    role: Role
    org: str
    client: str
    purpose: str = TREATMENT
    patient: str | None = None
    practitioner: str | None = None
    scopes: frozenset[str] = frozenset()
    network: bool | None = None
    refused: bool = False
    app: str = ""
    context: str | None = None
    membership: str = ""


def nobody(tenant: int, client: str = "web") -> Actor:
    """Somebody who was not recognised, at the door of this tenant."""
    return Actor(tenant, "", "", "system", "", client)
