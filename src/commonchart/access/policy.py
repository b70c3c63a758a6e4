"""Who may do what, as data: role x interaction x resource type. Denied unless written here (DESIGN 9, deny by default)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import scopes
from commonchart.access.actors import Actor
from commonchart.fhir.definitions import r4
from commonchart.search.visible import Part, Visible

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
# what the patient role reads beside its own compartment
KNOWN_TO_PATIENTS = DIRECTORY | {"Medication"}
# never written by a client: the record makes them itself
OURS = frozenset({"AuditEvent"})


class Grant(Struct, frozen=True):
    """Interactions that are allowed on a set of types; `types` None means every type."""

    actions: frozenset[str]
    types: frozenset[str] | None = None


GRANTS: dict[str, tuple[Grant, ...]] = {
    "clinician": (Grant(ACTIONS),),
    "administrator": (Grant(ACTIONS),),
    "system": (Grant(ACTIONS),),
    "front-desk": (Grant(READ, DESK | DIRECTORY), Grant(frozenset({"create", "update"}), DESK)),
    "patient": (Grant(READ),),
}


def allowed(actor: Actor, action: str, rtype: str) -> bool:
    """Whether this actor may do this with this type at all; the records then decide on each resource."""
    if rtype in OURS and action in WRITE:
        return False
    if actor.app and not (_is_self(actor, action, rtype) or _scoped(actor, action, rtype)):
        return False
    return any(
        action in g.actions and (g.types is None or rtype in g.types) for g in GRANTS.get(actor.role, ())
    )


def visible(actor: Actor, letters: str = "s") -> Visible:
    """What the actor may see, as the predicate of every statement. A patient without a record sees nothing.

    Through an app: what any of these letters of its scopes also allows ("s" to search, "r" to read one by its id).
    """
    if not actor.app:
        return _visible(actor)
    seen = scopes.restrict(
        _visible(actor), actor.scopes, actor.context, letters=letters, shared=KNOWN_TO_PATIENTS
    )
    own = own_resource(actor)
    if own is None or "r" not in letters or not _is_self(actor, "read", own[0]):
        return seen
    return replace(seen, within=(*(seen.within or ()), Part(frozenset({own[0]}), id=own[1])))


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


def _visible(actor: Actor) -> Visible:
    if actor.role == "patient":
        own = frozenset({actor.patient} if actor.patient else ())
        return Visible(actor.tenant, patients=own, shared=KNOWN_TO_PATIENTS if own else frozenset())
    readable = [g.types for g in GRANTS.get(actor.role, ()) if "read" in g.actions]
    if None in readable:
        return Visible(actor.tenant, everything=True)
    types = frozenset[str]().union(*(types for types in readable if types is not None))
    return Visible(actor.tenant, everything=bool(types), types=types)


def matrix() -> dict[str, dict[str, frozenset[str]]]:
    """Role -> resource type -> allowed interactions: for the page that shows the policy."""
    out: dict[str, dict[str, frozenset[str]]] = {}
    for role in GRANTS:
        actor = Actor(0, "", "", role, "", "")  # type: ignore[arg-type]
        out[role] = {
            t: frozenset(a for a in ACTIONS if allowed(actor, a, t)) for t in sorted(r4().resource_types)
        }
    return out
