"""Where one can go from every page: what is used all day stands in the bar, the rest in groups behind "More"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import emergency, trail

if TYPE_CHECKING:
    from commonchart.web.call import Call


class Entry(Struct, frozen=True):
    """A link of the bar. `key` presses it; `may` is what one must be allowed to do to see it."""

    href: str
    words: str
    key: str = ""
    may: tuple[str, str] = ("search", "Patient")


class Group(Struct, frozen=True):
    """Some entries under a heading."""

    title: str
    entries: tuple[Entry, ...]


class Menu(Struct, frozen=True):
    """What one person sees: `first` in the bar, `groups` behind "More"."""

    first: tuple[Entry, ...]
    groups: tuple[Group, ...]


RESULTS, PLANS, ORDERS = ("search", "Condition"), ("create", "Communication"), ("create", "MedicationRequest")
SIGNED = ("create", "DiagnosticReport")
FIRST = (
    Entry("/patients", "Patients", "g p"),
    Entry("/inbox", "Inbox", "g i", SIGNED),
    Entry("/registry", "Registry", "g r", RESULTS),
    Entry("/digest", "Today", "g t", PLANS),
)
GROUPS = (
    Group(
        "Quality",
        (
            Entry("/dashboard", "Dashboard", "g d", RESULTS),
            Entry("/registries/diabetes", "Condition registries", "", RESULTS),
            Entry("/rules", "Rules of care", "g u", RESULTS),
            Entry("/quarantine", "Quarantine", "g q", ("update", "Observation")),
        ),
    ),
    Group(
        "Safety",
        (
            Entry("/medication-alerts", "Open medication alerts", "", ORDERS),
            Entry("/medication-rules", "Medication rules to review", "", ORDERS),
            Entry("/reports/alerts", "Alert report", "", ORDERS),
            Entry("/reports/critical", "Critical results", "", SIGNED),
            Entry("/inbox/cover", "Cover for a colleague", "", SIGNED),
        ),
    ),
    Group(
        "Outreach",
        (Entry("/campaigns", "Campaigns", "g c", PLANS), Entry("/templates", "Templates", "", PLANS)),
    ),
    Group(
        "Practice",
        (
            Entry("/requests", "Requests of patients", "", ("update", "Task")),
            Entry("/stock", "Vaccine stock", "g s", ("create", "Immunization")),
            Entry("/schedules", "Vaccine schedules", "", RESULTS),
            Entry("/persons", "Records of one person", "", ("update", "Patient")),
            Entry("/receipts", "Import receipts", "", ("create", "Condition")),
            Entry("/terminology", "Code systems", "", ("create", "Patient")),
            Entry("/validate", "Check a resource", "", ("create", "Patient")),
            Entry("/roles", "Who may do what", "", RESULTS),
        ),
    ),
)
ADMINISTRATION = Group(
    "Administration",
    (
        Entry("/users", "Accounts", "g o"),
        Entry("/apps", "Apps"),
        Entry("/exchange", "Exports and subscriptions"),
    ),
)
EMERGENCY = Group("Emergency", (Entry("/emergency", "Emergency look-up"),))
PRIVACY = Group(
    "Privacy",
    (
        Entry("/reports/access", "Who did what", "g a"),
        Entry("/reports/access/unusual", "Unusual access"),
        Entry("/reports/break-glass", "Break-glass to review"),
        Entry("/reports/consents", "Consents to look at"),
        Entry("/labels", "Sensitive labels"),
    ),
)


def menu(call: Call) -> Menu:
    """What whoever asks may go to; empty groups are left out."""
    role = call.actor.role
    groups = (
        *GROUPS, *([EMERGENCY] if role in emergency.ROLES else []), *([PRIVACY] if role in trail.REVIEWERS else []), *([ADMINISTRATION] if role == "administrator" else [])
    )  # fmt: skip
    shown = (Group(group.title, _allowed(call, group.entries)) for group in groups)
    return Menu(_allowed(call, FIRST), tuple(group for group in shown if group.entries))


def _allowed(call: Call, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if call.may(*entry.may))
