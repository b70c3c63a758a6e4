"""The topics that can be subscribed to, as data: what fires them and by what they may be narrowed."""

from __future__ import annotations

from msgspec import Struct

BASE = "http://commonchart.org/SubscriptionTopic/"

WRITTEN = frozenset({"create", "update"})
ANY = frozenset({"create", "update", "delete"})


class Trigger(Struct, frozen=True):
    """What fires: a change of a type after which `holds` (FHIRPath) is true, where it was not before.

    `differs`: where it was true before too, a change of the values of this expression fires as well. Without `holds`
    every change does.
    """

    rtype: str
    ops: frozenset[str] = WRITTEN
    holds: str = ""
    differs: str = ""


class Topic(Struct, frozen=True):
    """A topic: its canonical url, what it tells, what fires it, and the search parameters that may narrow it."""

    name: str
    title: str
    triggers: tuple[Trigger, ...]
    filters: frozenset[str]

    @property
    def url(self) -> str:
        """The canonical url."""
        return BASE + self.name


_INPATIENT = "(class.code = 'IMP' or class.code = 'ACUTE' or class.code = 'NONAC')"
_VISIT = frozenset({"patient", "subject", "class", "type", "service-provider", "location", "practitioner"})
_RESULT = "(status = 'final' or status = 'amended' or status = 'corrected')"
_LAB = "category.coding.where(code = 'laboratory' or code = 'LAB').exists()"

TOPICS: tuple[Topic, ...] = (
    Topic("encounter-start", "A visit begins", (Trigger("Encounter", holds="status = 'in-progress'"),), _VISIT),
    Topic("encounter-end", "A visit ends", (Trigger("Encounter", holds="status = 'finished'"),), _VISIT),
    Topic(
        "admission", "A patient is admitted",
        (Trigger("Encounter", holds=f"status = 'in-progress' and {_INPATIENT}"),), _VISIT,
    ),
    Topic(
        "discharge", "A patient is discharged",
        (Trigger("Encounter", holds=f"status = 'finished' and {_INPATIENT}"),), _VISIT,
    ),
    Topic(
        "lab-result", "A laboratory result is final, amended or corrected",
        (
            Trigger("Observation", holds=f"{_RESULT} and {_LAB}", differs="status | issued"),
            Trigger("DiagnosticReport", holds=f"{_RESULT} and {_LAB}", differs="status | issued"),
        ),
        frozenset({"patient", "subject", "code", "category", "status"}),
    ),
    Topic(
        "document", "A document is there, signed or amended",
        (
            Trigger(
                "DocumentReference", holds="status = 'current' and docStatus != 'preliminary' or "
                "status = 'current' and docStatus.exists().not()", differs="docStatus | content.attachment.url",
            ),
        ),
        frozenset({"patient", "subject", "type", "category"}),
    ),
    Topic("patient-update", "A patient's own data change", (Trigger("Patient", ANY),), frozenset({"patient", "_id"})),
    Topic(
        "appointment-change", "An appointment is made, moved or cancelled", (Trigger("Appointment", ANY),),
        frozenset({"patient", "actor", "practitioner", "location", "status"}),
    ),
    Topic(
        "task-assigned", "A task is given to somebody",
        (Trigger("Task", holds="owner.exists()", differs="owner.reference"),),
        frozenset({"patient", "subject", "owner", "status", "code"}),
    ),
    Topic("consent-change", "A consent is given, changed or withdrawn", (Trigger("Consent", ANY),),
          frozenset({"patient", "status", "category"})),
)  # fmt: skip

BY_URL = {topic.url: topic for topic in TOPICS}
