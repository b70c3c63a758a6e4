"""Who may do what: the policy as a table, for everybody who works here."""

from __future__ import annotations

from collections.abc import Collection

from starlette.responses import Response

from commonchart.access import permissions, policy
from commonchart.access.actors import FOR_A_PATIENT
from commonchart.web.call import Call
from commonchart.web.people.words import ROLES


async def page(call: Call) -> Response:
    """Roles by what they may do, by what they may see, and what else they may do."""
    return call.page(
        "people/roles.html", title="Who may do what", roles=[(role, ROLES[role]) for role in permissions.ROLES], own=FOR_A_PATIENT,
        groups=permissions.groups(), labelled=permissions.labelled(), rights=permissions.rights(), cell=cell,
    )  # fmt: skip


def cell(allowed: Collection[str]) -> str:
    """What is allowed, in words: "" for nothing."""
    held = set(allowed)
    parts = ["read"] if held >= policy.READ else sorted(held & policy.READ)
    parts += [
        words
        for action, words in (("create", "add"), ("update", "change"), ("delete", "delete"))
        if action in held
    ]
    return ", ".join(parts)
