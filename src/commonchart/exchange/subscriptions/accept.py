"""May this Subscription be stored? Asked before it is written, and again before the first thing is told (hostile A31, H1)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from commonchart.access import policy
from commonchart.access.actors import FOR_A_PATIENT, Actor
from commonchart.exchange.egress import Guard, Unanswered, header
from commonchart.exchange.rules import guard_of
from commonchart.exchange.subscriptions.headers import sealed_in
from commonchart.exchange.subscriptions.plan import Plan, address_of, patients_named, plan_of
from commonchart.exchange.subscriptions.topics import BY_URL
from commonchart.fhir.outcome import Forbidden, Invalid, Refused, TooCostly
from commonchart.fhir.validate import Valid, validate
from commonchart.record import site
from commonchart.record.site import SMTP

if TYPE_CHECKING:
    from commonchart.access.records import Transaction
    from commonchart.record.database import Connection

MAX_EACH = 200
EMAIL_FULL = "subscription_email_full"


async def admitted(tx: Transaction, valid: Valid) -> Valid:
    """What a client's write stores: a Subscription as `accept` leaves it, anything else as it is. Raises as `accept`."""
    if valid.rtype != "Subscription":
        return valid
    tx.about = ("create", "Subscription", str(valid.resource.get("id", "")))  # what a refusal leaves a row of
    return validate(await accept(tx.conn, tx.records.actor, valid.resource, tx.records.clock()))


async def accept(
    conn: Connection, actor: Actor, resource: dict[str, Any], now: datetime, guard: Guard | None = None
) -> dict[str, Any]:
    """The resource with the status it begins in. Raises Invalid or Forbidden naming the rule, and where."""
    if resource.get("status") == "off":
        return sealed_in(conn.keys, actor.tenant, resource)
    plan = plan_of(resource)
    await check(conn, actor, plan, now, guard)
    await _few(conn, actor)
    return {**sealed_in(conn.keys, actor.tenant, resource), "status": "requested"}


async def check(
    conn: Connection,
    actor: Actor,
    plan: Plan,
    now: datetime,
    guard: Guard | None = None,
    *,
    looked_up: bool = True,
) -> None:
    """Raises Invalid or Forbidden when the plan may not be carried out for this actor.

    Unless `looked_up`, the name of the endpoint is left to the handshake, which looks it up in any case.
    """
    if plan.ends is not None and plan.ends <= now:
        raise Invalid("The end has passed already", at="Subscription.end")
    for trigger in BY_URL[plan.topic].triggers:
        if not policy.allowed(actor, "read", trigger.rtype):
            raise Forbidden(f"Your role does not allow read of {trigger.rtype}", at="Subscription.criteria")
    if actor.role in FOR_A_PATIENT and patients_named(plan) != frozenset({actor.patient}):
        raise Forbidden(
            "Narrow the topic to your own record by a filter on patient", at="Subscription.criteria"
        )
    types = [trigger.rtype for trigger in BY_URL[plan.topic].triggers]
    if policy.of_one_patient(actor, types) and patients_named(plan) != frozenset({actor.context}):
        raise Forbidden(
            "Narrow the topic to the patient of the app by a filter on patient", at="Subscription.criteria"
        )
    for text in plan.headers:
        _at("channel.header", header, text)
    if plan.channel == "rest-hook":
        await _endpoint(guard or await guard_of(conn, actor.tenant), plan, looked_up)
    elif plan.channel == "email":
        await _email(conn, actor.tenant, plan)


def _at(place: str, check: Any, *given: Any) -> None:
    """Run a check whose refusal names this place."""
    try:
        check(*given)
    except Refused as refusal:
        raise Forbidden(str(refusal), at=f"Subscription.{place}") from None


async def _endpoint(guard: Guard, plan: Plan, looked_up: bool) -> None:
    try:
        guard.readable(plan.endpoint)
        if looked_up:
            await guard.check(plan.endpoint)
    except Forbidden as refusal:
        raise Forbidden(str(refusal), at="Subscription.channel.endpoint") from None
    except Unanswered as error:
        raise Invalid(str(error), at="Subscription.channel.endpoint") from None


async def _email(conn: Connection, tenant: int, plan: Plan) -> None:
    address_of(plan.endpoint)
    if not await site.get(conn, tenant, SMTP):
        raise Invalid(
            "This site has no mail server set up", at="Subscription.channel.type", code="not-supported"
        )
    if plan.content == "full-resource" and await site.get(conn, tenant, EMAIL_FULL) != "true":
        raise Forbidden(
            "This site sends no records by e-mail: ask for id-only or empty",
            at="Subscription.channel.payload",
        )


async def _few(conn: Connection, actor: Actor) -> None:
    cursor = await conn.execute(
        "SELECT count(*) FROM subscription_state WHERE tenant = %s AND user_id = %s AND state <> 'off'",
        (actor.tenant, actor.user),
    )
    row = await cursor.fetchone()
    if row is not None and row[0] >= MAX_EACH:
        raise TooCostly(f"One user has at most {MAX_EACH} subscriptions")
