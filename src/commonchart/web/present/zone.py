"""The clocks of the site: staff read and type every moment in its zone, and the zone stands behind the time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from msgspec import Struct

from commonchart.fhir.outcome import Invalid
from commonchart.web.present import dates


class Zone(Struct, frozen=True):
    """A time zone by its name (IANA), such as `America/Chicago`."""

    key: str = "UTC"

    def __str__(self) -> str:
        return self.key

    @property
    def info(self) -> ZoneInfo:
        """The rules of the zone."""
        return ZoneInfo(self.key)

    def local(self, at: datetime) -> datetime:
        """A moment on the clocks of the site. Sums with it are sums of wall time: add to moments before they come here."""
        return at.astimezone(self.info)

    def day(self, at: datetime) -> date:
        """The day of a moment at the site."""
        return self.local(at).date()

    def on(self, at: datetime) -> str:
        """The day of a moment in words: `18-Nov-2026`."""
        return dates.of_date(self.day(at))

    def clock(self, at: datetime) -> str:
        """The time of day: `10:00 CST`."""
        local = self.local(at)
        return f"{local:%H:%M} {_name(local)}"

    def stamp(self, at: datetime) -> str:
        """A moment of our own clock: `18-Nov-2026 10:00 CST`."""
        return f"{self.on(at)} {self.clock(at)}"

    def moment(self, text: str | None) -> str:
        """A FHIR dateTime: `18-Nov-2026 10:00 CST`, and `... (16:00 UTC)` behind it where it was written with another offset.

        What has no time, or midnight as written, is a day and stays the day that was written.
        """
        try:
            written = datetime.fromisoformat(text or "")
            local = self.local(written)
        except (ValueError, OverflowError):  # 9999-12-31T23:59:59Z has no moment east of Greenwich
            return dates.moment(text)
        if written.tzinfo is None or (written.hour, written.minute) == (0, 0):
            return dates.moment(text)
        if local.utcoffset() == written.utcoffset():
            return self.stamp(written)
        day = "" if local.date() == written.date() else f"{dates.of_date(written.date())} "
        return f"{self.stamp(written)} ({day}{written:%H:%M} {_name(written)})"

    def starts(self, day: date) -> datetime:
        """The first moment of a day."""
        return datetime(day.year, day.month, day.day, tzinfo=self.info).astimezone(UTC)

    def ends(self, day: date) -> datetime:
        """The last moment of a day: what was recorded by then is what was known on that day."""
        return self.starts(day + timedelta(days=1)) - timedelta(microseconds=1)

    def typed(self, wall: datetime, label: str, at: str) -> datetime:
        """The moment when the clocks of the site show `wall`; the first where they show it twice, when they go back.

        Raises Invalid at the field `at`, called `label`, for a time that the clocks skip when they go forward.
        """
        local = wall.replace(tzinfo=self.info)
        if local.astimezone(UTC).astimezone(self.info).replace(tzinfo=None) != wall:
            raise Invalid(
                f"{label}: there is no {wall:%H:%M} on {dates.of_date(wall.date())}, because the clocks of {self.key} go "
                "forward then. Enter a time before or after",
                at=at,
            )
        return local

    def iso(self, at: datetime) -> str:
        """A moment as a FHIR dateTime with the offset of the site; in UTC where that is no whole minute, as before 1900."""
        local = self.local(at)
        offset = local.utcoffset() or timedelta()
        return (at.astimezone(UTC) if offset.seconds % 60 else local).isoformat(timespec="seconds")


UTC_CLOCKS = Zone()
"""What is read where no site has said anything."""


def zone_of(text: str) -> Zone:
    """The zone that the site has named; UTC where it has named none, or one that this machine does not know."""
    try:
        return Zone(ZoneInfo(text or "UTC").key)
    except (KeyError, ValueError, OSError):
        return UTC_CLOCKS


def _name(local: datetime) -> str:
    """`CST`; `UTC+10:30` for a zone without letters of its own, and for an offset that is no zone."""
    name = local.tzname() or ""
    return name if name.isalpha() else timezone(local.utcoffset() or timedelta()).tzname(None)
