"""The headers of a subscription at rest: sealed, and good only for the endpoint that they were given for.

So whoever reads the Subscription learns no token, and copying the sealed text into a Subscription of one's own sends it
nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from commonchart.exchange.subscriptions.plan import Plan
from commonchart.fhir.outcome import Invalid
from commonchart.record import sealed

if TYPE_CHECKING:
    from commonchart.record.sealed import Keys

USE = "subscription headers"


def sealed_in(keys: Keys | None, tenant: int, resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as it is kept. Raises Invalid for a sealed header that is not of this endpoint."""
    channel = resource.get("channel") or {}
    if keys is None or not channel.get("header"):
        return resource
    kept = [_sealed(keys, tenant, str(channel.get("endpoint", "")), text) for text in channel["header"]]
    return {**resource, "channel": {**channel, "header": kept}}


def sealed_plan(keys: Keys | None, tenant: int, plan: Plan) -> Plan:
    """The plan as it is kept, whichever way its Subscription came."""
    if keys is None or not plan.headers:
        return plan
    return replace(plan, headers=tuple(_sealed(keys, tenant, plan.endpoint, text) for text in plan.headers))


def _sealed(keys: Keys, tenant: int, endpoint: str, text: str) -> str:
    name, colon, value = text.partition(":")
    bare, about = value.strip(), _about(tenant, endpoint, name)
    if not colon:
        return text
    if bare.startswith(sealed.MARK):
        try:
            keys.open(USE, bare, about)
        except Invalid:
            raise Invalid(
                "This header was sealed for another endpoint: write its value again",
                at="Subscription.channel.header",
            ) from None
    return f"{name}: {keys.seal(USE, bare, about)}"


def opened(keys: Keys | None, tenant: int, endpoint: str, text: str) -> str:
    """The header as it is sent. Raises Invalid."""
    name, _, value = text.partition(":")
    if keys is None or not value.strip().startswith(sealed.MARK):
        return text
    return f"{name}: {keys.open(USE, value.strip(), _about(tenant, endpoint, name))}"


def anew(keys: Keys, tenant: int, endpoint: str, text: str) -> str:
    """The header sealed by the newest secret. Raises Invalid."""
    name, colon, value = text.partition(":")
    return f"{name}: {keys.anew(USE, value.strip(), _about(tenant, endpoint, name))}" if colon else text


def _about(tenant: int, endpoint: str, name: str) -> str:
    return f"{tenant} {name.strip().lower()} {endpoint}"
