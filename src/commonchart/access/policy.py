"""Who may do what, as data: role x interaction x resource type, and role x label. Denied unless written here (DESIGN 9).

How far an organisation sees beyond its own records is decided by the statements themselves (`search.visible`); here is
who is asking. See docs/explain/who-sees-what.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache, lru_cache

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import scopes
from commonchart.access.actors import FOR_A_PATIENT, Actor
from commonchart.access.consent import purposes_of
from commonchart.care.labels import UNREAD, mask
from commonchart.fhir.definitions import r4
from commonchart.record.bounds import Bounds
from commonchart.search.visible import Beyond, Part, Visible

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
# the desk takes consents down as patients sign them
_DESK = (Grant(READ, DESK | DIRECTORY | {"Consent"}), Grant(_ADD, DESK | {"Consent"}))
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
    if actor.app and not (_is_self(actor, action, rtype) or _scoped(actor, action, rtype)):
        return False
    return any(
        action in g.actions and (g.types is None or rtype in g.types) for g in GRANTS.get(actor.role, ())
    )


def visible(actor: Actor, now: datetime | None = None, *, letters: str = "s") -> Visible:
    """What the actor may see, as the predicate of every statement. A patient without a record sees nothing.

    `now` may be left out only where no statement is made of it. Through an app: what any of these letters of its scopes also allows ("s" to search, "r" to read one by its id).
    """
    if not actor.app:
        return _visible(actor, now)
    seen = scopes.restrict(
        _visible(actor, now), actor.scopes, actor.context, letters=letters, shared=KNOWN_TO_PATIENTS
    )
    own = own_resource(actor)
    if own is None or "r" not in letters or not _is_self(actor, "read", own[0]):
        return seen
    return replace(seen, within=(*(seen.within or ()), Part(frozenset({own[0]}), id=own[1])))


@lru_cache(maxsize=4096)
def bounds(actor: Actor) -> Bounds:
    """Within what PostgreSQL itself holds what the actor reads: tenant, labels, and for a patient their own record."""
    seen = _visible(actor, None)
    patients = None if seen.everything else tuple(sorted(seen.patients))
    return Bounds(seen.tenant, seen.hidden, seen.deciding, seen.author, patients)


def own_resource(actor: Actor) -> tuple[str, str] | None:
    """(type, id) of the resource that a user is, None for none."""
    if actor.role == "patient" and actor.patient:
        return "Patient", actor.patient
    return ("Practitioner", actor.practitioner) if actor.practitioner else None


def _is_self(actor: Actor, action: str, rtype: str) -> bool:
    """Whether it is reading the resource that the user is, which goes with the scope fhirUser."""
    own = own_resource(actor)
    return action == "read" and "fhirUser" in actor.scopes and own is not None and own[0] == rtype


def _scoped(actor: Actor, action: str, rtype: str) -> bool:
    return scopes.allows(actor.scopes, actor.context, action, rtype)


def of_one_patient(actor: Actor, rtypes: Iterable[str]) -> bool:
    """Whether, through an app, these types are read of the patient in context only."""
    return bool(actor.app) and not any(scopes.of_anybody(actor.scopes, rtype) for rtype in rtypes)


def everybodys(actor: Actor, rtype: str) -> bool:
    """Whether the app, if one asks, was allowed all of this type: for what is not kept as resources, such as the audit trail."""
    return not actor.app or scopes.everybodys(actor.scopes, rtype)


def whole(actor: Actor, rtype: str) -> bool:
    """Whether what may be read of this type is not narrowed by the codes in an app's scopes."""
    return not actor.app or scopes.whole(actor.scopes, actor.context, rtype)


def _visible(actor: Actor, now: datetime | None) -> Visible:
    hidden = mask(*HIDDEN.get(actor.role, _SENSITIVE))
    if actor.role in FOR_A_PATIENT:
        own = frozenset({actor.patient} if actor.patient else ())
        return Visible(
            actor.tenant, patients=own, shared=KNOWN_TO_PATIENTS if own else frozenset(), hidden=hidden, releases=True, moment=now,
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
    )


def _beyond(actor: Actor, now: datetime | None) -> Beyond | None:
    """How far the actor's organisation sees; None where there is only one, or the program itself acts."""
    if (actor.network is False and not actor.refused) or (actor.role == "system" and actor.client in PROGRAM):
        return None
    person = f"Practitioner/{actor.practitioner}" if actor.practitioner else ""
    return Beyond(
        None if actor.network is False else actor.org,
        actor.user,
        _names(actor, person),
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


def _names(actor: Actor, person: str) -> tuple[str, ...]:
    """What a provision may call this actor: organisation, person, role, and the app that asks for them."""
    app = actor.client if actor.app and actor.client.startswith("app:") else ""
    named = (f"Organization/{actor.org}" if actor.org else "", person, f"role:{actor.role}", app)
    return tuple(name for name in named if name)


@cache
def open_to_all() -> frozenset[str]:
    """Types of which every organisation sees what is about nobody: the directory, and what is known of medicine."""
    held = {t for t in r4().resource_types if not r4().compartment("Patient").get(t)}
    return frozenset((held | DIRECTORY | {"Medication"}) - _NOT_OPEN)


_NOT_OPEN = frozenset(
    {
        "Patient", "Bundle", "Binary", "MessageHeader", "OperationOutcome", "Parameters", "Subscription", "Linkage",
        "Contract", "PaymentNotice", "PaymentReconciliation", "Task", "Group", "List", "VerificationResult",
        "GuidanceResponse", "AuditEvent", "Device",
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
