"""Who may do what, as data: role x interaction x resource type, and role x label. Denied unless written here (DESIGN 9).

How far an organisation sees beyond its own records is decided by the statements themselves (`search.visible`); here is
who is asking. See docs/explain/who-sees-what.md.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache

from msgspec import Struct

from commonchart.access.actors import FOR_A_PATIENT, Actor
from commonchart.access.consent import purposes_of
from commonchart.care.labels import UNREAD, mask
from commonchart.fhir.definitions import r4
from commonchart.search.visible import Beyond, Visible

READ = frozenset({"read", "search", "history"})
WRITE = frozenset({"create", "update", "delete"})
ACTIONS = READ | WRITE

# resources that say who and where, not what is the matter with whom
DIRECTORY = frozenset(
    {
        "Organization",
        "Practitioner",
        "PractitionerRole",
        "Location",
        "HealthcareService",
        "Endpoint",
        "OrganizationAffiliation",
    }
)
DESK = frozenset(
    {
        "Patient",
        "RelatedPerson",
        "Coverage",
        "Account",
        "Appointment",
        "AppointmentResponse",
        "Schedule",
        "Slot",
        "Encounter",
    }
)
MONEY = frozenset(
    {
        "Account", "ChargeItem", "ChargeItemDefinition", "Claim", "ClaimResponse", "Contract", "Coverage",
        "CoverageEligibilityRequest", "CoverageEligibilityResponse", "EnrollmentRequest", "EnrollmentResponse",
        "ExplanationOfBenefit", "InsurancePlan", "Invoice", "PaymentNotice", "PaymentReconciliation",
    }
)  # fmt: skip
# what a bill has to say
BILLED = frozenset({"Condition", "Procedure", "Immunization", "ServiceRequest", "Observation"})
LABORATORY = frozenset(
    {
        "Observation",
        "DiagnosticReport",
        "Specimen",
        "ServiceRequest",
        "Task",
        "Media",
        "ImagingStudy",
        "BodyStructure",
    }
)
CONSENTS = frozenset({"Consent", "Provenance", "Communication", "Task"})
# what the patient role reads beside its own compartment
KNOWN_TO_PATIENTS = DIRECTORY | {"Medication"}
# never written by a client: the record makes them itself
OURS = frozenset({"AuditEvent"})
# the program's own acts, behind which no user stands; they see all of a tenant
PROGRAM = frozenset({"cli", "commonchart", "demo"})


class Grant(Struct, frozen=True):
    """Interactions that are allowed on a set of types; `types` None means every type."""

    actions: frozenset[str]
    types: frozenset[str] | None = None


_ADD = frozenset({"create", "update"})
_DESK = (Grant(READ, DESK | DIRECTORY), Grant(_ADD, DESK))
GRANTS: dict[str, tuple[Grant, ...]] = {
    "clinician": (Grant(ACTIONS),),
    "nurse": (Grant(ACTIONS),),
    "administrator": (Grant(ACTIONS),),
    "system": (Grant(ACTIONS),),
    "front-desk": _DESK,
    "billing": (Grant(READ, DESK | DIRECTORY | MONEY | BILLED), Grant(_ADD, MONEY)),
    "lab": (Grant(READ, DIRECTORY | LABORATORY | {"Patient", "Encounter"}), Grant(_ADD, LABORATORY)),
    "quality": (Grant(READ),),
    "privacy-officer": (Grant(READ), Grant(_ADD, CONSENTS)),
    "patient": (Grant(READ),),
    "proxy": (Grant(READ),),
}

_SENSITIVE = ("part2", "psychotherapy", "hiv", "reproductive", "adolescent", "violence", "restricted", "very-restricted", "mental-health")  # fmt: skip
# labels that a role does not see even in its own organisation, unless it wrote the version itself
HIDDEN: dict[str, tuple[str, ...]] = {
    "clinician": ("psychotherapy",),
    "nurse": ("psychotherapy",),
    "administrator": ("psychotherapy",),
    "privacy-officer": ("psychotherapy",),
    "system": (),
    "front-desk": _SENSITIVE,
    "billing": ("psychotherapy", "restricted", "very-restricted"),
    "lab": ("psychotherapy", "part2", "very-restricted"),
    "quality": ("psychotherapy", "very-restricted", "vip"),
    "patient": ("psychotherapy",),
    "proxy": _SENSITIVE,
}
# roles whose organisation's relationship with a patient, or a consent, opens other organisations' records
SHARED_WITH = frozenset({"clinician", "nurse", "front-desk", "billing", "lab"})
# purposes for which a relationship opens records without a consent: treatment, payment, operations (45 CFR 164.506)
TPO = frozenset({"TREAT", "ETREAT", "BTG", "COC", "CAREMGT", "HPAYMT", "HOPERAT"})
# labels that cross to another organisation only where a consent names them (42 CFR 2.31; 45 CFR 164.508(a)(2))
BLOCKED_BETWEEN = ("part2", "psychotherapy", "very-restricted")
# of these, what an emergency opens: 42 CFR 2.51 does, nothing opens psychotherapy notes
NEVER_IN_EMERGENCY = ("psychotherapy",)


def allowed(actor: Actor, action: str, rtype: str) -> bool:
    """Whether this actor may do this with this type at all; the records then decide on each resource."""
    if rtype in OURS and action in WRITE:
        return False
    if not any(
        action in g.actions and (g.types is None or rtype in g.types) for g in GRANTS.get(actor.role, ())
    ):
        return False
    return actor.limits is None or any(
        action in one.actions and (one.types is None or rtype in one.types) for one in actor.limits
    )


def visible(actor: Actor, now: datetime | None = None) -> Visible:
    """What the actor may see, as the predicate of every statement. A patient without a record sees nothing.

    `now` may be left out only where no statement is made of it.
    """
    hidden = mask(*HIDDEN.get(actor.role, _SENSITIVE))
    if actor.role in FOR_A_PATIENT:
        own = frozenset({actor.patient} if actor.patient else ())
        return Visible(
            actor.tenant, patients=own, shared=KNOWN_TO_PATIENTS if own else frozenset(), hidden=hidden, limits=actor.limits,
            releases=True, moment=now,
        )  # fmt: skip
    readable = [g.types for g in GRANTS.get(actor.role, ()) if "read" in g.actions]
    types = None if None in readable else frozenset[str]().union(*(t for t in readable if t is not None))
    return Visible(
        actor.tenant,
        everything=types is None or bool(types),
        types=types,
        hidden=hidden,
        author=actor.user if hidden else "",
        beyond=_beyond(actor, now),
        limits=actor.limits,
    )


def _beyond(actor: Actor, now: datetime | None) -> Beyond | None:
    """How far the actor's organisation sees; None where there is only one, or the program itself acts."""
    if (actor.network is False and not actor.refused) or (actor.role == "system" and actor.client in PROGRAM):
        return None
    person = f"Practitioner/{actor.practitioner}" if actor.practitioner else ""
    return Beyond(
        None if actor.network is False else actor.org,
        actor.user,
        tuple(name for name in (f"Organization/{actor.org}" if actor.org else "", person) if name),
        person,
        purposes_of(actor.purpose),
        open_to_all(),
        mask(*BLOCKED_BETWEEN) | UNREAD,
        mask(*NEVER_IN_EMERGENCY) | UNREAD,
        actor.role in SHARED_WITH,
        actor.role in SHARED_WITH and actor.purpose in TPO,
        actor.refused,
        now,
    )


@cache
def open_to_all() -> frozenset[str]:
    """Types of which every organisation sees what is about nobody: the directory, and what is known of medicine."""
    held = {t for t in r4().resource_types if not r4().compartment("Patient").get(t)}
    return frozenset((held | DIRECTORY | {"Medication"}) - _NOT_OPEN)


_NOT_OPEN = frozenset(
    {
        "Patient", "Bundle", "Binary", "MessageHeader", "OperationOutcome", "Parameters", "Subscription", "Linkage",
        "Contract", "PaymentNotice", "PaymentReconciliation", "Task", "Group", "List", "VerificationResult",
        "GuidanceResponse", "AuditEvent",
    }
)  # fmt: skip


def matrix() -> dict[str, dict[str, frozenset[str]]]:
    """Role -> resource type -> allowed interactions: for the page that shows the policy."""
    out: dict[str, dict[str, frozenset[str]]] = {}
    for role in GRANTS:
        actor = Actor(0, "", "", role, "", "")  # type: ignore[arg-type]
        out[role] = {
            t: frozenset(a for a in ACTIONS if allowed(actor, a, t)) for t in sorted(r4().resource_types)
        }
    return out
