"""One patient's record as it grows: what was recorded when, where and by whom, under ids that never change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid5

from msgspec import Struct

Resource = dict[str, Any]
SPACE = UUID("5b0fb1f6-2f5c-5c39-9d9c-6f5d6d0a11c4")


class Entry(Struct, frozen=True):
    """One version as somebody recorded it. `actor` is a Practitioner's id, `org` an Organization's."""

    recorded: datetime
    org: str
    actor: str
    resource: Resource


def named(*parts: str) -> str:
    """The id of what these words name: a UUID, the same every time."""
    return str(uuid5(SPACE, "/".join(parts)))


def dice(*parts: str) -> Random:
    """Chance that falls the same way every time."""
    return Random("/".join(parts))


def moment(day: date, hour: int = 9, minute: int = 0) -> datetime:
    """A time of that day."""
    return datetime.combine(day, time(hour, minute), UTC)


def stamp(when: datetime) -> str:
    """As a FHIR dateTime."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def years_before(day: date, years: float) -> date:
    """That many years earlier."""
    return day - timedelta(days=round(years * 365.25))


class Folder:
    """Everything about one patient. Entries come out in the order in which they were recorded."""

    def __init__(self, key: str, org: str, actor: str, until: date) -> None:
        self.key, self.org, self.actor, self.until = key, org, actor, until
        self.id = named(key, "Patient")
        self.dice = dice(key)
        self.name = key
        self.current: dict[str, Resource] = {}
        self._entries: list[Entry] = []

    def subject(self) -> Resource:
        """A Reference to the patient."""
        return {"reference": f"Patient/{self.id}"}

    def keep(
        self, rtype: str, key: str, when: datetime, body: Resource, *, org: str = "", actor: str = ""
    ) -> Resource:
        """Record a version; the same key again is the next version. A Reference to it comes back."""
        id = self.id if rtype == "Patient" else named(self.key, rtype, key)
        resource = {"resourceType": rtype, "id": id, **body}
        self.current[f"{rtype}/{key}"] = resource
        self._entries.append(Entry(when, org or self.org, actor or self.actor, resource))
        return {"reference": f"{rtype}/{id}"}

    def change(self, rtype: str, key: str, when: datetime, **parts: Any) -> None:
        """Record a version that differs from the last one in these elements; None takes one away."""
        old = self.current[f"{rtype}/{key}"]
        new = {**old, **parts}
        body = {
            name: value
            for name, value in new.items()
            if value is not None and name not in ("resourceType", "id")
        }
        was = next(entry for entry in reversed(self._entries) if entry.resource is old)
        self.keep(rtype, key, when, body, org=was.org, actor=was.actor)

    def __iter__(self) -> Iterator[Entry]:
        now = moment(self.until, 0)
        known = [entry for entry in self._entries if entry.recorded < now]
        return iter(sorted(known, key=lambda entry: entry.recorded))

    def __len__(self) -> int:
        return len(self._entries)
